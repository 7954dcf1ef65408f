namespace RefConv.Kernels;

/// <summary>
/// Shape of an orthogonalisation of convolution filters, group by group. In memory a filter is a column of [FanIn, Filters]; a group is GroupSize
/// columns side by side. Centring takes one dimension away, so GroupSize may be at most FanIn − 1.
/// </summary>
/// <param name="FanIn">Weights of one filter: n = kh·kw·in/g.</param>
/// <param name="Filters">Filters: output channels.</param>
/// <param name="GroupSize">Filters of a group, m; divides Filters.</param>
public readonly record struct OrthogonalizeGeometry(int FanIn, int Filters, int GroupSize)
{
    /// <summary>
    /// An eigenvalue below this share of its group's largest counts as so much: filters that became parallel give a finite kernel (no longer an
    /// orthonormal one) instead of one that is no number.
    /// </summary>
    public const double SmallestEigenvalue = 1e-12;

    /// <summary>Groups.</summary>
    public int Groups => Filters / GroupSize;

    /// <summary>Number of weights.</summary>
    public long Length => (long)FanIn * Filters;

    /// <summary>Elements that the forward pass keeps for the backward pass: means, roots of the eigenvalues, eigenvectors.</summary>
    public long StateLength => (2L + GroupSize) * Filters;

    /// <summary>Multiply-adds of the forward pass: Z·Zᵀ and S^(−½)·Z, without the eigenvalues.</summary>
    public long Macs => 2 * Length * GroupSize;

    /// <inheritdoc/>
    public override string ToString() => $"{FanIn}×{Filters} by {GroupSize}";
}

public partial interface IKernels
{
    /// <summary>
    /// The nearest orthonormal filters, in every group: Z the centred filters as rows [m, n], <c>S = Z·Zᵀ = U·diag(λ)·Uᵀ</c>,
    /// <c>W = S^(−½)·Z</c> with <c>S^(−½) = U·diag(1/√λ)·Uᵀ</c>, then filter o times s[o]. All inside is in double.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="v">[FanIn, Filters]</param>
    /// <param name="scale">[Filters]: s</param>
    /// <param name="state">[StateLength], for the backward pass; empty if there will be none</param>
    /// <param name="w">[FanIn, Filters]</param>
    void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w);

    /// <summary>
    /// Gradients of <see cref="OrthogonalizeForward"/>. With G = dw·s as rows, σ = √λ, P = S^(−½) and Q the symmetric part of G·Zᵀ:
    /// <c>K[i,j] = −1/(σᵢσⱼ(σᵢ + σⱼ))</c>, <c>dS = U·(K ∘ UᵀQU)·Uᵀ</c>, <c>dZ = P·G + 2·dS·Z</c>, and dv is dZ less each row's mean.
    /// No difference of eigenvalues is divided by, so equal ones do no harm. <c>ds[o] = ⟨dw[·,o], (P·Z)[o]⟩</c>.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="v">[FanIn, Filters]</param>
    /// <param name="scale">[Filters]</param>
    /// <param name="state">[StateLength], of the forward pass</param>
    /// <param name="dw">[FanIn, Filters]</param>
    /// <param name="dv">[FanIn, Filters]; empty if not wanted</param>
    /// <param name="dscale">[Filters]; empty if not wanted</param>
    /// <param name="accumulateV">Add to dv instead of overwriting it.</param>
    /// <param name="accumulateScale">Add to ds instead of overwriting it.</param>
    void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale);
}
