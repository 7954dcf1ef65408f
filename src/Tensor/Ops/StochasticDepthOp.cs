using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// Whole images at random set to zero while training, the rest scaled by 1/(1 − p): image i is kept when number i of the stream is at least p.
/// </summary>
public sealed class StochasticDepthOp : Op
{
    private readonly Tensor _x;
    private readonly double _p;
    private readonly ulong _seed, _stream;

    internal StochasticDepthOp(Tensor x, double p, ulong seed, ulong stream, string? name)
        : base("StochasticDepth", name, x)
    {
        (_x, _p, _seed, _stream) = (x, p, seed, stream);
        if (!(p >= 0 && p < 1)) throw Bad($"p must be at least 0 and below 1, it is {p}.");
    }

    internal override bool IsForTraining => true;

    /// <inheritdoc/>
    public override string Attributes => $"p={_p}";

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => Apply(kernels, _x.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => Apply(kernels, dy, Gradient(_x, out bool accumulate), accumulate);

    // A factor for each image, and images are long: one plain pass over each, and nothing to remember for the gradient.
    private void Apply(IKernels kernels, BufferView x, BufferView y, bool accumulate)
    {
        int images = _x.Shape[0];
        long length = x.Length / images;
        for (int i = 0; i < images; i++)
        {
            var target = y.Slice(i * length, length);
            if (Philox.Uniform(_seed, _stream, (ulong)i) >= _p) kernels.Scale(x.Slice(i * length, length), target, 1 / (1 - _p), accumulate);
            else if (!accumulate) kernels.Fill(target, 0);
        }
    }
}
