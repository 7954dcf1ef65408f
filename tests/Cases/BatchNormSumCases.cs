using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>Sums of batch norms in training: one to six terms, so that one turn, a full one and several are all seen.</summary>
internal static class BatchNormSumCases
{
    private const int PerTerm = 8, Gradients = 3;

    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (var (terms, rows, c, f) in new[]
            {
                (1, 19L, 7, ActivationKind.ReLU), (2, 7L, 1, ActivationKind.Identity), (2, 49L, 17, ActivationKind.ReLU6), (3, 100L, 29, ActivationKind.ReLU),
                (3, 2100L, 40, ActivationKind.Identity), (4, 50L, 64, ActivationKind.ReLU), (4, 17L, 1100, ActivationKind.ReLU6), (5, 33L, 33, ActivationKind.ReLU),
                (6, 2L, 5, ActivationKind.Identity), (3, 1L, 5, ActivationKind.ReLU),
            })
            foreach (bool given in new[] { false, true })
            {
                yield return Training(terms, new(rows, c, 1e-5, f), residual: given, moments: given);
                yield return Backward(terms, new(rows, c, 1e-5, f), accumulate: given, everything: !given);
            }
            foreach (var (rows, c) in new[] { (65536L, 64), (4096L, 256) })
            {
                yield return Training(3, new(rows, c, 1e-5, ActivationKind.ReLU), residual: false, moments: true, benchmark: true);
                yield return Backward(3, new(rows, c, 1e-5, ActivationKind.ReLU), accumulate: false, everything: true, benchmark: true);
            }
        }
    }

    private static KernelCase Training(int terms, BatchNormGeometry g, bool residual, bool moments, bool benchmark = false)
    {
        long map = g.Rows * g.C;
        Operand[] operands =
        [
            new("residual", map, residual ? Role.In : Role.None), new("y", map, Role.Out),
            .. Enumerable.Range(0, terms).SelectMany(i => (Operand[])
            [
                new($"x{i}", map, Role.In), new($"moments{i}", 2 * g.C, moments && i % 2 == 0 ? Role.In : Role.None, Positive),
                new($"gamma{i}", g.C, Role.In), new($"beta{i}", g.C, Role.In), new($"runningMean{i}", g.C, i == 1 ? Role.None : Role.InOut),
                new($"runningVar{i}", g.C, i == 1 ? Role.None : Role.InOut, Positive), new($"mean{i}", g.C, Role.Out), new($"invStd{i}", g.C, Role.Out),
            ]),
        ];
        return new(nameof(IKernels.BatchNormSumTraining), $"{terms} of {g}{(residual ? " residual" : "")}{(moments ? " known moments" : "")}", Tolerance.Value, 5e-6, operands,
            (k, v) => k.BatchNormSumTraining(g, Terms(v, 2, terms), v[0], v[1])) { BenchmarkOnly = benchmark };
    }

    private static KernelCase Backward(int terms, BatchNormGeometry g, bool accumulate, bool everything, bool benchmark = false)
    {
        long map = g.Rows * g.C;
        Role output = accumulate ? Role.InOut : Role.Out;
        Operand[] operands =
        [
            new("y", map, g.Activation == ActivationKind.Identity ? Role.None : Role.In, i => (i % 37 * 0.375) - 3), new("dy", map, Role.InOut),
            .. Enumerable.Range(0, terms).SelectMany(i => (Operand[])
            [
                new($"x{i}", map, Role.In), new($"moments{i}", 1, Role.None), new($"gamma{i}", g.C, Role.In), new($"beta{i}", g.C, Role.None),
                new($"runningMean{i}", g.C, Role.None), new($"runningVar{i}", g.C, Role.None), new($"mean{i}", g.C, Role.In, j => 0.1 * (j % 5)), new($"invStd{i}", g.C, Role.In, Positive),
            ]),
            .. Enumerable.Range(0, terms).SelectMany(i => (Operand[])
            [
                new($"dx{i}", map, everything || i % 3 != 1 ? output : Role.None),
                new($"dgamma{i}", g.C, everything || i % 3 != 2 ? output : Role.None), new($"dbeta{i}", g.C, everything || i % 3 != 0 ? output : Role.None),
            ]),
        ];
        return new(nameof(IKernels.BatchNormSumTrainingBackward), $"{terms} of {g}{(everything ? "" : " some")}{(accumulate ? " accumulate" : "")}", Tolerance.Value,
            Math.Max(5e-6, 3e-7 * Math.Sqrt(g.Rows)), operands,
            (k, v) =>
            {
                int at = 2 + (terms * PerTerm);
                BatchNormTermGradient[] gradients = [.. Enumerable.Range(0, terms).Select(i =>
                    new BatchNormTermGradient(v[at + (Gradients * i)], v[at + (Gradients * i) + 1], v[at + (Gradients * i) + 2], accumulate, accumulate, accumulate))];
                k.BatchNormSumTrainingBackward(g, Terms(v, 2, terms), gradients, v[0], v[1]);
            }) { BenchmarkOnly = benchmark };
    }

    private static BatchNormTerm[] Terms(BufferView[] v, int at, int terms) => [.. Enumerable.Range(0, terms).Select(i => at + (PerTerm * i)).Select((p, i) =>
        new BatchNormTerm(v[p], v[p + 1], v[p + 2], v[p + 3], v[p + 4], v[p + 5], v[p + 6], v[p + 7]) { Momentum = 0.1 + (0.2 * (i % 2)), Epsilon = i % 2 == 0 ? 1e-5 : 1e-3 })];

    private static double Positive(long i) => 0.5 + (i * 0.6180339887 % 1);
}
