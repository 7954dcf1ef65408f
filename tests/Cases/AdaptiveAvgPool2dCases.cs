using RefConv.Kernels;

namespace RefConv.Cases;

internal static class AdaptiveAvgPool2dCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // (N, H, W, C, P, Q): bins that divide and bins that overlap, fewer pixels than bins, one bin, as many bins as pixels, every channel tail.
            AdaptiveAvgPool2dGeometry[] shapes =
            [
                new(1, 1, 1, 1, 1, 1), new(2, 6, 6, 3, 3, 3), new(1, 7, 5, 7, 3, 3), new(2, 8, 9, 17, 5, 3), new(1, 2, 2, 33, 3, 3), new(3, 5, 5, 16, 5, 5),
                new(1, 1, 4, 40, 3, 3), new(2, 14, 15, 24, 7, 7), new(1, 56, 56, 64, 3, 3), new(2, 30, 31, 5, 1, 1),
            ];
            foreach (var g in shapes) foreach (var row in Rows(g)) yield return row;
            foreach (var row in Rows(new(16, 56, 56, 64, 3, 3), benchmark: true)) yield return row;
        }
    }

    private static IEnumerable<KernelCase> Rows(AdaptiveAvgPool2dGeometry g, bool benchmark = false)
    {
        yield return new(nameof(IKernels.AdaptiveAvgPool2dForward), $"{g}", Tolerance.Terms, 2e-6,
            [new("x", g.InputLength, Role.In), new("y", g.OutputLength, Role.Out)],
            (k, v) => k.AdaptiveAvgPool2dForward(g, v[0], v[1])) { BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            yield return new(nameof(IKernels.AdaptiveAvgPool2dBackward), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 1e-6,
                [new("dy", g.OutputLength, Role.In), new("dx", g.InputLength, accumulate ? Role.InOut : Role.Out)],
                (k, v) => k.AdaptiveAvgPool2dBackward(g, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };
        }
    }
}
