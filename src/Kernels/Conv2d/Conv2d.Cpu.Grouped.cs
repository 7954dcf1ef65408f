using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>Everything the pieces of one convolution of many small groups share.</summary>
internal unsafe struct GroupedPlan
{
    public PixelMap Map;
    public float* Source, Target;
    public bool Accumulate;

    /// <summary>Channels of a group: of the source, and of the target.</summary>
    public int Depth, Width;

    /// <summary>Blocks of one vector of target channels; and, [i][lane], which of the block's source channels lane n wants at i.</summary>
    public int Blocks;
    public float* LaneIndex;

    /// <summary>Weights [block][tap][i][lane], and what the sums start from, [block][lane].</summary>
    public float* Weights, Start;

    /// <summary>
    /// Rows of points are cut into spans of SpanPoints, few enough that what their taps see stays in the first-level cache. A span from (u, v) on
    /// sees Window rows of the source from u·StepH + FirstTop on and Columns columns from v·StepW + FirstLeft on.
    /// </summary>
    public int SpanPoints, FirstTop, Window, FirstLeft, Columns;

    /// <summary>
    /// A source row spread out is [i][remainder][column / StepW][lane], where remainder is column mod StepW: so the columns that one tap reads for
    /// neighbouring points lie side by side whatever the stride. Floats of one remainder, of one i, and of all.
    /// </summary>
    public long RemainderStride, PlaneStride, RowStride;

    /// <summary>For each tap, its row of the window, and where in a spread row the first point of a row of points begins.</summary>
    public int* TapRow;
    public int* TapOffset;

    /// <summary>Work is cut into Images × Bands × BlockGroups pieces; a piece is done in strips of so many rows of points.</summary>
    public int Bands, BlockGroups, StripRows;

    /// <summary>Write the target past the caches: it is too large to be still there when it is read.</summary>
    public bool Stream;

    public float* WorkerScratch;
    public long WorkerFloats;
}

/// <remarks>
/// Convolutions of many small groups, ResNeXt's kind. A vector of target channels covers several groups here. Lane n wants, for each i, source channel i
/// of its own group: the source channels of these groups lie side by side in memory, so the vector that all lanes need is a load and a permutation of
/// its lanes (two loads, where a group reads more channels than it writes). Rows of the source are spread out so, once, into a ring of as many rows as the kernel is high, padding included; and
/// from the ring the sums run as in a depthwise convolution, lane by lane, with Depth vectors a tap instead of one.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>What the rows of a strip take of both maps at most: half of a second-level cache of 1 MB.</summary>
    private const long GroupedStripFloats = 128 << 10;

    /// <summary>What the ring takes: half of a first-level cache of 48 KB.</summary>
    private const int GroupedRingFloats = 6 << 10;

    /// <summary>
    /// A vector covers whole groups, several of them, and the source channels of these groups lie within two vectors.
    /// </summary>
    internal static bool GroupedFits<V>(int depth, int width) where V : unmanaged
    {
        int w = Simd.Width<V>();
        return width < w && w % width == 0 && depth <= 2 * width;
    }

    /// <summary>The same sum as <see cref="GatherProduct{V}"/>, for shapes that <see cref="GroupedFits{V}"/>.</summary>
    internal void GroupedProduct<V>(
        in PixelMap map, int groups, float* source, float* weights, WeightLayout layout, float* bias, float* target, bool accumulate)
        where V : unmanaged
    {
        if (map.Points == 0 || (map.Taps == 0 && accumulate)) return;
        int w = Simd.Width<V>();
        var plan = Spread<V>(map, groups);
        plan.Source = source;
        plan.Target = target;
        plan.Accumulate = accumulate;
        long macs = (long)map.Points * map.TargetC * map.Taps * plan.Depth;
        int wanted = (int)Math.Clamp(macs >> 19, 1, 32);
        // Neighbouring bands and strips both spread out the rows that they share, so they should not be low.
        plan.Bands = Math.Min(Pieces(map.GridH, Math.Min(map.GridH, 4)), Pieces(wanted, map.Images));
        plan.BlockGroups = Math.Min(plan.Blocks, Pieces(wanted, (long)map.Images * plan.Bands));
        plan.StripRows = StripRows(map);
        plan.Stream = w == 16 && !accumulate && map.TargetC % w == 0 && (nint)target % sizeof(V) == 0 && (long)map.Points * map.TargetC >= MinStreamed;

        long weightFloats = (long)map.Taps * plan.Depth * w;
        plan.WorkerFloats = (plan.Window * plan.RowStride) + ((2L * map.Taps) + 15) / 16 * 16; // ring, and pointers
        using var small = _device.Scratch((plan.Blocks * (weightFloats + w)) + (plan.Depth * w) + (2L * map.Taps));
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        plan.Weights = small.Pointer;
        plan.Start = plan.Weights + (plan.Blocks * weightFloats);
        plan.LaneIndex = plan.Start + (plan.Blocks * w);
        plan.WorkerScratch = perWorker.Pointer;
        plan.TapRow = (int*)(plan.LaneIndex + (plan.Depth * w));
        plan.TapOffset = plan.TapRow + map.Taps;
        FillTables<V>(plan);
        for (int n = 0; n < plan.Blocks * w; n++) plan.Start[n] = bias != null && n < map.TargetC ? bias[n] : 0;
        Fork(macs, plan.Blocks, (block, _) => PackLanes<V>(plan, block, weights, layout));
        Fork(macs, map.Images * plan.Bands * plan.BlockGroups, (item, worker) => GroupedPiece<V>(plan, item, worker));
    }

    /// <summary>Rows of points in a strip.</summary>
    private static int StripRows(in PixelMap map)
    {
        long rowFloats = ((long)map.SourceW * map.SourceC * map.StepH) + ((long)map.GridW * map.TargetC);
        return (int)Math.Clamp(GroupedStripFloats / Math.Max(1, rowFloats), 4, 32);
    }

    /// <summary>How the rows of a map's source are spread out.</summary>
    private static GroupedPlan Spread<V>(in PixelMap map, int groups) where V : unmanaged
    {
        int w = Simd.Width<V>(), lastTop = int.MinValue, lastLeft = int.MinValue;
        var plan = new GroupedPlan
        {
            Map = map, Depth = map.SourceC / groups, Width = map.TargetC / groups, Blocks = Pieces(map.TargetC, w),
            FirstTop = int.MaxValue, FirstLeft = int.MaxValue,
        };
        for (int t = 0; t < map.Taps; t++)
        {
            (plan.FirstTop, lastTop) = (Math.Min(plan.FirstTop, map.Tap[t].Top), Math.Max(lastTop, map.Tap[t].Top));
            (plan.FirstLeft, lastLeft) = (Math.Min(plan.FirstLeft, map.Tap[t].Left), Math.Max(lastLeft, map.Tap[t].Left));
        }
        plan.SpanPoints = map.GridW;
        if (map.Taps > 0)
        {
            plan.Window = lastTop - plan.FirstTop + 1;
            int fitting = GroupedRingFloats / (plan.Window * plan.Depth * w * map.StepW);
            plan.SpanPoints = Math.Min(map.GridW, Math.Max(1, fitting / GroupedTiles.MaxPoints) * GroupedTiles.MaxPoints);
            plan.Columns = ((plan.SpanPoints - 1) * map.StepW) + lastLeft - plan.FirstLeft + 1;
        }
        plan.RemainderStride = (long)Pieces(plan.Columns, map.StepW) * w;
        plan.PlaneStride = plan.RemainderStride * map.StepW;
        plan.RowStride = plan.PlaneStride * plan.Depth;
        return plan;
    }

    /// <summary>
    /// Lane n belongs to the block's group n / Width, whose first source channel is that times Depth: whole numbers, in floats' places. And the taps'
    /// places in the ring.
    /// </summary>
    private static void FillTables<V>(in GroupedPlan plan) where V : unmanaged
    {
        int w = Simd.Width<V>();
        for (int i = 0; i < plan.Depth; i++)
        for (int n = 0; n < w; n++)
        {
            ((int*)plan.LaneIndex)[(i * w) + n] = (n / plan.Width * plan.Depth) + i;
        }
        for (int t = 0; t < plan.Map.Taps; t++)
        {
            int column = plan.Map.Tap[t].Left - plan.FirstLeft;
            plan.TapRow[t] = plan.Map.Tap[t].Top - plan.FirstTop;
            plan.TapOffset[t] = (int)((column % plan.Map.StepW * plan.RemainderStride) + ((long)(column / plan.Map.StepW) * w));
        }
    }

    /// <summary>weights[tap][i][lane] of one block; lanes beyond the last channel are zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackLanes<V>(in GroupedPlan plan, int block, float* weights, WeightLayout layout) where V : unmanaged
    {
        int w = Simd.Width<V>(), lanes = Math.Min(w, plan.Map.TargetC - (block * w));
        float* to = plan.Weights + ((long)block * plan.Map.Taps * plan.Depth * w);
        long* offset = stackalloc long[w];
        for (int n = 0; n < lanes; n++)
        {
            int channel = (block * w) + n;
            offset[n] = (channel / plan.Width * layout.GroupStride) + (channel % plan.Width * layout.ColumnStride);
        }
        for (int t = 0; t < plan.Map.Taps; t++)
        for (int i = 0; i < plan.Depth; i++, to += w)
        {
            float* from = weights + (plan.Map.Tap[t].Index * layout.TapStride) + (i * layout.RowStride);
            for (int n = 0; n < lanes; n++) to[n] = from[offset[n]];
            for (int n = lanes; n < w; n++) to[n] = 0;
        }
    }

    /// <summary>One piece: a band of rows of one image, some of the blocks of channels.</summary>
    private static void GroupedPiece<V>(in GroupedPlan plan, int item, int worker) where V : unmanaged
    {
        long band = item % plan.Bands, blockGroup = item / plan.Bands % plan.BlockGroups;
        int image = item / plan.Bands / plan.BlockGroups, w = Simd.Width<V>();
        int firstRow = (int)(band * plan.Map.GridH / plan.Bands), lastRow = (int)((band + 1) * plan.Map.GridH / plan.Bands);
        int firstBlock = (int)(blockGroup * plan.Blocks / plan.BlockGroups), lastBlock = (int)((blockGroup + 1) * plan.Blocks / plan.BlockGroups);
        float* ring = plan.WorkerScratch + (worker * plan.WorkerFloats);
        float** taps = (float**)(ring + (plan.Window * plan.RowStride));
        // A block's part of a pixel is short, and the way to the next pixel long: the processor would fetch line by line. So strip by strip, small
        // enough for the second-level cache, the whole source is asked for in one go before the blocks pick their parts of it.
        int strip = Pieces(lastRow - firstRow, Pieces(lastRow - firstRow, plan.StripRows));
        for (int first = firstRow, last; first < lastRow; first = last)
        {
            last = Math.Min(lastRow, first + strip);
            PrefetchSource(plan, image, first, last);
            for (int block = firstBlock; block < lastBlock; block++)
            for (int v = 0; v < plan.Map.GridW; v += plan.SpanPoints)
            {
                int spread = 0; // source rows, counted from FirstTop, that are in the ring already end here
                for (int u = first; u < last; u++)
                {
                    int top = u * plan.Map.StepH;
                    for (spread = Math.Max(spread, top); spread < top + plan.Window; spread++)
                        SpreadRow<V>(plan, image, spread + plan.FirstTop, v, block, ring + (spread % plan.Window * plan.RowStride));
                    TapRows(plan, u, ring, taps);
                    GroupedRow<V>(plan, image, u, v, block, taps);
                }
            }
        }
    }

    /// <summary>Asks for the source rows that rows [first, last) of points read.</summary>
    private static void PrefetchSource(in GroupedPlan plan, int image, int first, int last)
    {
        int low = Math.Clamp((first * plan.Map.StepH) + plan.FirstTop, 0, plan.Map.SourceH);
        int high = Math.Clamp(((last - 1) * plan.Map.StepH) + plan.FirstTop + plan.Window, low, plan.Map.SourceH);
        long row = (long)plan.Map.SourceW * plan.Map.SourceC;
        Simd.Prefetch(plan.Source + ((((long)image * plan.Map.SourceH) + low) * row), (high - low) * row);
    }

    /// <summary>Where each tap of row u begins in the ring.</summary>
    private static void TapRows(in GroupedPlan plan, int u, float* ring, float** taps)
    {
        int first = plan.Window == 0 ? 0 : u * plan.Map.StepH % plan.Window;
        for (int t = 0; t < plan.Map.Taps; t++)
        {
            int slot = first + plan.TapRow[t];
            if (slot >= plan.Window) slot -= plan.Window;
            taps[t] = ring + (slot * plan.RowStride) + plan.TapOffset[t];
        }
    }

    /// <summary>
    /// Spreads out row h of the source for the span at v and one block: row[i][remainder][column / StepW][lane] = channel i of the lane's group, zeros
    /// outside the image. Loads may run over, by less than a vector, into the next pixel or into the spare bytes at the end of the pool's blocks: no
    /// lane that stands for a channel takes anything from there.
    /// </summary>
    private static void SpreadRow<V>(in GroupedPlan plan, int image, int h, int v, int block, float* row) where V : unmanaged
    {
        int w = Simd.Width<V>(), step = plan.Map.StepW, left = (v * step) + plan.FirstLeft;
        bool inside = (uint)h < (uint)plan.Map.SourceH;
        // Source channels of the block's groups: where they lie within a vector, a second one would be read past the pixel for nothing.
        bool wide = Math.Min(w, plan.Map.TargetC - (block * w)) / plan.Width * plan.Depth > w;
        // Columns [low, high) of the row lie inside the image.
        int low = inside ? Math.Clamp(-left, 0, plan.Columns) : plan.Columns;
        int high = inside ? Math.Clamp(plan.Map.SourceW - left, low, plan.Columns) : plan.Columns;
        float* line = plan.Source + (((((long)image * plan.Map.SourceH) + h) * plan.Map.SourceW) + left) * plan.Map.SourceC
            + ((long)block * w / plan.Width * plan.Depth);
        for (int remainder = 0; remainder < step; remainder++)
        {
            // Of the remainder's columns, those before the image, in it, and after it.
            int before = Math.Max(0, Pieces(low - remainder, step)), count = Math.Max(0, Pieces(high - remainder, step) - before);
            int after = Math.Max(0, Pieces(plan.Columns - remainder, step)) - before - count;
            float* from = line + ((remainder + ((long)before * step)) * plan.Map.SourceC);
            for (int i = 0; i < plan.Depth; i++)
            {
                float* to = row + (i * plan.PlaneStride) + (remainder * plan.RemainderStride);
                new Span<float>(to, before * w).Clear();
                if (wide) GroupedTiles.SpreadPixelsWide<V>(from, (nint)step * plan.Map.SourceC, count, plan.LaneIndex + (i * w), to + (before * w));
                else GroupedTiles.SpreadPixels<V>(from, (nint)step * plan.Map.SourceC, count, plan.LaneIndex + (i * w), to + (before * w));
                new Span<float>(to + ((before + count) * w), after * w).Clear();
            }
        }
    }

    /// <summary>The span of points from (u, v) on, one block of channels.</summary>
    private static void GroupedRow<V>(in GroupedPlan plan, int image, int u, int v, int block, float** taps) where V : unmanaged
    {
        int w = Simd.Width<V>(), channel = block * w, lanes = Math.Min(w, plan.Map.TargetC - channel);
        int count = Math.Min(plan.SpanPoints, plan.Map.GridW - v);
        float* weights = plan.Weights + ((long)block * plan.Map.Taps * plan.Depth * w);
        nint step = (nint)plan.Map.TargetStepW * plan.Map.TargetC, line = (nint)plan.Map.TargetStepH * plan.Map.TargetW * plan.Map.TargetC;
        long row = (((long)image * plan.Map.TargetH) + (u * plan.Map.TargetStepH) + plan.Map.TargetTop) * plan.Map.TargetW;
        float* target = plan.Target + ((row + plan.Map.TargetLeft) * plan.Map.TargetC) + (v * step) + channel;
        // A block's part of a pixel is too short, and the way to the next too long, for the processor to fetch ahead by itself.
        for (int i = 0; !plan.Stream && i < count; i++) Simd.Prefetch(target + line + (i * step));
        for (int i = 0, points; i < count; i += points, target += points * step)
        {
            points = GroupedTiles.NextPoints(count - i);
            var tile = new GroupedTile(taps, plan.Map.Taps, plan.Depth, (nint)plan.PlaneStride, (nint)i * w, weights, plan.Start + channel);
            if (plan.Accumulate) GroupedTiles.Sum<V, AddTo>(tile, target, step, points, lanes);
            else if (plan.Stream) GroupedTiles.Sum<V, Streamed>(tile, target, step, points, lanes);
            else GroupedTiles.Sum<V, Overwrite>(tile, target, step, points, lanes);
        }
    }
}
