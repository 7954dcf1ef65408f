using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>The three computations of a convolution layer.</summary>
public enum Conv2dDirection
{
    /// <summary>y from x and w.</summary>
    Forward,

    /// <summary>dx from dy and w.</summary>
    InputGradient,

    /// <summary>dw from x and dy.</summary>
    WeightGradient,
}

public sealed unsafe partial class CpuDevice
{
    /// <summary>Says in words which algorithm serves a convolution here, and how the work is cut: for people who wonder about a timing.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="direction">Which of the three computations.</param>
    public string Explain(in Conv2dGeometry g, Conv2dDirection direction) => ((CpuKernels)Kernels).Explain(g, direction);

    /// <summary>The same of a convolution in an inference plan, weights packed and <see cref="Conv2dAccuracy.Fast"/> allowed.</summary>
    /// <param name="g">Shape.</param>
    public string ExplainPacked(in Conv2dGeometry g) => CpuKernels.WinogradFits(g) ? "Winograd F(4×4, 3×3), weights transformed once" : Explain(g, Conv2dDirection.Forward);
}

/// <remarks>What is said here comes from the functions that cut the work, where they can be asked; the rest follows their conditions.</remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>See <see cref="CpuDevice.Explain"/>.</summary>
    internal string Explain(in Conv2dGeometry g, Conv2dDirection direction)
    {
        if (g.OutputLength == 0 || g.InputLength == 0) return "nothing to do";
        if (g.IsDepthwise) return direction == Conv2dDirection.WeightGradient ? ExplainDepthwiseWeightGradient(g) : ExplainDepthwise(g, direction);
        bool toInput = direction == Conv2dDirection.InputGradient;
        if (SmallGroupsFit(toInput ? g.GroupK : g.GroupC, toInput ? g.GroupC : g.GroupK))
            return $"small groups: {Simd.MaxWidth} channels of {Simd.MaxWidth / (toInput ? g.GroupC : g.GroupK)} groups in a vector, the source spread out to match";
        bool fast = _device.ConvolutionAccuracy == Conv2dAccuracy.Fast;
        if (fast && (toInput ? WinogradInputGradientFitsWithPacking(g) : direction == Conv2dDirection.Forward && WinogradFitsWithPacking(g)))
            return "Winograd F(4×4, 3×3), weights transformed on the way";
        if (fast && direction == Conv2dDirection.WeightGradient && WinogradWeightGradientFits(g))
            return $"Winograd F(3×3, 4×4), blocks of {WinogradBlock}×{WinogradBlock} channels, {WinogradGradientTiles} tiles at a time";
        if (!toInput && StripsFit(g))
            return $"{(direction == Conv2dDirection.Forward ? "gathered product" : "outer products")} over strips: padded copies of {g.R} input rows for an output row, sums of {g.R} runs of {g.S * g.C} values";
        using var taps = TapScratch(g);
        var tap = (Tap*)taps.Pointer;
        string inference = direction == Conv2dDirection.Forward && WinogradFits(g) ? " (in inference plans Winograd F(4×4, 3×3))" : "";
        switch (direction)
        {
            case Conv2dDirection.Forward:
                return "gathered product: " + ExplainGather(PixelMap.Forward(g, tap), g.Groups) + inference;
            case Conv2dDirection.WeightGradient:
                return "outer products: " + ExplainOuter(PixelMap.Forward(g, tap), g.Groups);
        }
        int phasesH = Math.Min(g.StrideH, g.H), phasesW = Math.Min(g.StrideW, g.W);
        string phases = phasesH * phasesW == 1 ? "" : $"one for each of the {phasesH}×{phasesW} remainders of the stride, the first: ";
        return "gathered product over dy: " + phases + ExplainGather(PixelMap.InputGradient(g, 0, 0, tap), g.Groups);
    }

    private static bool SmallGroupsFit(int depth, int width) => Simd.MaxWidth switch
    {
        16 => GroupedFits<Vector512<float>>(depth, width),
        8 => GroupedFits<Vector256<float>>(depth, width),
        4 => GroupedFits<Vector128<float>>(depth, width),
        _ => GroupedFits<float>(depth, width),
    };

    private static Panels ExplainPanels(in PixelMap map, int groups) => Simd.MaxWidth switch
    {
        16 => Panels.Of<Vector512<float>>(map, groups),
        8 => Panels.Of<Vector256<float>>(map, groups),
        4 => Panels.Of<Vector128<float>>(map, groups),
        _ => Panels.Of<float>(map, groups),
    };

    private static string ExplainGather(in PixelMap map, int groups)
    {
        if (map.Points == 0) return "no points";
        var plan = new GatherPlan { Map = map, Panels = ExplainPanels(map, groups) };
        plan.Windows = map.Taps > 1 && plan.Panels.Depth < MinSegment;
        long sum = (long)map.Taps * plan.Panels.Depth;
        Cut(ref plan, map.Points * sum * map.TargetC);
        return $"{map.Points}×{sum} by {sum}×{plan.Panels.Width}{Groups(plan.Panels)}, {Rows(plan.Windows, map)}, tiles of {Tiles.MaxRows}×{TileColumns(plan.Panels)}, "
            + $"cut into {plan.RowBlocks} blocks of {plan.RowsPerBlock} points × {plan.ColumnBlocks} of {Pieces(plan.Panels.Count, plan.ColumnBlocks)} panels";
    }

    private static string ExplainOuter(in PixelMap map, int groups)
    {
        if (map.Points == 0) return "no points";
        var plan = new OuterPlan { Map = map, Panels = ExplainPanels(map, groups) };
        plan.Windows = map.Taps > 1 && plan.Panels.Depth < MinSegment;
        plan.Rows = map.Taps * plan.Panels.Depth;
        plan.RowsPerTap = plan.Windows ? plan.Rows : plan.Panels.Depth;
        plan.ResultFloats = (long)plan.Rows * map.TargetC;
        Cut(ref plan, map.Points * plan.ResultFloats);
        string x = plan.PackX ? "x packed" : Rows(plan.Windows, map);
        return $"{plan.Rows}×{plan.Panels.Width}{Groups(plan.Panels)} summed over {map.Points} points, {x}, tiles of {Tiles.MaxRows}×{TileColumns(plan.Panels)}, "
            + $"{plan.Chunks} chunks of {plan.ChunkPoints} points, cut into {plan.PointSplits} parts of the points × {plan.RowBlocks} of the rows × {plan.ColumnBlocks} of the columns";
    }

    private static string ExplainDepthwise(in Conv2dGeometry g, Conv2dDirection direction)
    {
        bool gradient = direction == Conv2dDirection.InputGradient;
        if (gradient && CanSpread(g)) return $"depthwise spread {g.R}×{g.S}: each pixel of dy once, to two rows and columns of the result at a time, {Lanes(g)}";
        // Of another strided gradient every phase is a stride-1 correlation with the taps of that phase.
        if (gradient && (g.StrideH > 1 || g.StrideW > 1))
            return $"depthwise in {g.StrideH * g.StrideW} phases of the stride, each a correlation of dy with its own taps of the {g.R}×{g.S}, {Lanes(g)}";
        int left = gradient ? ((g.S - 1) * g.DilationW) - g.PadLeft : g.PadLeft;
        bool plain = g is { StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1 };
        string how = plain && left < g.S && ((g.S == 3 && g.R == 3) || g.S is 5 or 7) ? "sweep, two rows of the result at a time"
            : CanSweepStrided(new DepthwisePass { StrideH = g.StrideH, StrideW = g.StrideW, DilationH = g.DilationH, DilationW = g.DilationW, PadLeft = left, R = g.R, S = g.S }) ? "strided sweep, two rows of the result at a time"
            : g is { R: 3, S: 3 } ? "3×3 with the taps in registers"
            : "gather";
        return $"depthwise {g.R}×{g.S} {how}, {Lanes(g)}";
    }

    private static string ExplainDepthwiseWeightGradient(in Conv2dGeometry g)
    {
        bool plain = g is { StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1 };
        string how = g is { R: 3, S: 3 } ? $"{(plain ? "sweep " : "")}3×3, all nine sums in registers"
            : plain && g.S is 5 or 7 ? $"sweep {g.R}×{g.S}, two kernel rows at a time"
            : $"nine taps at a time of the {g.R}×{g.S}";
        return $"depthwise {how}, {Lanes(g)}";
    }

    private static string Rows(bool windows, in PixelMap map) => windows ? "windows copied side by side" : map.Taps == 1 ? "rows read where they lie" : $"rows of {map.Taps} taps through pointers";

    private static string Groups(Panels panels) =>
        panels.Groups == 1 ? "" : $" in each of {panels.Groups} groups{(panels.Together > 1 ? $", {panels.Together} of them at a time" : "")}";

    /// <summary>Columns of the tiles: those of a panel, and what is left over at the edge.</summary>
    private static string TileColumns(Panels panels)
    {
        int columns = panels.Together * panels.Width, rest = columns % panels.Wide;
        return columns < panels.Wide ? $"{columns}" : rest == 0 ? $"{panels.Wide}" : $"{panels.Wide} (the last {rest})";
    }

    private static string Lanes(in Conv2dGeometry g) =>
        g.C % Simd.MaxWidth == 0 ? $"{Simd.MaxWidth} channels a vector" : $"{Math.Min(g.C, BlockWidth(g.C))} channels a vector and narrower ones for the rest of {g.C}";
}
