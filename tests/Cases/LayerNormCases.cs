using RefConv.Kernels;

namespace RefConv.Cases;

internal static class LayerNormCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // One row, one channel, every channel tail (16 + 8 + 4 + 1 lanes), a row longer than a group of vectors, more rows than a piece of work.
            (long Rows, int C)[] shapes = [(1, 1), (3, 2), (7, 5), (2, 17), (19, 29), (33, 64), (5, 96), (37, 100), (3, 768), (2, 1100), (2100, 40)];
            foreach (var (rows, c) in shapes)
            {
                var g = new LayerNormGeometry(rows, c, 1e-6);
                yield return Forward(g, "");
                foreach (bool accumulate in new[] { false, true }) yield return Backward(g, true, true, accumulate);
            }
            var plain = new LayerNormGeometry(70, 45);
            yield return Forward(plain, " no statistics", saves: false);
            yield return Forward(plain with { Epsilon = 1e-3 }, " mean 1000", i => 1000 + Wave(i));
            yield return Forward(plain, " mean −1e5", i => -1e5 + (40 * Wave(i)));
            yield return Forward(plain, " constant", i => i / 45 * 0.1);
            yield return Forward(plain, " an outlier first", i => i % 45 == 0 ? 500 : Wave(i));
            yield return Backward(plain, true, false, false);
            yield return Backward(plain, false, true, false);
            yield return Backward(plain, false, true, true);
            foreach (var (rows, c) in new[] { (16L * 56 * 56, 96), (16L * 14 * 14, 384), (16L * 7 * 7, 768) })
            {
                yield return Forward(new(rows, c, 1e-6), "", benchmark: true);
                yield return Backward(new(rows, c, 1e-6), true, true, false, benchmark: true);
            }
        }
    }

    private static KernelCase Forward(LayerNormGeometry g, string what, Func<long, double>? x = null, bool saves = true, bool benchmark = false) => new(
        nameof(IKernels.LayerNormForward), $"{g}{what}", Tolerance.Value, 5e-6,
        [
            new("x", g.Rows * g.C, Role.In, x), new("gamma", g.C, Role.In), new("beta", g.C, Role.In),
            new("mean", g.Rows, saves ? Role.Out : Role.None), new("invStd", g.Rows, saves ? Role.Out : Role.None), new("y", g.Rows * g.C, Role.Out),
        ],
        (k, v) => k.LayerNormForward(g, v[0], v[1], v[2], v[3], v[4], v[5])) { BenchmarkOnly = benchmark };

    /// <summary>Mean and invStd need not be x's: the formulas are defined for any.</summary>
    private static KernelCase Backward(LayerNormGeometry g, bool input, bool parameters, bool accumulate, bool benchmark = false)
    {
        Role output = accumulate ? Role.InOut : Role.Out;
        long map = g.Rows * g.C;
        return new(
            nameof(IKernels.LayerNormBackward), $"{g}{(input ? "" : " no dx")}{(parameters ? "" : " no dγ dβ")}{(accumulate ? " accumulate" : "")}", Tolerance.Value,
            Math.Max(5e-6, 3e-7 * Math.Sqrt(g.Rows)), // dγ and dβ are sums over rows: their rounding errors add up like a random walk
            [
                new("x", map, Role.In), new("dy", map, Role.In), new("gamma", g.C, Role.In),
                new("mean", g.Rows, Role.In, i => 0.1 * Wave(i)), new("invStd", g.Rows, Role.In, i => 0.5 + (i * 0.6180339887 % 1)),
                new("dx", map, input ? output : Role.None),
                new("dgamma", g.C, parameters ? output : Role.None), new("dbeta", g.C, parameters ? output : Role.None),
            ],
            (k, v) => k.LayerNormBackward(g, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], accumulate, accumulate)) { BenchmarkOnly = benchmark };
    }

    /// <summary>Between −1.7 and 1.7, standard deviation about 1.</summary>
    private static double Wave(long i) => ((i * 0.7548776662 % 1) - 0.5) * 3.46;
}
