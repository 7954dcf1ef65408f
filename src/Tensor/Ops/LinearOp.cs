using RefConv.Kernels;

namespace RefConv;

/// <summary><c>y = x·W + b</c> over the last axis of [..., in], W stored [in, out].</summary>
public sealed class LinearOp : Op
{
    private readonly Tensor _x, _w;
    private readonly Tensor? _b;
    private readonly int _rows, _in, _out;

    internal LinearOp(Tensor x, Tensor w, Tensor? b, string? name)
        : base("Linear", name, b == null ? [x, w] : [x, w, b])
    {
        (_x, _w, _b) = (x, w, b);
        if (x.Shape.Rank < 2) throw Bad($"the input must be [rows, features], it is {x.Shape}.");
        _in = x.Shape[-1];
        _rows = checked((int)(x.Shape.Count / Math.Max(1, _in)));
        _out = w.Shape[-1];
        long weightIn = w.Shape.Count / _out;
        if (weightIn != _in)
        {
            string hint = x.Shape.Rank > 2 ? " Should the map be given to Flatten() first?" : "";
            throw Bad($"input {x.Shape} has {_in} features, the weight [out {_out}, in {weightIn}] expects {weightIn}.{hint}");
        }
        if (b != null && (b.Shape.Rank != 1 || b.Shape[0] != _out)) throw Bad($"the bias must be [{_out}], it is {b.Shape}.");
    }

    /// <inheritdoc/>
    public override long Macs => (long)_rows * _in * _out;

    /// <inheritdoc/>
    public override string Attributes => $"{_in}→{_out}";

    internal Tensor Input => _x;

    internal Tensor Weight => _w;

    internal Tensor? Bias => _b;

    /// <summary>The same as a 1×1 convolution of images of one pixel.</summary>
    internal Conv2dGeometry AsConv2d => new(_rows, 1, 1, _in, _out, 1, 1);

    internal Tensor Run() => Run(new Shape([.. _x.Shape.Sizes[..^1], _out]));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        kernels.Gemm(new GemmGeometry(_rows, _out, _in), _x.Data, _w.Data, Output.Data, accumulate: false);
        if (_b != null) kernels.AddChannels(new BroadcastGeometry(1, _rows, _out), Output.Data, _b.Data, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => (tensor == _x && Needs(_w)) || (tensor == _w && Needs(_x));

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_w))
            kernels.Gemm(new GemmGeometry(_in, _out, _rows, TransposeA: true), _x.Data, dy, Gradient(_w, out bool accumulate), accumulate);
        if (Needs(_b)) kernels.ReduceSum(new ReduceGeometry(1, _rows, _out), dy, Gradient(_b!, out bool accumulate), 1, accumulate);
        if (Needs(_x))
            kernels.Gemm(new GemmGeometry(_rows, _in, _out, TransposeB: true), dy, _w.Data, Gradient(_x, out bool accumulate), accumulate);
    }
}
