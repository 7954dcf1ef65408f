using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// All pooling is two gathers: forward, a place of the small map adds up a window of the large one (<see cref="WindowSumKernel"/>); backward, a place of the large map
/// adds up the windows that cover it (<see cref="WindowSpreadKernel"/>), so that every element is written once, by one thread. Adaptive averages are the same with other
/// windows, and nearest upsampling is the same two the other way round.
/// </remarks>
internal sealed partial class GpuKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) =>
        SumWindows<PoolWindows>(WindowsOf(g), g.N, g.C, x, y, accumulate: false);

    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) =>
        SpreadWindows<PoolCovers, PoolWindows>(WindowsOf(g), g.N, g.C, dy, dx, accumulate);

    private static WindowShape WindowsOf(in Pool2dGeometry g) => new()
    {
        H = g.H, W = g.W, P = g.P, Q = g.Q, R = g.R, S = g.S, Padding = g.Padding, Stride = new(g.Stride), Factor = g.CountIncludePad ? 1f / (g.R * g.S) : 0,
    };

    /// <summary>y[n,p,q,c] (+)= factor · Σ of x over window (p, q)</summary>
    private void SumWindows<T>(WindowShape shape, int images, int channels, BufferView x, BufferView y, bool accumulate) where T : struct, IWindows
    {
        long large = (long)shape.H * shape.W * channels, small = (long)shape.P * shape.Q * channels;
        if (images * small == 0) return;
        bool wide = IsWide(channels, x, y);
        foreach (var (first, count) in Pieces(images, Math.Max(large, small)))
        {
            var arguments = Arguments(shape, channels, wide, shape.P, shape.Q, count, accumulate);
            arguments.X = V(Rows(x, first, count, large));
            arguments.Y = V(Rows(y, first, count, small));
            if (wide) LaunchElements(WindowSumKernel<Float4, T>, arguments.Count, arguments);
            else LaunchElements(WindowSumKernel<Float1, T>, arguments.Count, arguments);
        }
    }

    /// <summary>dx[n,h,w,c] (+)= Σ over the windows (p, q) that cover (h, w) of factor(p, q) · dy[n,p,q,c]</summary>
    private void SpreadWindows<TCovers, T>(WindowShape shape, int images, int channels, BufferView dy, BufferView dx, bool accumulate)
        where TCovers : struct, IWindows where T : struct, IWindows
    {
        long large = (long)shape.H * shape.W * channels, small = (long)shape.P * shape.Q * channels;
        if (images * large == 0) return;
        bool wide = IsWide(channels, dy, dx);
        foreach (var (first, count) in Pieces(images, Math.Max(large, small)))
        {
            var arguments = Arguments(shape, channels, wide, shape.H, shape.W, count, accumulate);
            arguments.X = V(Rows(dy, first, count, small));
            arguments.Y = V(Rows(dx, first, count, large));
            if (wide) LaunchElements(WindowSpreadKernel<Float4, TCovers, T>, arguments.Count, arguments);
            else LaunchElements(WindowSpreadKernel<Float1, TCovers, T>, arguments.Count, arguments);
        }
    }

    private static WindowArguments Arguments(WindowShape shape, int channels, bool wide, int rows, int columns, long images, bool accumulate)
    {
        int lanes = wide ? channels / 4 : channels;
        return new()
        {
            Shape = shape, Count = (int)(images * rows * columns * lanes), Channels = new(lanes), Columns = new(columns), Rows = new(rows),
            Accumulate = accumulate ? 1 : 0,
        };
    }

    internal struct WindowArguments
    {
        public ArrayView<float> X, Y;
        public int Count, Accumulate;

        /// <summary>Of the map that is written.</summary>
        public Divisor Channels, Columns, Rows;
        public WindowShape Shape;
    }

    /// <remarks>
    /// Bytes: x once (neighbouring windows meet in the caches) and y. Bound by memory while windows are small: 4 instructions a pixel of the window and Float4.
    /// A 2×2 window of stride 2 reads 64 bytes for 16 written (expected: above 85 % of a copy); windows of a hundred pixels and more are bound by too few threads.
    /// </remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(PoolWindows)), GpuVariant(typeof(Float1), typeof(PoolWindows))]
    [GpuVariant(typeof(Float4), typeof(BinWindows)), GpuVariant(typeof(Float1), typeof(BinWindows))]
    private static void WindowSumKernel<L, T>(WindowArguments a) where L : unmanaged, ILanes<L> where T : struct, IWindows
    {
        var x = a.X.Cast<L>();
        var y = a.Y.Cast<L>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = a.Columns.Divide(pixel), q = a.Columns.Rest(pixel, row);
            int n = a.Rows.Divide(row), p = a.Rows.Rest(row, n);
            var rows = T.Over(a.Shape, p, a.Shape.R, a.Shape.P, a.Shape.H);
            var columns = T.Over(a.Shape, q, a.Shape.S, a.Shape.Q, a.Shape.W);
            L sum = default;
            for (int h = rows.First; h < rows.End; h++)
            {
                int at = (((((n * a.Shape.H) + h) * a.Shape.W) + columns.First) * a.Channels.Value) + c;
                for (int w = columns.First; w < columns.End; w++, at += a.Channels.Value) sum += x[at];
            }
            L value = Factor(a.Shape, rows, columns) * sum;
            if (a.Accumulate != 0) value = y[i] + value;
            y[i] = value;
        }
    }

    /// <remarks>Bytes: dy once and dx; at 2×2 windows 16 read for 64 written. Bound by memory (expected: above 85 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(PoolCovers), typeof(PoolWindows)), GpuVariant(typeof(Float1), typeof(PoolCovers), typeof(PoolWindows))]
    [GpuVariant(typeof(Float4), typeof(BinCovers), typeof(BinWindows)), GpuVariant(typeof(Float1), typeof(BinCovers), typeof(BinWindows))]
    private static void WindowSpreadKernel<L, TCovers, T>(WindowArguments a) where L : unmanaged, ILanes<L> where TCovers : struct, IWindows where T : struct, IWindows
    {
        var x = a.X.Cast<L>();
        var y = a.Y.Cast<L>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = a.Columns.Divide(pixel), w = a.Columns.Rest(pixel, row);
            int n = a.Rows.Divide(row), h = a.Rows.Rest(row, n);
            var rows = TCovers.Over(a.Shape, h, a.Shape.R, a.Shape.H, a.Shape.P);
            var columns = TCovers.Over(a.Shape, w, a.Shape.S, a.Shape.W, a.Shape.Q);
            L sum = default;
            for (int p = rows.First; p < rows.End; p++)
            for (int q = columns.First; q < columns.End; q++)
            {
                float factor = a.Shape.Factor;
                if (factor == 0)
                {
                    factor = Factor(a.Shape, T.Over(a.Shape, p, a.Shape.R, a.Shape.P, a.Shape.H), T.Over(a.Shape, q, a.Shape.S, a.Shape.Q, a.Shape.W));
                }
                sum += factor * x[(((((n * a.Shape.P) + p) * a.Shape.Q) + q) * a.Channels.Value) + c];
            }
            if (a.Accumulate != 0) sum = y[i] + sum;
            y[i] = sum;
        }
    }

    private static float Factor(WindowShape shape, PixelRange rows, PixelRange columns) =>
        shape.Factor != 0 ? shape.Factor : 1f / ((rows.End - rows.First) * (columns.End - columns.First));
}
