namespace RefConv.Kernels;

/// <summary>Shape and constants of a batch norm over the last axis, with an optional activation applied to its result.</summary>
/// <param name="Rows">N·H·W: the values one channel is normalised over.</param>
/// <param name="C">Channels.</param>
/// <param name="Epsilon">Added to the variance inside the root.</param>
/// <param name="Activation">Applied to the result; see <see cref="Fuses"/>.</param>
public readonly record struct BatchNormGeometry(long Rows, int C, double Epsilon = 1e-5, ActivationKind Activation = ActivationKind.Identity)
{
    /// <summary>
    /// Whether a batch norm applies this activation in its own pass: ReLU and ReLU6, whose slope can be told from their result; and, without a residual, Hardswish and SiLU, whose slope follows
    /// from what comes before them, which the backward pass computes again.
    /// </summary>
    /// <param name="activation">The activation.</param>
    /// <param name="hasResidual">A residual is added before it.</param>
    public static bool Fuses(ActivationKind activation, bool hasResidual) =>
        activation is ActivationKind.Identity or ActivationKind.ReLU or ActivationKind.ReLU6 || (!hasResidual && activation is ActivationKind.Hardswish or ActivationKind.SiLU);

    internal static NotSupportedException NotFused(ActivationKind kind) => new($"Batch norm fuses Identity, ReLU and ReLU6, and without a residual Hardswish and SiLU, not {kind}.");

    /// <inheritdoc/>
    public override string ToString() => $"{Rows}×{C}{(Activation == ActivationKind.Identity ? "" : "+" + Activation)}";
}

public partial interface IKernels
{
    /// <summary>
    /// Batch norm in training: per channel <c>y = f(γ·(x − μ)/√(v + ε) + β + residual)</c> with the batch's mean μ and biased variance v (÷ rows).
    /// The running pair moves by <c>r ← (1 − m)·r + m·batch</c>, the running variance with the unbiased batch variance (÷ (rows − 1)).
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="moments">[2, C]: mean and biased variance of x where they are known already (<see cref="Conv2dForward"/>), or empty</param>
    /// <param name="gamma">[C]</param>
    /// <param name="beta">[C]</param>
    /// <param name="runningMean">[C], updated; or empty</param>
    /// <param name="runningVar">[C], updated; or empty</param>
    /// <param name="momentum">m</param>
    /// <param name="mean">[C], written: μ</param>
    /// <param name="invStd">[C], written: 1/√(v + ε)</param>
    /// <param name="residual">[Rows, C], added before f; or empty</param>
    /// <param name="y">[Rows, C]</param>
    void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y);

    /// <summary>Batch norm in evaluation: <c>y = f(γ·(x − runningMean)/√(runningVar + ε) + β + residual)</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="gamma">[C]</param>
    /// <param name="beta">[C]</param>
    /// <param name="runningMean">[C]</param>
    /// <param name="runningVar">[C]</param>
    /// <param name="residual">[Rows, C], added before f; or empty</param>
    /// <param name="y">[Rows, C]</param>
    void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y);

    /// <summary>
    /// Gradients of <see cref="BatchNormTraining"/>. With z = dy·f′, x̂ = (x − mean)·invStd, n = rows:
    /// <c>dβ = Σ z</c>, <c>dγ = Σ z·x̂</c>, <c>dx = γ·invStd·(z − dβ/n − x̂·dγ/n)</c>; the residual's gradient is z itself.
    /// </summary>
    /// <remarks>
    /// f's slope follows from γ·x̂ + β, which is computed again instead of reading y: reading would cost more than computing. Within
    /// rounding of a bend of f the slope may be either. With a residual only y says what the slope is: it is read, and z overwrites dy.
    /// </remarks>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="y">[Rows, C], the forward result, where there was a residual; otherwise empty</param>
    /// <param name="dy">[Rows, C]; with y given it becomes z</param>
    /// <param name="gamma">[C]</param>
    /// <param name="beta">[C]</param>
    /// <param name="mean">[C], from the forward pass</param>
    /// <param name="invStd">[C], from the forward pass</param>
    /// <param name="dx">[Rows, C]; empty if not wanted</param>
    /// <param name="dgamma">[C]; empty if not wanted (dβ too)</param>
    /// <param name="dbeta">[C]; empty if not wanted</param>
    /// <param name="accumulateInput">Add to dx instead of overwriting it.</param>
    /// <param name="accumulateParameters">Add to dγ and dβ instead of overwriting them.</param>
    void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters);

    /// <summary>
    /// Gradients of <see cref="BatchNormInference"/>, whose statistics are constants: <c>dβ = Σ z</c>, <c>dγ = Σ z·x̂</c>,
    /// <c>dx = z·γ/√(runningVar + ε)</c>, with z = dy·f′; as in <see cref="BatchNormTrainingBackward"/>, which see for y and dy.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="y">[Rows, C] where there was a residual; otherwise empty</param>
    /// <param name="dy">[Rows, C]; with y given it becomes z</param>
    /// <param name="gamma">[C]</param>
    /// <param name="beta">[C]</param>
    /// <param name="runningMean">[C]</param>
    /// <param name="runningVar">[C]</param>
    /// <param name="dx">[Rows, C]; empty if not wanted</param>
    /// <param name="dgamma">[C]; empty if not wanted (dβ too)</param>
    /// <param name="dbeta">[C]; empty if not wanted</param>
    /// <param name="accumulateInput">Add to dx instead of overwriting it.</param>
    /// <param name="accumulateParameters">Add to dγ and dβ instead of overwriting them.</param>
    void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters);
}
