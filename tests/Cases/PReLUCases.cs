using RefConv.Kernels;

namespace RefConv.Cases;

internal static class PReLUCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            (long Rows, int C)[] shapes = [(1, 1), (5, 3), (7, 16), (33, 29), (100, 64), (2100, 40), (3, 1100), (50, 24)];
            foreach (var (rows, c) in shapes)
            {
                var g = new PReLUGeometry(rows, c);
                yield return Forward(g, false);
                yield return Forward(g, true);
                foreach (bool accumulate in new[] { false, true }) yield return Backward(g, true, true, accumulate);
            }
            yield return Backward(new(40, 21), true, false, false);
            yield return Backward(new(40, 21), false, true, false);
            yield return Forward(new(16 * 200 * 200, 16), false, benchmark: true);
            yield return Backward(new(16 * 200 * 200, 16), true, true, false, benchmark: true);
        }
    }

    private static KernelCase Forward(PReLUGeometry g, bool inPlace, bool benchmark = false) => new(
        nameof(IKernels.PReLUForward), $"{g}{(inPlace ? " in place" : "")}", Tolerance.Value, 2e-7,
        [new("x", g.Rows * g.C, inPlace ? Role.InOut : Role.In, Sign), new("alpha", g.C, Role.In), new("y", g.Rows * g.C, inPlace ? Role.None : Role.Out)],
        (k, v) => k.PReLUForward(g, v[0], v[1], inPlace ? v[0] : v[2])) { BenchmarkOnly = benchmark };

    private static KernelCase Backward(PReLUGeometry g, bool input, bool slopes, bool accumulate, bool benchmark = false)
    {
        Role output = accumulate ? Role.InOut : Role.Out;
        return new(nameof(IKernels.PReLUBackward), $"{g}{(input ? "" : " no dx")}{(slopes ? "" : " no dα")}{(accumulate ? " accumulate" : "")}", Tolerance.Value,
            Math.Max(2e-6, 3e-7 * Math.Sqrt(g.Rows)),
            [
                new("x", g.Rows * g.C, Role.In, Sign), new("alpha", g.C, Role.In), new("dy", g.Rows * g.C, Role.In),
                new("dx", g.Rows * g.C, input ? output : Role.None), new("dalpha", g.C, slopes ? output : Role.None),
            ],
            (k, v) => k.PReLUBackward(g, v[0], v[1], v[2], v[3], v[4], accumulate, accumulate)) { BenchmarkOnly = benchmark };
    }

    /// <summary>Both signs and, now and then, the kink itself.</summary>
    private static double Sign(long i) => i % 11 == 5 ? 0 : ((i * 0.7548776662 % 1) - 0.5) * 3;
}
