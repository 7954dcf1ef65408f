namespace RefConv.Kernels;

/// <summary>Everything the pieces of one sum of outer products share.</summary>
internal unsafe struct OuterPlan
{
    public PixelMap Map;

    /// <summary>X holds the source pixels of <see cref="Map"/>, dY [points, TargetC], Zeros [SourceC].</summary>
    public float* X, Dy, Zeros;

    /// <summary>Where the pieces write: [PointSplits][rows][TargetC], or dw itself when there is one split.</summary>
    public float* Result;
    public long ResultFloats;
    public bool Accumulate;

    /// <summary>Channels of a group: of x, and of dy.</summary>
    public int Depth, Width;
    public int PanelsPerGroup, Panels, PanelWidth;

    /// <summary>Copy the windows of few channels side by side.</summary>
    public bool Windows;

    /// <summary>Rows of dw seen as a matrix [Taps·Depth, Width], and how many of them lie in one run of channels: Depth, or all with Windows.</summary>
    public int Rows, RowsPerTap;

    /// <summary>Points are done in chunks of ChunkPoints.</summary>
    public int ChunkPoints, Chunks;

    /// <summary>Work is cut into PointSplits × RowBlocks × ColumnBlocks pieces.</summary>
    public int PointSplits, RowBlocks, ColumnBlocks;

    public float* WorkerScratch;
    public long WorkerFloats;
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// dw[tap, i, n] (+)= Σ_points x[point, tap][i] · dy[point][n]: the transposed left matrix makes this a sum of outer products, one for each point.
    /// </summary>
    private void OuterProduct<V>(in PixelMap map, int groups, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        int wide = 2 * Simd.Width<V>(), panelsPerGroup = Pieces(map.TargetC / groups, wide);
        var plan = new OuterPlan
        {
            Map = map, X = x, Dy = dy, Accumulate = accumulate, Depth = map.SourceC / groups, Width = map.TargetC / groups,
            PanelsPerGroup = panelsPerGroup, Panels = panelsPerGroup * groups, PanelWidth = wide,
        };
        plan.Windows = map.Taps > 1 && plan.Depth < MinSegment;
        plan.Rows = map.Taps * plan.Depth;
        plan.RowsPerTap = plan.Windows ? plan.Rows : plan.Depth;
        plan.ResultFloats = (long)plan.Rows * map.TargetC;
        long macs = map.Points * plan.ResultFloats;
        Cut(ref plan, macs);

        int tables = plan.Windows ? 1 : map.Taps;
        long windowFloats = plan.Windows ? ((long)plan.ChunkPoints * plan.Rows) + wide : 0;
        plan.WorkerFloats = (((2L * tables) + wide) * plan.ChunkPoints + windowFloats + 15) / 16 * 16;
        bool split = plan.PointSplits > 1;
        using var zeros = _device.Scratch(map.SourceC);
        using var partial = _device.Scratch(split ? plan.PointSplits * plan.ResultFloats : 0);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        plan.Zeros = zeros.Pointer;
        plan.WorkerScratch = perWorker.Pointer;
        plan.Result = split ? partial.Pointer : dw;
        plan.Accumulate = accumulate && !split;
        new Span<float>(plan.Zeros, map.SourceC).Clear();
        Fork(macs, plan.PointSplits * plan.RowBlocks * plan.ColumnBlocks, (item, worker) => OuterBlock<V>(plan, item, worker));
        if (split) AddSplits<V>(plan, dw, accumulate);
    }

    /// <summary>
    /// Cuts the work into pieces, by the shape alone: enough of them for many cores, and of the ways to do that the one that moves the least memory.
    /// Cutting columns makes every piece read x again; cutting rows, dy; cutting points makes every piece write a whole dw, to be added up afterwards.
    /// </summary>
    private static void Cut(ref OuterPlan plan, long macs)
    {
        int points = plan.Map.Points;
        plan.ChunkPoints = Pieces(points, Pieces(points, 256));
        plan.Chunks = Pieces(points, plan.ChunkPoints);
        long wanted = Math.Clamp(macs >> 21, 1, 32);
        double best = double.MaxValue;
        double x = (double)points * plan.Map.SourceC * (plan.Windows ? plan.Map.Taps : 1), dy = (double)points * plan.Map.TargetC;
        for (int splits = 1; splits <= Math.Min(plan.Chunks, 32); splits *= 2)
        for (int columns = 1; columns < 2 * plan.Panels && columns <= 32; columns *= 2)
        for (int rows = 1; rows <= Math.Max(1, plan.Rows / 12) && rows <= 32; rows *= 2)
        {
            int columnBlocks = Math.Min(columns, plan.Panels);
            long pieces = (long)splits * columnBlocks * rows;
            double traffic = (x * columnBlocks) + (dy * rows) + (splits > 1 ? 3.0 * splits * plan.ResultFloats : 0);
            // Too few pieces leave cores without work: as bad as so much more of it.
            if (pieces < wanted) traffic += macs * (1.0 - ((double)pieces / wanted));
            if (traffic >= best) continue;
            best = traffic;
            (plan.PointSplits, plan.ColumnBlocks, plan.RowBlocks) = (splits, columnBlocks, rows);
        }
    }

    /// <summary>One piece: some of the points, some rows and some columns of dw.</summary>
    private static void OuterBlock<V>(in OuterPlan plan, int item, int worker) where V : unmanaged
    {
        long columnBlock = item % plan.ColumnBlocks, rowBlock = item / plan.ColumnBlocks % plan.RowBlocks, split = item / plan.ColumnBlocks / plan.RowBlocks;
        int firstPanel = (int)(columnBlock * plan.Panels / plan.ColumnBlocks), lastPanel = (int)((columnBlock + 1) * plan.Panels / plan.ColumnBlocks);
        int firstRow = (int)(rowBlock * plan.Rows / plan.RowBlocks), lastRow = (int)((rowBlock + 1) * plan.Rows / plan.RowBlocks);
        int firstChunk = (int)(split * plan.Chunks / plan.PointSplits), lastChunk = (int)((split + 1) * plan.Chunks / plan.PointSplits);

        float* packed = plan.WorkerScratch + (worker * plan.WorkerFloats);             // [points][panel width]
        float** source = (float**)(packed + (plan.ChunkPoints * plan.PanelWidth));     // [taps][points]
        float* windows = (float*)(source + plan.ChunkPoints);                          // [points][taps·depth], with Windows
        float* result = plan.Result + (split * plan.ResultFloats);
        int firstTap = firstRow / plan.RowsPerTap, lastTap = ((lastRow - 1) / plan.RowsPerTap) + 1;
        for (int chunk = firstChunk; chunk < lastChunk; chunk++)
        {
            int first = chunk * plan.ChunkPoints, count = Math.Min(plan.ChunkPoints, plan.Map.Points - first);
            bool load = plan.Accumulate || chunk > firstChunk;
            if (!plan.Windows) plan.Map.SourceRows(plan.X, plan.Zeros, firstTap, lastTap, first, count, source, plan.ChunkPoints);
            for (int i = 0; plan.Windows && i < count; i++) source[i] = windows + ((long)i * plan.Rows);
            for (int panel = firstPanel, copied = -1; panel < lastPanel; panel++)
            {
                int group = panel / plan.PanelsPerGroup, column = panel % plan.PanelsPerGroup * plan.PanelWidth;
                if (plan.Windows && group != copied)
                {
                    plan.Map.CopyWindows<V>(plan.X, group * plan.Depth, plan.Depth, first, count, windows);
                    copied = group;
                }
                int columns = Math.Min(plan.PanelWidth, plan.Width - column), targetColumn = (group * plan.Width) + column;
                PackRows<V>(plan.Dy + ((long)first * plan.Map.TargetC) + targetColumn, plan.Map.TargetC, count, columns, packed);
                for (int row = firstRow, rows; row < lastRow; row += rows)
                {
                    // Tiles do not cross from one tap to the next, their rows are consecutive channels.
                    int tap = row / plan.RowsPerTap, channel = row % plan.RowsPerTap;
                    rows = Tiles.NextRows(Math.Min(plan.RowsPerTap - channel, lastRow - row));
                    Tiles.Outer<V>(
                        source + ((long)(tap - firstTap) * plan.ChunkPoints), channel + (plan.Windows ? 0 : group * plan.Depth), count, packed,
                        result + ((long)row * plan.Map.TargetC) + targetColumn, plan.Map.TargetC, load, rows, columns);
                }
            }
        }
    }

    /// <summary>dw (+)= the partial results, added in their order.</summary>
    private void AddSplits<V>(OuterPlan plan, float* dw, bool accumulate) where V : unmanaged
    {
        int w = Simd.Width<V>();
        ParallelRange(plan.ResultFloats, 16384, (first, last) =>
        {
            long i = first;
            for (; i <= last - w; i += w)
            {
                V sum = accumulate ? Simd.Load<V>(dw + i) : Simd.Broadcast<V>(0);
                for (int s = 0; s < plan.PointSplits; s++) sum = Simd.Add(sum, Simd.Load<V>(plan.Result + (s * plan.ResultFloats) + i));
                Simd.Store(dw + i, sum);
            }
            for (; i < last; i++)
            {
                float sum = accumulate ? dw[i] : 0;
                for (int s = 0; s < plan.PointSplits; s++) sum += plan.Result[(s * plan.ResultFloats) + i];
                dw[i] = sum;
            }
        });
    }
}
