namespace RefConv.Kernels;

/// <summary>
/// Pooling with channels in the lanes: every pixel of a window is one load, whatever the number of channels. No two threads write the same row of dx.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForPixels(g.N, g.P, g.Q, g.C, new AverageWindow(g, P(x), P(y)));

    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) =>
        ForPixels(g.N, g.H, g.W, g.C, new GatherAverage(g, P(dy), P(dx), accumulate));

    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForPixels(g.N, g.P, g.Q, g.C, new LargestOfWindow(g, P(x), P(y)));

    /// <remarks>
    /// A piece of work is a band of input rows of one image: the windows that touch it, in order, add to the pixel of theirs that is largest where that lies in the band. Windows across
    /// two bands are looked at twice, and each band's rows are written by one thread only.
    /// </remarks>
    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        var geometry = g;
        int outputRows = g.P, outputColumns = g.Q, line = g.W * g.C;
        int band = 8 * Math.Max(g.Stride, g.R), bands = Pieces(g.H, band);
        float* xs = P(x), dys = P(dy), dxs = P(dx);

        void Band(int item, int _)
        {
            int n = item / bands, top = item % bands * band, bottom = Math.Min(geometry.H, top + band);
            if (!accumulate) new Span<float>(dxs + ((((long)n * geometry.H) + top) * line), (bottom - top) * line).Clear();
            int firstRow = FirstWindow(geometry, top, geometry.R), endRow = Math.Min(outputRows, LastWindow(geometry, bottom - 1) + 1);
            var add = new AddToLargest(geometry, xs, dys, dxs, top, bottom);
            for (int p = firstRow; p < endRow; p++)
            for (int q = 0; q < outputColumns; q++)
            {
                add.Locate(n, p, q);
                OverChannels(in add, 0, 0, 0, geometry.C);
            }
        }

        int items = checked(g.N * bands);
        if (g.InputLength > ElementGrain) _device.Parallel(items, Band);
        else for (int i = 0; i < items; i++) Band(i, 0);
    }

    /// <summary>Points a pooling kernel at every pixel of an [images, rows, columns] map in turn, and runs it over the channels there.</summary>
    private void ForPixels<K>(int images, int rows, int columns, int channels, K kernel) where K : struct, IPoolKernel =>
        ParallelRange((long)images * rows, Math.Max(1, ElementGrain / 2 / ((long)columns * channels)), (first, last) =>
        {
            var k = kernel;
            for (long row = first; row < last; row++)
            for (int column = 0; column < columns; column++)
            {
                k.Locate((int)(row / rows), (int)(row % rows), column);
                OverChannels(in k, 0, 0, 0, channels);
            }
        });

    /// <summary>
    /// The first window over row (or column) <paramref name="at"/>: the smallest p ≥ 0 with p·stride − padding + size &gt; at, ⌈(at + padding − size + 1) / stride⌉.
    /// </summary>
    private static int FirstWindow(in Pool2dGeometry g, int at, int size)
    {
        int over = at + g.Padding - size + 1;
        return over <= 0 ? 0 : (over + g.Stride - 1) / g.Stride;
    }

    /// <summary>The last window over row (or column) <paramref name="at"/>: the largest p with p·stride − padding ≤ at.</summary>
    private static int LastWindow(in Pool2dGeometry g, int at) => (at + g.Padding) / g.Stride;
}
