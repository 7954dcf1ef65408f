using RefConv.Kernels;

namespace RefConv.Cases;

internal static class CountHitsCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (var g in (SoftmaxCrossEntropyGeometry[])[new(1, 1), new(3, 7), new(5, 10), new(9, 33), new(2, 1000), new(130, 10)]) yield return Row(g, "", null);
            // Every row has its largest score at one place, which is the label of every other row.
            yield return Row(new(6, 21), " half of them", i => i % 21 == i / 21 * 10 % 21 ? 5 : i % 21 * 0.01);
            yield return Row(new(7, 5), " all equal", _ => 1);
            yield return Row(new(4, 9), " −∞", i => i % 9 == 5 ? double.NegativeInfinity : -i);
            for (int place = 0; place < 4; place++)
            {
                int nan = place;
                yield return Row(new(8, 4), $" NaN at {place}", i => i % 4 == nan && i / 4 % 2 == 0 ? double.NaN : i % 4 == i / 4 * 5 % 4 ? 3 : 0);
            }
        }
    }

    private static KernelCase Row(SoftmaxCrossEntropyGeometry g, string what, Func<long, double>? scores) =>
        new(nameof(IKernels.CountHits), $"{g}{what}", Tolerance.Exact, 0,
            [new("x", (long)g.N * g.Classes, Role.In, scores), new("labels", g.N, Role.In, n => n * 5 % g.Classes), new("hits", 1, Role.Out)],
            (k, v) => k.CountHits(g, v[0], v[1], v[2]));
}
