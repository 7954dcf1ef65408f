namespace RefConv.Kernels;

/// <summary>
/// Pooling with channels in the lanes: every pixel of a window is one load, whatever the number of channels. All gradients are gathered: an input
/// pixel asks the windows that cover it, so that every element of dx is written once, by one thread.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForPixels(g.N, g.P, g.Q, g.C, new AverageWindow(g, P(x), P(y)));

    public void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) =>
        ForPixels(g.N, g.H, g.W, g.C, new GatherAverage(g, P(dy), P(dx), accumulate));

    public void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y) => ForPixels(g.N, g.P, g.Q, g.C, new LargestOfWindow(g, P(x), P(y)));

    /// <remarks>
    /// A piece of work is a band of input rows of one image. First the windows that touch it write down where their largest element is, then the band's
    /// pixels gather. Windows across two bands are looked at twice.
    /// </remarks>
    public void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate)
    {
        var geometry = g;
        int outputRows = g.P, outputColumns = g.Q;
        int band = 8 * Math.Max(g.Stride, g.R), bands = Pieces(g.H, band);
        long mostRows = ((band + g.R) / g.Stride) + 1;
        long scratchLength = mostRows * outputColumns * g.C;
        using var scratch = _device.Scratch(scratchLength * _device.Threads);
        float* memory = scratch.Pointer, xs = P(x), dys = P(dy), dxs = P(dx);

        void Band(int item, int worker)
        {
            float* taps = memory + (worker * scratchLength); // [window rows of the band, Q, C]
            int n = item / bands, top = item % bands * band, bottom = Math.Min(geometry.H, top + band);
            int firstRow = FirstWindow(geometry, top, geometry.R), endRow = Math.Min(outputRows, LastWindow(geometry, bottom - 1) + 1);
            var find = new FindLargest(geometry, xs, taps, firstRow);
            for (int p = firstRow; p < endRow; p++)
            for (int q = 0; q < outputColumns; q++)
            {
                find.Locate(n, p, q);
                OverChannels(in find, 0, 0, 0, geometry.C);
            }
            var gather = new GatherFromLargest(geometry, dys, taps, dxs, firstRow, accumulate);
            for (int h = top; h < bottom; h++)
            for (int w = 0; w < geometry.W; w++)
            {
                gather.Locate(n, h, w);
                OverChannels(in gather, 0, 0, 0, geometry.C);
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
