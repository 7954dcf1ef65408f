using RefConv.Kernels;

namespace RefConv.Cases;

internal static class AdamStepCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (long n in new[] { 1, 29, 1000 })
            foreach (bool amsGrad in new[] { false, true })
            foreach (bool decoupled in new[] { false, true })
            foreach (double decay in new[] { 0, 0.1 })
                yield return Row(n, new(1e-3, Step: n == 29 ? 1 : 7, WeightDecay: decay, Decoupled: decoupled, AmsGrad: amsGrad));
            yield return Row(70_003, new(1e-2, 100, AmsGrad: true)); // more than one piece of work
            foreach (bool amsGrad in new[] { false, true }) yield return Several([1, 33, 20_000, 4, 500], new(1e-3, 5, WeightDecay: 0.01, AmsGrad: amsGrad));
            yield return Several([3, 64, 21], new(1e-3, 5, WeightDecay: 0.01, Decoupled: true));
            yield return Row(10_000_000, new(1e-3, 100), benchmark: true);
        }
    }

    private static KernelCase Row(long n, AdamStepGeometry g, bool benchmark = false) => new(
        nameof(IKernels.AdamStep), $"{n} {g}", Tolerance.Value, 2e-6,
        [
            new("weight", n, Role.InOut), new("gradient", n, Role.In), new("mean", n, Role.InOut),
            new("square", n, Role.InOut, i => 0.5 + (i % 7)), new("largest", n, g.AmsGrad ? Role.InOut : Role.None, i => 0.5 + (i % 5)),
        ],
        (k, v) => k.AdamStep(g, new AdamOperand(v[0], v[1], v[2], v[3], v[4]))) { BenchmarkOnly = benchmark };

    /// <summary>Parameters of one step, all different in length.</summary>
    private static KernelCase Several(int[] lengths, AdamStepGeometry g) => new(
        nameof(IKernels.AdamStep), $"{string.Join('+', lengths)} {g}", Tolerance.Value, 2e-6,
        [
            .. lengths.SelectMany((n, i) => (Operand[])
            [
                new($"weight{i}", n, Role.InOut), new($"gradient{i}", n, Role.In), new($"mean{i}", n, Role.InOut),
                new($"square{i}", n, Role.InOut, j => 0.5 + (j % 7)), new($"largest{i}", n, g.AmsGrad ? Role.InOut : Role.None, j => 0.5 + (j % 5)),
            ]),
        ],
        (k, v) => k.AdamStep(g, [.. lengths.Select((_, i) => new AdamOperand(v[5 * i], v[(5 * i) + 1], v[(5 * i) + 2], v[(5 * i) + 3], v[(5 * i) + 4]))]));
}
