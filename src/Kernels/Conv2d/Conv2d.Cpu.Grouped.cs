namespace RefConv.Kernels;

/// <summary>Everything the pieces of one convolution of many small groups share.</summary>
internal unsafe struct GroupedPlan
{
    public PixelMap Map;
    public float* Source, Target;
    public bool Accumulate;

    /// <summary>Channels of a group: of the source, and of the target.</summary>
    public int Depth, Width;

    /// <summary>Blocks of one vector of target channels; channel of the group's first source channel, lane by lane, from that of the block.</summary>
    public int Blocks;
    public float* LaneIndex;

    /// <summary>Weights [block][tap][i][lane], and what the sums start from, [block][lane].</summary>
    public float* Weights, Start;

    /// <summary>
    /// The part of the source that the taps of one row of points see: Window rows from u·StepH + FirstTop on, Columns columns from FirstLeft on.
    /// </summary>
    public int FirstTop, Window, FirstLeft, Columns;

    /// <summary>
    /// A source row spread out is [i][remainder][column / StepW][lane], where remainder is column mod StepW: so the columns that one tap reads for
    /// neighbouring points lie side by side whatever the stride. Floats of one remainder, of one i, and of all.
    /// </summary>
    public long RemainderStride, PlaneStride, RowStride;

    /// <summary>Work is cut into Images × Bands × BlockGroups pieces.</summary>
    public int Bands, BlockGroups;

    public float* WorkerScratch;
    public long WorkerFloats;
}

/// <remarks>
/// Convolutions of many small groups, ResNeXt's kind. A vector of target channels covers several groups here. Lane n wants, for each i, source channel i
/// of its own group: the source channels of these groups lie side by side in memory, so the vector that all lanes need is one load and one
/// permutation of lanes. Rows of the source are spread out so, once, into a ring of as many rows as the kernel is high, padding included; and
/// from the ring the sums run as in a depthwise convolution, lane by lane, with Depth vectors a tap instead of one.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// A vector covers whole groups, several of them, and the source channels they need at one i lie within a vector.
    /// </summary>
    internal static bool GroupedFits<V>(int depth, int width) where V : unmanaged
    {
        int w = Simd.Width<V>();
        return width < w && w % width == 0 && ((w / width) - 1) * depth < w;
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
        // A band computes on rows that it shares with its neighbours anew, so let it be as high as the number of pieces allows, but for large maps.
        plan.Bands = Math.Min(Pieces(map.GridH, Math.Min(map.GridH, 4)), Math.Max(Pieces(map.GridH, 28), Pieces(wanted, map.Images)));
        plan.BlockGroups = Math.Min(plan.Blocks, Pieces(wanted, (long)map.Images * plan.Bands));

        long weightFloats = (long)map.Taps * plan.Depth * w;
        plan.WorkerFloats = (plan.Window * plan.RowStride) + ((2L * map.Taps) + 15) / 16 * 16; // ring, and pointers
        using var small = _device.Scratch((plan.Blocks * (weightFloats + w)) + w);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        plan.Weights = small.Pointer;
        plan.Start = plan.Weights + (plan.Blocks * weightFloats);
        plan.LaneIndex = plan.Start + (plan.Blocks * w);
        plan.WorkerScratch = perWorker.Pointer;
        FillLaneIndex<V>(plan);
        for (int n = 0; n < plan.Blocks * w; n++) plan.Start[n] = bias != null && n < map.TargetC ? bias[n] : 0;
        Fork(macs, plan.Blocks, (block, _) => PackLanes<V>(plan, block, weights, layout));
        Fork(macs, map.Images * plan.Bands * plan.BlockGroups, (item, worker) => GroupedPiece<V>(plan, item, worker));
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
        if (map.Taps > 0)
        {
            plan.Window = lastTop - plan.FirstTop + 1;
            plan.Columns = ((map.GridW - 1) * map.StepW) + lastLeft - plan.FirstLeft + 1;
        }
        plan.RemainderStride = (long)Pieces(plan.Columns, map.StepW) * w;
        plan.PlaneStride = plan.RemainderStride * map.StepW;
        plan.RowStride = plan.PlaneStride * plan.Depth;
        return plan;
    }

    /// <summary>Lane n belongs to the block's group n / Width, whose first source channel is that times Depth. Whole numbers, in a float's place.</summary>
    private static void FillLaneIndex<V>(in GroupedPlan plan) where V : unmanaged
    {
        for (int n = 0; n < Simd.Width<V>(); n++) ((int*)plan.LaneIndex)[n] = n / plan.Width * plan.Depth;
    }

    /// <summary>weights[tap][i][lane] of one block; lanes beyond the last channel are zeros.</summary>
    private static void PackLanes<V>(in GroupedPlan plan, int block, float* weights, WeightLayout layout) where V : unmanaged
    {
        int w = Simd.Width<V>(), lanes = Math.Min(w, plan.Map.TargetC - (block * w));
        float* to = plan.Weights + ((long)block * plan.Map.Taps * plan.Depth * w);
        for (int t = 0; t < plan.Map.Taps; t++)
        for (int i = 0; i < plan.Depth; i++, to += w)
        {
            float* from = weights + (plan.Map.Tap[t].Index * layout.TapStride) + (i * layout.RowStride);
            for (int n = 0; n < lanes; n++)
            {
                int channel = (block * w) + n;
                to[n] = from[(channel / plan.Width * layout.GroupStride) + (channel % plan.Width * layout.ColumnStride)];
            }
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
        for (int block = firstBlock; block < lastBlock; block++)
        {
            int spread = 0; // source rows, counted from FirstTop, that are in the ring already end here
            for (int u = firstRow; u < lastRow; u++)
            {
                int top = u * plan.Map.StepH;
                for (spread = Math.Max(spread, top); spread < top + plan.Window; spread++)
                    SpreadRow<V>(plan, image, spread + plan.FirstTop, block, ring + (spread % plan.Window * plan.RowStride));
                TapRows<V>(plan, u, ring, taps);
                GroupedRow<V>(plan, image, u, block, taps);
            }
        }
    }

    /// <summary>Where each tap of row u begins in the ring.</summary>
    private static void TapRows<V>(in GroupedPlan plan, int u, float* ring, float** taps) where V : unmanaged
    {
        for (int t = 0; t < plan.Map.Taps; t++)
        {
            int row = (u * plan.Map.StepH) + plan.Map.Tap[t].Top - plan.FirstTop, column = plan.Map.Tap[t].Left - plan.FirstLeft;
            taps[t] = ring + (row % plan.Window * plan.RowStride) + (column % plan.Map.StepW * plan.RemainderStride)
                + ((long)(column / plan.Map.StepW) * Simd.Width<V>());
        }
    }

    /// <summary>
    /// Spreads out row h of the source for one block: row[i][remainder][column / StepW][lane] = channel i of the lane's group, zeros
    /// outside the image. Loads may run over, by less than a vector, into the next pixel or into the spare bytes at the end of the pool's blocks;
    /// only lanes that no channel stands for ever take anything from there, or lanes of other groups that the permutation leaves out.
    /// </summary>
    private static void SpreadRow<V>(in GroupedPlan plan, int image, int h, int block, float* row) where V : unmanaged
    {
        int w = Simd.Width<V>(), step = plan.Map.StepW;
        bool inside = (uint)h < (uint)plan.Map.SourceH;
        // Columns [low, high) of the row lie inside the image.
        int low = inside ? Math.Clamp(-plan.FirstLeft, 0, plan.Columns) : plan.Columns;
        int high = inside ? Math.Clamp(plan.Map.SourceW - plan.FirstLeft, low, plan.Columns) : plan.Columns;
        float* line = plan.Source + (((((long)image * plan.Map.SourceH) + h) * plan.Map.SourceW) + plan.FirstLeft) * plan.Map.SourceC
            + ((long)block * w / plan.Width * plan.Depth);
        for (int remainder = 0; remainder < step; remainder++)
        {
            float* to = row + (remainder * plan.RemainderStride);
            int column = remainder;
            for (; column < low; column += step, to += w) GroupedTiles.Clear<V>(to, plan.Depth, (nint)plan.PlaneStride);
            int count = Math.Max(0, Pieces(high - column, step));
            GroupedTiles.SpreadPixels<V>(
                line + ((long)column * plan.Map.SourceC), (nint)step * plan.Map.SourceC, count, plan.LaneIndex, plan.Depth, to, (nint)plan.PlaneStride);
            to += (long)count * w;
            for (column += count * step; column < plan.Columns; column += step, to += w) GroupedTiles.Clear<V>(to, plan.Depth, (nint)plan.PlaneStride);
        }
    }

    /// <summary>One row of points of one block.</summary>
    private static void GroupedRow<V>(in GroupedPlan plan, int image, int u, int block, float** taps) where V : unmanaged
    {
        int w = Simd.Width<V>(), channel = block * w, lanes = Math.Min(w, plan.Map.TargetC - channel);
        float* weights = plan.Weights + ((long)block * plan.Map.Taps * plan.Depth * w);
        float* start = plan.Accumulate ? null : plan.Start + channel;
        long line = (((long)image * plan.Map.TargetH) + (u * plan.Map.TargetStepH) + plan.Map.TargetTop) * plan.Map.TargetW;
        float* target = plan.Target + ((line + plan.Map.TargetLeft) * plan.Map.TargetC) + channel;
        nint step = (nint)plan.Map.TargetStepW * plan.Map.TargetC;
        for (int v = 0, points; v < plan.Map.GridW; v += points, target += points * step)
        {
            points = GroupedTiles.NextPoints(plan.Map.GridW - v);
            GroupedTiles.Sum<V>(taps, plan.Map.Taps, plan.Depth, (nint)plan.PlaneStride, (nint)v * w, weights, start, target, step, points, lanes);
        }
    }
}
