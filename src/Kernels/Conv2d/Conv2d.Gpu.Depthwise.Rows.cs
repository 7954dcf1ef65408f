using ILGPU;

namespace RefConv.Kernels;

/// <summary>What a depthwise kernel does with its results besides bias and residual. Without an activation, as in training, its code is not there.</summary>
internal interface IDepthwiseFinish
{
    static abstract bool Activates { get; }
}

internal struct PlainFinish : IDepthwiseFinish
{
    public static bool Activates => false;
}

internal struct ActivatedFinish : IDepthwiseFinish
{
    public static bool Activates => true;
}

internal sealed partial class GpuKernels
{
    private const int DepthwiseGroup = 256;

    /// <summary>Runs the kernel of this width and stride, where there is one.</summary>
    private bool LaunchDepthwiseRows<L>(in Conv2dGeometry g, DepthwiseArguments a) where L : unmanaged, ILanes<L>
    {
        if (g.DilationH != 1 || g.DilationW != 1 || g.StrideH != g.StrideW) return false;
        bool activates = a.Activation != ActivationKind.Identity;
        // Of single floats only the width that networks have with channel counts not divisible by four (ShuffleNetV2): every kernel has to be compiled.
        if (L.Width == 1 && (g.S != 3 || activates)) return false;
        Action<DepthwiseArguments>? kernel = (g.S, g.StrideH, activates) switch
        {
            (3, 1, false) => DepthwiseRowsKernel<L, Width3Stride1, PlainFinish>,
            (3, 1, true) => DepthwiseRowsKernel<L, Width3Stride1, ActivatedFinish>,
            (3, 2, false) => DepthwiseRowsKernel<L, Width3Stride2, PlainFinish>,
            (3, 2, true) => DepthwiseRowsKernel<L, Width3Stride2, ActivatedFinish>,
            (5, 1, false) => DepthwiseRowsKernel<L, Width5Stride1, PlainFinish>,
            (5, 1, true) => DepthwiseRowsKernel<L, Width5Stride1, ActivatedFinish>,
            (5, 2, false) => DepthwiseRowsKernel<L, Width5Stride2, PlainFinish>,
            (5, 2, true) => DepthwiseRowsKernel<L, Width5Stride2, ActivatedFinish>,
            (7, 1, false) => DepthwiseRowsKernel<L, Width7Stride1, PlainFinish>,
            (7, 1, true) => DepthwiseRowsKernel<L, Width7Stride1, ActivatedFinish>,
            _ => null,
        };
        if (kernel == null) return false;
        int group = BarrierGroup(DepthwiseGroup), rows = g.StrideH == 1 ? 2 : 1;
        a.Tile = DepthwiseTile.Cut(group, a.Channels.Value, 32 / L.Width, DivideUp(a.Q, 4), DivideUp(a.P, rows), a.N, out var groups);
        LaunchGroups(kernel, groups, a, group);
        return true;
    }

    /// <summary>
    /// A thread has four neighbouring results, at stride 1 in two rows, and goes down the rows of x under them: each is read once, into registers, and serves the first row
    /// of results with its kernel row and the second with the one before, which is still there.
    /// </summary>
    /// <remarks>
    /// Bytes: x and y once, 8 an element at stride 1, 20 at stride 2. An H100 has 2.2 cycles of a multiprocessor for the 32 bytes of a Float4 at stride 1, 5.5 at stride 2. In that time
    /// 3×3 takes 4.1 loads from the first-level cache a result (0.5 cycles) and some 60 instructions (0.5 cycles): memory bounds it (expected: above 85 % of a copy).
    /// 5×5: 9.1 loads (1.1 cycles), 160 instructions (1.3): above 80 %. 7×7: 16 loads (2.0), 290 instructions (2.3): loads, arithmetic and memory take the same time, some 60 %.
    /// </remarks>
    [GpuKernel(DepthwiseGroup, MinGroups = 2, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(Width3Stride1), typeof(PlainFinish)), GpuVariant(typeof(Float4), typeof(Width3Stride1), typeof(ActivatedFinish))]
    [GpuVariant(typeof(Float4), typeof(Width3Stride2), typeof(PlainFinish)), GpuVariant(typeof(Float4), typeof(Width3Stride2), typeof(ActivatedFinish))]
    [GpuVariant(typeof(Float4), typeof(Width5Stride1), typeof(PlainFinish)), GpuVariant(typeof(Float4), typeof(Width5Stride1), typeof(ActivatedFinish))]
    [GpuVariant(typeof(Float4), typeof(Width5Stride2), typeof(PlainFinish)), GpuVariant(typeof(Float4), typeof(Width5Stride2), typeof(ActivatedFinish))]
    [GpuVariant(typeof(Float4), typeof(Width7Stride1), typeof(PlainFinish)), GpuVariant(typeof(Float4), typeof(Width7Stride1), typeof(ActivatedFinish))]
    [GpuVariant(typeof(Float1), typeof(Width3Stride1), typeof(PlainFinish)), GpuVariant(typeof(Float1), typeof(Width3Stride2), typeof(PlainFinish))]
    private static void DepthwiseRowsKernel<L, T, TFinish>(DepthwiseArguments a)
        where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape where TFinish : struct, IDepthwiseFinish
    {
        const int Columns = 4;
        int resultRows = T.Stride == 1 ? 2 : 1;
        var place = DepthwisePlace.OfThread(a.Tile);
        int c = place.Channel, n = place.Image, p = place.Row * resultRows, q = place.Column * Columns;
        if (c >= a.Channels.Value || n >= a.N || p >= a.P || q >= a.Q) return;
        int step = a.Channels.Value, left = (q * T.Stride) - a.PadLeft, top = (p * T.Stride) - a.PadTop;
        var x = a.X.Cast<L>();
        var weights = a.Weights.Cast<L>();
        DepthwiseFour<L> upper = default, lower = default;
        DepthwiseTaps<L> w = default, above = default;
        int rows = a.R + resultRows - 1, weight = a.WeightFirst + c;
        for (int r = 0; r < rows; r++, weight += a.WeightRow)
        {
            if (r < a.R) w = DepthwiseParts.LoadTaps<L, T>(weights, weight, a.WeightColumn);
            int h = top + r;
            if (h >= 0 && h < a.H)
            {
                var v = DepthwiseParts.Load<L, T>(x, (((n * a.H) + h) * a.W * step) + c, left, a.W, step);
                // The last row is the second results' alone, the first one the first's.
                if (r < a.R) DepthwiseParts.Convolve<L, T>(ref upper, v, w);
                if (T.Stride == 1 && r > 0) DepthwiseParts.Convolve<L, T>(ref lower, v, above);
            }
            if (T.Stride == 1) above = w;
        }
        L bias = default;
        if (a.HasBias != 0) bias = a.Bias.Cast<L>()[c];
        int at = (((((n * a.P) + p) * a.Q) + q) * step) + c;
        if (TFinish.Activates)
        {
            // The code of the activations is long: once, in a loop through which the results move up.
            for (int k = 0; k < resultRows * Columns; k++)
            {
                int row = k >> 2, column = k & 3;
                if (column < a.Q - q && p + row < a.P) Store<L, TFinish>(a, upper.A + bias, at + (((row * a.Q) + column) * step));
                upper = Shift(upper, lower.A);
                lower = Shift(lower, default);
            }
            return;
        }
        StoreFour(a, upper, bias, at, a.Q - q);
        if (T.Stride == 1 && p + 1 < a.P) StoreFour(a, lower, bias, at + (a.Q * step), a.Q - q);
    }

    private static DepthwiseFour<L> Shift<L>(DepthwiseFour<L> four, L next) where L : unmanaged, ILanes<L> => new() { A = four.B, B = four.C, C = four.D, D = next };

    /// <summary>Writes as many of four neighbouring results as there are columns left.</summary>
    private static void StoreFour<L>(DepthwiseArguments a, DepthwiseFour<L> results, L bias, int at, int columns) where L : unmanaged, ILanes<L>
    {
        int step = a.Channels.Value;
        Store<L, PlainFinish>(a, results.A + bias, at);
        if (columns > 1) Store<L, PlainFinish>(a, results.B + bias, at + step);
        if (columns > 2) Store<L, PlainFinish>(a, results.C + bias, at + (2 * step));
        if (columns > 3) Store<L, PlainFinish>(a, results.D + bias, at + (3 * step));
    }

    private static void Store<L, TFinish>(DepthwiseArguments a, L value, int at) where L : unmanaged, ILanes<L> where TFinish : struct, IDepthwiseFinish
    {
        if (a.HasResidual != 0) value = value + a.Residual.Cast<L>()[at];
        if (TFinish.Activates) value = L.Activate(a.Activation, value);
        var y = a.Y.Cast<L>();
        y[at] = value;
    }
}

/// <summary>Which part of a map a thread has, counted in what a thread does.</summary>
internal struct DepthwisePlace
{
    public int Channel, Column, Row, Image;

    public static DepthwisePlace OfThread(DepthwiseTile tile)
    {
        int column = Grid.IdxX / tile.Slices, slice = Grid.IdxX - (column * tile.Slices), thread = Group.IdxX;
        int inColumn = thread >> tile.LogChannels, inRow = inColumn >> tile.LogColumns, inImage = inRow >> tile.LogRows;
        int images = Group.DimX >> (tile.LogChannels + tile.LogColumns + tile.LogRows);
        return new()
        {
            Channel = (slice << tile.LogChannels) + (thread & ((1 << tile.LogChannels) - 1)),
            Column = (column << tile.LogColumns) + (inColumn & ((1 << tile.LogColumns) - 1)),
            Row = (Grid.IdxY << tile.LogRows) + (inRow & ((1 << tile.LogRows) - 1)),
            Image = (Grid.IdxZ * images) + inImage,
        };
    }
}
