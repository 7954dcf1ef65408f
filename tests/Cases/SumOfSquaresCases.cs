using RefConv.Kernels;

namespace RefConv.Cases;

internal static class SumOfSquaresCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // One value, every tail, whole blocks of every vector width, more than a piece.
            foreach (int n in new[] { 1, 7, 29, 256, 1000, 32 * 1024, 70_001 })
                yield return new(nameof(IKernels.SumOfSquares), $"{n}", Tolerance.Terms, 5e-7, [new("x", n, Role.In), new("y", 1, Role.Out)], (k, v) => k.SumOfSquares(v[0], v[1]));
            yield return new(nameof(IKernels.SumOfSquares), "10000000", Tolerance.Terms, 5e-7,
                [new("x", 10_000_000, Role.In), new("y", 1, Role.Out)], (k, v) => k.SumOfSquares(v[0], v[1])) { BenchmarkOnly = true };
        }
    }
}
