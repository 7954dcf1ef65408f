using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>Depthwise convolution (Groups = C = K): the rows of the Conv2d kernels that its own code serves.</summary>
internal static class DepthwiseCases
{
    private const double Limit = 1e-6;

    public static IEnumerable<KernelCase> All => [.. Small.SelectMany(Rows), .. Large.SelectMany(g => Rows(g, benchmark: true))];

    private static Conv2dGeometry Dw(int n, int h, int w, int c, int r, int s, int stride = 1, int pad = -1, int dilation = 1) =>
        new(n, h, w, c, c, r, s)
        {
            Groups = c, StrideH = stride, StrideW = stride, DilationH = dilation, DilationW = dilation,
            PadTop = pad < 0 ? r / 2 * dilation : pad, PadBottom = pad < 0 ? r / 2 * dilation : pad,
            PadLeft = pad < 0 ? s / 2 * dilation : pad, PadRight = pad < 0 ? s / 2 * dilation : pad,
        };

    private static IEnumerable<Conv2dGeometry> Small =>
    [
        // 3×3, stride 1: odd and even sizes, channel tails, one-pixel maps.
        Dw(2, 5, 6, 16, 3, 3), Dw(1, 4, 4, 32, 3, 3), Dw(2, 7, 7, 24, 3, 3), Dw(1, 1, 1, 8, 3, 3), Dw(3, 2, 1, 17, 3, 3), Dw(1, 1, 5, 33, 3, 3),
        Dw(1, 6, 3, 1, 3, 3), Dw(2, 3, 4, 3, 3, 3), Dw(1, 8, 5, 7, 3, 3), Dw(1, 9, 9, 29, 3, 3, pad: 0), Dw(1, 5, 5, 20, 3, 3, pad: 2),
        Dw(1, 4, 5, 16, 3, 3, pad: 4),
        // Other strides.
        Dw(2, 8, 8, 16, 3, 3, 2), Dw(1, 7, 9, 24, 3, 3, 2), Dw(1, 1, 1, 5, 3, 3, 2), Dw(2, 5, 4, 33, 3, 3, 2, pad: 0), Dw(1, 12, 12, 16, 3, 3, 3),
        Dw(1, 9, 10, 7, 3, 3, 2, pad: 3),
        Dw(1, 6, 6, 16, 1, 1, 2), Dw(1, 11, 11, 16, 2, 2, 4, pad: 0), Dw(2, 10, 22, 19, 5, 5, 2), Dw(1, 13, 12, 24, 7, 7, 2),
        Dw(1, 13, 12, 16, 7, 7, 3),
        // Stride 2, 5 and 7 wide: one-pixel maps, odd and even sizes, other heights, paddings of nothing and beyond the map.
        Dw(1, 1, 1, 17, 5, 5, 2), Dw(2, 1, 1, 3, 7, 7, 2), Dw(1, 2, 5, 33, 5, 5, 2), Dw(1, 5, 2, 20, 7, 7, 2), Dw(2, 9, 11, 21, 5, 5, 2, pad: 0),
        Dw(1, 9, 9, 13, 7, 7, 2, pad: 1), Dw(1, 4, 5, 9, 5, 5, 2, pad: 6), Dw(1, 3, 2, 7, 7, 7, 2, pad: 9), Dw(1, 8, 7, 18, 4, 5, 2),
        Dw(1, 7, 9, 11, 3, 7, 2), Dw(1, 6, 8, 37, 1, 5, 2), Dw(1, 2, 1, 16, 3, 3, 2, pad: 7),
        // Stride 2 that crops, so that the first and last rows and columns of x meet no window.
        Dw(1, 9, 10, 12, 3, 3, 2) with { PadTop = -1, PadLeft = -2, PadBottom = 2, PadRight = 1 },
        Dw(2, 12, 13, 19, 3, 3, 2) with { PadBottom = -5, PadRight = -4 },
        Dw(1, 11, 12, 23, 5, 5, 2) with { PadTop = -3, PadLeft = -1, PadBottom = 0, PadRight = 4 },
        Dw(1, 13, 17, 5, 7, 7, 2) with { PadTop = 5, PadLeft = -4, PadBottom = -2, PadRight = -3 },
        // 3×3 windows wider than the map, and strides that differ.
        Dw(1, 3, 2, 16, 3, 3, 2, dilation: 3), Dw(2, 7, 9, 21, 3, 3) with { StrideW = 2 }, Dw(1, 8, 7, 20, 3, 3) with { StrideH = 3, DilationW = 2 },
        Dw(1, 9, 8, 18, 5, 5) with { StrideH = 2 },
        // Enough work for several pieces: bands of rows, images, channels.
        Dw(2, 41, 40, 40, 3, 3), Dw(3, 47, 33, 56, 3, 3, 2), Dw(2, 33, 35, 40, 5, 5, 2), Dw(2, 30, 31, 24, 7, 7, 2), Dw(1, 8, 8, 272, 7, 7),
        Dw(9, 6, 5, 230, 3, 3), Dw(1, 2, 2, 2570, 7, 7),
        // 5×5 and 7×7.
        Dw(2, 6, 7, 16, 5, 5), Dw(1, 5, 4, 24, 5, 5), Dw(1, 1, 1, 3, 5, 5), Dw(1, 9, 5, 7, 5, 5, pad: 4), Dw(1, 8, 8, 13, 5, 5, pad: 0),
        Dw(1, 3, 6, 9, 5, 5, pad: 6),
        Dw(2, 8, 9, 16, 7, 7), Dw(1, 7, 7, 24, 7, 7), Dw(1, 2, 3, 5, 7, 7), Dw(1, 11, 7, 33, 7, 7, pad: 0), Dw(1, 4, 5, 6, 7, 7, pad: 6),
        // The same widths with other heights; even, narrow and large kernels.
        Dw(1, 6, 7, 17, 3, 5), Dw(1, 6, 7, 18, 1, 7), Dw(1, 8, 7, 12, 4, 5), Dw(1, 6, 9, 21, 5, 3), Dw(1, 6, 5, 16, 1, 3), Dw(1, 6, 5, 16, 3, 1),
        Dw(1, 5, 6, 24, 1, 1),
        Dw(1, 6, 5, 16, 2, 2, pad: 0), Dw(1, 6, 7, 16, 4, 4, pad: 1), Dw(1, 10, 12, 8, 9, 9), Dw(1, 12, 5, 4, 11, 3),
        // Dilation, alone and with a stride that shares a factor with it.
        Dw(1, 9, 8, 16, 3, 3, dilation: 2), Dw(1, 9, 11, 24, 3, 3, dilation: 3), Dw(1, 9, 8, 11, 3, 3, 2, dilation: 2),
        Dw(1, 13, 12, 16, 3, 3, 4, dilation: 2), Dw(1, 13, 12, 9, 5, 5, 2, dilation: 3),
        Dw(1, 13, 12, 9, 3, 3, 6, pad: 4, dilation: 4),
        // Uneven and negative padding, unequal strides and dilations.
        Dw(2, 7, 8, 16, 3, 3) with { PadTop = 0, PadBottom = 2, PadLeft = 2, PadRight = 0 },
        Dw(1, 7, 8, 19, 3, 3) with { PadTop = -1, PadBottom = 1, PadLeft = 1, PadRight = -2 },
        Dw(1, 8, 9, 16, 3, 3) with { PadTop = 2, PadBottom = -3, PadLeft = -2, PadRight = 2 },
        Dw(1, 9, 12, 8, 5, 5) with { PadTop = -1, PadBottom = 3, PadLeft = -3, PadRight = 1 },
        Dw(1, 9, 13, 8, 7, 7) with { PadTop = 3, PadBottom = -1, PadLeft = -2, PadRight = 4 },
        Dw(1, 9, 8, 16, 3, 3) with { StrideH = 2, PadBottom = -2, PadLeft = 0, PadRight = 3 },
        Dw(1, 9, 8, 16, 3, 5) with { StrideW = 3, PadTop = -2, PadLeft = 3, PadRight = 2 },
        Dw(1, 9, 10, 16, 3, 3) with { DilationH = 2, PadTop = 2, PadBottom = 2 },
        Dw(1, 9, 10, 16, 3, 3) with { DilationW = 3, StrideH = 2, PadLeft = -1, PadRight = 5 },
        // Enough rows and channels for several bands, splits and channel pieces.
        Dw(3, 21, 10, 80, 3, 3), Dw(1, 9, 8, 200, 3, 3), Dw(1, 18, 7, 144, 5, 5, 2), Dw(9, 3, 3, 136, 3, 3),
    ];

    private static IEnumerable<Conv2dGeometry> Large =>
    [
        Dw(64, 32, 32, 32, 3, 3), Dw(64, 16, 16, 128, 3, 3), Dw(64, 16, 16, 128, 3, 3, 2), Dw(64, 4, 4, 512, 3, 3),
        Dw(16, 56, 56, 128, 3, 3), Dw(16, 56, 56, 128, 3, 3, 2), Dw(16, 14, 14, 512, 3, 3), Dw(16, 112, 112, 32, 3, 3), Dw(16, 7, 7, 960, 3, 3),
        Dw(16, 14, 14, 672, 5, 5), Dw(16, 28, 28, 72, 5, 5, 2), Dw(8, 56, 56, 96, 7, 7), Dw(1, 14, 14, 512, 3, 3), Dw(1, 56, 56, 128, 3, 3),
    ];

    private static IEnumerable<KernelCase> Rows(Conv2dGeometry g) => Rows(g, benchmark: false);

    private static IEnumerable<KernelCase> Rows(Conv2dGeometry g, bool benchmark)
    {
        foreach (bool other in benchmark ? new[] { false } : [false, true]) // without and with the bias; overwriting and adding
        {
            string name = $"dw {g}";
            yield return new KernelCase(nameof(IKernels.Conv2dForward), name + (other ? " bias" : ""), Tolerance.Terms, Limit,
                [new("x", g.InputLength, Role.In), new("w", g.WeightLength, Role.In), new("b", other ? g.K : 0, other ? Role.In : Role.None),
                 new("y", g.OutputLength, Role.Out)],
                (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3])) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
            var role = other ? Role.InOut : Role.Out;
            yield return new KernelCase(nameof(IKernels.Conv2dInputGradient), name + (other ? " added" : ""), Tolerance.Terms, Limit,
                [new("dy", g.OutputLength, Role.In), new("w", g.WeightLength, Role.In), new("dx", g.InputLength, role)],
                (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], other)) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
            yield return new KernelCase(nameof(IKernels.Conv2dWeightGradient), name + (other ? " added" : ""), Tolerance.Terms, Limit,
                [new("x", g.InputLength, Role.In), new("dy", g.OutputLength, Role.In), new("dw", g.WeightLength, role)],
                (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], other)) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
        }
    }
}
