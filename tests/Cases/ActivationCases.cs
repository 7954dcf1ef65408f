using RefConv.Kernels;

namespace RefConv.Cases;

internal static class ActivationCases
{
    /// <summary>Kinks, their neighbours, both tails, and what overflows an exponential.</summary>
    private static readonly double[] Special =
    [
        0, 3, -3, 6, 2.9999998, -2.9999998, 5.9999995, 1e-6, -1e-6, 1e-30, 20, -20, 88, -88, 104, -104, 1e4, -1e4, 1e18, -1e18, 9, -9, 0.5, -0.5,
    ];

    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (var kind in Enum.GetValues<ActivationKind>())
            {
                foreach (int n in new[] { 1, 7, 33, 1000 }) yield return Forward(kind, n);
                foreach (bool accumulate in new[] { false, true }) yield return Backward(kind, 333, accumulate);
                yield return ForwardSpecial(kind);
                yield return BackwardSpecial(kind);
                if (kind is ActivationKind.ReLU or ActivationKind.ReLU6 or ActivationKind.Hardsigmoid or ActivationKind.Hardswish) yield return BackwardOfNaN(kind);
                yield return Forward(kind, 10_000_000, benchmark: true);
                yield return Backward(kind, 10_000_000, false, benchmark: true);
            }
            yield return Forward(ActivationKind.SiLU, 70_000); // more than one piece of work
        }
    }

    private static KernelCase Forward(ActivationKind kind, long n, bool benchmark = false) => new(
        nameof(IKernels.ActivationForward), $"{kind} {n}", Tolerance.Value, 1e-6,
        [new("x", n, Role.In, i => Spread(i)), new("y", n, Role.Out)],
        (k, v) => k.ActivationForward(kind, v[0], v[1])) { BenchmarkOnly = benchmark };

    private static KernelCase Backward(ActivationKind kind, long n, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.ActivationBackward), $"{kind} {n}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 2e-6,
        [new("x", n, Role.In, i => Spread(i)), new("dy", n, Role.In), new("dx", n, accumulate ? Role.InOut : Role.Out)],
        (k, v) => k.ActivationBackward(kind, v[0], v[1], v[2], accumulate)) { BenchmarkOnly = benchmark };

    private static KernelCase ForwardSpecial(ActivationKind kind) => new(
        nameof(IKernels.ActivationForward), $"{kind} special values", Tolerance.Value, 1e-6,
        [new("x", Special.Length, Role.In, i => Special[i]), new("y", Special.Length, Role.Out)],
        (k, v) => k.ActivationForward(kind, v[0], v[1]));

    private static KernelCase BackwardSpecial(ActivationKind kind) => new(
        nameof(IKernels.ActivationBackward), $"{kind} special values, in place", Tolerance.Value, 2e-6,
        [new("x", Special.Length, Role.In, i => Special[i]), new("dx", Special.Length, Role.InOut, i => 1 + (0.1 * i))],
        (k, v) => k.ActivationBackward(kind, v[0], v[1], v[1], false));

    /// <summary>Where x is no number the slope is 0, in vectors and in their tails, and its neighbours are none the worse.</summary>
    private static KernelCase BackwardOfNaN(ActivationKind kind) => new(
        nameof(IKernels.ActivationBackward), $"{kind} of NaN", Tolerance.Value, 2e-6,
        [new("x", 43, Role.In, i => i % 3 == 0 ? double.NaN : Spread(i)), new("dy", 43, Role.In, i => 1 + (0.1 * i)), new("dx", 43, Role.Out)],
        (k, v) => k.ActivationBackward(kind, v[0], v[1], v[2], false));

    /// <summary>−8 … 8 in uneven steps: every branch of every function.</summary>
    private static double Spread(long i) => (i * 0.6180339887 % 1 * 16) - 8;
}
