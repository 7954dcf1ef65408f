using RefConv.Kernels;

namespace RefConv;

/// <summary>Layer norm over the last axis. See <see cref="IKernels.LayerNormForward"/>.</summary>
public sealed class LayerNormOp : Op
{
    private readonly Tensor _x, _gamma, _beta;
    private BufferView _mean, _invStd;

    internal LayerNormOp(Tensor x, Tensor gamma, Tensor beta, double eps, string? name)
        : base("LayerNorm", name, x, gamma, beta)
    {
        (_x, _gamma, _beta) = (x, gamma, beta);
        int c = x.Shape.Rank == 0 ? 0 : x.Shape[-1];
        foreach (var t in (ReadOnlySpan<Tensor>)[gamma, beta])
        {
            if (c == 0 || t.Shape.Rank != 1 || t.Shape[0] != c) throw Bad($"input {x.Shape} has {c} channels, but the norm is made for {t.Shape.Count}.");
        }
        Geometry = new LayerNormGeometry(x.Shape.Count / c, c, eps);
    }

    /// <summary>The whole shape.</summary>
    public LayerNormGeometry Geometry { get; }

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        // Only where a backward pass will come; and an inference plan has nowhere to put them.
        if (Output.RequiresGrad) (_mean, _invStd) = (Save(Geometry.Rows), Save(Geometry.Rows));
        kernels.LayerNormForward(Geometry, _x.Data, _gamma.Data, _beta.Data, _mean, _invStd, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        bool accumulateX = false, accumulateP = false;
        BufferView dx = Needs(_x) ? Gradient(_x, out accumulateX) : default, dgamma = default, dbeta = default;
        if (Needs(_gamma) || Needs(_beta))
        {
            // γ and β are trained together or not at all: one reduction gives both.
            (dgamma, dbeta) = Gradients(kernels, _gamma, _beta, out accumulateP);
        }
        kernels.LayerNormBackward(Geometry, _x.Data, dy, _gamma.Data, _mean, _invStd, dx, dgamma, dbeta, accumulateX, accumulateP);
    }
}
