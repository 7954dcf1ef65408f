using RefConv.Kernels;

namespace RefConv.Cases;

internal static class ReduceCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // Neighbours in memory (Inner = 1), short and longer than a piece; columns with every tail; a single row; a single value.
            ReduceGeometry[] shapes =
            [
                new(1, 1, 1), new(5, 1, 3), new(1, 7, 1), new(3, 33, 1), new(7, 1000, 1), new(2, 70_000, 1), new(200, 300, 1),
                new(1, 9, 3), new(2, 16, 17), new(3, 49, 29), new(1, 50, 33), new(1, 3000, 7), new(1, 2500, 64), new(4, 49, 160), new(2, 17, 1100),
            ];
            foreach (var g in shapes)
            foreach (bool accumulate in new[] { false, true })
            {
                yield return Sum(g, accumulate);
                yield return Broadcast(g, accumulate);
            }
            yield return Sum(new(16, 49, 1280), false, benchmark: true);
            yield return Broadcast(new(16, 49, 1280), false, benchmark: true);
            yield return Sum(new(1, 16 * 56 * 56, 64), false, benchmark: true);
            yield return Sum(new(1, 10_000_000, 1), false, benchmark: true);
        }
    }

    private static KernelCase Sum(ReduceGeometry g, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.ReduceSum), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 5e-7,
        [new("x", g.Outer * g.Length * g.Inner, Role.In), new("y", g.Outer * g.Inner, accumulate ? Role.InOut : Role.Out)],
        (k, v) => k.ReduceSum(g, v[0], v[1], 1.0 / g.Length, accumulate)) { BenchmarkOnly = benchmark };

    private static KernelCase Broadcast(ReduceGeometry g, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.ReduceBroadcast), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 2e-7,
        [new("x", g.Outer * g.Inner, Role.In), new("y", g.Outer * g.Length * g.Inner, accumulate ? Role.InOut : Role.Out)],
        (k, v) => k.ReduceBroadcast(g, v[0], v[1], 1.0 / g.Length, accumulate)) { BenchmarkOnly = benchmark };
}
