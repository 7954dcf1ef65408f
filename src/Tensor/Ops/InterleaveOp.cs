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

    private InterleaveGeometry Dense => new(_a.Shape.Count / _channels, _channels, _channels, 0, _channels, 0);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.Interleave(Dense, _a.Data, _b.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_a) && Needs(_b) && _a != _b)
        {
            BufferView da = Gradient(_a, out bool toA), db = Gradient(_b, out bool toB);
            kernels.Deinterleave(Dense, dy, da, db, toA, toB);
            return;
        }
        // One map twice, or a gradient that nobody wants: one after the other, what is not wanted into memory that is given back.
        using var unwanted = Output.Device.Rent(_a.Shape.Count);
        if (Needs(_a)) kernels.Deinterleave(Dense, dy, Gradient(_a, out bool accumulate), unwanted.View, accumulate, false);
        if (Needs(_b)) kernels.Deinterleave(Dense, dy, unwanted.View, Gradient(_b, out bool accumulate), false, accumulate);
    }
}
