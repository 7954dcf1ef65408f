using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Onnx;

/// <summary>A small net around one kind of operation, for the comparison with ONNX Runtime.</summary>
/// <param name="Name">What it is about.</param>
/// <param name="Input">[n, h, w, c]; the comparison chooses n.</param>
/// <param name="Create">Makes the net.</param>
public sealed record OnnxCase(string Name, Shape Input, Func<Initializer, Module> Create);

/// <summary>A net written as a function over named parts.</summary>
internal sealed class Net : Module
{
    private readonly Func<Net, Tensor, Tensor> _forward;

    public Net(Func<Net, Tensor, Tensor> forward, params (string Name, Module Part)[] parts)
    {
        _forward = forward;
        foreach (var (name, part) in parts) Add(name, part);
    }

    public Module this[string name] => Child(name);

    public override Tensor Forward(Tensor x) => _forward(this, x);
}

/// <summary>Every row of the table of OnnxOps at least once, with what is special about it.</summary>
internal static class OnnxCases
{
    public static IReadOnlyList<OnnxCase> All { get; } =
    [
        new("conv, everything uneven", new Shape(1, 9, 8, 4), init => new Conv2d(init.Device, 4, 6, (3, 5),
            new Conv2dOptions { StrideH = 2, PadBottom = 2, PadLeft = 3, PadRight = 1, DilationW = 2, Groups = 2 }, bias: true)),
        new("conv, cropping", new Shape(1, 9, 8, 3), init => new Conv2d(init.Device, 3, 4, (3, 3),
            new Conv2dOptions { StrideH = 2, StrideW = 2, PadTop = -1, PadBottom = 1, PadRight = -2, Groups = 1 }, bias: false)),
        new("conv, norm, residual, ReLU6", new Shape(1, 6, 5, 8), init => new Net(
            (net, x) => ((BatchNorm2d)net["bn"]).Forward(net["conv"].Forward(x), ActivationKind.ReLU6, x),
            ("conv", new Conv2d(init, 8, 8, 3, padding: 1)), ("bn", new BatchNorm2d(init, 8, eps: 1e-3)))),
        new("norm before the conv", new Shape(1, 6, 5, 8), init => new Sequential(
            new BatchNorm2d(init, 8), new RefConv.Layers.Activation(ActivationKind.ReLU), new Conv2d(init, 8, 4, 1, bias: false))),
        new("conv read twice, its norm cannot be folded", new Shape(1, 6, 5, 3), init => new Net(
            (net, x) => net["conv"].Forward(x) is var y ? net["bn"].Forward(y).Add(y) : y, ("conv", new Conv2d(init, 3, 4, 3)), ("bn", new BatchNorm2d(init, 4)))),
        new("one conv used twice", new Shape(1, 6, 5, 4), init => new Net((net, x) => net["conv"].Forward(net["conv"].Forward(x)), ("conv", new Conv2d(init, 4, 4, 1)))),
        new("one conv used twice, with different norms", new Shape(1, 6, 5, 4), init => new Net(
            (net, x) => net["b"].Forward(net["conv"].Forward(net["a"].Forward(net["conv"].Forward(x)))),
            ("conv", new Conv2d(init, 4, 4, 1)), ("a", new BatchNorm2d(init, 4)), ("b", new BatchNorm2d(init, 4)))),
        new("activations", new Shape(1, 6, 5, 4), init => new Net(
            (net, x) => net["conv"].Forward(x) is var y ? TensorOps.Concat([.. Enum.GetValues<ActivationKind>().Select(kind => y.Activation(kind))]) : x,
            ("conv", WithLargeWeights(new Conv2d(init, 4, 4, 1))))),
        new("squeeze-excitation", new Shape(1, 6, 5, 8), init => new SqueezeExcitation(init, 8, 4, ActivationKind.SiLU, ActivationKind.Hardsigmoid)),
        new("pools", new Shape(1, 9, 8, 4), init => new Net(
            (net, x) => net["conv"].Forward(x) is var y ? TensorOps.Concat(y.AvgPool2d(3, 2, 1), y.AvgPool2d(3, 2, 1, countIncludePad: false), y.MaxPool2d(3, 2, 1)) : x,
            ("conv", new Conv2d(init, 4, 4, 1)))),
        new("slices, shuffle, concat", new Shape(1, 6, 5, 12), init => new Net(
            (net, x) => TensorOps.Concat(net["conv"].Forward(x.SliceChannels(6, 6)), x.SliceChannels(0, 6)).ChannelShuffle(3), ("conv", new Conv2d(init, 6, 6, 3, padding: 1, groups: 6)))),
        new("two maps in turn", new Shape(1, 6, 5, 12), init => new Net(
            (net, x) => TensorOps.Interleave(x.SliceChannels(6, 6), net["conv"].Forward(x.SliceChannels(0, 6))), ("conv", new Conv2d(init, 6, 6, 3, padding: 1, groups: 6)))),
        new("product of maps", new Shape(1, 6, 5, 4), init => new Net((net, x) => x.Multiply(net["conv"].Forward(x)), ("conv", new Conv2d(init, 4, 4, 1)))),
        new("a flattened map, linear layers, norm of features", new Shape(1, 3, 2, 4), init => new Sequential(
            new Flatten(), new RefConv.Layers.Activation(ActivationKind.ReLU), new Linear(init, 24, 10, height: 3, width: 2), new BatchNorm2d(init, 10), new Linear(init, 10, 7, bias: false))),
        new("a flattened map in the engine's order", new Shape(1, 3, 2, 4), init => new Net(
            (net, x) => net["conv"].Forward(x).Flatten().SliceChannels(3, 9).Softmax(), ("conv", new Conv2d(init, 4, 4, 1)))),
        new("sum of flattened maps", new Shape(1, 3, 2, 4), init => new Net(
            (net, x) => net["fc"].Forward(x.Flatten().Add(net["conv"].Forward(x).Flatten())), ("conv", new Conv2d(init, 4, 4, 1)), ("fc", new Linear(init, 24, 5, height: 3, width: 2)))),
        new("reshapes", new Shape(1, 4, 6, 4), init => new Net(
            (net, x) => net["conv"].Forward(x).Reshape(new Shape(x.Shape[0], 8, 3, 4)).Reshape(new Shape(x.Shape[0], 12, 8)).Reshape(new Shape(x.Shape[0] * 2, 1, 1, 48)).Reshape(new Shape(x.Shape[0], 2, 12, 4)),
            ("conv", new Conv2d(init, 4, 4, 1)))),
        new("global average, back to a map", new Shape(1, 6, 5, 4), init => new Net(
            (net, x) => x.Multiply(net["fc"].Forward(x.GlobalAvgPool2d().Flatten()).Reshape(new Shape(x.Shape[0], 1, 1, 4)).Activation(ActivationKind.Sigmoid)), ("fc", new Linear(init, 4, 4)))),
        new("factors a channel", new Shape(1, 6, 5, 4), init => new Net(
            // A weight [out 4, in 1, 1, 1] lies in memory as [1, 1, 1, 4]: the form of a constant factor.
            (net, x) => x.Multiply(((Conv2d)net["scale"]).Weight).Multiply(x.GlobalAvgPool2d().Flatten()), ("scale", new Conv2d(init, 4, 4, 1, groups: 4, bias: false)))),
        new("layer norms", new Shape(1, 6, 5, 4), init => new Net(
            (net, x) => net["fc"].Forward(net["head"].Forward(net["map"].Forward(x).GlobalAvgPool2d()).Flatten()).LayerNorm(((LayerNorm)net["vector"]).Weight, ((LayerNorm)net["vector"]).Bias),
            ("map", new LayerNorm(init, 4, 1e-3)), ("head", new LayerNorm(init, 4)), ("fc", new Linear(init, 4, 6)), ("vector", new LayerNorm(init, 6)))),
        new("layer norm of a map", new Shape(1, 6, 5, 4), init => new LayerNorm(init, 4)),
        new("linear over channels, with a norm", new Shape(1, 6, 5, 4), init => new Sequential(new Linear(init, 4, 6), new BatchNorm2d(init, 6), new Linear(init, 6, 3, bias: false))),
        new("PReLU", new Shape(1, 6, 5, 4), init => new PReLU(init, 4)),
        new("PReLU of features", new Shape(1, 3, 2, 4), init => new Sequential(new Flatten(), new PReLU(init, 24))),
        new("replaced channels", new Shape(1, 6, 5, 8), init => new Net(
            (net, x) => TensorOps.Concat(x.ReplaceChannels(net["conv"].Forward(x.SliceChannels(0, 2))), x.ReplaceChannels(x.SliceChannels(0, 2), 3), x.ReplaceChannels(x.SliceChannels(0, 2), 6)),
            ("conv", new Conv2d(init, 2, 2, 3, padding: 1)))),
        new("upsampling", new Shape(1, 3, 4, 2), init => new Sequential(new Upsample(3), new Conv2d(init, 2, 2, 1))),
        new("depth to space and back", new Shape(1, 4, 6, 8), init => new Net(
            (net, x) => net["conv"].Forward(TensorOps.Concat([.. Enum.GetValues<DepthToSpaceMode>().SelectMany(mode => new[] { x.DepthToSpace(2, mode).AvgPool2d(2, 2), x.SpaceToDepth(2, mode).DepthToSpace(2, Other(mode)) })])),
            ("conv", new Conv2d(init, 20, 4, 3)))),
        new("a refocused conv", new Shape(1, 6, 5, 8), init => new RefConvMethod().Expand(new ConvSite("conv", new Conv2d(init, 8, 8, 3, padding: 1, groups: 8)), init)),
    ];

    private static DepthToSpaceMode Other(DepthToSpaceMode mode) => mode == DepthToSpaceMode.CRD ? DepthToSpaceMode.DCR : DepthToSpaceMode.CRD;

    /// <summary>So that activations see all of their range.</summary>
    private static Conv2d WithLargeWeights(Conv2d conv)
    {
        conv.Weight.FromTorch(Array.ConvertAll(conv.Weight.ToTorch(), w => 8 * w));
        return conv;
    }
}
