using RefConv.Kernels;

namespace RefConv;

/// <summary>Average or maximum over windows.</summary>
public sealed class Pool2dOp : Op
{
    private readonly Tensor _x;
    private readonly bool _max;

    internal Pool2dOp(Tensor x, bool max, int kernelSize, int stride, int padding, bool countIncludePad, string? name)
        : base(max ? "MaxPool2d" : "AvgPool2d", name, x)
    {
        (_x, _max) = (x, max);
        if (x.Shape.Rank != 4) throw Bad($"the input must be [n, h, w, c], it is {x.Shape}.");
        if (kernelSize < 1 || stride < 1) throw Bad($"kernel size {kernelSize} and stride {stride} must be at least 1.");
        if (padding < 0 || 2 * padding > kernelSize) throw Bad($"padding {padding} must be between 0 and half the kernel size {kernelSize}.");
        Geometry = new Pool2dGeometry(x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], kernelSize, kernelSize, stride, padding, countIncludePad);
        if (x.Shape[1] + (2 * padding) < kernelSize || x.Shape[2] + (2 * padding) < kernelSize)
            throw Bad($"the input {x.Shape[1]}×{x.Shape[2]} with padding {padding} is smaller than the window {kernelSize}.");
    }

    /// <summary>The whole shape.</summary>
    public Pool2dGeometry Geometry { get; }

    internal bool IsMax => _max;

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(new Shape(Geometry.N, Geometry.P, Geometry.Q, Geometry.C));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        if (_max) kernels.MaxPool2dForward(Geometry, _x.Data, Output.Data);
        else kernels.AvgPool2dForward(Geometry, _x.Data, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => _max && tensor == _x;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        var dx = Gradient(_x, out bool accumulate);
        if (_max) kernels.MaxPool2dBackward(Geometry, _x.Data, dy, dx, accumulate);
        else kernels.AvgPool2dBackward(Geometry, dy, dx, accumulate);
    }
}

/// <summary>Sum or mean over a run of neighbouring axes.</summary>
public sealed class ReduceOp : Op
{
    private readonly Tensor _x;
    private readonly ReduceGeometry _g;
    private readonly Shape _shape;
    private readonly double _scale;

    internal ReduceOp(string kind, Tensor x, ReduceGeometry geometry, Shape shape, double scale, string? name)
        : base(kind, name, x) => (_x, _g, _shape, _scale) = (x, geometry, shape, scale);

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    /// <summary>Mean over all pixels of every image and channel.</summary>
    internal bool IsGlobalAverage => _x.Shape.Rank == 4 && _g.Outer == _x.Shape[0] && _g.Inner == _x.Shape[3] && _scale == 1.0 / _g.Length;

    internal Tensor Run() => Run(_shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.ReduceSum(_g, _x.Data, Output.Data, _scale, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.ReduceBroadcast(_g, dy, Gradient(_x, out bool accumulate), _scale, accumulate);
}
