using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// Work on a few rows of a [rows, C] map, for as many neighbouring channels as a vector has lanes. Channels lie next to each other in memory, so
/// a vector of channels is one load, and whatever belongs to a channel (its scale, its mean) stays in a register over the rows.
/// </summary>
internal interface IRowKernel
{
    /// <summary>Rows [row, row + rows) of the whole map, which lie in one image; channels [c, c + lanes of V).</summary>
    void Run<V>(long image, long row, int rows, int c) where V : unmanaged;
}

/// <summary>Sums over the rows of a [rows, C] map, one for every channel.</summary>
internal unsafe interface IColumnSum
{
    /// <summary>How many sums a channel.</summary>
    int Sums { get; }

    /// <summary>Adds rows [row, row + rows), channels [c, c + lanes of V), to sums[s·stride + c].</summary>
    void Add<V>(long row, int rows, int c, double* sums, int stride) where V : unmanaged;
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Rows that share a load of the channels' constants. Few, so that memory is read in the order in which it lies: with sixteen rows the prefetcher
    /// lost track, and at 1024 channels (rows 4 KB apart, all in the same few sets of the first-level cache) everything ran at half the speed.
    /// </summary>
    private const int RowGroup = 2;

    /// <summary>Rows that are added in float, in registers, before they go to a double sum in the first-level cache. Few for the same reason.</summary>
    private const int SumGroup = 4;

    /// <summary>Channels of one piece of a column sum: 1024 keep its double sums in the first-level cache.</summary>
    private const int ChannelBlock = 1024;

    /// <summary>Calls body(item) for every item; alone if there is little work in all of them.</summary>
    private void ParallelIfWorth(int items, long elements, Action<int> body)
    {
        if (items <= 1 || elements <= ElementGrain)
        {
            for (int i = 0; i < items; i++) body(i);
            return;
        }
        _device.Parallel(items, (item, _) => body(item));
    }

    /// <summary>Runs a row kernel over [images, rows, channels]; backwards starts with the last rows, which a pass before this one left in the cache.</summary>
    private void ForRows<K>(K kernel, long images, long rows, int channels, bool backwards = false) where K : struct, IRowKernel
    {
        long grain = (Math.Max(1, ElementGrain / channels) + RowGroup - 1) / RowGroup * RowGroup;
        int pieces = Pieces(rows, grain), items = checked((int)(images * pieces));
        ParallelIfWorth(items, images * rows * channels, item =>
        {
            var k = kernel;
            if (backwards) item = items - 1 - item;
            long image = item / pieces, first = item % pieces * grain, last = Math.Min(rows, first + grain);
            for (long row = first; row < last; row += RowGroup)
                OverChannels(in k, image, (image * rows) + row, (int)Math.Min(RowGroup, last - row), 0, channels);
        });
    }

    /// <summary>Channels [c, end): the widest vectors as far as they go, then narrower ones, then single floats.</summary>
    private static void OverChannels<K>(in K k, long image, long row, int rows, int c, int end) where K : struct, IRowKernel
    {
        if (Simd.MaxWidth >= 16) for (; c <= end - 16; c += 16) k.Run<Vector512<float>>(image, row, rows, c);
        if (Simd.MaxWidth >= 8) for (; c <= end - 8; c += 8) k.Run<Vector256<float>>(image, row, rows, c);
        if (Simd.MaxWidth >= 4) for (; c <= end - 4; c += 4) k.Run<Vector128<float>>(image, row, rows, c);
        for (; c < end; c++) k.Run<float>(image, row, rows, c);
    }

    private static void SumOverChannels<K>(in K k, long row, int rows, int c, int end, double* sums, int stride) where K : struct, IColumnSum
    {
        if (Simd.MaxWidth >= 16) for (; c <= end - 16; c += 16) k.Add<Vector512<float>>(row, rows, c, sums, stride);
        if (Simd.MaxWidth >= 8) for (; c <= end - 8; c += 8) k.Add<Vector256<float>>(row, rows, c, sums, stride);
        if (Simd.MaxWidth >= 4) for (; c <= end - 4; c += 4) k.Add<Vector128<float>>(row, rows, c, sums, stride);
        for (; c < end; c++) k.Add<float>(row, rows, c, sums, stride);
    }

    /// <summary>
    /// Sums a [outer, rows, channels] map over its rows. A few rows are added in float and then go to a double sum; pieces of rows are
    /// summed apart and added in order, so the result does not depend on who did which.
    /// </summary>
    private ColumnTotals SumColumns<K>(K kernel, long outer, long rows, int channels) where K : struct, IColumnSum
    {
        int blocks = Pieces(channels, ChannelBlock);
        long grain = (Math.Max(1, 2 * ElementGrain / Math.Min(channels, ChannelBlock)) + SumGroup - 1) / SumGroup * SumGroup;
        int pieces = Pieces(rows, grain), stride = channels;
        var totals = new ColumnTotals(_device, outer, pieces, kernel.Sums, channels);

        ParallelIfWorth(checked((int)(outer * pieces * blocks)), outer * rows * channels, item =>
        {
            var k = kernel;
            int block = item % blocks;
            long piece = item / blocks, o = piece / pieces; // piece counts over all of outer
            long first = piece % pieces * grain, last = Math.Min(rows, first + grain);
            int c = block * ChannelBlock, end = Math.Min(channels, c + ChannelBlock);
            double* sums = totals.Piece(piece);
            for (int s = 0; s < k.Sums; s++) new Span<double>(sums + ((long)s * stride) + c, end - c).Clear();
            for (long row = first; row < last; row += SumGroup)
                SumOverChannels(in k, (o * rows) + row, (int)Math.Min(SumGroup, last - row), c, end, sums, stride);
        });

        if (pieces > 1)
        {
            int width = kernel.Sums * channels, segments = Pieces(width, ChannelBlock);
            ParallelIfWorth(checked((int)(outer * segments)), outer * pieces * width, item =>
            {
                long o = item / segments;
                int from = item % segments * ChannelBlock, to = Math.Min(width, from + ChannelBlock);
                double* total = totals.Piece(o * pieces);
                for (int p = 1; p < pieces; p++)
                {
                    double* part = totals.Piece((o * pieces) + p);
                    for (int i = from; i < to; i++) total[i] += part[i];
                }
            });
        }
        return totals;
    }

    /// <summary>What <see cref="SumColumns"/> found, in scratch memory. Dispose it.</summary>
    private readonly struct ColumnTotals(CpuDevice device, long outer, int pieces, int sums, int channels) : IDisposable
    {
        private readonly CpuScratch _scratch = device.Scratch(2 * outer * pieces * sums * channels); // doubles

        /// <summary>Sum number s of channel 0: a [channels] vector.</summary>
        public double* Sum(int s, long outer = 0) => Piece(outer * pieces) + ((long)s * channels);

        /// <summary>One piece's [sums, channels].</summary>
        public double* Piece(long piece) => (double*)_scratch.Pointer + (piece * sums * channels);

        public void Dispose() => _scratch.Dispose();
    }
}
