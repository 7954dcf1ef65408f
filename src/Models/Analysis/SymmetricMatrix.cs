using RefConv.Kernels;

namespace RefConv.Models.Analysis;

/// <summary>Eigenvalues and eigenvectors for analyses, largest first.</summary>
internal static class SymmetricMatrix
{
    /// <summary>a = Σ values[i]·vectors[i]·vectors[i]ᵀ.</summary>
    /// <param name="a">[m, m], symmetric; left as it is.</param>
    /// <param name="m">Rows.</param>
    public static unsafe (double[] Values, double[][] Vectors) Eigen(ReadOnlySpan<double> a, int m)
    {
        double[] work = a.ToArray(), u = new double[m * m], values = new double[m];
        fixed (double* pa = work, pu = u, pv = values) SymmetricEigen.Decompose(pa, m, pu, pv);
        int[] order = [.. Enumerable.Range(0, m).OrderByDescending(i => values[i])];
        return ([.. order.Select(i => values[i])], [.. order.Select(i => u.AsSpan(i * m, m).ToArray())]);
    }
}
