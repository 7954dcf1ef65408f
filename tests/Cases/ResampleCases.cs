using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>Nearest upsampling, and channels exchanged for pixels.</summary>
internal static class ResampleCases
{
    public static IEnumerable<KernelCase> All =>
    [
        .. Upsamples.SelectMany(g => new[] { Up(g), UpBackward(g, false), UpBackward(g, true) }),
        .. Exchanges.SelectMany(g => new[] { Exchange(g, true, false), Exchange(g, true, true), Exchange(g, false, false), Exchange(g, false, true) }),
        Up(new(16, 28, 28, 36, 2), benchmark: true), UpBackward(new(16, 28, 28, 36, 2), false, benchmark: true),
        Exchange(new(4, 200, 200, 1, 2, DepthToSpaceMode.CRD), true, false, benchmark: true), Exchange(new(4, 64, 64, 16, 2, DepthToSpaceMode.CRD), true, false, benchmark: true),
    ];

    private static IEnumerable<UpsampleGeometry> Upsamples =>
        [new(1, 1, 1, 1, 1), new(2, 3, 2, 5, 2), new(1, 4, 5, 29, 2), new(2, 2, 3, 16, 3), new(1, 3, 2, 7, 4), new(2, 1, 5, 64, 1), new(2, 40, 40, 12, 2)];

    private static IEnumerable<DepthToSpaceGeometry> Exchanges =>
        from mode in Enum.GetValues<DepthToSpaceMode>()
        from g in new DepthToSpaceGeometry[] { new(1, 1, 1, 1, 1, mode), new(2, 3, 2, 1, 2, mode), new(1, 2, 3, 5, 2, mode), new(2, 2, 1, 17, 3, mode), new(1, 3, 2, 3, 4, mode), new(2, 50, 41, 5, 2, mode) }
        select g;

    private static KernelCase Up(UpsampleGeometry g, bool benchmark = false) => new(nameof(IKernels.UpsampleNearestForward), $"{g}", Tolerance.Exact, 0,
        [new("x", Small(g), Role.In), new("y", Small(g) * g.Scale * g.Scale, Role.Out)], (k, v) => k.UpsampleNearestForward(g, v[0], v[1])) { BenchmarkOnly = benchmark };

    private static KernelCase UpBackward(UpsampleGeometry g, bool accumulate, bool benchmark = false) => new(
        nameof(IKernels.UpsampleNearestBackward), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Terms, 1e-6,
        [new("dy", Small(g) * g.Scale * g.Scale, Role.In), new("dx", Small(g), accumulate ? Role.InOut : Role.Out)],
        (k, v) => k.UpsampleNearestBackward(g, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };

    private static KernelCase Exchange(DepthToSpaceGeometry g, bool toWide, bool accumulate, bool benchmark = false)
    {
        long count = (long)g.N * g.H * g.W * g.C * g.Block * g.Block;
        return new(toWide ? nameof(IKernels.DepthToSpace) : nameof(IKernels.SpaceToDepth), $"{g}{(accumulate ? " accumulate" : "")}", Tolerance.Exact, accumulate ? 1e-6 : 0,
            [new("from", count, Role.In), new("to", count, accumulate ? Role.InOut : Role.Out)],
            (k, v) =>
            {
                if (toWide) k.DepthToSpace(g, v[0], v[1], accumulate);
                else k.SpaceToDepth(g, v[0], v[1], accumulate);
            }) { BenchmarkOnly = benchmark };
    }

    private static long Small(UpsampleGeometry g) => (long)g.N * g.H * g.W * g.C;
}
