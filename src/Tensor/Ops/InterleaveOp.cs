using RefConv.Kernels;

namespace RefConv;

/// <summary>The channels of two maps in turn: a concatenation and a channel shuffle of two groups, in one pass. See <see cref="IKernels.Interleave"/>.</summary>
public sealed class InterleaveOp : Op
{
    private readonly Tensor _a, _b;
    private readonly int _channels;

    internal InterleaveOp(Tensor a, Tensor b, string? name)
        : base("Interleave", name, a, b)
    {
        (_a, _b, _channels) = (a, b, a.Shape[-1]);
        if (a.Shape != b.Shape) throw Bad($"the shapes of both maps must agree: {a.Shape} and {b.Shape}.");
    }

    internal Tensor Run() => Run(new Shape([.. _a.Shape.Sizes[..^1], 2 * _channels]));

    /// <inheritdoc/>
    internal override bool ReadsStrided(Tensor input) => true;

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        StridedRows a = _a.Strided, b = _b.Strided;
        kernels.Interleave(Geometry(a, b), a.Data, b.Data, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_a) && Needs(_b) && !Overlap())
        {
            StridedRows da = StridedGradient(_a, out bool toA), db = StridedGradient(_b, out bool toB);
            kernels.Deinterleave(Geometry(da, db), dy, da.Data, db.Data, toA, toB);
            return;
        }
        // The same channels twice, or a gradient that nobody wants: one after the other, what is not wanted into memory that is given back.
        using var memory = Output.Device.Rent(_a.Shape.Count);
        var unwanted = new StridedRows(memory.View, _channels, 0);
        if (Needs(_a))
        {
            var da = StridedGradient(_a, out bool accumulate);
            kernels.Deinterleave(Geometry(da, unwanted), dy, da.Data, memory.View, accumulate, false);
        }
        if (Needs(_b))
        {
            var db = StridedGradient(_b, out bool accumulate);
            kernels.Deinterleave(Geometry(unwanted, db), dy, memory.View, db.Data, false, accumulate);
        }
    }

    private InterleaveGeometry Geometry(StridedRows a, StridedRows b) => new(_a.Shape.Count / _channels, _channels, a.Pitch, a.Offset, b.Pitch, b.Offset);

    /// <summary>Some channels are read as a and as b: their gradients cannot be written at the same time.</summary>
    private bool Overlap()
    {
        var (a, firstA) = _a.Producer is SliceOp runA ? runA.Origin : (_a, 0);
        var (b, firstB) = _b.Producer is SliceOp runB ? runB.Origin : (_b, 0);
        return a == b && Math.Abs(firstA - firstB) < _channels;
    }
}
