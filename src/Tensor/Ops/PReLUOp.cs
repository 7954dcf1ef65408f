using RefConv.Kernels;

namespace RefConv;

/// <summary>PReLU with a slope for every channel. See <see cref="IKernels.PReLUForward"/>.</summary>
public sealed class PReLUOp : Op
{
    private readonly Tensor _x, _alpha;
    private readonly PReLUGeometry _g;

    internal PReLUOp(Tensor x, Tensor alpha, string? name)
        : base("PReLU", name, x, alpha)
    {
        (_x, _alpha) = (x, alpha);
        int c = x.Shape.Rank == 0 ? 0 : x.Shape[-1];
        if (c == 0 || alpha.Shape.Rank != 1 || alpha.Shape[0] != c) throw Bad($"input {x.Shape} has {c} channels, but there are {alpha.Shape.Count} slopes. Give one for every channel.");
        _g = new PReLUGeometry(x.Shape.Count / c, c);
    }

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.PReLUForward(_g, _x.Data, _alpha.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        bool accumulateX = false, accumulateAlpha = false;
        var dalpha = Needs(_alpha) ? Gradient(_alpha, out accumulateAlpha) : default;
        var dx = Needs(_x) ? Gradient(_x, out accumulateX) : default;
        kernels.PReLUBackward(_g, _x.Data, _alpha.Data, dy, dx, dalpha, accumulateX, accumulateAlpha);
    }
}
