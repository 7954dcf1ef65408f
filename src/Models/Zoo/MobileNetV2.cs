using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// MobileNetV2 (Sandler et al., arXiv 1801.04381), torchvision's form and keys: <c>features.0.{0,1}</c>,
/// <c>features.1.conv.{0.0,0.1,1,2}</c>, <c>features.i.conv.{0.0,0.1,1.0,1.1,2,3}</c>, <c>features.18.{0,1}</c>, <c>classifier.1</c>.
/// </summary>
/// <remarks>The variant for small images leaves out the strides of the stem and of the second stage.</remarks>
public sealed class MobileNetV2 : Model
{
    /// <summary>Expansion t, channels c, blocks n, stride s of each stage (table 2 of the paper).</summary>
    private static readonly (int T, int C, int N, int S)[] Stages =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

    internal MobileNetV2(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int channels = Zoo.MultipleOf8(32 * spec.Width);
        List<Module> features = [ConvBnRelu6(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2)];
        for (int stage = 0; stage < Stages.Length; stage++)
        {
            var (t, c, n, s) = Stages[stage];
            if (spec.SmallImages && stage == 1) s = 1;
            int next = Zoo.MultipleOf8(c * spec.Width);
            for (int i = 0; i < n; i++)
            {
                features.Add(new InvertedResidual(init, channels, next, i == 0 ? s : 1, t));
                channels = next;
            }
        }
        int last = Zoo.MultipleOf8(1280 * Math.Max(1, spec.Width));
        features.Add(ConvBnRelu6(init, channels, last, 1, 1));
        Add("features", new Sequential([.. features]));
        var classifier = new Linear(init, last, spec.Classes);
        Initializer.Normal(classifier.Weight, 0.01, init.NextStream());
        init.Device.Kernels.Fill(classifier.Bias!.Data, 0);
        Add("classifier", new Sequential(new Dropout(init, 0.2), classifier));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var features = Child("features").Forward(x);
        var pooled = features.GlobalAvgPool2d(Name);
        Tape.Current.Release(features);
        return Child("classifier").Forward(pooled.Flatten());
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int groups = 1)
    {
        var conv = new Conv2d(init, cin, cout, k, stride, k / 2, groups: groups, bias: false);
        Initializer.KaimingNormalFanOut(conv.Weight, init.NextStream());
        return conv;
    }

    private static Sequential ConvBnRelu6(Initializer init, int cin, int cout, int k, int stride, int groups = 1) =>
        new(Conv(init, cin, cout, k, stride, groups), new BatchNorm2d(init, cout), new Layers.Activation(ActivationKind.ReLU6));

    /// <summary>1×1 expansion, 3×3 depthwise, 1×1 linear projection, and a skip connection where the shape allows one.</summary>
    private sealed class InvertedResidual : Module
    {
        private readonly bool _skip;

        public InvertedResidual(Initializer init, int cin, int cout, int stride, int expansion)
        {
            _skip = stride == 1 && cin == cout;
            int hidden = cin * expansion;
            List<Module> conv = [];
            if (expansion != 1) conv.Add(ConvBnRelu6(init, cin, hidden, 1, 1));
            conv.Add(ConvBnRelu6(init, hidden, hidden, 3, stride, groups: hidden));
            conv.Add(Conv(init, hidden, cout, 1, 1));
            conv.Add(new BatchNorm2d(init, cout));
            Add("conv", new Sequential([.. conv]));
        }

        public override Tensor Forward(Tensor x) => ((Sequential)Child("conv")).Forward(x, _skip ? x : null);
    }
}
