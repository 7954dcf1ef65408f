using System.Numerics;
using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Eigenvalues and eigenvectors of a small symmetric matrix by Jacobi's method: plane rotations, each of which makes one off-diagonal element zero, in
/// sweeps over all of them until none is left to speak of. Not the fastest method above a few hundred rows, but the shortest, and the most exact
/// for the small eigenvalues of a positive matrix, which are the ones that S^(−½) is made of.
/// </summary>
internal static unsafe class SymmetricEigen
{
    private const int MostSweeps = 60;

    /// <summary>Below this share of √(aₚₚ·a_qq) an off-diagonal element changes no digit of the eigenvalues.</summary>
    private const double Negligible = 1e-17;

    /// <summary>a = Σᵢ values[i]·u[i]·u[i]ᵀ.</summary>
    /// <param name="a">[m, m], symmetric; destroyed.</param>
    /// <param name="m">Rows.</param>
    /// <param name="u">[m, m]: eigenvector i is row i.</param>
    /// <param name="values">[m], in no particular order.</param>
    public static void Decompose(double* a, int m, double* u, double* values)
    {
        new Span<double>(u, m * m).Clear();
        for (int i = 0; i < m; i++) u[(i * m) + i] = 1;
        bool rotated = true;
        for (int sweep = 0; rotated && sweep < MostSweeps; sweep++)
        {
            rotated = false;
            for (int p = 0; p < m - 1; p++)
            {
                for (int q = p + 1; q < m; q++)
                {
                    double apq = a[(p * m) + q];
                    if (Math.Abs(apq) <= Negligible * Math.Sqrt(Math.Abs(a[(p * m) + p] * a[(q * m) + q]))) continue;
                    Rotate(a, m, p, q, apq, u);
                    rotated = true;
                }
            }
        }
        for (int i = 0; i < m; i++) values[i] = a[(i * m) + i];
    }

    private static void Rotate(double* a, int m, int p, int q, double apq, double* u)
    {
        double* rowP = a + (p * m), rowQ = a + (q * m);
        double app = rowP[p], aqq = rowQ[q], theta = (aqq - app) / (2 * apq);
        // The smaller of the two angles: t = tan φ with cot 2φ = θ.
        double t = double.IsInfinity(theta * theta) ? 1 / (2 * theta) : Math.CopySign(1, theta) / (Math.Abs(theta) + Math.Sqrt((theta * theta) + 1));
        double c = 1 / Math.Sqrt((t * t) + 1), s = t * c;
        RotateRows(rowP, rowQ, m, c, s);
        for (int i = 0; i < m; i++)
        {
            a[(i * m) + p] = rowP[i];
            a[(i * m) + q] = rowQ[i];
        }
        rowP[p] = app - (t * apq);
        rowQ[q] = aqq + (t * apq);
        rowP[q] = rowQ[p] = 0;
        RotateRows(u + (p * m), u + (q * m), m, c, s);
    }

    /// <summary>(x, y) becomes (c·x − s·y, s·x + c·y), element by element: the same bits for every vector width.</summary>
    private static void RotateRows(double* x, double* y, int count, double c, double s)
    {
        int i = 0, width = Vector<double>.Count;
        Vector<double> cs = new(c), ss = new(s);
        for (; i <= count - width; i += width)
        {
            var xs = Unsafe.ReadUnaligned<Vector<double>>(x + i);
            var ys = Unsafe.ReadUnaligned<Vector<double>>(y + i);
            Unsafe.WriteUnaligned(x + i, (cs * xs) - (ss * ys));
            Unsafe.WriteUnaligned(y + i, (ss * xs) + (cs * ys));
        }
        for (; i < count; i++) (x[i], y[i]) = ((c * x[i]) - (s * y[i]), (s * x[i]) + (c * y[i]));
    }
}
