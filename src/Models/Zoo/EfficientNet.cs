using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// EfficientNet-B0 (Tan and Le, arXiv 1905.11946), torchvision's form and keys: <c>features.0.{0,1}</c>, <c>features.s.b.block.j.{0,1}</c> (expansion if there
/// is one, depthwise, projection), <c>features.s.b.block.j.{fc1,fc2}</c> (squeeze-excitation), <c>features.8.{0,1}</c>, <c>classifier.1</c>.
/// </summary>
/// <remarks>The variant for small images leaves out the strides of the stem and of the second stage.</remarks>
public sealed class EfficientNet : Model
{
    private const double DropsAtMost = 0.2;

    /// <summary>Expansion, kernel size, stride, output channels, blocks of each stage.</summary>
    private static readonly (int Expansion, int Kernel, int Stride, int Channels, int Blocks)[] Stages =
        [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)];

    internal EfficientNet(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int channels = Zoo.MultipleOf8(32 * spec.Width);
        List<Module> features = [Parts.ConvNormActivation(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2, 1, ActivationKind.SiLU)];
        int block = 0, blocks = Stages.Sum(s => s.Blocks);
        for (int s = 0; s < Stages.Length; s++)
        {
            var (expansion, kernel, stride, width, count) = Stages[s];
            if (spec.SmallImages && s == 1) stride = 1;
            int next = Zoo.MultipleOf8(width * spec.Width);
            List<Module> stage = [];
            for (int b = 0; b < count; b++, block++)
            {
                stage.Add(new MBConv(init, channels, next, expansion, kernel, b == 0 ? stride : 1, DropsAtMost * block / blocks));
                channels = next;
            }
            features.Add(new Sequential([.. stage]));
        }
        features.Add(Parts.ConvNormActivation(init, channels, 4 * channels, 1, 1, 1, ActivationKind.SiLU));
        Add("features", new Sequential([.. features]));

        var classifier = new Linear(init, 4 * channels, spec.Classes);
        Initializer.Uniform(classifier.Weight, 1 / Math.Sqrt(spec.Classes), init.NextStream());
        init.Device.Kernels.Fill(classifier.Bias!.Data, 0);
        Add("classifier", new Sequential(new Dropout(init, 0.2), classifier));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Child("classifier").Forward(Parts.Pooled(Child("features").Forward(x), Name));

    /// <summary>1×1 expansion (where it widens), depthwise, squeeze-excitation, 1×1 linear projection; a skip connection beside a branch that is dropped now and then.</summary>
    private sealed class MBConv : Module
    {
        private readonly bool _skip;

        public MBConv(Initializer init, int cin, int cout, int expansion, int kernel, int stride, double drop)
        {
            _skip = stride == 1 && cin == cout;
            int hidden = Zoo.MultipleOf8(cin * expansion);
            List<Module> block = [];
            if (hidden != cin) block.Add(Parts.ConvNormActivation(init, cin, hidden, 1, 1, 1, ActivationKind.SiLU));
            block.Add(Parts.ConvNormActivation(init, hidden, hidden, kernel, stride, hidden, ActivationKind.SiLU));
            block.Add(Parts.SqueezeExcitation(init, hidden, Math.Max(1, cin / 4), ActivationKind.SiLU, ActivationKind.Sigmoid));
            block.Add(Parts.ConvNormActivation(init, hidden, cout, 1, 1, 1, ActivationKind.Identity));
            Add("block", new Sequential([.. block]));
            Add("stochastic_depth", new StochasticDepth(init, drop));
        }

        public override Tensor Forward(Tensor x)
        {
            var block = (Sequential)Child("block");
            var depth = (StochasticDepth)Child("stochastic_depth");
            if (!_skip || !depth.IsActive) return block.Forward(x, _skip ? x : null);
            var y = block.Forward(x);
            y = Parts.Next(y, depth.Forward(y));
            return Parts.Next(y, y.Add(x, Name));
        }
    }
}
