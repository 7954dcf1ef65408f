using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>The refocusing transform: depthwise, grouped and dense kernels, maps of 1, 3 and 5, kernels odd, even and oblong.</summary>
internal static class RefocusCases
{
    private const double Limit = 1e-6;

    public static IEnumerable<KernelCase> All =>
    [
        .. Small.SelectMany(g => new[] { Unfold(g), Forward(g, true), Forward(g, false), ZeroMap(g), MapGradient(g, false), MapGradient(g, true), MapStep(g) }),
        .. Small.SelectMany(g => new[] { BasisGradient(g, true, false), BasisGradient(g, false, true) }),
        .. Large.SelectMany(g => new[] { Unfold(g, true), Forward(g, true, true), MapGradient(g, true, true), MapGradient(g, false, true), MapStep(g, true), BasisGradient(g, true, false, true) }),
    ];

    private static IEnumerable<RefocusGeometry> Small =>
    [
        // Depthwise: one group of all channels.
        new(1, 1, 1, 3, 3, 3), new(8, 8, 8, 3, 3, 3), new(16, 16, 16, 3, 3, 3), new(33, 33, 33, 3, 3, 3), new(7, 7, 7, 5, 5, 3),
        new(5, 5, 5, 5, 5, 5), new(6, 6, 6, 7, 7, 3), new(3, 3, 3, 7, 7, 5),
        new(64, 64, 64, 3, 3, 3), new(48, 48, 48, 3, 3, 1), new(130, 130, 130, 3, 3, 1), new(40, 40, 40, 5, 5, 3),
        new(129, 129, 129, 3, 3, 3),
        new(96, 96, 96, 5, 5, 5), // few rows and long ones: a GPU splits them
        // Grouped: Cin/g ≥ g (a refocus group lies inside one filter) and Cin/g < g (it spans several), even and odd g, several outputs a channel.
        new(8, 8, 2, 3, 3, 3), new(6, 12, 2, 3, 3, 3), new(12, 8, 4, 3, 3, 3), new(9, 9, 3, 3, 3, 3), new(18, 6, 3, 3, 3, 3),
        new(16, 16, 8, 3, 3, 3), new(30, 15, 5, 3, 3, 1), new(32, 32, 16, 3, 3, 3), new(21, 14, 7, 5, 5, 3),
        new(24, 8, 8, 3, 3, 3), new(90, 180, 10, 3, 3, 3),
        // Dense: every kernel by itself.
        new(4, 3, 1, 3, 3, 3), new(17, 5, 1, 3, 3, 3), new(33, 16, 1, 3, 3, 3), new(5, 7, 1, 5, 5, 3), new(3, 4, 1, 7, 7, 5), new(6, 5, 1, 3, 3, 1),
        new(16, 16, 1, 1, 1, 1), new(120, 100, 1, 3, 3, 3),
        // Even and oblong kernels.
        new(6, 4, 1, 4, 4, 3), new(8, 8, 8, 4, 4, 3), new(8, 8, 4, 4, 4, 3), new(8, 8, 8, 2, 2, 1), new(5, 6, 1, 2, 2, 1),
        new(6, 6, 6, 3, 5, 3), new(5, 4, 1, 5, 3, 3), new(8, 12, 4, 3, 4, 3), new(9, 9, 9, 1, 7, 1), new(7, 3, 1, 7, 1, 1), new(4, 4, 2, 5, 6, 5),
    ];

    private static IEnumerable<RefocusGeometry> Large =>
    [
        new(512, 512, 512, 3, 3, 3), new(1024, 1024, 1024, 3, 3, 3), new(128, 128, 128, 3, 3, 3), new(672, 672, 672, 5, 5, 3),
        new(384, 384, 384, 7, 7, 3),
        new(256, 256, 32, 3, 3, 3), new(256, 256, 1, 3, 3, 3), new(512, 512, 1, 3, 3, 3),
    ];

    private static Operand Basis(in RefocusGeometry g) => new("basis", g.KernelLength, Role.In);

    /// <summary>The unfolded basis as the kernel would make it from <see cref="Basis"/>: rows must be consistent with each other.</summary>
    private static Operand Unfolded(RefocusGeometry g)
    {
        if (g.Groups == 1) return new("unfolded", 0, Role.None);
        var basis = new Lazy<float[]>(() => Unfold(g).Values(Basis(g)));
        return new("unfolded", g.UnfoldedLength, Role.In, n =>
        {
            int k = g.MapK, v = (int)(n % k), u = (int)(n / k % k), j = (int)(n / (k * k) % g.Groups);
            long row = n / (k * k) / g.Groups;
            int x = (int)(row % g.S) + v - (k / 2), y = (int)(row / g.S % g.R) + u - (k / 2), d = ((int)(row / g.S / g.R) * g.Groups) + j;
            if (x < 0 || x >= g.S || y < 0 || y >= g.R) return 0;
            return basis.Value[((((long)((y * g.S) + x) * g.GroupC) + (d % g.GroupC)) * g.Cout) + (d / g.GroupC)];
        });
    }

    private static KernelCase Unfold(RefocusGeometry g, bool benchmark = false) =>
        new(nameof(IKernels.RefocusUnfold), $"{g}", Tolerance.Exact, 0,
            [Basis(g), g.Groups == 1 ? new("unfolded", 0, Role.None) : new("unfolded", g.UnfoldedLength, Role.Out)],
            (k, v) => k.RefocusUnfold(g, v[0], v[1])) { BenchmarkOnly = benchmark };

    private static KernelCase Forward(RefocusGeometry g, bool shortcut, bool benchmark = false) =>
        new(nameof(IKernels.RefocusForward), $"{g}{(shortcut ? " shortcut" : "")}", Tolerance.Terms, Limit,
            [Basis(g), Unfolded(g), new("map", g.MapLength, Role.In), new("result", g.KernelLength, Role.Out)],
            (k, v) => k.RefocusForward(g, v[0], v[1], v[2], v[3], shortcut)) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };

    private static KernelCase ZeroMap(RefocusGeometry g) =>
        new(nameof(IKernels.RefocusForward), $"{g} zero map", Tolerance.Exact, 0,
            [Basis(g), Unfolded(g), new("map", g.MapLength, Role.In, _ => 0), new("result", g.KernelLength, Role.Out)],
            (k, v) => k.RefocusForward(g, v[0], v[1], v[2], v[3], shortcut: true));

    private static KernelCase MapGradient(RefocusGeometry g, bool accumulate, bool benchmark = false) =>
        new(nameof(IKernels.RefocusMapGradient), $"{g}{(accumulate ? " added" : "")}", Tolerance.Terms, Limit,
            [Basis(g), Unfolded(g), new("dw", g.KernelLength, Role.In), new("dmap", g.MapLength, accumulate ? Role.InOut : Role.Out)],
            (k, v) => k.RefocusMapGradient(g, v[0], v[1], v[2], v[3], accumulate)) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };

    private static KernelCase MapStep(RefocusGeometry g, bool benchmark = false)
    {
        var step = new SgdStepGeometry(0.1, g.R == 3 ? 0.9 : 0, 1e-4, g.MapK == 3 && g.R == 3, g.Cout % 2 == 0);
        return new(nameof(IKernels.RefocusMapStep), $"{g} {step}", Tolerance.Value, 1e-5,
            [
                Basis(g), Unfolded(g), new("dw", g.KernelLength, Role.In), new("map", g.MapLength, Role.InOut),
                new("velocity", g.MapLength, step.Momentum == 0 ? Role.None : Role.InOut),
            ],
            (k, v) => k.RefocusMapStep(g, step, v[0], v[1], v[2], v[3], v[4])) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
    }

    private static KernelCase BasisGradient(RefocusGeometry g, bool shortcut, bool accumulate, bool benchmark = false) =>
        new(nameof(IKernels.RefocusBasisGradient), $"{g}{(shortcut ? " shortcut" : "")}{(accumulate ? " added" : "")}", Tolerance.Terms, Limit,
            [new("map", g.MapLength, Role.In), new("dw", g.KernelLength, Role.In), new("dbasis", g.KernelLength, accumulate ? Role.InOut : Role.Out)],
            (k, v) => k.RefocusBasisGradient(g, v[0], v[1], v[2], shortcut, accumulate)) { Flops = 2.0 * g.Macs, BenchmarkOnly = benchmark };
}
