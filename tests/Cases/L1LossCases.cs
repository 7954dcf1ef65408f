using RefConv.Kernels;

namespace RefConv.Cases;

internal static class L1LossCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (int n in new[] { 1, 19, 1000, 70_003 })
            {
                yield return new(nameof(IKernels.L1LossForward), $"{n}", Tolerance.Value, 1e-6,
                    [new("x", n, Role.In), new("target", n, Role.In), new("loss", 1, Role.Out)], (k, v) => k.L1LossForward(v[0], v[1], v[2]));
                foreach (bool accumulate in new[] { false, true })
                {
                    // Every third element is met exactly: its gradient is 0.
                    yield return new(nameof(IKernels.L1LossBackward), $"{n}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 1e-6,
                        [new("x", n, Role.In, i => i % 3), new("target", n, Role.In, i => i % 5 % 3), new("dloss", 1, Role.In), new("dx", n, accumulate ? Role.InOut : Role.Out)],
                        (k, v) => k.L1LossBackward(v[0], v[1], v[2], v[3], accumulate));
                }
            }
        }
    }
}
