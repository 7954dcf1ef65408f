using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// Work on a [rows, C] map, for as many neighbouring channels as a vector has lanes. Channels lie next to each other in memory, so a vector of
/// channels is one load, and what belongs to a channel (its scale, its mean) is a vector too, which stays in the first-level cache.
/// </summary>
/// <remarks>
/// Rows are done one after the other, from end to end, so that memory is read in the order in which it lies. Taking two or four rows at a time, which
/// saves loads of the channels' constants, was up to five times slower on maps larger than the caches: with a row length that is no power of two the
/// hardware lost track of what to fetch ahead.
/// </remarks>
internal interface IRowKernel
{
    /// <summary>One row of the whole map, channels [c, c + lanes of V).</summary>
    void Run<V>(long image, long row, int c) where V : unmanaged;
}

/// <summary>Sums over the rows of a [rows, C] map, one for every channel.</summary>
internal unsafe interface IColumnSum
{
    /// <summary>How many sums a channel.</summary>
    int Sums { get; }

    /// <summary>
    /// The map, if sums are taken around pivots: the first row of every set of rows, found behind the sums of the set. Then there are two sums, of
    /// x − pivot and of its square. Null: no pivots.
    /// </summary>
    float* Pivots => null;

    /// <summary>Adds one row to the sums of its group: element <paramref name="at"/> on of the map, channels [c, c + lanes of V), to sums[s·stride + c].</summary>
    void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged;
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>Rows that are added in float before they go to a double sum: few enough that float holds them well.</summary>
    private const int SumGroup = 16;

    /// <summary>Channels of one piece of a column sum: 1024 keep its sums in the first-level cache.</summary>
    private const int ChannelBlock = 1024;

    /// <summary>
    /// Floats from one sum of a group of rows to the next. Not 1024: 4 KB apart, a load of the one would wait for the store of the other, whose
    /// address it cannot tell from its own.
    /// </summary>
    private const int GroupStride = ChannelBlock + 48;

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
        long grain = Math.Max(1, ElementGrain / channels);
        int pieces = Pieces(rows, grain), items = checked((int)(images * pieces));
        ParallelIfWorth(items, images * rows * channels, item =>
        {
            var k = kernel;
            if (backwards) item = items - 1 - item;
            long image = item / pieces, first = item % pieces * grain, last = Math.Min(rows, first + grain);
            for (long row = first; row < last; row++) OverChannels(in k, image, (image * rows) + row, 0, channels);
        });
    }

    /// <summary>Channels [c, end): the widest vectors as far as they go, then narrower ones, then single floats.</summary>
    /// <remarks>Compiled well at its first call: code made ahead, for a processor that is not known, calls the kernel for every vector (ten times slower).</remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OverChannels<K>(in K k, long image, long row, int c, int end) where K : struct, IRowKernel
    {
        if (Simd.MaxWidth >= 16) for (; c <= end - 16; c += 16) k.Run<Vector512<float>>(image, row, c);
        if (Simd.MaxWidth >= 8) for (; c <= end - 8; c += 8) k.Run<Vector256<float>>(image, row, c);
        if (Simd.MaxWidth >= 4) for (; c <= end - 4; c += 4) k.Run<Vector128<float>>(image, row, c);
        for (; c < end; c++) k.Run<float>(image, row, c);
    }

    /// <summary>Adds rows [row, last) of channels [c, end) to double sums, a group of rows at a time.</summary>
    private static void SumRows<K>(in K k, long row, long last, int c, int end, double* sums, int stride) where K : struct, IColumnSum
    {
        float* group = stackalloc float[Math.Max(3, k.Sums) * GroupStride]; // [sums, and the pivots][sets][channels]
        // An addition to memory waits for the one before it. Where there are few channels, rows take turns in two or four sets of sums.
        int channels = end - c, sets = channels <= 32 ? 4 : channels <= 96 ? 2 : 1, set = channels + 16;
        float* map = k.Pivots;
        for (long step = (long)SumGroup * sets; row < last; row += step)
        {
            int rows = (int)Math.Min(step, last - row);
            new Span<float>(group, k.Sums * GroupStride).Clear();
            for (int i = 0; map != null && i < sets; i++)
                new ReadOnlySpan<float>(map + ((row + Math.Min(i, rows - 1)) * stride) + c, channels).CopyTo(new Span<float>(group + (2 * GroupStride) + (i * set), channels));
            AddRows(k, row, rows, c, end, stride, group - c, sets - 1, set);
            for (int i = 0; i < Math.Min(sets, rows); i++) AddGroup(in k, c, end, group + (i * set) - c, (rows - i + sets - 1) / sets, sums, stride);
        }
    }

    /// <summary>Rows to the sums of their group, which start at channel 0 (those before c are not there): the widest vectors as far as they go, then narrower ones.</summary>
    private static void AddRows<K>(K k, long row, int rows, int c, int end, int stride, float* group, int setMask, int set) where K : struct, IColumnSum
    {
        int end16 = Simd.MaxWidth >= 16 ? end - ((end - c) % 16) : c;
        int end8 = Simd.MaxWidth >= 8 ? end - ((end - end16) % 8) : end16, end4 = Simd.MaxWidth >= 4 ? end - ((end - end8) % 4) : end8;
        if (c < end16) AddRows<K, Vector512<float>>(k, row, rows, c, end16, stride, group, setMask, set);
        if (end16 < end8) AddRows<K, Vector256<float>>(k, row, rows, end16, end8, stride, group, setMask, set);
        if (end8 < end4) AddRows<K, Vector128<float>>(k, row, rows, end8, end4, stride, group, setMask, set);
        if (end4 < end) AddRows<K, float>(k, row, rows, end4, end, stride, group, setMask, set);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddRows<K, V>(K k, long row, int rows, int c, int end, int stride, float* group, int setMask, int set)
        where K : struct, IColumnSum
        where V : unmanaged
    {
        long at = row * stride;
        for (int r = 0; r < rows; r++, at += stride)
        {
            float* sums = group + ((r & setMask) * set);
            for (int i = c; i < end; i += Simd.Width<V>()) k.Add<V>(at + i, i, sums, GroupStride);
        }
    }

    /// <summary>The sums of a group of rows to the double sums.</summary>
    private static void AddGroup<K>(in K k, int c, int end, float* group, int rows, double* sums, int stride) where K : struct, IColumnSum
    {
        if (Simd.MaxWidth >= 16) for (; c <= end - 16; c += 16) AddGroup<K, Vector512<float>>(k, group + c, rows, sums + c, stride);
        if (Simd.MaxWidth >= 8) for (; c <= end - 8; c += 8) AddGroup<K, Vector256<float>>(k, group + c, rows, sums + c, stride);
        if (Simd.MaxWidth >= 4) for (; c <= end - 4; c += 4) AddGroup<K, Vector128<float>>(k, group + c, rows, sums + c, stride);
        for (; c < end; c++) AddGroup<K, float>(k, group + c, rows, sums + c, stride);
    }

    private static void AddGroup<K, V>(in K k, float* group, int rows, double* sums, int stride)
        where K : struct, IColumnSum
        where V : unmanaged
    {
        if (k.Pivots != null)
        {
            Simd.AddMoments(sums, sums + stride, rows, Simd.Load<V>(group + (2 * GroupStride)), Simd.Load<V>(group), Simd.Load<V>(group + GroupStride));
            return;
        }
        for (int s = 0; s < k.Sums; s++) Simd.AddToDoubles(sums + ((long)s * stride), Simd.Load<V>(group + (s * GroupStride)));
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
            SumRows(in k, (o * rows) + first, (o * rows) + last, c, end, sums, stride);
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
