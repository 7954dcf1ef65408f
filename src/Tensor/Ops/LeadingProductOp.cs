using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// A kernel behind a 1×1 convolution, as one kernel: at every tap t, <c>y[t] = a·z[t]</c> for a [in, q] (the 1×1's weight in memory order) and
/// z [kh, kw, q, out]; gives [kh, kw, in, out].
/// </summary>
public sealed class LeadingProductOp : Op
{
    private readonly Tensor _a, _z;
    private readonly int _taps, _in, _q, _out;

    internal LeadingProductOp(Tensor a, Tensor z, string? name)
        : base("LeadingProduct", name, a, z)
    {
        (_a, _z) = (a, z);
        if (z.Shape.Rank != 4 || a.Shape[-1] != z.Shape[2]) throw Bad($"a 1×1 kernel {a.Shape} gives {a.Shape[-1]} channels, the kernel {z.Shape} behind it reads {z.Shape[2]}.");
        (_taps, _q, _out) = (z.Shape[0] * z.Shape[1], z.Shape[2], z.Shape[3]);
        _in = checked((int)(a.Shape.Count / _q));
    }

    /// <inheritdoc/>
    public override long Macs => (long)_taps * _in * _q * _out;

    /// <inheritdoc/>
    public override string Attributes => $"{_taps}× {_in}×{_out}×{_q}";

    internal Tensor Run() => Run(new Shape(_z.Shape[0], _z.Shape[1], _in, _out));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        for (int t = 0; t < _taps; t++) kernels.Gemm(new GemmGeometry(_in, _out, _q), _a.Data, Of(_z.Data, t, _q), Of(Output.Data, t, _in), accumulate: false);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => (tensor == _a && Needs(_z)) || (tensor == _z && Needs(_a));

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_a))
        {
            var da = Gradient(_a, out bool accumulate);
            for (int t = 0; t < _taps; t++)
                kernels.Gemm(new GemmGeometry(_in, _q, _out, TransposeB: true), Of(dy, t, _in), Of(_z.Data, t, _q), da, accumulate || t > 0);
        }
        if (Needs(_z))
        {
            var dz = Gradient(_z, out bool accumulate);
            for (int t = 0; t < _taps; t++)
                kernels.Gemm(new GemmGeometry(_q, _out, _in, TransposeA: true), _a.Data, Of(dy, t, _in), Of(dz, t, _q), accumulate);
        }
    }

    /// <summary>The [rows, out] matrix of a tap.</summary>
    private BufferView Of(BufferView kernel, int tap, int rows) => kernel.Slice((long)tap * rows * _out, (long)rows * _out);
}
