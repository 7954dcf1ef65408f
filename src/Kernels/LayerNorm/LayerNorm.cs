namespace RefConv.Kernels;

/// <summary>Shape of a layer norm: every row is normalised by itself.</summary>
/// <param name="Rows">Pixels of all images: N·H·W.</param>
/// <param name="C">Channels.</param>
/// <param name="Epsilon">ε, added to the variance inside the root.</param>
public readonly record struct LayerNormGeometry(long Rows, int C, double Epsilon = 1e-5)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Rows}×{C} ε{Epsilon}";
}

public partial interface IKernels
{
    /// <summary>
    /// Normalises every row of channels by its own mean μ and biased variance σ² (÷ C):
    /// <c>y[r,c] = γ[c]·x̂[r,c] + β[c]</c> with <c>x̂ = (x − μ[r])/√(σ²[r] + ε)</c>. Nothing depends on the batch, so training and evaluation are the same.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="gamma">[C]</param>
    /// <param name="beta">[C]</param>
    /// <param name="mean">[Rows]: μ, for the backward pass; empty if there will be none (invStd too)</param>
    /// <param name="invStd">[Rows]: 1/√(σ² + ε); empty if not wanted</param>
    /// <param name="y">[Rows, C]</param>
    void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y);

    /// <summary>
    /// Gradients of <see cref="LayerNormForward"/>: <c>dβ = Σ_r dy</c>, <c>dγ = Σ_r dy·x̂</c>, and with z = dy·γ
    /// <c>dx = invStd·(z − mean_c(z) − x̂·mean_c(z·x̂))</c>.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="dy">[Rows, C]</param>
    /// <param name="gamma">[C]</param>
    /// <param name="mean">[Rows], of the forward pass</param>
    /// <param name="invStd">[Rows], of the forward pass</param>
    /// <param name="dx">[Rows, C]; empty if not wanted</param>
    /// <param name="dgamma">[C]; empty if not wanted (dβ too)</param>
    /// <param name="dbeta">[C]; empty if not wanted</param>
    /// <param name="accumulateInput">Add to dx instead of overwriting it.</param>
    /// <param name="accumulateParameters">Add to dγ and dβ instead of overwriting them.</param>
    void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd,
        BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters);
}
