using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => FindLargest(g, x, V(y), IsWide(g.C, x, y), numbers: false);

    /// <remarks>
    /// First every window writes down which of its elements is the largest, then every pixel of x asks the windows over it. Finding it again for each pixel would read
    /// a window of 3×3 four times over from the caches: more time than the numbers, a quarter of x at stride 2, take in memory.
    /// </remarks>
    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        if (g.InputLength == 0) return;
        bool wide = IsWide(g.C, x, dy, dx);
        using var numbers = _device.Scratch(g.OutputLength);
        FindLargest(g, x, numbers.Floats, wide, numbers: true);
        var shape = WindowsOf(g);
        long large = (long)g.H * g.W * g.C, small = (long)g.P * g.Q * g.C;
        foreach (var (first, count) in Pieces(g.N, Math.Max(large, small)))
        {
            var arguments = Arguments(shape, g.C, wide, g.H, g.W, count, accumulate);
            arguments.X = V(Rows(dy, first, count, small));
            arguments.Y = V(Rows(dx, first, count, large));
            var gather = new LargestArguments { Windows = arguments, Numbers = numbers.Floats.SubView(first * small, count * small) };
            if (wide) LaunchElements(LargestSpreadKernel<Float4>, arguments.Count, gather);
            else LaunchElements(LargestSpreadKernel<Float1>, arguments.Count, gather);
        }
    }

    /// <summary>The largest element of every window, or its number in the window.</summary>
    private void FindLargest(in Pool2dGeometry g, BufferView x, ArrayView<float> y, bool wide, bool numbers)
    {
        if (g.OutputLength == 0) return;
        long large = (long)g.H * g.W * g.C, small = (long)g.P * g.Q * g.C;
        foreach (var (first, count) in Pieces(g.N, Math.Max(large, small)))
        {
            var arguments = Arguments(WindowsOf(g), g.C, wide, g.P, g.Q, count, accumulate: false);
            arguments.X = V(Rows(x, first, count, large));
            arguments.Y = y.SubView(first * small, count * small);
            var find = new LargestArguments { Windows = arguments, Numbers = arguments.Y, WritesNumbers = numbers ? 1 : 0 };
            if (wide) LaunchElements(LargestKernel<Float4>, arguments.Count, find);
            else LaunchElements(LargestKernel<Float1>, arguments.Count, find);
        }
    }

    internal struct LargestArguments
    {
        public WindowArguments Windows;

        /// <summary>Row · S + column of the largest element in its window: whole numbers, exact in a float.</summary>
        public ArrayView<float> Numbers;
        public int WritesNumbers;
    }

    /// <remarks>Bytes: x once and y. Bound by memory at 3×3 windows of stride 2: 64 bytes read for 16 written, 9 × 20 instructions (expected: above 80 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void LargestKernel<L>(LargestArguments arguments) where L : unmanaged, ILanes<L>
    {
        var a = arguments.Windows;
        var x = a.X.Cast<L>();
        var y = a.Y.Cast<L>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = a.Columns.Divide(pixel), q = a.Columns.Rest(pixel, row);
            int n = a.Rows.Divide(row), p = a.Rows.Rest(row, n);
            int top = (p * a.Shape.Stride.Value) - a.Shape.Padding, left = (q * a.Shape.Stride.Value) - a.Shape.Padding;
            var rows = PoolWindows.Over(a.Shape, p, a.Shape.R, a.Shape.P, a.Shape.H);
            var columns = PoolWindows.Over(a.Shape, q, a.Shape.S, a.Shape.Q, a.Shape.W);
            // Padding is at most half a window: the first pixel inside the map is there.
            int image = n * a.Shape.H;
            L best = x[((((image + rows.First) * a.Shape.W) + columns.First) * a.Channels.Value) + c];
            L number = L.Broadcast(((rows.First - top) * a.Shape.S) + columns.First - left);
            for (int h = rows.First; h < rows.End; h++)
            {
                int at = ((((image + h) * a.Shape.W) + columns.First) * a.Channels.Value) + c;
                for (int w = columns.First; w < columns.End; w++, at += a.Channels.Value)
                {
                    L.KeepLargest(ref best, ref number, x[at], ((h - top) * a.Shape.S) + w - left);
                }
            }
            y[i] = arguments.WritesNumbers != 0 ? number : best;
        }
    }

    /// <remarks>Bytes: dy and the numbers once, dx; at stride 2, 32 read for 64 written. Bound by memory (expected: above 80 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void LargestSpreadKernel<L>(LargestArguments arguments) where L : unmanaged, ILanes<L>
    {
        var a = arguments.Windows;
        var dy = a.X.Cast<L>();
        var dx = a.Y.Cast<L>();
        var numbers = arguments.Numbers.Cast<L>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = a.Columns.Divide(pixel), w = a.Columns.Rest(pixel, row);
            int n = a.Rows.Divide(row), h = a.Rows.Rest(row, n);
            var rows = PoolCovers.Over(a.Shape, h, a.Shape.R, a.Shape.H, a.Shape.P);
            var columns = PoolCovers.Over(a.Shape, w, a.Shape.S, a.Shape.W, a.Shape.Q);
            L sum = default;
            for (int p = rows.First; p < rows.End; p++)
            for (int q = columns.First; q < columns.End; q++)
            {
                int inRow = h - ((p * a.Shape.Stride.Value) - a.Shape.Padding), inColumn = w - ((q * a.Shape.Stride.Value) - a.Shape.Padding);
                int at = (((((n * a.Shape.P) + p) * a.Shape.Q) + q) * a.Channels.Value) + c;
                sum += L.Where(numbers[at], (inRow * a.Shape.S) + inColumn, dy[at]);
            }
            if (a.Accumulate != 0) sum = dx[i] + sum;
            dx[i] = sum;
        }
    }
}
