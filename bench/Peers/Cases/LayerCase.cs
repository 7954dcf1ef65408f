using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>One direction of one convolution layer.</summary>
/// <param name="Layer">The layer's name.</param>
/// <param name="Geometry">Its shape.</param>
/// <param name="Direction">Which of the three computations.</param>
/// <param name="Class">See <see cref="CaseClass"/>.</param>
internal sealed record LayerCase(string Layer, Conv2dGeometry Geometry, Conv2dDirection Direction, string Class)
    : BenchCase(Layer, Class, OpOf(Direction), Geometry.N)
{
    /// <inheritdoc/>
    public override string Title => $"{Layer} b{Batch} {Op}{(Packed ? " winograd" : Accuracy == Conv2dAccuracy.Fast ? " fast" : "")}";

    /// <inheritdoc/>
    public override double Weight => 1;

    /// <summary>As in inference: weights packed before the clock runs, and <see cref="Conv2dAccuracy.Fast"/>.</summary>
    public bool Packed => Class == CaseClass.Winograd;

    /// <summary>What our side may trade for speed when weights are not packed, as in training.</summary>
    public Conv2dAccuracy Accuracy => Class == CaseClass.DenseFast ? Conv2dAccuracy.Fast : Conv2dAccuracy.Exact;

    /// <summary>Multiply and add counted as two, those on padding included.</summary>
    public double Flops => 2.0 * Geometry.Macs;

    /// <summary>Bytes that must move at least: every operand once.</summary>
    public double Bytes => 4.0 * (Geometry.InputLength + Geometry.WeightLength + Geometry.OutputLength);

    private readonly record struct Shape(string Name, int In, int Out, int Kernel, int Stride, int Groups, int Size);

    private static readonly Shape[] s_imageNet =
    [
        new("resnet.stem7x7s2", 3, 64, 7, 2, 1, 224),
        new("resnet.l1.3x3", 64, 64, 3, 1, 1, 56),
        new("resnet.l2.3x3", 128, 128, 3, 1, 1, 28),
        new("resnet.l3.3x3", 256, 256, 3, 1, 1, 14),
        new("resnet.l4.3x3", 512, 512, 3, 1, 1, 7),
        new("resnet.l2.3x3s2", 64, 128, 3, 2, 1, 56),
        new("resnet50.1x1.expand", 64, 256, 1, 1, 1, 56),
        new("resnet50.1x1.reduce", 256, 64, 1, 1, 1, 56),
        new("mnv1.1x1.512", 512, 512, 1, 1, 1, 14),
        new("mnv2.1x1.expand", 24, 144, 1, 1, 1, 56),
        new("mnv2.1x1.project", 144, 24, 1, 1, 1, 56),
        new("mnv2.1x1.head", 320, 1280, 1, 1, 1, 7),
        new("shufv2.1x1.116", 116, 116, 1, 1, 1, 28),
        new("mnv1.dw3x3.128", 128, 128, 3, 1, 128, 56),
        new("mnv1.dw3x3.512", 512, 512, 3, 1, 512, 14),
        new("mnv2.dw3x3.144", 144, 144, 3, 1, 144, 56),
        new("mnv2.dw3x3.960", 960, 960, 3, 1, 960, 7),
        new("mnv2.dw3x3s2.96", 96, 96, 3, 2, 96, 112),
        new("shufv2.dw3x3.116", 116, 116, 3, 1, 116, 28),
        new("effnet.dw5x5.672", 672, 672, 5, 1, 672, 14),
        new("effnet.dw5x5s2.144", 144, 144, 5, 2, 144, 56),
        new("convnext.dw7x7.96", 96, 96, 7, 1, 96, 56),
        new("convnext.dw7x7.384", 384, 384, 7, 1, 384, 14),
        new("grouped3x3.g2.128", 128, 128, 3, 1, 2, 28),
        new("grouped3x3.g4.128", 128, 128, 3, 1, 4, 28),
        new("grouped3x3.g8.128", 128, 128, 3, 1, 8, 28),
        new("resnext.3x3.g32.128", 128, 128, 3, 1, 32, 56),
    ];

    private static readonly Shape[] s_cifar =
    [
        new("cifar.stem3x3", 3, 32, 3, 1, 1, 32),
        new("cifar.3x3.64", 64, 64, 3, 1, 1, 32),
        new("cifar.3x3.128", 128, 128, 3, 1, 1, 16),
        new("cifar.3x3.256", 256, 256, 3, 1, 1, 8),
        new("cifar.1x1.64-128", 64, 128, 1, 1, 1, 32),
        new("cifar.1x1.256", 256, 256, 1, 1, 1, 8),
        new("cifar.1x1.512", 512, 512, 1, 1, 1, 4),
        new("cifar.dw3x3.64", 64, 64, 3, 1, 64, 32),
        new("cifar.dw3x3s2.128", 128, 128, 3, 2, 128, 32),
        new("cifar.dw3x3.256", 256, 256, 3, 1, 256, 8),
        new("cifar.dw3x3.512", 512, 512, 3, 1, 512, 4),
        new("cifar.dw5x5.64", 64, 64, 5, 1, 64, 32),
        new("cifar.dw7x7.64", 64, 64, 7, 1, 64, 32),
        new("cifar.grouped3x3.g4", 64, 64, 3, 1, 4, 32),
    ];

    /// <summary>The layers of well-known networks for 224×224 images, at batch 8, and for 32×32 images at batch 1 and 32.</summary>
    public static IReadOnlyList<LayerCase> All { get; } = [.. Make()];

    /// <summary>One of each class, of middling size: for <c>--quick</c>.</summary>
    public static IReadOnlyList<string> Quick { get; } =
    [
        "resnet.l3.3x3 b8 forward", "resnet.l3.3x3 b8 weight_gradient fast", "mnv1.1x1.512 b8 forward", "resnet.l3.3x3 b8 forward winograd", "mnv1.dw3x3.512 b8 forward",
        "mnv1.dw3x3.512 b8 weight_gradient", "grouped3x3.g4.128 b8 forward",
    ];

    private static IEnumerable<LayerCase> Make()
    {
        (int Batch, Shape[] Shapes)[] tables = [(8, s_imageNet), (1, s_cifar), (32, s_cifar)];
        foreach (var (batch, shapes) in tables)
        foreach (var shape in shapes)
        {
            int pad = shape.Kernel / 2;
            var g = new Conv2dGeometry(batch, shape.Size, shape.Size, shape.In, shape.Out, shape.Kernel, shape.Kernel)
            {
                StrideH = shape.Stride, StrideW = shape.Stride, PadTop = pad, PadBottom = pad, PadLeft = pad, PadRight = pad, Groups = shape.Groups,
            };
            foreach (var direction in Enum.GetValues<Conv2dDirection>()) yield return new LayerCase(shape.Name, g, direction, ClassOf(g, direction));
            if (g is not { Groups: 1, R: 3, StrideH: 1 }) continue;
            if (g.C >= 16)
            {
                foreach (var direction in Enum.GetValues<Conv2dDirection>()) yield return new LayerCase(shape.Name, g, direction, CaseClass.DenseFast);
            }
            yield return new LayerCase(shape.Name, g, Conv2dDirection.Forward, CaseClass.Winograd);
        }
    }

    private static string ClassOf(in Conv2dGeometry g, Conv2dDirection direction) =>
        g.IsDepthwise ? direction == Conv2dDirection.WeightGradient ? CaseClass.DepthwiseWeight : CaseClass.DepthwiseForwardInput
        : g.Groups > 1 ? CaseClass.Grouped
        : g.R == 1 ? CaseClass.Pointwise
        : CaseClass.Dense;

    private static string OpOf(Conv2dDirection direction) => direction switch
    {
        Conv2dDirection.Forward => "forward",
        Conv2dDirection.InputGradient => "input_gradient",
        _ => "weight_gradient",
    };
}
