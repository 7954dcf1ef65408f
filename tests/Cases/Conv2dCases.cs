using RefConv.Kernels;

namespace RefConv.Cases;

internal static class Conv2dCases
{
    public static IEnumerable<KernelCase> All =>
    [
        .. Dense.Concat(Grouped).Concat(Depthwise).Concat(LongSums).SelectMany((g, i) => Directions(g, i)),
        .. Dense.Concat(Grouped).Concat(Depthwise).Concat(LongSums).Select(Moments),
        .. Dense.Concat(Grouped).Concat(Depthwise).Concat(LongSums).SelectMany((g, i) => Packed(g, i)),
        .. Strided.SelectMany((g, i) => Directions(g, i)), .. Strided.Select(Moments), .. Strided.SelectMany((g, i) => Packed(g, i)),
        .. Timed.SelectMany((g, i) => Directions(g, i, benchmark: true).Append(Inference(g, ActivationKind.ReLU, Residual.None, bias: true, benchmark: true))),
    ];

    private static IEnumerable<Conv2dGeometry> Dense =>
    [
        // 1×1: plain matrix products, channels around the vector widths.
        Square(1, 1, 1, 1, 1), Square(2, 3, 3, 7, 1), Square(2, 5, 7, 17, 1), Square(3, 4, 17, 33, 1), Square(1, 9, 33, 64, 1),
        Square(2, 9, 64, 40, 1), Square(1, 5, 300, 20, 1), Square(1, 7, 16, 100, 1, stride: 2), Square(2, 3, 24, 24, 1, pad: 1),
        // k×k, odd and even, with the strides and paddings of real networks.
        Square(2, 6, 3, 32, 3, pad: 1), Square(2, 9, 3, 17, 3, stride: 2, pad: 1),
        Square(1, 15, 3, 20, 7, stride: 2, pad: 3), Square(1, 12, 3, 33, 4, stride: 4),
        Square(1, 5, 1, 3, 3, pad: 1), Square(2, 5, 5, 7, 3, pad: 1), Square(1, 7, 16, 16, 3, pad: 1), Square(2, 8, 33, 17, 3, stride: 2, pad: 1),
        Square(1, 9, 17, 40, 3, pad: 2, dilation: 2), Square(1, 6, 13, 6, 2), Square(1, 6, 20, 12, 2, stride: 2), Square(1, 8, 12, 18, 5, pad: 2),
        Square(1, 4, 130, 34, 3, pad: 1), Square(1, 3, 300, 36, 3, pad: 1),
        // One pixel; padding larger than the kernel; windows that lie in the padding altogether.
        Square(1, 1, 5, 6, 3, pad: 1), Square(2, 1, 40, 3, 1), Square(1, 2, 3, 4, 3, pad: 4),
        Square(1, 2, 18, 9, 3, stride: 2, pad: 5), Square(2, 1, 8, 8, 1, stride: 3, pad: 2),
        // Strides larger than the kernel: input pixels that no window reaches, whose gradient is zero.
        Square(2, 7, 9, 18, 1, stride: 3), Square(1, 11, 20, 8, 2, stride: 4, pad: 1), Square(1, 8, 14, 15, 3, stride: 5, pad: 1),
        // Nothing is square, every side is different, the padding crops.
        new(2, 7, 5, 10, 11, 3, 2) { StrideH = 2, PadTop = 2, PadRight = 3, PadBottom = 1, DilationW = 2 },
        new(1, 6, 11, 14, 9, 1, 3) { StrideW = 3, PadLeft = 2, PadRight = 1 },
        new(1, 9, 4, 3, 21, 5, 1) { PadTop = 4, DilationH = 2, PadBottom = 3 },
        new(2, 8, 9, 13, 12, 3, 3) { PadTop = -1, PadLeft = -2, PadBottom = 1, PadRight = -1 },
        new(1, 9, 8, 4, 5, 2, 3) { PadTop = -2, PadBottom = -1, PadLeft = -1, StrideH = 2, StrideW = 2 },
        new(1, 5, 6, 16, 16, 1, 1) { PadTop = -1, PadRight = -2 },
        // Large enough to be cut into many pieces, and maps larger than caches.
        Square(3, 16, 24, 70, 3, pad: 1), Square(4, 16, 40, 72, 1), Square(2, 103, 17, 36, 1), Square(3, 19, 3, 21, 3, pad: 1),
    ];

    /// <summary>A run of the channels of a larger map: 1×1 convolutions whose pixels lie apart. Long sums, strides, padding, maps that are cut, and packed rows of x in the weight gradient.</summary>
    private static IEnumerable<Conv2dGeometry> Strided =>
    [
        Square(1, 1, 3, 5, 1) with { InputPitch = 7 }, Square(2, 5, 7, 17, 1) with { InputPitch = 14 }, Square(2, 9, 58, 58, 1) with { InputPitch = 116 }, Square(1, 5, 300, 20, 1) with { InputPitch = 301 },
        Square(1, 7, 16, 100, 1, stride: 2) with { InputPitch = 40 }, Square(2, 3, 24, 24, 1, pad: 1) with { InputPitch = 32 }, Square(2, 103, 17, 36, 1) with { InputPitch = 20 },
        Square(1, 6, 800, 130, 1) with { InputPitch = 1000 },
    ];

    private static IEnumerable<Conv2dGeometry> Grouped =>
    [
        Square(2, 5, 4, 6, 3, pad: 1, groups: 2), Square(1, 6, 16, 16, 3, pad: 1, groups: 4), Square(1, 5, 34, 66, 3, pad: 1, groups: 2),
        Square(2, 6, 9, 27, 3, stride: 2, pad: 1, groups: 3), Square(1, 4, 128, 128, 3, pad: 1, groups: 32), Square(2, 4, 24, 48, 1, groups: 3),
        Square(1, 5, 40, 20, 5, pad: 2, groups: 5), Square(1, 7, 26, 14, 3, pad: 2, dilation: 2, groups: 2),
        Square(1, 5, 6, 12, 3, pad: 1, groups: 6),
        Square(2, 9, 64, 96, 3, stride: 2, pad: 1, groups: 2),
        // Several groups to a vector: strides, dilation, phases without taps, a last vector partly filled, rows longer than what is spread out at once.
        Square(2, 9, 24, 24, 3, stride: 2, pad: 1, groups: 12), Square(1, 11, 20, 20, 3, pad: 2, dilation: 2, groups: 5),
        Square(1, 8, 16, 16, 2, stride: 3, groups: 4), Square(1, 61, 16, 16, 3, pad: 1, groups: 4), Square(1, 61, 16, 16, 3, stride: 2, pad: 1, groups: 4),
        Square(1, 2, 16, 16, 3, pad: 5, groups: 8), Square(3, 5, 40, 40, 1, groups: 20), Square(1, 30, 16, 16, 3, pad: 1, groups: 2),
        // Groups that read twice as many channels as they write; the other way round in the input gradient.
        // Groups as wide as a vector of 16, 8, 4, which share tiles: several to a tile, a tile with fewer, sums longer than a vector, strides, 1×1.
        Square(1, 7, 80, 80, 3, pad: 1, groups: 5), Square(2, 6, 120, 80, 3, stride: 2, pad: 1, groups: 5), Square(1, 9, 96, 48, 3, pad: 1, groups: 6),
        Square(1, 5, 80, 20, 3, pad: 2, dilation: 2, groups: 5), Square(2, 5, 48, 48, 1, groups: 3), Square(1, 13, 96, 96, 3, pad: 1, groups: 6),
        Square(2, 7, 12, 6, 3, pad: 1, groups: 6), Square(1, 6, 60, 30, 3, pad: 1, groups: 30), Square(1, 9, 40, 20, 3, stride: 2, pad: 1, groups: 20),
        Square(1, 5, 32, 16, 3, pad: 1, groups: 4), Square(2, 4, 34, 68, 1, groups: 34), Square(1, 5, 64, 32, 1, groups: 16),
        new(2, 7, 9, 12, 24, 3, 2) { StrideH = 2, PadTop = 2, PadRight = 3, PadBottom = 1, DilationW = 2, Groups = 6 },
        new(1, 9, 8, 32, 32, 3, 3) { PadTop = -2, PadBottom = -1, PadLeft = -1, PadRight = 2, Groups = 16 },
    ];

    private static IEnumerable<Conv2dGeometry> Depthwise =>
    [
        // Every kernel size, odd channels, both strides.
        .. from k in Enumerable.Range(1, 7)
           from stride in new[] { 1, 2 }
           select Square(2, 9, 3 + (k * 5), 3 + (k * 5), k, stride, k / 2, groups: 3 + (k * 5)),
        .. from c in new[] { 1, 2, 7, 16, 17, 32, 33, 64, 100 } select Square(1, 6, c, c, 3, pad: 1, groups: c),
        .. from k in new[] { 3, 5, 7 } select Square(1, 8, 21, 21, k, pad: k - 1, dilation: 2, groups: 21),
        Square(2, 1, 19, 19, 3, pad: 1, groups: 19), Square(1, 1, 5, 5, 5, pad: 2, groups: 5),
        Square(1, 2, 9, 9, 3, pad: 5, groups: 9), Square(1, 3, 18, 18, 7, pad: 3, groups: 18),
        Square(1, 4, 33, 33, 7, stride: 2, pad: 9, groups: 33), Square(1, 10, 8, 8, 3, stride: 4, pad: 1, groups: 8),
        Square(4, 16, 48, 48, 3, pad: 1, groups: 48),
        Square(2, 12, 40, 40, 3, stride: 2, pad: 1, groups: 40), Square(1, 14, 24, 24, 5, pad: 2, groups: 24),
        Square(2, 11, 17, 17, 3, stride: 2, pad: 2, dilation: 2, groups: 17),
        new(2, 7, 5, 11, 11, 3, 2) { StrideH = 2, PadTop = 2, PadRight = 3, PadBottom = 1, DilationW = 2, Groups = 11 },
        new(1, 9, 12, 20, 20, 1, 5) { StrideW = 2, PadLeft = 3, PadRight = 1, Groups = 20 },
        new(1, 9, 8, 37, 37, 3, 3) { PadTop = -2, PadBottom = -1, PadLeft = -1, PadRight = 2, Groups = 37 },
        new(1, 16, 18, 65, 65, 3, 3) { PadBottom = 1, PadRight = 1, StrideH = 2, StrideW = 2, Groups = 65 },
    ];

    /// <summary>Few results of many terms: devices with many processors cut such sums, in every direction, also where channels do not come in fours.</summary>
    private static IEnumerable<Conv2dGeometry> LongSums =>
    [
        Square(1, 1, 264, 8, 1), Square(1, 1, 263, 5, 1), Square(1, 17, 4, 4, 1), Square(1, 17, 3, 5, 1), Square(1, 2, 4, 264, 1), Square(1, 12, 4, 4, 3, stride: 2, pad: 1),
    ];

    private static IEnumerable<Conv2dGeometry> Timed =>
    [
        Square(64, 32, 64, 128, 1), Square(64, 8, 256, 256, 1), Square(64, 4, 512, 512, 1), Square(16, 14, 512, 512, 1),
        Square(16, 56, 64, 64, 3, pad: 1), Square(16, 14, 256, 256, 3, pad: 1), Square(16, 28, 128, 256, 3, stride: 2, pad: 1),
        Square(64, 32, 3, 32, 3, pad: 1), Square(8, 224, 3, 64, 7, stride: 2, pad: 3), Square(16, 56, 128, 128, 3, pad: 1, groups: 32),
        Square(64, 32, 32, 32, 3, pad: 1, groups: 32), Square(64, 8, 256, 256, 3, pad: 1, groups: 256),
        Square(16, 56, 128, 128, 3, stride: 2, pad: 1, groups: 128),
        Square(16, 28, 120, 120, 5, pad: 2, groups: 120), Square(16, 14, 384, 384, 7, pad: 3, groups: 384),
    ];

    private static Conv2dGeometry Square(int n, int size, int c, int k, int kernel, int stride = 1, int pad = 0, int dilation = 1, int groups = 1) =>
        new(n, size, size, c, k, kernel, kernel)
        {
            StrideH = stride, StrideW = stride, PadTop = pad, PadBottom = pad, PadLeft = pad, PadRight = pad,
            DilationH = dilation, DilationW = dilation, Groups = groups,
        };

    /// <summary>The three directions of one shape. Optional operands and accumulation alternate from row to row; small shapes get both.</summary>
    private static IEnumerable<KernelCase> Directions(Conv2dGeometry g, int index, bool benchmark = false)
    {
        bool[] both = !benchmark && g.Macs < 20_000 ? [false, true] : [(index & 1) != 0 && !benchmark];
        foreach (bool flag in both)
        {
            var role = flag ? Role.InOut : Role.Out;
            var x = new Operand("x", ReadLength(g), Role.In);
            var w = new Operand("w", g.WeightLength, Role.In);
            var dy = new Operand("dy", g.OutputLength, Role.In);
            string accumulate = flag ? " accumulate" : "";
            yield return Row(nameof(IKernels.Conv2dForward), flag ? $"{g} bias" : $"{g}",
                [x, w, new("b", g.K, flag ? Role.In : Role.None), new("y", g.OutputLength, Role.Out)],
                (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3], default));
            // Where pixels lie apart, what lies between them is read too: it must stay as it is.
            yield return Row(nameof(IKernels.Conv2dInputGradient), g + accumulate, [dy, w, new("dx", ReadLength(g), g.InputPitch == g.C ? role : Role.InOut)],
                (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], flag));
            yield return Row(nameof(IKernels.Conv2dWeightGradient), g + accumulate, [x, dy, new("dw", g.WeightLength, role)],
                (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], flag));
        }

        KernelCase Row(string kernel, string name, Operand[] operands, Action<IKernels, BufferView[]> invoke) =>
            new(kernel, name, Tolerance.Terms, 1e-6, operands, invoke) { IsFor = d => IsFor(d, g), Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
    }

    /// <summary>The result's mean and variance, found on the way.</summary>
    private static KernelCase Moments(Conv2dGeometry g) =>
        new(nameof(IKernels.Conv2dForward), $"{g} moments", Tolerance.Value, 2e-5,
            [
                new("x", ReadLength(g), Role.In), new("w", g.WeightLength, Role.In, i => Unit(i) / Math.Sqrt(g.R * g.S * g.GroupC)), new("b", g.K, Role.In, i => 3 + (i % 5)),
                new("y", g.OutputLength, Role.Out), new("moments", 2 * g.K, Role.Out),
            ],
            (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3], v[4])) { IsFor = d => IsFor(d, g) };

    private enum Residual
    {
        None,
        Apart,
        InPlace,
    }

    /// <summary>Packed weights with what follows a convolution; every shape with another choice of it, small ones with all.</summary>
    private static IEnumerable<KernelCase> Packed(Conv2dGeometry g, int index)
    {
        ActivationKind[] kinds = Enum.GetValues<ActivationKind>();
        Residual[] residuals = [Residual.None, Residual.Apart, Residual.InPlace];
        if (g is { R: 3, S: 3, StrideH: 1, StrideW: 1, Groups: 1 })
        {
            foreach (var residual in residuals) yield return Inference(g, kinds[index % kinds.Length], residual, (index & 1) == 0, Conv2dAccuracy.Fast);
        }
        if (g.Macs >= 20_000 || index % 8 != 0)
        {
            yield return Inference(g, kinds[index % kinds.Length], residuals[index % 3], (index & 1) != 0);
            yield break;
        }
        foreach (var kind in kinds)
        foreach (var residual in residuals)
        {
            yield return Inference(g, kind, residual, bias: kind != ActivationKind.Identity || residual != Residual.Apart);
        }
    }

    private static KernelCase Inference(Conv2dGeometry g, ActivationKind activation, Residual residual, bool bias, Conv2dAccuracy accuracy = Conv2dAccuracy.Exact, bool benchmark = false) =>
        new(benchmark || residual != Residual.None ? nameof(IKernels.Conv2dPacked) : nameof(IKernels.Conv2dPack),
            $"{g} {activation}{(residual == Residual.None ? "" : $" residual {residual}")}{(bias ? " bias" : "")}{(accuracy == Conv2dAccuracy.Fast ? " fast" : "")}", Tolerance.Value, 1e-5,
            [
                new("x", ReadLength(g), Role.In), new("w", g.WeightLength, Role.In, i => Unit(i) / Math.Sqrt(g.R * g.S * g.GroupC)), new("b", g.K, bias ? Role.In : Role.None),
                new("residual", g.OutputLength, residual == Residual.Apart ? Role.In : Role.None),
                new("y", g.OutputLength, residual == Residual.InPlace ? Role.InOut : Role.Out),
            ],
            (k, v) =>
            {
                using var packed = k.Conv2dPack(g, v[1], accuracy);
                k.Conv2dPacked(packed, activation, v[0], v[2], residual == Residual.InPlace ? v[4] : v[3], v[4]);
            }) { IsFor = d => IsFor(d, g), Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };

    /// <summary>From the first element that is read to the last.</summary>
    private static long ReadLength(Conv2dGeometry g) => (((long)g.N * g.H * g.W) - 1) * g.InputPitch + g.C;

    private static bool IsFor(Device device, in Conv2dGeometry g) => g.InputPitch == g.C || device.CanReadStrided(g);

    /// <summary>Between −1.7 and 1.7, standard deviation about 1.</summary>
    private static double Unit(long i) => ((i * 0.6180339887 % 1) - 0.5) * 3.46;
}
