using RefConv.Kernels;

namespace RefConv.Cases;

internal static class LerpCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (int n in new[] { 1, 17, 333, 70_001 })
            foreach (double weight in new[] { 0, 0.001, 0.75 })
            {
                yield return new(nameof(IKernels.Lerp), $"{n} by {weight}", Tolerance.Terms, 3e-7,
                    [new("x", n, Role.In), new("y", n, Role.InOut)], (k, v) => k.Lerp(v[0], v[1], weight));
            }
            yield return new(nameof(IKernels.Lerp), "10000000", Tolerance.Terms, 3e-7,
                [new("x", 10_000_000, Role.In), new("y", 10_000_000, Role.InOut)], (k, v) => k.Lerp(v[0], v[1], 0.001)) { BenchmarkOnly = true };
        }
    }
}
