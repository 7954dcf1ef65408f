using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// How the weights of a product lie in memory: element (tap, i, n) of a group is at tap·TapStride + i·RowStride + n·ColumnStride +
/// group·GroupStride.
/// </summary>
/// <param name="TapStride">From one tap to the next.</param>
/// <param name="RowStride">Along the sum.</param>
/// <param name="ColumnStride">Along the columns of the result; it or RowStride is 1.</param>
/// <param name="GroupStride">From one group to the next.</param>
internal readonly record struct WeightLayout(long TapStride, long RowStride, long ColumnStride, long GroupStride);

internal sealed unsafe partial class CpuKernels
{
    /// <summary>Floats of the packed weights of a product.</summary>
    private static long PackedLength<V>(in PixelMap map, int groups) where V : unmanaged
    {
        int wide = Tiles.MaxVectors<V>() * Simd.Width<V>();
        return (long)groups * Pieces(map.TargetC / groups, wide) * wide * map.Taps * (map.SourceC / groups);
    }

    /// <summary>
    /// Weights in the order in which the tiles read them, packed[panel][tap][i][columns]. A panel is the columns of one tile, so that
    /// the innermost loop reads one run of memory; the rows of a wide matrix itself lie pages apart and in the same few cache sets.
    /// Columns beyond the matrix are zeros. Panels are counted through all groups: group·panelsPerGroup + panel.
    /// </summary>
    private void PackPanels<V>(in PixelMap map, int groups, float* weights, WeightLayout layout, float* packed) where V : unmanaged
    {
        int depth = map.SourceC / groups, width = map.TargetC / groups, wide = Tiles.MaxVectors<V>() * Simd.Width<V>();
        int panelsPerGroup = Pieces(width, wide), taps = map.Taps;
        var tap = map.Tap;
        long floats = (long)taps * depth * wide;
        Fork(8 * floats * groups * panelsPerGroup, groups * panelsPerGroup, (item, _) =>
        {
            int group = item / panelsPerGroup, column = item % panelsPerGroup * wide;
            int columns = Math.Min(wide, width - column), padded = PanelWidth<V>(columns);
            float* from = weights + (group * layout.GroupStride) + (column * layout.ColumnStride);
            float* to = packed + (item * floats);
            for (int t = 0; t < taps; t++, to += depth * padded)
            {
                float* block = from + (tap[t].Index * layout.TapStride);
                if (layout.ColumnStride == 1) PackRows<V>(block, layout.RowStride, depth, columns, to);
                else PackColumns<V>(block, layout.ColumnStride, depth, columns, to);
            }
        });
    }

    /// <summary>Columns of a panel in memory: whole vectors.</summary>
    private static int PanelWidth<V>(int columns) where V : unmanaged => Pieces(columns, Simd.Width<V>()) * Simd.Width<V>();

    /// <summary>to[i][n] = from[i·stride + n], for i &lt; rows and n &lt; columns; the rest of the panel's columns become zero.</summary>
    private static void PackRows<V>(float* from, long stride, int rows, int columns, float* to) where V : unmanaged
    {
        int w = Simd.Width<V>(), padded = PanelWidth<V>(columns);
        if (columns == padded)
        {
            for (int i = 0; i < rows; i++, from += stride, to += padded)
            {
                for (int n = 0; n < padded; n += w) Simd.Store(to + n, Simd.Load<V>(from + n));
            }
            return;
        }
        for (int i = 0; i < rows; i++, from += stride, to += padded)
        {
            for (int n = 0; n < columns; n++) to[n] = from[n];
            for (int n = columns; n < padded; n++) to[n] = 0;
        }
    }

    /// <summary>to[i][n] = from[n·stride + i]: the same of a transposed matrix.</summary>
    private static void PackColumns<V>(float* from, long stride, int rows, int columns, float* to) where V : unmanaged
    {
        int padded = PanelWidth<V>(columns);
        // 128 rows at a time: enough of every column that the processor fetches ahead, and few enough that the target stays in the first-level cache.
        for (int first = 0; first < rows; first += 128)
        {
            int last = Math.Min(rows, first + 128);
            int n = 0;
            for (; n + 4 <= columns; n += 4)
            {
                // Four columns side by side are stored together.
                float* c0 = from + (n * stride), c1 = c0 + stride, c2 = c1 + stride, c3 = c2 + stride;
                float* target = to + ((long)first * padded) + n;
                for (int i = first; i < last; i++, target += padded) Simd.Store(target, Vector128.Create(c0[i], c1[i], c2[i], c3[i]));
            }
            for (; n < padded; n++)
            {
                for (int i = first; i < last; i++) to[((long)i * padded) + n] = n < columns ? from[(n * stride) + i] : 0;
            }
        }
    }

    /// <summary>Does numbered pieces of work on all threads, or on this one when there is too little to be worth waking the others.</summary>
    private void Fork(long macs, int items, Action<int, int> body)
    {
        if (macs >= 500_000)
        {
            _device.Parallel(items, body);
            return;
        }
        for (int i = 0; i < items; i++) body(i, 0);
    }
}
