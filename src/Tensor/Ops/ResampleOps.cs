using RefConv.Kernels;

namespace RefConv;

/// <summary>A map enlarged by repeating every pixel. See <see cref="IKernels.UpsampleNearestForward"/>.</summary>
public sealed class UpsampleNearestOp : Op
{
    private readonly Tensor _x;
    private readonly UpsampleGeometry _g;

    internal UpsampleNearestOp(Tensor x, int scale, string? name)
        : base("UpsampleNearest", name, x)
    {
        _x = x;
        if (x.Shape.Rank != 4) throw Bad($"the input must be [n, h, w, c], it is {x.Shape}.");
        if (scale < 1) throw Bad($"the scale must be a whole number of at least 1, it is {scale}.");
        _g = new UpsampleGeometry(x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], scale);
    }

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    internal Tensor Run() => Run(new Shape(_g.N, _g.H * _g.Scale, _g.W * _g.Scale, _g.C));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.UpsampleNearestForward(_g, _x.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => kernels.UpsampleNearestBackward(_g, dy, Gradient(_x, out bool accumulate), accumulate);
}

/// <summary>Channels exchanged for pixels or back. See <see cref="IKernels.DepthToSpace"/>.</summary>
public sealed class DepthToSpaceOp : Op
{
    private readonly Tensor _x;
    private readonly bool _toWide;
    private readonly DepthToSpaceGeometry _g;

    internal DepthToSpaceOp(Tensor x, int block, DepthToSpaceMode mode, bool toWide, string? name)
        : base(toWide ? "DepthToSpace" : "SpaceToDepth", name, x)
    {
        (_x, _toWide) = (x, toWide);
        if (x.Shape.Rank != 4) throw Bad($"the input must be [n, h, w, c], it is {x.Shape}.");
        if (block < 1) throw Bad($"the block must be at least 1, it is {block}.");
        var (n, h, w, c) = (x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]);
        if (toWide && c % (block * block) != 0) throw Bad($"blocks of {block}×{block} need a multiple of {block * block} channels, {x.Shape} has {c}.");
        if (!toWide && (h % block != 0 || w % block != 0)) throw Bad($"blocks of {block}×{block} do not fit a map of {h}×{w}.");
        _g = toWide ? new(n, h, w, c / (block * block), block, mode) : new(n, h / block, w / block, c, block, mode);
    }

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    /// <summary>Size of a block.</summary>
    public int Block => _g.Block;

    /// <summary>The order of channels.</summary>
    public DepthToSpaceMode Mode => _g.Mode;

    internal Tensor Run() => Run(_toWide
        ? new Shape(_g.N, _g.H * _g.Block, _g.W * _g.Block, _g.C)
        : new Shape(_g.N, _g.H, _g.W, _g.C * _g.Block * _g.Block));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => Apply(kernels, _toWide, _x.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => Apply(kernels, !_toWide, dy, Gradient(_x, out bool accumulate), accumulate);

    private void Apply(IKernels kernels, bool toWide, BufferView from, BufferView to, bool accumulate)
    {
        if (toWide) kernels.DepthToSpace(_g, from, to, accumulate);
        else kernels.SpaceToDepth(_g, from, to, accumulate);
    }
}
