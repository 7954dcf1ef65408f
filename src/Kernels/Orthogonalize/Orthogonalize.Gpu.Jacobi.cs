using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    private const int MostSweeps = 60;

    /// <summary>As in <see cref="SymmetricEigen"/>: an off-diagonal element below this share of √(aₚₚ·a_qq) changes no digit of the eigenvalues.</summary>
    private const double NegligibleShare = 1e-17;

    /// <summary>
    /// Jacobi's method by a group of threads: rows and columns meet in pairs as players of a tournament do, m/2 pairs a round, each pair once a sweep. The rotations of a
    /// round touch different rows, so they are all done at once: first their angles, then rows, then columns. a becomes diagonal, u gets the eigenvectors as rows.
    /// </summary>
    private static void Diagonalise(ArrayView<double> a, ArrayView<double> u, int m, ArrayView<double> cosines, ArrayView<double> sines, ArrayView<double> smaller, ArrayView<double> larger)
    {
        var rotated = SharedMemory.Allocate<int>(1);
        int players = m + (m & 1), pairs = players / 2;
        for (int sweep = 0; sweep < MostSweeps; sweep++)
        {
            if (Group.IdxX == 0) rotated[0] = 0;
            Group.Barrier();
            for (int round = 0; round < players - 1; round++)
            {
                for (int pair = Group.IdxX; pair < pairs; pair += Group.DimX)
                {
                    int p = LowPlayer(round, pair, players), q = HighPlayer(round, pair, players);
                    if (q >= m) continue; // this one rests: m is odd
                    if (Angle(a, m, p, q, pair, cosines, sines, smaller, larger)) rotated[0] = 1;
                }
                Group.Barrier();
                for (int e = Group.IdxX; e < pairs * m; e += Group.DimX)
                {
                    int pair = e / m, j = e % m, p = LowPlayer(round, pair, players), q = HighPlayer(round, pair, players);
                    if (q >= m || sines[pair] == 0) continue;
                    Rotate(a, (p * m) + j, (q * m) + j, cosines[pair], sines[pair]);
                    Rotate(u, (p * m) + j, (q * m) + j, cosines[pair], sines[pair]);
                }
                Group.Barrier();
                for (int e = Group.IdxX; e < pairs * m; e += Group.DimX)
                {
                    int pair = e / m, i = e % m, p = LowPlayer(round, pair, players), q = HighPlayer(round, pair, players);
                    if (q >= m || sines[pair] == 0) continue;
                    Rotate(a, (i * m) + p, (i * m) + q, cosines[pair], sines[pair]);
                    // What the rotation is for, without its rounding errors.
                    if (i == p) a[(i * m) + q] = 0;
                    if (i == q) a[(i * m) + p] = 0;
                    if (i == p) a[(i * m) + p] = smaller[pair];
                    if (i == q) a[(i * m) + q] = larger[pair];
                }
                Group.Barrier();
            }
            bool done = rotated[0] == 0;
            Group.Barrier();
            if (done) return;
        }
    }

    /// <summary>The two of a pair: the last player keeps its place, the others move on by one each round.</summary>
    private static int LowPlayer(int round, int pair, int players)
    {
        int a = FirstPlayer(round, pair, players), b = SecondPlayer(round, pair, players);
        return a < b ? a : b;
    }

    private static int HighPlayer(int round, int pair, int players)
    {
        int a = FirstPlayer(round, pair, players), b = SecondPlayer(round, pair, players);
        return a < b ? b : a;
    }

    private static int FirstPlayer(int round, int pair, int players) => pair == 0 ? players - 1 : (round + pair) % (players - 1);

    private static int SecondPlayer(int round, int pair, int players) => (round + players - 1 - pair) % (players - 1);

    /// <summary>The rotation that makes a[p, q] zero, and the two diagonal elements after it. No rotation where there is nothing to speak of.</summary>
    private static bool Angle(ArrayView<double> a, int m, int p, int q, int pair, ArrayView<double> cosines, ArrayView<double> sines, ArrayView<double> smaller, ArrayView<double> larger)
    {
        double app = a[(p * m) + p], aqq = a[(q * m) + q], apq = a[(p * m) + q];
        cosines[pair] = 1;
        sines[pair] = 0;
        if (Math.Abs(apq) <= NegligibleShare * Math.Sqrt(Math.Abs(app * aqq))) return false;
        // The smaller of the two angles: t = tan φ with cot 2φ = θ. Where θ² would overflow, 1/(2θ) is t to the last digit.
        double theta = (aqq - app) / (2 * apq), size = Math.Abs(theta), t = size > 1e150 ? 0.5 / size : 1 / (size + Math.Sqrt((size * size) + 1));
        if (theta < 0) t = -t;
        double c = 1 / Math.Sqrt((t * t) + 1);
        cosines[pair] = c;
        sines[pair] = t * c;
        smaller[pair] = app - (t * apq);
        larger[pair] = aqq + (t * apq);
        return sines[pair] != 0;
    }

    private static void Rotate(ArrayView<double> a, int x, int y, double c, double s)
    {
        double first = a[x], second = a[y];
        a[x] = (c * first) - (s * second);
        a[y] = (s * first) + (c * second);
    }
}
