using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// What the threads of a group share of a map: 2^k of them along channels (neighbours in memory first), columns, rows and images.
/// </summary>
internal struct DepthwiseTile
{
    public int LogChannels, LogColumns, LogRows, Slices;

    /// <summary>
    /// Cuts a map of so many lanes, columns and rows of threads, and images, into groups. First 128 bytes of channels, a line of the cache, then up to 8×32 places of the map,
    /// so that what windows share is read by the same multiprocessor; small maps leave room for more channels, then for images.
    /// </summary>
    public static DepthwiseTile Cut(int threads, int lanes, int lineLanes, int columns, int rows, int images, out (int X, int Y, int Z) groups)
    {
        int free = GpuMath.Log2Up(threads + 1) - 1;
        var tile = new DepthwiseTile { LogChannels = Math.Min(free, FittingLog(lanes, GpuMath.Log2Up(lineLanes))) };
        tile.LogColumns = Math.Min(Math.Min(3, free - tile.LogChannels), GpuMath.Log2Up(columns));
        tile.LogRows = Math.Min(free - tile.LogChannels - tile.LogColumns, GpuMath.Log2Up(rows));
        tile.LogChannels = Math.Max(tile.LogChannels, FittingLog(lanes, free - tile.LogColumns - tile.LogRows));
        int logImages = free - tile.LogChannels - tile.LogColumns - tile.LogRows;
        tile.Slices = Groups(lanes, tile.LogChannels);
        groups = (tile.Slices * Groups(columns, tile.LogColumns), Groups(rows, tile.LogRows), Groups(images, logImages));
        return tile;
    }

    private static int Groups(int count, int log) => (count + (1 << log) - 1) >> log;

    /// <summary>The largest 2^k up to a limit of which no more than a quarter of the threads have no channels.</summary>
    private static int FittingLog(int lanes, int most)
    {
        int log = Math.Min(most, GpuMath.Log2Up(lanes));
        while (log > 0 && Groups(lanes, log) << log > lanes + (lanes / 3)) log--;
        return log;
    }
}

/// <summary>Whole numbers, on the host.</summary>
internal static class GpuMath
{
    /// <summary>The smallest k with 2^k ≥ value.</summary>
    public static int Log2Up(long value) => value <= 1 ? 0 : System.Numerics.BitOperations.Log2((ulong)(value - 1)) + 1;
}

/// <summary>Width, stride and results a thread of a depthwise kernel: constants, of which the compiler leaves nothing but straight-line code.</summary>
internal interface IDepthwiseShape
{
    /// <summary>Columns of the kernel: 3, 5 or 7.</summary>
    static abstract int S { get; }

    /// <summary>1 or 2, both ways.</summary>
    static abstract int Stride { get; }
}

internal struct Width3Stride1 : IDepthwiseShape
{
    public static int S => 3;

    public static int Stride => 1;
}

internal struct Width3Stride2 : IDepthwiseShape
{
    public static int S => 3;

    public static int Stride => 2;
}

internal struct Width5Stride1 : IDepthwiseShape
{
    public static int S => 5;

    public static int Stride => 1;
}

internal struct Width5Stride2 : IDepthwiseShape
{
    public static int S => 5;

    public static int Stride => 2;
}

internal struct Width7Stride1 : IDepthwiseShape
{
    public static int S => 7;

    public static int Stride => 1;
}

/// <summary>A row of a kernel, or its gradient: S of these are used.</summary>
internal struct DepthwiseTaps<L> where L : unmanaged, ILanes<L>
{
    public L W0, W1, W2, W3, W4, W5, W6;
}

/// <summary>Four neighbouring results.</summary>
internal struct DepthwiseFour<L> where L : unmanaged, ILanes<L>
{
    public L A, B, C, D;
}

/// <summary>The pixels of a row that four neighbouring results see: 3·stride + S of these are used.</summary>
internal struct DepthwiseWindow<L> where L : unmanaged, ILanes<L>
{
    public L X0, X1, X2, X3, X4, X5, X6, X7, X8, X9, X10;
}

/// <summary>What depthwise kernels do with windows. All of it is inlined.</summary>
internal static class DepthwiseParts
{
    /// <summary>
    /// Reads the window whose first pixel is in column <paramref name="left"/> of a row; outside columns 0 … <paramref name="right"/> − 1 it is 0. Windows inside the
    /// map, most of them, ask once for all pixels.
    /// </summary>
    public static DepthwiseWindow<L> Load<L, T>(ArrayView<L> x, int row, int left, int right, int step) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        int pixels = (3 * T.Stride) + T.S;
        var v = default(DepthwiseWindow<L>);
        if (left >= 0 && left + pixels <= right)
        {
            int at = row + (left * step);
            v.X0 = x[at];
            v.X1 = x[at + step];
            v.X2 = x[at + (2 * step)];
            v.X3 = x[at + (3 * step)];
            v.X4 = x[at + (4 * step)];
            v.X5 = x[at + (5 * step)];
            if (pixels > 6) v.X6 = x[at + (6 * step)];
            if (pixels > 6) v.X7 = x[at + (7 * step)];
            if (pixels > 8) v.X8 = x[at + (8 * step)];
            if (pixels > 9) v.X9 = x[at + (9 * step)];
            if (pixels > 10) v.X10 = x[at + (10 * step)];
        }
        else
        {
            v.X0 = Pixel(x, row, left, right, step);
            v.X1 = Pixel(x, row, left + 1, right, step);
            v.X2 = Pixel(x, row, left + 2, right, step);
            v.X3 = Pixel(x, row, left + 3, right, step);
            v.X4 = Pixel(x, row, left + 4, right, step);
            v.X5 = Pixel(x, row, left + 5, right, step);
            if (pixels > 6) v.X6 = Pixel(x, row, left + 6, right, step);
            if (pixels > 6) v.X7 = Pixel(x, row, left + 7, right, step);
            if (pixels > 8) v.X8 = Pixel(x, row, left + 8, right, step);
            if (pixels > 9) v.X9 = Pixel(x, row, left + 9, right, step);
            if (pixels > 10) v.X10 = Pixel(x, row, left + 10, right, step);
        }
        return v;
    }

    /// <summary>One pixel, 0 outside columns 0 … right − 1.</summary>
    public static L Pixel<L>(ArrayView<L> x, int row, int column, int right, int step) where L : unmanaged, ILanes<L>
    {
        L v = default;
        if (column >= 0 && column < right) v = x[row + (column * step)];
        return v;
    }

    public static DepthwiseTaps<L> LoadTaps<L, T>(ArrayView<L> w, int at, int step) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        var v = default(DepthwiseTaps<L>);
        v.W0 = w[at];
        v.W1 = w[at + step];
        v.W2 = w[at + (2 * step)];
        if (T.S > 3) v.W3 = w[at + (3 * step)];
        if (T.S > 3) v.W4 = w[at + (4 * step)];
        if (T.S > 5) v.W5 = w[at + (5 * step)];
        if (T.S > 5) v.W6 = w[at + (6 * step)];
        return v;
    }

    /// <summary>Adds a kernel row's products to four neighbouring results.</summary>
    public static void Convolve<L, T>(ref DepthwiseFour<L> sums, DepthwiseWindow<L> v, DepthwiseTaps<L> w) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        sums.A = Dot<L, T>(sums.A, w, v.X0, v.X1, v.X2, v.X3, v.X4, v.X5, v.X6);
        if (T.Stride == 1)
        {
            sums.B = Dot<L, T>(sums.B, w, v.X1, v.X2, v.X3, v.X4, v.X5, v.X6, v.X7);
            sums.C = Dot<L, T>(sums.C, w, v.X2, v.X3, v.X4, v.X5, v.X6, v.X7, v.X8);
            sums.D = Dot<L, T>(sums.D, w, v.X3, v.X4, v.X5, v.X6, v.X7, v.X8, v.X9);
        }
        else
        {
            sums.B = Dot<L, T>(sums.B, w, v.X2, v.X3, v.X4, v.X5, v.X6, v.X7, v.X8);
            sums.C = Dot<L, T>(sums.C, w, v.X4, v.X5, v.X6, v.X7, v.X8, v.X9, v.X10);
            sums.D = Dot<L, T>(sums.D, w, v.X6, v.X7, v.X8, v.X9, v.X10, default, default);
        }
    }

    /// <summary>Adds the products of four gradients with the pixels under them to a kernel row's gradient.</summary>
    public static void Correlate<L, T>(ref DepthwiseTaps<L> sums, DepthwiseWindow<L> v, DepthwiseFour<L> d) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        if (T.Stride == 1)
        {
            sums.W0 += Four(d, v.X0, v.X1, v.X2, v.X3);
            sums.W1 += Four(d, v.X1, v.X2, v.X3, v.X4);
            sums.W2 += Four(d, v.X2, v.X3, v.X4, v.X5);
            if (T.S > 3) sums.W3 += Four(d, v.X3, v.X4, v.X5, v.X6);
            if (T.S > 3) sums.W4 += Four(d, v.X4, v.X5, v.X6, v.X7);
            if (T.S > 5) sums.W5 += Four(d, v.X5, v.X6, v.X7, v.X8);
            if (T.S > 5) sums.W6 += Four(d, v.X6, v.X7, v.X8, v.X9);
        }
        else
        {
            sums.W0 += Four(d, v.X0, v.X2, v.X4, v.X6);
            sums.W1 += Four(d, v.X1, v.X3, v.X5, v.X7);
            sums.W2 += Four(d, v.X2, v.X4, v.X6, v.X8);
            if (T.S > 3) sums.W3 += Four(d, v.X3, v.X5, v.X7, v.X9);
            if (T.S > 3) sums.W4 += Four(d, v.X4, v.X6, v.X8, v.X10);
        }
    }

    private static L Dot<L, T>(L sum, DepthwiseTaps<L> w, L x0, L x1, L x2, L x3, L x4, L x5, L x6) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        sum = sum + (w.W0 * x0);
        sum = sum + (w.W1 * x1);
        sum = sum + (w.W2 * x2);
        if (T.S > 3) sum = sum + (w.W3 * x3);
        if (T.S > 3) sum = sum + (w.W4 * x4);
        if (T.S > 5) sum = sum + (w.W5 * x5);
        if (T.S > 5) sum = sum + (w.W6 * x6);
        return sum;
    }

    private static L Four<L>(DepthwiseFour<L> d, L x0, L x1, L x2, L x3) where L : unmanaged, ILanes<L> => (d.A * x0) + (d.B * x1) + (d.C * x2) + (d.D * x3);
}
