using RefConv.Kernels;

namespace RefConv.Cases;

internal static class ClipNormCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            foreach (var g in new ClipNormGeometry[] { new(0.5), new(1e6), new(double.PositiveInfinity), new(double.PositiveInfinity, 1e-6, 1.0 / 1024), new(2, 0.5, 0.25) })
            {
                yield return Row(g, 1);
                yield return Row(g, 19, 64, 1000, 3); // all that a table of parameters has: tails, whole quads, several of them
            }
            yield return Row(new(3), 40_000, 7, 16_384, 5000); // several pieces each, and pieces that end with a gradient
            yield return Row(new(3), 300, 299, 298, 297, 296, 295, 294, 293, 292, 291, 290, 289, 288, 287, 286, 285, 284, 283, 282, 281, 280, 279, 278, 277, 276, 275, 274, 273, 272, 271, 270, 269, 268, 267, 266); // more pieces than threads of a small group
            yield return Row(new(1), [10_000_000], benchmark: true);
        }
    }

    private static KernelCase Row(ClipNormGeometry g, params int[] lengths) => Row(g, lengths, benchmark: false);

    private static KernelCase Row(ClipNormGeometry g, int[] lengths, bool benchmark) => new(
        nameof(IKernels.ClipNorm), $"{string.Join('+', lengths)} {g}", Tolerance.Value, 1e-6,
        [new("norm", 1, Role.Out), .. lengths.Select((n, i) => new Operand($"gradient{i}", n, Role.InOut))],
        (k, v) => k.ClipNorm(g, v[0], v[1..])) { BenchmarkOnly = benchmark };
}
