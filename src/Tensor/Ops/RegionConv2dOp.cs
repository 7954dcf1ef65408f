using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// A convolution with kernels of each image's own, one for every region. See <see cref="IKernels.RegionConv2dForward"/>. The mask says which pixel belongs to
/// which region; no gradient comes through it. The guide it was made from gets one as if the regions had been mixed by a softmax and not chosen.
/// </summary>
public sealed class RegionConv2dOp : Op
{
    private readonly Tensor _x, _guide, _mask, _kernels;
    private readonly Tensor? _b;
    private readonly bool _softKernels;

    internal RegionConv2dOp(Tensor x, Tensor guide, Tensor mask, Tensor kernels, Tensor? b, (int H, int W) kernelSize, Conv2dOptions options, bool regionsOutside, bool softKernels, string? name)
        : base("RegionConv2d", name, b == null ? [x, guide, mask, kernels] : [x, guide, mask, kernels, b])
    {
        (_x, _guide, _mask, _kernels, _b, _softKernels) = (x, guide, mask, kernels, b, softKernels);
        if (x.Shape.Rank != 4 || guide.Shape.Rank != 4) throw Bad($"input and guide must be [n, h, w, c], they are {x.Shape} and {guide.Shape}.");
        if (options.Groups != 1) throw Bad($"groups={options.Groups} is not possible: a region's kernel reads all channels. Use groups=1.");
        int n = x.Shape[0], c = x.Shape[3], m = guide.Shape[3];
        long each = (long)n * m * kernelSize.H * kernelSize.W * c;
        if (kernels.Shape.Count % each != 0 || kernels.Shape.Count == 0)
            throw Bad($"kernels of {kernels.Shape} do not fit {n} images, {m} regions, {c} channels and {kernelSize.H}×{kernelSize.W} taps.");
        var conv = options.ToGeometry(x.Shape, (int)(kernels.Shape.Count / each), kernelSize);
        Geometry = new RegionConv2dGeometry(conv, m, regionsOutside);
        if (conv.P < 1 || conv.Q < 1) throw Bad($"the input {conv.H}×{conv.W} is smaller than the kernel {conv.R}×{conv.S}. Add padding or use a larger image.");
        if (guide.Shape != new Shape(n, conv.P, conv.Q, m)) throw Bad($"the guide must be of the result's size {conv.P}×{conv.Q}, it is {guide.Shape}.");
        if (mask.Shape != new Shape(n, conv.P, conv.Q, 1)) throw Bad($"the mask must be {new Shape(n, conv.P, conv.Q, 1)}, it is {mask.Shape}.");
        if (b != null && b.Shape.Count != conv.K) throw Bad($"the bias must be [{conv.K}], it is {b.Shape}.");
    }

    /// <summary>The whole shape.</summary>
    public RegionConv2dGeometry Geometry { get; }

    /// <inheritdoc/>
    public override long Macs => Geometry.Conv.Macs;

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(new Shape(Geometry.Conv.N, Geometry.Conv.P, Geometry.Conv.Q, Geometry.Conv.K));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) =>
        kernels.RegionConv2dForward(Geometry, _x.Data, _mask.Data, _kernels.Data, _b?.Data ?? default, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_kernels)) KernelGradient(kernels, dy, Gradient(_kernels, out bool accumulate), accumulate);
        if (Needs(_b))
        {
            var rows = new ReduceGeometry(1, Geometry.MaskLength, Geometry.Conv.K);
            kernels.ReduceSum(rows, dy, Gradient(_b!, out bool accumulate), 1, accumulate);
        }
        if (Needs(_guide) && Geometry.Regions > 1)
        {
            // Every region's result at every pixel is needed here: they are computed again, summed up with dy at once, and not kept.
            using var scores = _guide.Device.Rent(_guide.Shape.Count);
            kernels.RegionConv2dScores(Geometry, _x.Data, _kernels.Data, dy, scores.View);
            kernels.SoftmaxChannelsGradient(Geometry.MaskLength, Geometry.Regions, _guide.Data, scores.View, Gradient(_guide, out bool accumulate), accumulate);
        }
        if (Needs(_x)) kernels.RegionConv2dInputGradient(Geometry, dy, _mask.Data, _kernels.Data, Gradient(_x, out bool accumulate), accumulate);
    }

    private void KernelGradient(IKernels kernels, BufferView dy, BufferView dw, bool accumulate)
    {
        if (!_softKernels || Geometry.Regions == 1)
        {
            kernels.RegionConv2dKernelGradient(Geometry, _x.Data, _mask.Data, dy, dw, accumulate);
            return;
        }
        // As if every pixel belonged to every region by its share: one region after another has all pixels, with dy times the share.
        var (device, rows, m) = (_x.Device, Geometry.MaskLength, Geometry.Regions);
        using var shares = device.Rent(rows * m);
        using var share = device.Rent(rows);
        using var everywhere = device.Rent(rows);
        using var part = device.Rent(dy.Length);
        kernels.Softmax(new SoftmaxCrossEntropyGeometry(checked((int)rows), m), _guide.Data, shares.View);
        for (int region = 0; region < m; region++)
        {
            kernels.CopyChannels(new ChannelsGeometry(rows, 1, m, region, 1, 0), shares.View, share.View, accumulate: false);
            kernels.ReduceBroadcast(new ReduceGeometry(rows, Geometry.Conv.K, 1), share.View, part.View, 1, accumulate: false);
            kernels.Multiply(dy, part.View, part.View, accumulate: false);
            kernels.Fill(everywhere.View, region);
            kernels.RegionConv2dKernelGradient(Geometry, _x.Data, everywhere.View, part.View, dw, accumulate || region > 0);
        }
    }
}

/// <summary>The channel of the largest value of every pixel, [n, h, w, c] to [n, h, w, 1]; of equals the lowest. Constant almost everywhere: its gradient is 0.</summary>
public sealed class ArgMaxOp : Op
{
    private readonly Tensor _x;

    internal ArgMaxOp(Tensor x, string? name)
        : base("ArgMax", name, x) => _x = x;

    internal Tensor Run() => Run(new Shape([.. _x.Shape.Sizes[..^1], 1]));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.ArgMaxChannels(Output.Shape.Count, _x.Shape[-1], _x.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
    }
}

/// <summary>Average over a fixed number of bins, whatever the size of the map. See <see cref="AdaptiveAvgPool2dGeometry"/>.</summary>
public sealed class AdaptiveAvgPool2dOp : Op
{
    private readonly Tensor _x;

    internal AdaptiveAvgPool2dOp(Tensor x, int height, int width, string? name)
        : base("AdaptiveAvgPool2d", name, x)
    {
        _x = x;
        if (x.Shape.Rank != 4) throw Bad($"the input must be [n, h, w, c], it is {x.Shape}.");
        if (height < 1 || width < 1) throw Bad($"the result must have at least one pixel; {height}×{width} was asked for.");
        Geometry = new AdaptiveAvgPool2dGeometry(x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], height, width);
    }

    /// <summary>The whole shape.</summary>
    public AdaptiveAvgPool2dGeometry Geometry { get; }

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(new Shape(Geometry.N, Geometry.P, Geometry.Q, Geometry.C));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.AdaptiveAvgPool2dForward(Geometry, _x.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.AdaptiveAvgPool2dBackward(Geometry, dy, Gradient(_x, out bool accumulate), accumulate);
}
