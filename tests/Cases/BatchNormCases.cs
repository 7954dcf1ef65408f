using RefConv.Kernels;

namespace RefConv.Cases;

internal static class BatchNormCases
{
    private static readonly ActivationKind[] Fused = [ActivationKind.Identity, ActivationKind.ReLU, ActivationKind.ReLU6];

    public static IEnumerable<KernelCase> All
    {
        get
        {
            // One row, one channel, every channel tail (16 + 8 + 4 + 1 lanes), more rows than a piece of work, more channels than a block.
            (long Rows, int C)[] shapes = [(1, 1), (1, 5), (2, 3), (7, 1), (19, 7), (49, 17), (16, 33), (100, 29), (50, 64), (2100, 40), (17, 1100), (37, 16), (70, 24)];
            foreach (var (rows, c) in shapes)
            foreach (var f in Fused)
            {
                var g = new BatchNormGeometry(rows, c, 1e-5, f);
                foreach (var row in Table(g, "", null)) yield return row;
            }
            foreach (var (rows, c) in shapes)
            foreach (var f in new[] { ActivationKind.Hardswish, ActivationKind.SiLU })
            foreach (var row in Table(new BatchNormGeometry(rows, c, 1e-5, f), "", null)) yield return row;
            var plain = new BatchNormGeometry(300, 19);
            yield return Training(plain, " mean 1000", i => 1000 + Wave(i), true);
            yield return Training(plain, " mean −1e5", i => -1e5 + (40 * Wave(i)), true);
            yield return Training(plain, " constant", i => 0.1 * (i % 19), true);
            yield return Training(plain, " an outlier first", i => i < 19 ? 500 : Wave(i), true);
            yield return Training(plain, " no running statistics", null, false);
            yield return Training(plain, "", null, true, moments: true);
            yield return Inference(plain with { Epsilon = 1e-3 }, " mean 1000", i => 1000 + Wave(i), runningMean: i => 1000.3);
            foreach (var (dx, parameters) in new[] { (true, false), (false, true) })
            {
                yield return Backward(plain, dx, parameters, false, training: true);
                yield return Backward(plain with { Activation = ActivationKind.ReLU }, dx, parameters, false, training: false);
                yield return Backward(plain with { Activation = ActivationKind.ReLU6 }, dx, parameters, false, training: true, residual: true);
                yield return Backward(plain with { Activation = ActivationKind.ReLU6 }, dx, parameters, false, training: false, residual: true);
            }
            foreach (var (rows, c) in new[] { (65536L, 64), (1024L, 1024), (16L * 28 * 28, 192), (16L * 7 * 7, 1280) })
            foreach (var row in Table(new(rows, c, 1e-5, ActivationKind.ReLU), "", null, benchmark: true)) yield return row;
        }
    }

    private static IEnumerable<KernelCase> Table(BatchNormGeometry g, string what, Func<long, double>? x, bool benchmark = false)
    {
        foreach (bool residual in new[] { false, true })
        {
            if (!BatchNormGeometry.Fuses(g.Activation, residual)) continue;
            yield return Training(g, what, x, true, residual, moments: residual, benchmark: benchmark);
            yield return Inference(g, what, x, residual: residual, benchmark: benchmark);
            foreach (bool accumulate in benchmark ? [false] : new[] { false, true })
            {
                yield return Backward(g, true, true, accumulate, training: true, residual, benchmark);
                yield return Backward(g, true, true, accumulate, training: false, residual, benchmark);
            }
        }
    }

    private static KernelCase Training(
        BatchNormGeometry g, string what, Func<long, double>? x, bool running, bool residual = false, bool moments = false, bool benchmark = false) => new(
        nameof(IKernels.BatchNormTraining), $"{g}{what}{(residual ? " residual" : "")}{(moments ? " known moments" : "")}", Tolerance.Value, 5e-6,
        [
            new("x", g.Rows * g.C, Role.In, x), new("moments", 2 * g.C, moments ? Role.In : Role.None, Positive), new("gamma", g.C, Role.In), new("beta", g.C, Role.In),
            new("runningMean", g.C, running ? Role.InOut : Role.None), new("runningVar", g.C, running ? Role.InOut : Role.None, Positive),
            new("mean", g.C, Role.Out), new("invStd", g.C, Role.Out), new("residual", g.Rows * g.C, residual ? Role.In : Role.None), new("y", g.Rows * g.C, Role.Out),
        ],
        (k, v) => k.BatchNormTraining(g, v[0], v[1], v[2], v[3], v[4], v[5], 0.1, v[6], v[7], v[8], v[9])) { BenchmarkOnly = benchmark };

    private static KernelCase Inference(
        BatchNormGeometry g, string what, Func<long, double>? x, Func<long, double>? runningMean = null, bool residual = false, bool benchmark = false) => new(
        nameof(IKernels.BatchNormInference), $"{g}{what}{(residual ? " residual" : "")}", Tolerance.Value, 2e-6,
        [
            new("x", g.Rows * g.C, Role.In, x), new("gamma", g.C, Role.In), new("beta", g.C, Role.In),
            new("runningMean", g.C, Role.In, runningMean), new("runningVar", g.C, Role.In, Positive),
            new("residual", g.Rows * g.C, residual ? Role.In : Role.None), new("y", g.Rows * g.C, Role.Out),
        ],
        (k, v) => k.BatchNormInference(g, v[0], v[1], v[2], v[3], v[4], v[5], v[6])) { BenchmarkOnly = benchmark };

    /// <summary>
    /// The operands need not belong to one forward pass: the formulas are defined for any. y has values below 0, inside (0, 6), above, and both kinks;
    /// γ = 2 takes the result that is computed again above 6 too.
    /// </summary>
    private static KernelCase Backward(
        BatchNormGeometry g, bool input, bool parameters, bool accumulate, bool training, bool residual = false, bool benchmark = false)
    {
        Role output = accumulate ? Role.InOut : Role.Out;
        long map = g.Rows * g.C;
        string what = $"{(input ? "" : " no dx")}{(parameters ? "" : " no dγ dβ")}{(residual ? " residual" : "")}{(accumulate ? " accumulate" : "")}";
        return new(
            training ? nameof(IKernels.BatchNormTrainingBackward) : nameof(IKernels.BatchNormInferenceBackward), $"{g}{what}", Tolerance.Value,
            Math.Max(5e-6, 3e-7 * Math.Sqrt(g.Rows)), // dγ and dβ are sums over rows: their rounding errors add up like a random walk
            [
                new("x", map, Role.In),
                new("y", map, residual ? Role.In : Role.None, i => (i % 37 * 0.375) - 3),
                new("dy", map, residual ? Role.InOut : Role.In), new("gamma", g.C, Role.In, i => 2 + (0.5 * Wave(i))), new("beta", g.C, Role.In), new("mean", g.C, Role.In, i => 0.1 * Wave(i)),
                new(training ? "invStd" : "runningVar", g.C, Role.In, Positive),
                new("dx", map, input ? output : Role.None),
                new("dgamma", g.C, parameters ? output : Role.None), new("dbeta", g.C, parameters ? output : Role.None),
            ],
            (k, v) =>
            {
                if (training) k.BatchNormTrainingBackward(g, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], accumulate, accumulate);
                else k.BatchNormInferenceBackward(g, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], accumulate, accumulate);
            }) { BenchmarkOnly = benchmark };
    }

    private static double Positive(long i) => 0.5 + (i * 0.6180339887 % 1);

    /// <summary>Between −1.7 and 1.7, standard deviation about 1.</summary>
    private static double Wave(long i) => ((i * 0.7548776662 % 1) - 0.5) * 3.46;
}
