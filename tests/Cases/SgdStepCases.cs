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
}
