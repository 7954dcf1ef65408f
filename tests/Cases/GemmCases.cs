using RefConv.Kernels;

namespace RefConv.Cases;

internal static class GemmCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // Every transpose of shapes below, at and above one tile (6 rows, up to 32 columns) and one block of the sum (256).
            (int M, int N, int K)[] shapes =
            [
                (1, 1, 1), (1, 10, 64), (2, 3, 5), (5, 33, 7), (6, 32, 16), (7, 17, 33),
                (13, 16, 300), (64, 48, 31), (101, 65, 3), (3, 100, 520), (120, 7, 257),
            ];
            foreach (var (m, n, k) in shapes)
            {
                for (int t = 0; t < 4; t++) yield return Row(new GemmGeometry(m, n, k, (t & 1) != 0, (t & 2) != 0), accumulate: ((m + t) & 1) != 0);
            }
            // More than half a large tile of a GPU, small enough for its simulation; and few results of long sums.
            yield return Row(new GemmGeometry(68, 72, 12), false);
            yield return Row(new GemmGeometry(68, 72, 12, TransposeB: true), true);
            yield return Row(new GemmGeometry(68, 72, 12, TransposeA: true), false);
            yield return Row(new GemmGeometry(4, 8, 260), true);
            yield return Row(new GemmGeometry(4, 8, 260, TransposeA: true), false);
            yield return Row(new GemmGeometry(4, 8, 260, TransposeB: true), true);
            yield return Row(new GemmGeometry(3, 5, 259, true, true), true);
            // Large enough to be cut into many pieces, for one thread and for more.
            yield return Row(new GemmGeometry(217, 130, 140), true);
            yield return Row(new GemmGeometry(130, 140, 217, TransposeA: true), true);
            yield return Row(new GemmGeometry(90, 140, 411, TransposeA: true), false);
            yield return Row(new GemmGeometry(771, 70, 40, TransposeA: true), false);
            yield return Row(new GemmGeometry(64, 1000, 1024), false, benchmark: true);
            yield return Row(new GemmGeometry(1, 1000, 1024), false, benchmark: true);
            yield return Row(new GemmGeometry(1024, 1024, 1024), false, benchmark: true);
            yield return Row(new GemmGeometry(1024, 1024, 1024, TransposeA: true), false, benchmark: true);
            yield return Row(new GemmGeometry(1024, 1024, 1024, TransposeB: true), false, benchmark: true);
        }
    }

    private static KernelCase Row(GemmGeometry g, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.Gemm), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 1e-6,
        [
            new("a", (long)g.M * g.K, Role.In),
            new("b", (long)g.K * g.N, Role.In),
            new("c", (long)g.M * g.N, accumulate ? Role.InOut : Role.Out),
        ],
        (k, v) => k.Gemm(g, v[0], v[1], v[2], accumulate))
    {
        Flops = 2.0 * g.Macs,
        BenchmarkOnly = benchmark,
    };
}
