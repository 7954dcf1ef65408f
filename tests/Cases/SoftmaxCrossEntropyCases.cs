using RefConv.Kernels;

namespace RefConv.Cases;

internal static class SoftmaxCrossEntropyCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            SoftmaxCrossEntropyGeometry[] shapes = [new(1, 1), new(1, 2), new(3, 7), new(5, 10), new(4, 16), new(2, 33), new(9, 1000), new(64, 100)];
            foreach (var shape in shapes)
            foreach (double smoothing in new[] { 0, 0.1 })
            {
                var g = shape with { LabelSmoothing = smoothing };
                foreach (var row in Rows(g, "", null)) yield return row;
            }
            // Scores whose exponentials overflow, all equal, and one that rules a class out.
            foreach (var row in Rows(new(6, 21, 0.1), " ±1e4", i => (i * 7919 % 21 * 1000) - 10_000)) yield return row;
            foreach (var row in Rows(new(3, 19), " equal", _ => 5)) yield return row;
            foreach (var row in Rows(new(4, 20), " −∞", i => i % 20 == 9 ? double.NegativeInfinity : i * 0.37 % 3)) yield return row;
            foreach (var row in Rows(new(256, 1000, 0.1), "", null, benchmark: true)) yield return row;
        }
    }

    private static IEnumerable<KernelCase> Rows(SoftmaxCrossEntropyGeometry g, string what, Func<long, double>? scores, bool benchmark = false)
    {
        long map = (long)g.N * g.Classes;
        double Label(long n) => n * 5 % g.Classes;
        yield return new(nameof(IKernels.Softmax), $"{g}{what}", Tolerance.Value, 1e-6,
            [new("x", map, Role.In, scores), new("y", map, Role.Out)], (k, v) => k.Softmax(g, v[0], v[1])) { BenchmarkOnly = benchmark };
        yield return new(nameof(IKernels.SoftmaxCrossEntropyForward), $"{g}{what}", Tolerance.Value, 1e-6,
            [new("x", map, Role.In, scores), new("labels", g.N, Role.In, Label), new("probabilities", map, Role.Out), new("loss", 1, Role.Out)],
            (k, v) => k.SoftmaxCrossEntropyForward(g, v[0], v[1], v[2], v[3])) { BenchmarkOnly = benchmark };
        if (what != "") yield break;
        foreach (bool accumulate in new[] { false, true })
        {
            yield return new(nameof(IKernels.SoftmaxCrossEntropyBackward), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 1e-6,
                [
                    new("probabilities", map, Role.In, i => i * 0.6180339887 % 1), new("labels", g.N, Role.In, Label),
                    new("dloss", 1, Role.In, _ => 3), new("dx", map, accumulate ? Role.InOut : Role.Out),
                ],
                (k, v) => k.SoftmaxCrossEntropyBackward(g, v[0], v[1], v[2], v[3], accumulate)) { BenchmarkOnly = benchmark };
        }
    }
}
