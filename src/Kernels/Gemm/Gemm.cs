namespace RefConv.Kernels;

/// <summary>Shape of a matrix product, row-major: C[M, N] = op(A)[M, K] · op(B)[K, N].</summary>
/// <param name="M">Rows of the result.</param>
/// <param name="N">Columns of the result.</param>
/// <param name="K">Length of the sums.</param>
/// <param name="TransposeA">A is stored [K, M].</param>
/// <param name="TransposeB">B is stored [N, K].</param>
public readonly record struct GemmGeometry(int M, int N, int K, bool TransposeA = false, bool TransposeB = false)
{
    /// <summary>Multiply-adds.</summary>
    public long Macs => (long)M * N * K;

    /// <inheritdoc/>
    public override string ToString() => $"{M}×{N}×{K}{(TransposeA ? " Aᵀ" : "")}{(TransposeB ? " Bᵀ" : "")}";
}

public partial interface IKernels
{
    /// <summary>Matrix product: <c>c[m,n] (+)= Σ_k op(a)[m,k] · op(b)[k,n]</c>, row-major and dense.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="a">[M, K], or [K, M] with <see cref="GemmGeometry.TransposeA"/></param>
    /// <param name="b">[K, N], or [N, K] with <see cref="GemmGeometry.TransposeB"/></param>
    /// <param name="c">[M, N]</param>
    /// <param name="accumulate">Add to c instead of overwriting it.</param>
    void Gemm(in GemmGeometry g, BufferView a, BufferView b, BufferView c, bool accumulate);
}
