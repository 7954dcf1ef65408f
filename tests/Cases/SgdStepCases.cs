using RefConv.Kernels;

namespace RefConv.Cases;

internal static class SgdStepCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (long n in new[] { 1, 19, 1000 })
            foreach (double decay in new[] { 0, 1e-4, 0.1 })
            {
                yield return Row(n, new(0.1, 0, decay, false, false));
                foreach (bool first in new[] { true, false })
                foreach (bool nesterov in new[] { false, true })
                    yield return Row(n, new(0.1, 0.9, decay, nesterov, first));
            }
            yield return Row(70_003, new(0.05, 0.9, 1e-4, true, false)); // more than one piece of work
            foreach (bool first in new[] { true, false }) yield return Several([1, 19, 64, 1000, 3], new(0.05, 0.9, 1e-4, true, first));
            yield return Several([40_000, 7, 16_384, 5000], new(0.05, 0.9, 1e-4, false, false)); // several pieces each, and pieces that end with a parameter
            yield return Row(10_000_000, new(0.1, 0.9, 1e-4, false, false), benchmark: true);
        }
    }

    private static KernelCase Row(long n, SgdStepGeometry g, bool benchmark = false) => new(
        nameof(IKernels.SgdStep), $"{n} {g}", Tolerance.Value, 1e-6,
        [
            new("weight", n, Role.InOut), new("gradient", n, Role.In),
            new("velocity", n, g.Momentum == 0 ? Role.None : g.First ? Role.Out : Role.InOut), // the first step must not read it
        ],
        (k, v) => k.SgdStep(g, new SgdOperand(v[0], v[1], v[2]))) { BenchmarkOnly = benchmark };

    /// <summary>Parameters of one step, all different in length.</summary>
    private static KernelCase Several(int[] lengths, SgdStepGeometry g) => new(
        nameof(IKernels.SgdStep), $"{string.Join('+', lengths)} {g}", Tolerance.Value, 1e-6,
        [
            .. lengths.SelectMany((n, i) => (Operand[])
                [new($"weight{i}", n, Role.InOut), new($"gradient{i}", n, Role.In), new($"velocity{i}", n, g.First ? Role.Out : Role.InOut)]),
        ],
        (k, v) => k.SgdStep(g, [.. lengths.Select((_, i) => new SgdOperand(v[3 * i], v[(3 * i) + 1], v[(3 * i) + 2]))]));
}
