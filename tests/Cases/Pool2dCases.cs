using RefConv.Kernels;

namespace RefConv.Cases;

internal static class Pool2dCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // (N, H, W, C, R, S, stride, padding): every channel tail, windows over the whole map, gaps between windows, rows and columns that no window
            // reaches, maps smaller than the padded window, several windows on one pixel.
            Pool2dGeometry[] shapes =
            [
                new(1, 1, 1, 1, 1, 1, 1, 0), new(2, 6, 6, 3, 2, 2, 2, 0), new(1, 7, 5, 7, 3, 3, 2, 1), new(2, 8, 9, 17, 3, 3, 1, 1),
                new(1, 7, 7, 33, 2, 3, 3, 1), new(3, 5, 5, 29, 5, 5, 1, 2), new(1, 10, 7, 4, 2, 2, 3, 0), new(1, 2, 2, 8, 4, 4, 1, 2),
                new(1, 1, 1, 5, 3, 3, 1, 1), new(2, 7, 7, 40, 7, 7, 1, 0), new(1, 11, 3, 16, 3, 1, 2, 0), new(2, 30, 31, 24, 3, 3, 2, 1),
            ];
            foreach (var g in shapes)
            {
                foreach (var row in Average(g)) yield return row;
                if (g.Padding > 0) foreach (var row in Average(g with { CountIncludePad = false })) yield return row;
                foreach (var row in Largest(g, "", null)) yield return row;
                foreach (var row in Largest(g, " ties", i => i * 7 % 3)) yield return row;
            }
            foreach (var row in Largest(new(1, 6, 6, 19, 3, 3, 2, 1), " NaN", i => i % 11 == 5 ? double.NaN : i * 0.37 % 5)) yield return row;
            foreach (var row in Largest(new(1, 4, 4, 5, 2, 2, 2, 0), " −∞", _ => double.NegativeInfinity)) yield return row;
            foreach (var row in Largest(new(16, 112, 112, 64, 3, 3, 2, 1), "", null, benchmark: true)) yield return row;
            foreach (var row in Average(new(16, 28, 28, 128, 2, 2, 2, 0), benchmark: true)) yield return row;
        }
    }

    private static IEnumerable<KernelCase> Average(Pool2dGeometry g, bool benchmark = false)
    {
        yield return new(nameof(IKernels.AvgPool2dForward), $"{g}", Tolerance.Terms, 1e-6,
            [new("x", g.InputLength, Role.In), new("y", g.OutputLength, Role.Out)],
            (k, v) => k.AvgPool2dForward(g, v[0], v[1])) { BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            yield return new(nameof(IKernels.AvgPool2dBackward), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 1e-6,
                [new("dy", g.OutputLength, Role.In), new("dx", g.InputLength, accumulate ? Role.InOut : Role.Out)],
                (k, v) => k.AvgPool2dBackward(g, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };
        }
    }

    private static IEnumerable<KernelCase> Largest(Pool2dGeometry g, string what, Func<long, double>? fill, bool benchmark = false)
    {
        yield return new(nameof(IKernels.MaxPool2dForward), $"{g}{what}", Tolerance.Exact, 0,
            [new("x", g.InputLength, Role.In, fill), new("y", g.OutputLength, Role.Out)],
            (k, v) => k.MaxPool2dForward(g, v[0], v[1])) { BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            // Value, not Terms: which element is the largest changes with the sign of x.
            yield return new(nameof(IKernels.MaxPool2dBackward), $"{g}{what}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 2e-6,
                [new("x", g.InputLength, Role.In, fill), new("dy", g.OutputLength, Role.In), new("dx", g.InputLength, accumulate ? Role.InOut : Role.Out)],
                (k, v) => k.MaxPool2dBackward(g, v[0], v[1], v[2], accumulate)) { BenchmarkOnly = benchmark };
        }
    }
}
