using RefConv.Kernels;

namespace RefConv.Cases;

internal static class ElementwiseCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (int n in new[] { 1, 17, 333, 70_001 })
            {
                yield return new(nameof(IKernels.Fill), $"{n}", Tolerance.Exact, 0, [new("y", n, Role.Out)], (k, v) => k.Fill(v[0], 1.5));
                yield return new(nameof(IKernels.Fill), $"{n} accumulate", Tolerance.Terms, 1e-7, [new("y", n, Role.InOut)], (k, v) => k.Fill(v[0], 1.5, accumulate: true));
                yield return new(nameof(IKernels.Scale), $"{n} copy", Tolerance.Exact, 0,
                    [new("x", n, Role.In), new("y", n, Role.Out)], (k, v) => k.Scale(v[0], v[1], 1, false));
                yield return new(nameof(IKernels.Scale), $"{n} accumulate", Tolerance.Terms, 2e-7,
                    [new("x", n, Role.In), new("y", n, Role.InOut)], (k, v) => k.Scale(v[0], v[1], 0.3, true));
                yield return new(nameof(IKernels.Scale), $"{n} in place", Tolerance.Terms, 2e-7,
                    [new("y", n, Role.InOut)], (k, v) => k.Scale(v[0], v[0], -0.3, false));
                yield return new(nameof(IKernels.Add), $"{n}", Tolerance.Terms, 1e-7,
                    [new("a", n, Role.In), new("b", n, Role.In), new("y", n, Role.Out)], (k, v) => k.Add(v[0], v[1], v[2]));
                yield return new(nameof(IKernels.Add), $"{n} in place", Tolerance.Terms, 1e-7,
                    [new("a", n, Role.InOut), new("b", n, Role.In)], (k, v) => k.Add(v[0], v[1], v[0]));
                foreach (bool accumulate in new[] { false, true })
                {
                    yield return new(nameof(IKernels.Multiply), $"{n}{Suffix(accumulate)}", Tolerance.Terms, 2e-7,
                        [new("a", n, Role.In), new("b", n, Role.In), Output("y", n, accumulate)], (k, v) => k.Multiply(v[0], v[1], v[2], accumulate));
                }
            }
            // A tail of every kind (16 + 8 + 4 + 1 lanes), one pixel, one image, one channel, more rows than a piece, more channels than a block.
            BroadcastGeometry[] shapes =
            [
                new(1, 1, 1), new(2, 1, 7), new(3, 5, 1), new(2, 9, 3), new(2, 16, 29), new(1, 49, 17), new(3, 37, 33), new(4, 100, 64), new(2, 1100, 40), new(2, 19, 1100),
            ];
            foreach (var g in shapes)
            foreach (var row in Channels(g)) yield return row;
            foreach (var row in Channels(new(16, 56 * 56, 96), benchmark: true)) yield return row;
            yield return new(nameof(IKernels.Add), "10000000", Tolerance.Terms, 1e-7,
                [new("a", 10_000_000, Role.In), new("b", 10_000_000, Role.In), new("y", 10_000_000, Role.Out)],
                (k, v) => k.Add(v[0], v[1], v[2])) { BenchmarkOnly = true };
        }
    }

    private static IEnumerable<KernelCase> Channels(BroadcastGeometry g, bool benchmark = false)
    {
        long map = g.N * g.Pixels * g.C, few = (long)g.N * g.C;
        yield return new(nameof(IKernels.AddChannels), $"{g}", Tolerance.Terms, 1e-7,
            [new("x", map, Role.In), new("b", few, Role.In), new("y", map, Role.Out)],
            (k, v) => k.AddChannels(g, v[0], v[1], v[2])) { BenchmarkOnly = benchmark };
        foreach (bool accumulate in new[] { false, true })
        {
            yield return new(nameof(IKernels.MultiplyChannels), $"{g}{Suffix(accumulate)}", Tolerance.Terms, 2e-7,
                [new("x", map, Role.In), new("s", few, Role.In), Output("y", map, accumulate)],
                (k, v) => k.MultiplyChannels(g, v[0], v[1], v[2], accumulate)) { BenchmarkOnly = benchmark };
            yield return new(nameof(IKernels.MultiplyChannelsScaleGradient), $"{g}{Suffix(accumulate)}", Tolerance.Terms, 1e-6,
                [new("x", map, Role.In), new("dy", map, Role.In), Output("ds", few, accumulate)],
                (k, v) => k.MultiplyChannelsScaleGradient(g, v[0], v[1], v[2], accumulate)) { BenchmarkOnly = benchmark };
        }
    }

    private static string Suffix(bool accumulate) => accumulate ? " accumulate" : "";

    private static Operand Output(string name, long length, bool accumulate) => new(name, length, accumulate ? Role.InOut : Role.Out);
}
