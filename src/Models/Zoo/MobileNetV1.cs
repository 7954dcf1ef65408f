using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// MobileNetV1 (Howard et al., arXiv 1704.04861): a stem and 13 depthwise-separable blocks, plain ReLU.
/// Keys: <c>model.0.{0,1}</c>, <c>model.i.{0,1,3,4}</c> (depthwise, norm, pointwise, norm), <c>fc</c>.
/// </summary>
/// <remarks>
/// The variant for small images leaves out the stem's stride. Convolutions start as N(0, √(2/(k²·out))); the classifier with PyTorch's default
/// (±1/√in, 0.031 at width 1; the ImageNet code's ±1/√classes is the same for 1000 classes and ten times as much for 10).
/// </remarks>
public sealed class MobileNetV1 : Model
{
    /// <summary>Output channels and stride of each block.</summary>
    private static readonly (int Channels, int Stride)[] Blocks =
    [
        (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
        (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
    ];

    internal MobileNetV1(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int channels = Scaled(32);
        List<Module> model = [Block(init, Conv(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2))];
        foreach (var (width, stride) in Blocks)
        {
            int next = Scaled(width);
            model.Add(Block(init, Conv(init, channels, channels, 3, stride, groups: channels), Conv(init, channels, next, 1, 1)));
            channels = next;
        }
        Add("model", new Sequential([.. model]));
        Add("fc", new Linear(init, channels, spec.Classes));

        int Scaled(int c) => Math.Max(8, (int)(c * spec.Width));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var features = Child("model").Forward(x);
        var pooled = features.GlobalAvgPool2d(Name);
        Tape.Current.Release(features);
        return Child("fc").Forward(pooled.Flatten());
    }

    private static Sequential Block(Initializer init, params ReadOnlySpan<Conv2d> convs)
    {
        List<Module> layers = [];
        foreach (var conv in convs) layers.AddRange([conv, new BatchNorm2d(init, conv.OutChannels), new Layers.Activation(ActivationKind.ReLU)]);
        return new Sequential([.. layers]);
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int groups = 1)
    {
        var conv = new Conv2d(init, cin, cout, k, stride, k / 2, groups: groups, bias: false);
        Initializer.Normal(conv.Weight, Math.Sqrt(2.0 / (k * k * cout)), init.NextStream());
        return conv;
    }
}
