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

/// <summary>
/// How the columns of a product are cut into panels, the columns of one tile. A wide group is cut into several; groups of one vector are taken
/// together, as many as fit: a tile of one vector would have too few sums under way (6, where 8 are needed to keep the multipliers busy), and would read one
/// cache line of a pixel, come back for the next when it is gone, and so on. Measured: 15 to 45 % faster; groups of two vectors are better off alone.
/// </summary>
/// <param name="Wide">Columns of a panel at most.</param>
/// <param name="Groups">Groups of the product.</param>
/// <param name="Depth">Source channels of a group.</param>
/// <param name="Width">Columns of a group.</param>
/// <param name="Together">Groups of a panel.</param>
internal readonly record struct Panels(int Wide, int Groups, int Depth, int Width, int Together)
{
    public static Panels Of<V>(in PixelMap map, int groups) where V : unmanaged => Of<V>(groups, map.SourceC / groups, map.TargetC / groups);

    public static Panels Of<V>(int groups, int depth, int width) where V : unmanaged
    {
        int wide = Tiles.MaxVectors<V>() * Simd.Width<V>();
        bool fits = groups > 1 && width == Simd.Width<V>() && depth >= CpuKernels.MinSegment;
        return new Panels(wide, groups, depth, width, fits ? Math.Min(wide / width, groups) : 1);
    }

    /// <summary>Panels of one group, unless several groups are in one.</summary>
    private int PerGroup => (Width + Wide - 1) / Wide;

    /// <summary>All panels.</summary>
    public int Count => Together > 1 ? (Groups + Together - 1) / Together : Groups * PerGroup;

    /// <summary>The first group of a panel.</summary>
    public int GroupOf(int panel) => Together > 1 ? panel * Together : panel / PerGroup;

    /// <summary>The first column of a panel, counted through all groups.</summary>
    public int FirstColumn(int panel) => Together > 1 ? panel * Together * Width : (panel / PerGroup * Width) + (panel % PerGroup * Wide);

    /// <summary>Columns of a panel.</summary>
    public int ColumnsOf(int panel) => Together > 1 ? Math.Min(Together, Groups - (panel * Together)) * Width : Math.Min(Wide, Width - (panel % PerGroup * Wide));

    /// <summary>How far apart the vectors of a panel read.</summary>
    public GroupOffsets Offsets => Together == 1 ? default : new GroupOffsets(Depth, 2 * Depth, 3 * Depth);
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>Floats of the packed weights of a product.</summary>
    private static long PackedLength<V>(in PixelMap map, int groups) where V : unmanaged
    {
        var panels = Panels.Of<V>(map, groups);
        return (long)panels.Count * panels.Wide * map.Taps * panels.Depth;
    }

    /// <summary>
    /// Weights in the order in which the tiles read them, packed[panel][tap][i][columns]. A panel is the columns of one tile, so that
    /// the innermost loop reads one run of memory; the rows of a wide matrix itself lie pages apart and in the same few cache sets.
    /// Columns beyond the matrix are zeros.
    /// </summary>
    private void PackPanels<V>(in PixelMap map, int groups, float* weights, WeightLayout layout, float* packed) where V : unmanaged
    {
        var panels = Panels.Of<V>(map, groups);
        int depth = panels.Depth, taps = map.Taps;
        var tap = map.Tap;
        long floats = (long)taps * depth * panels.Wide;
        Fork(8 * floats * panels.Count, panels.Count, (panel, _) =>
        {
            int columns = panels.ColumnsOf(panel), padded = PanelWidth<V>(columns), part = Math.Min(columns, panels.Width);
            float* to = packed + (panel * floats);
            for (int t = 0; t < taps; t++, to += depth * padded)
            {
                // The columns of one group, or those of several side by side.
                for (int n = 0; n < columns; n += part)
                {
                    int group = (panels.FirstColumn(panel) + n) / panels.Width, column = (panels.FirstColumn(panel) + n) % panels.Width;
                    float* from = weights + (tap[t].Index * layout.TapStride) + (group * layout.GroupStride) + (column * layout.ColumnStride);
                    if (layout.ColumnStride == 1) PackRows<V>(from, layout.RowStride, depth, part, to + n, padded);
                    else PackColumns<V>(from, layout.ColumnStride, depth, part, to + n, padded);
                }
            }
        });
    }

    /// <summary>Columns of a panel in memory: whole vectors.</summary>
    private static int PanelWidth<V>(int columns) where V : unmanaged => Pieces(columns, Simd.Width<V>()) * Simd.Width<V>();

    /// <summary>to[i·toStride + n] = from[i·stride + n], for i &lt; rows and n &lt; columns; the rest of the last vector becomes zero.</summary>
    private static void PackRows<V>(float* from, long stride, int rows, int columns, float* to, int toStride) where V : unmanaged
    {
        int w = Simd.Width<V>(), padded = PanelWidth<V>(columns);
        if (columns == padded)
        {
            for (int i = 0; i < rows; i++, from += stride, to += toStride)
            {
                for (int n = 0; n < padded; n += w) Simd.Store(to + n, Simd.Load<V>(from + n));
            }
            return;
        }
        for (int i = 0; i < rows; i++, from += stride, to += toStride)
        {
            for (int n = 0; n < columns; n++) to[n] = from[n];
            for (int n = columns; n < padded; n++) to[n] = 0;
        }
    }

    /// <summary>to[i·toStride + n] = from[n·stride + i]: the same of a transposed matrix.</summary>
    private static void PackColumns<V>(float* from, long stride, int rows, int columns, float* to, int toStride) where V : unmanaged
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
                float* target = to + ((long)first * toStride) + n;
                for (int i = first; i < last; i++, target += toStride) Simd.Store(target, Vector128.Create(c0[i], c1[i], c2[i], c3[i]));
            }
            for (; n < padded; n++)
            {
                for (int i = first; i < last; i++) to[((long)i * toStride) + n] = n < columns ? from[(n * stride) + i] : 0;
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
