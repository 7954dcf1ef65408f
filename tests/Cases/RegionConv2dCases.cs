using RefConv.Kernels;

namespace RefConv.Cases;

internal static class RegionConv2dCases
{
    public static IEnumerable<KernelCase> All
    {
        get
        {
            // Every channel tail on both sides, strides, dilation, padding that differs by side and crops, one region, more regions than pixels, both orders.
            foreach (bool outside in new[] { false, true })
            {
                foreach (var row in Rows(new(new(2, 7, 6, 5, 7, 3, 3) { PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 }, 4, outside))) yield return row;
                foreach (var row in Rows(new(new(2, 9, 8, 17, 33, 3, 3) { StrideH = 2, StrideW = 2, PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 }, 8, outside))) yield return row;
                foreach (var row in Rows(new(new(3, 5, 5, 40, 24, 1, 1), 8, outside))) yield return row;
            }
            foreach (var row in Rows(new(new(1, 1, 1, 1, 1, 1, 1), 1))) yield return row;
            foreach (var row in Rows(new(new(1, 12, 11, 16, 19, 1, 1), 1))) yield return row;
            foreach (var row in Rows(new(new(1, 2, 2, 3, 16, 3, 3) { PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 }, 9))) yield return row;
            foreach (var row in Rows(new(new(1, 10, 9, 4, 48, 3, 5) { DilationH = 2, DilationW = 1, PadTop = 2, PadLeft = 3, PadRight = -1, StrideH = 2 }, 3))) yield return row;
            foreach (var row in Rows(new(new(16, 28, 28, 64, 64, 1, 1), 8, true), benchmark: true)) yield return row;
            foreach (var row in Rows(new(new(8, 32, 32, 64, 64, 3, 3) { PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 }, 8, true), benchmark: true)) yield return row;

            foreach (var (rows, channels) in new[] { (1, 1), (7, 3), (100, 8), (3, 40) })
            {
                yield return ArgMax(rows, channels, "", null);
                yield return ArgMax(rows, channels, " ties", i => i * 7 % 3);
                foreach (bool accumulate in new[] { false, true })
                    yield return new(nameof(IKernels.SoftmaxChannelsGradient), $"{rows}×{channels}{(accumulate ? " accumulate" : "")}", Tolerance.Value, 2e-6,
                        [new("x", rows * channels, Role.In), new("a", rows * channels, Role.In), new("dx", rows * channels, accumulate ? Role.InOut : Role.Out)],
                        (k, v) => k.SoftmaxChannelsGradient(rows, channels, v[0], v[1], v[2], accumulate));
            }
            yield return ArgMax(5, 6, " NaN", i => i % 7 == 3 ? double.NaN : i % 5);
        }
    }

    private static KernelCase ArgMax(int rows, int channels, string what, Func<long, double>? fill) =>
        new(nameof(IKernels.ArgMaxChannels), $"{rows}×{channels}{what}", Tolerance.Exact, 0,
            [new("x", (long)rows * channels, Role.In, fill), new("y", rows, Role.Out)], (k, v) => k.ArgMaxChannels(rows, channels, v[0], v[1]));

    private static IEnumerable<KernelCase> Rows(RegionConv2dGeometry g, bool benchmark = false)
    {
        var c = g.Conv;
        // Regions in runs and alone, and one of them nowhere.
        Operand mask = new("mask", g.MaskLength, Role.In, i => i / 3 * 5 % 7 % Math.Max(1, g.Regions - 1));
        Operand x = new("x", c.InputLength, Role.In), w = new("w", g.KernelLength, Role.In), dy = new("dy", c.OutputLength, Role.In);
        foreach (bool bias in new[] { false, true })
        {
            yield return Row(nameof(IKernels.RegionConv2dForward), bias ? " bias" : "",
                [x, mask, w, new("b", bias ? c.K : 0, bias ? Role.In : Role.None), new("y", c.OutputLength, Role.Out)],
                (k, v) => k.RegionConv2dForward(g, v[0], v[1], v[2], v[3], v[4]));
        }
        foreach (bool accumulate in new[] { false, true })
        {
            var role = accumulate ? Role.InOut : Role.Out;
            yield return Row(nameof(IKernels.RegionConv2dInputGradient), accumulate ? " accumulate" : "", [dy, mask, w, new("dx", c.InputLength, role)],
                (k, v) => k.RegionConv2dInputGradient(g, v[0], v[1], v[2], v[3], accumulate));
            yield return Row(nameof(IKernels.RegionConv2dKernelGradient), accumulate ? " accumulate" : "", [x, mask, dy, new("dw", g.KernelLength, role)],
                (k, v) => k.RegionConv2dKernelGradient(g, v[0], v[1], v[2], v[3], accumulate));
        }
        yield return Row(nameof(IKernels.RegionConv2dScores), "", [x, w, dy, new("a", g.MaskLength * g.Regions, Role.Out)],
            (k, v) => k.RegionConv2dScores(g, v[0], v[1], v[2], v[3]));

        KernelCase Row(string kernel, string what, Operand[] operands, Action<IKernels, BufferView[]> invoke) =>
            new(kernel, $"{g}{what}", Tolerance.Terms, 1e-6, operands, invoke) { Flops = 2.0 * c.Macs, BenchmarkOnly = benchmark };
    }
}
