using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>Copying blocks of channels, and shuffling them: bit for bit.</summary>
internal static class ChannelsCases
{
    public static IEnumerable<KernelCase> All =>
    [
        .. Copies.SelectMany(g => new[] { Copy(g, false), Copy(g, true) }),
        .. Shuffles.SelectMany(s => new[] { Shuffle(s.Rows, s.Channels, s.Groups, false), Shuffle(s.Rows, s.Channels, s.Groups, true) }),
        .. Interleavings.SelectMany(g => new[] { Interleave(g), Deinterleave(g, false, false), Deinterleave(g, true, false), Deinterleave(g, false, true), Deinterleave(g, true, true) }),
        Copy(new(64 * 28 * 28, 116, 116, 0, 232, 116), false, benchmark: true), Copy(new(16 * 56 * 56, 24, 48, 24, 24, 0), false, benchmark: true),
        Copy(new(16 * 56 * 56, 64, 64, 0, 64, 0), true, benchmark: true),
        Shuffle(64 * 28 * 28, 116, 2, false, benchmark: true), Shuffle(64 * 28 * 28, 116, 58, false, benchmark: true), Shuffle(64 * 28 * 28, 120, 3, false, benchmark: true),
        Interleave(new(64 * 28 * 28, 58, 116, 0, 58, 0), benchmark: true), Deinterleave(new(64 * 28 * 28, 58, 116, 0, 58, 0), false, false, benchmark: true),
    ];

    private static IEnumerable<ChannelsGeometry> Copies =>
    [
        // Whole maps, concatenation, slices; counts on both sides of every vector width.
        new(7, 16, 16, 0, 16, 0), new(5, 1, 1, 0, 1, 0), new(3, 1, 4, 2, 3, 1), new(9, 3, 3, 0, 7, 4), new(4, 7, 20, 13, 7, 0),
        new(1, 17, 17, 0, 40, 23),
        new(6, 33, 48, 5, 64, 30), new(11, 31, 31, 0, 62, 31), new(2, 64, 128, 64, 64, 0), new(900, 24, 48, 0, 100, 3), new(2500, 16, 16, 0, 16, 0),
        new(3, 0, 4, 1, 5, 2),
    ];

    private static IEnumerable<(int Rows, int Channels, int Groups)> Shuffles =>
    [
        (5, 2, 2), (3, 6, 2), (3, 6, 3), (4, 34, 2), (4, 34, 17), (2, 116, 2), (2, 116, 58), (7, 12, 4), (7, 12, 1), (7, 12, 12), (3, 45, 5),
        (2, 64, 32), (2, 64, 2), (700, 58, 2), (700, 58, 29), (1, 1, 1),
    ];

    private static IEnumerable<InterleaveGeometry> Interleavings =>
    [
        // Dense maps and runs inside of maps; counts on both sides of every vector width, and multiples of four for wide loads.
        new(5, 1, 1, 0, 1, 0), new(3, 3, 3, 0, 5, 1), new(4, 4, 8, 4, 4, 0), new(7, 7, 20, 13, 9, 0), new(6, 8, 12, 4, 16, 8), new(9, 16, 16, 0, 17, 1), new(3, 31, 62, 0, 31, 0),
        new(2, 58, 116, 0, 58, 0), new(5, 33, 40, 7, 66, 30), new(700, 29, 58, 0, 29, 0), new(2, 64, 128, 64, 64, 0), new(3, 0, 4, 1, 5, 2),
    ];

    private static KernelCase Interleave(InterleaveGeometry g, bool benchmark = false) =>
        new(nameof(IKernels.Interleave), $"{g}", Tolerance.Exact, 0,
            [new("a", g.Rows * g.PitchA, Role.In), new("b", g.Rows * g.PitchB, Role.In), new("y", 2 * g.Rows * g.Count, Role.Out)],
            (k, v) => k.Interleave(g, v[0], v[1], v[2])) { BenchmarkOnly = benchmark };

    private static KernelCase Deinterleave(InterleaveGeometry g, bool accumulateA, bool accumulateB, bool benchmark = false) =>
        new(nameof(IKernels.Deinterleave), $"{g}{(accumulateA ? " a added" : "")}{(accumulateB ? " b added" : "")}", Tolerance.Exact, accumulateA || accumulateB ? 1e-6 : 0,
            // Both are read also when overwriting: their other channels must stay as they are.
            [new("y", 2 * g.Rows * g.Count, Role.In), new("a", g.Rows * g.PitchA, Role.InOut), new("b", g.Rows * g.PitchB, Role.InOut)],
            (k, v) => k.Deinterleave(g, v[0], v[1], v[2], accumulateA, accumulateB)) { BenchmarkOnly = benchmark };

    private static KernelCase Copy(ChannelsGeometry g, bool accumulate, bool benchmark = false) =>
        new(nameof(IKernels.CopyChannels), $"{g}{(accumulate ? " added" : "")}", Tolerance.Exact, accumulate ? 1e-6 : 0,
            // The target is read also when overwriting: its other channels must stay as they are.
            [new("x", g.Rows * g.SourceC, Role.In), new("y", g.Rows * g.TargetC, Role.InOut)],
            (k, v) => k.CopyChannels(g, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };

    private static KernelCase Shuffle(int rows, int channels, int groups, bool accumulate, bool benchmark = false) =>
        new(nameof(IKernels.ChannelShuffle), $"{rows}×{channels} groups {groups}{(accumulate ? " added" : "")}", Tolerance.Exact, accumulate ? 1e-6 : 0,
            [new("x", (long)rows * channels, Role.In), new("y", (long)rows * channels, accumulate ? Role.InOut : Role.Out)],
            (k, v) => k.ChannelShuffle(rows, channels, groups, v[0], v[1], accumulate)) { BenchmarkOnly = benchmark };
}
