using RefConv.Kernels;

namespace RefConv.Cases;

internal static class DropoutCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (double p in new[] { 0, 0.1, 0.2, 0.5, 0.999 })
            foreach (long n in new[] { 1, 3, 18, 1001 })
            foreach (bool accumulate in new[] { false, true })
                yield return Row(n, p, accumulate);
            yield return Row(70_003, 0.25, false); // more than one piece of work
            yield return Row(1_000_000, 0.2, false, benchmark: true);
        }
    }

    private static KernelCase Row(long n, double p, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.Dropout), $"{n} p{p}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 4e-7,
        [new("x", n, Role.In), new("y", n, accumulate ? Role.InOut : Role.Out)],
        (k, v) => k.Dropout(0x1234_5678_9ABC_DEF0, 0x0FED_CBA9_8765_4321, p, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };
}
