using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// MobileNetV3 (Howard et al., arXiv 1905.02244), torchvision's form and keys: <c>features.0.{0,1}</c>, <c>features.i.block.j.{0,1}</c> (expansion if there
/// is one, depthwise, projection), <c>features.i.block.j.{fc1,fc2}</c> (squeeze-excitation), the last 1×1 convolution, <c>classifier.{0,3}</c>.
/// </summary>
/// <remarks>Norms have ε = 1e-3 and momentum 0.01. The variant for small images leaves out the strides of the stem and of the first block that has one.</remarks>
public sealed class MobileNetV3 : Model
{
    /// <summary>ε of all norms.</summary>
    internal const double Eps = 1e-3;

    private const double Momentum = 0.01;

    /// <summary>A block: kernel size, width after expansion, output width, squeeze-excitation, activation, stride (tables 1 and 2 of the paper).</summary>
    internal readonly record struct Row(int Kernel, int Expansion, int Channels, bool Squeezes, ActivationKind Activation, int Stride);

    internal static readonly Row[] Large =
    [
        new(3, 16, 16, false, ActivationKind.ReLU, 1),
        new(3, 64, 24, false, ActivationKind.ReLU, 2),
        new(3, 72, 24, false, ActivationKind.ReLU, 1),
        new(5, 72, 40, true, ActivationKind.ReLU, 2),
        new(5, 120, 40, true, ActivationKind.ReLU, 1),
        new(5, 120, 40, true, ActivationKind.ReLU, 1),
        new(3, 240, 80, false, ActivationKind.Hardswish, 2),
        new(3, 200, 80, false, ActivationKind.Hardswish, 1),
        new(3, 184, 80, false, ActivationKind.Hardswish, 1),
        new(3, 184, 80, false, ActivationKind.Hardswish, 1),
        new(3, 480, 112, true, ActivationKind.Hardswish, 1),
        new(3, 672, 112, true, ActivationKind.Hardswish, 1),
        new(5, 672, 160, true, ActivationKind.Hardswish, 2),
        new(5, 960, 160, true, ActivationKind.Hardswish, 1),
        new(5, 960, 160, true, ActivationKind.Hardswish, 1),
    ];

    internal static readonly Row[] Small =
    [
        new(3, 16, 16, true, ActivationKind.ReLU, 2),
        new(3, 72, 24, false, ActivationKind.ReLU, 2),
        new(3, 88, 24, false, ActivationKind.ReLU, 1),
        new(5, 96, 40, true, ActivationKind.Hardswish, 2),
        new(5, 240, 40, true, ActivationKind.Hardswish, 1),
        new(5, 240, 40, true, ActivationKind.Hardswish, 1),
        new(5, 120, 48, true, ActivationKind.Hardswish, 1),
        new(5, 144, 48, true, ActivationKind.Hardswish, 1),
        new(5, 288, 96, true, ActivationKind.Hardswish, 2),
        new(5, 576, 96, true, ActivationKind.Hardswish, 1),
        new(5, 576, 96, true, ActivationKind.Hardswish, 1),
    ];

    internal MobileNetV3(ModelSpec spec, Initializer init, Row[] rows, int hidden)
        : base(spec)
    {
        int channels = Scaled(16);
        List<Module> features = [Parts.ConvNormActivation(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2, 1, ActivationKind.Hardswish, Eps, Momentum)];
        bool keepsSize = spec.SmallImages;
        foreach (var row in rows)
        {
            int stride = keepsSize ? 1 : row.Stride;
            if (row.Stride > 1) keepsSize = false;
            int next = Scaled(row.Channels);
            features.Add(new Block(init, row, channels, Scaled(row.Expansion), next, stride));
            channels = next;
        }
        int last = 6 * channels;
        features.Add(Parts.ConvNormActivation(init, channels, last, 1, 1, 1, ActivationKind.Hardswish, Eps, Momentum));
        Add("features", new Sequential([.. features]));
        Add("classifier", new Sequential(Parts.Linear(init, last, Scaled(hidden)), new Layers.Activation(ActivationKind.Hardswish), new Dropout(init, 0.2),
            Parts.Linear(init, Scaled(hidden), spec.Classes)));

        int Scaled(int c) => Zoo.MultipleOf8(c * spec.Width);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Child("classifier").Forward(Parts.Pooled(Child("features").Forward(x), Name));

    /// <summary>1×1 expansion (where it widens), depthwise, squeeze-excitation after the activation, 1×1 linear projection, and a skip connection.</summary>
    private sealed class Block : Module
    {
        private readonly bool _skip;

        public Block(Initializer init, Row row, int cin, int hidden, int cout, int stride)
        {
            _skip = stride == 1 && cin == cout;
            List<Module> block = [];
            if (hidden != cin) block.Add(Parts.ConvNormActivation(init, cin, hidden, 1, 1, 1, row.Activation, Eps, Momentum));
            block.Add(Parts.ConvNormActivation(init, hidden, hidden, row.Kernel, stride, hidden, row.Activation, Eps, Momentum));
            if (row.Squeezes) block.Add(Parts.SqueezeExcitation(init, hidden, Zoo.MultipleOf8(hidden / 4), ActivationKind.ReLU, ActivationKind.Hardsigmoid));
            block.Add(Parts.ConvNormActivation(init, hidden, cout, 1, 1, 1, ActivationKind.Identity, Eps, Momentum));
            Add("block", new Sequential([.. block]));
        }

        public override Tensor Forward(Tensor x) => ((Sequential)Child("block")).Forward(x, _skip ? x : null);
    }
}
