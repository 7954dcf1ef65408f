namespace RefConv.Kernels;

/// <summary>One batch norm of a sum of them: see <see cref="IKernels.BatchNormTraining"/> for every part.</summary>
/// <param name="X">[Rows, C]</param>
/// <param name="Moments">[2, C]: mean and biased variance of X where they are known already, or empty</param>
/// <param name="Gamma">[C]</param>
/// <param name="Beta">[C]</param>
/// <param name="RunningMean">[C], updated by the forward pass; or empty</param>
/// <param name="RunningVar">[C], updated by the forward pass; or empty</param>
/// <param name="Mean">[C], written by the forward pass: the batch's mean</param>
/// <param name="InvStd">[C], written by the forward pass: 1/√(variance + ε)</param>
public readonly record struct BatchNormTerm(BufferView X, BufferView Moments, BufferView Gamma, BufferView Beta, BufferView RunningMean, BufferView RunningVar,
    BufferView Mean, BufferView InvStd)
{
    /// <summary>How far the running statistics move.</summary>
    public double Momentum { get; init; } = 0.1;

    /// <summary>Added to the variance inside the root.</summary>
    public double Epsilon { get; init; } = 1e-5;
}

/// <summary>Where the gradients of one <see cref="BatchNormTerm"/> go.</summary>
/// <param name="Dx">[Rows, C]; empty if not wanted</param>
/// <param name="Dgamma">[C]; empty if not wanted (dβ too)</param>
/// <param name="Dbeta">[C]; empty if not wanted</param>
/// <param name="AccumulateInput">Add to dx instead of overwriting it.</param>
/// <param name="AccumulateGamma">Add to dγ.</param>
/// <param name="AccumulateBeta">Add to dβ.</param>
public readonly record struct BatchNormTermGradient(BufferView Dx, BufferView Dgamma, BufferView Dbeta, bool AccumulateInput, bool AccumulateGamma, bool AccumulateBeta);

public partial interface IKernels
{
    /// <summary>
    /// The sum of several batch norms in training, <c>y = f(Σᵢ (γᵢ·x̂ᵢ + βᵢ) + residual)</c>: what <see cref="BatchNormTraining"/> computes one after another, each with the
    /// sum so far as its residual. Together every xᵢ is read once and the sum is written once.
    /// </summary>
    /// <param name="g">Shape and f; every term has its own ε.</param>
    /// <param name="terms">At least one.</param>
    /// <param name="residual">[Rows, C], or empty</param>
    /// <param name="y">[Rows, C]</param>
    void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y);

    /// <summary>
    /// Gradients of <see cref="BatchNormSumTraining"/>. z = dy·f′ is the gradient of every term and of the residual: it overwrites dy. Of each term as in
    /// <see cref="BatchNormTrainingBackward"/>.
    /// </summary>
    /// <param name="g">Shape and f.</param>
    /// <param name="terms">As in the forward pass, which wrote their means; β, moments and running statistics are not read.</param>
    /// <param name="gradients">One a term. Of two with the same dx the second accumulates.</param>
    /// <param name="y">[Rows, C], the forward result; may be empty where f is the identity</param>
    /// <param name="dy">[Rows, C]; becomes z</param>
    void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy);
}
