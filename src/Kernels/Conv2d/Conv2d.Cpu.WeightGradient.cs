using System.Runtime.Intrinsics;

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

    /// <summary>How the columns of dy are cut.</summary>
    public Panels Panels;

    /// <summary>Copy the windows of few channels side by side.</summary>
    public bool Windows;

    /// <summary>
    /// Rows of dw seen as a matrix [Taps·Depth, Width], and how many of them lie in one run of channels: Depth, or all with Windows.
    /// </summary>
    public int Rows, RowsPerTap;

    /// <summary>Points are done in chunks of ChunkPoints, for each of which the panels of dy are packed MaxBatch at a time.</summary>
    public int ChunkPoints, Chunks, MaxBatch;

    /// <summary>Copy x too, in the order in which the tiles read it. Only where there is one tap: others share what they read.</summary>
    public bool PackX;

    /// <summary>Fetch the next chunk while one is worked on, see <see cref="CpuKernels.NextChunk"/>.</summary>
    public bool FetchNext;

    /// <summary>Work is cut into PointSplits × RowBlocks × ColumnBlocks pieces.</summary>
    public int PointSplits, RowBlocks, ColumnBlocks;

    public float* WorkerScratch;
    public long WorkerFloats;
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>Matrices of fewer floats together (1 MB) are in the second-level cache, or soon will be.</summary>
    private const long MinFetched = 256 << 10;

    /// <summary>
    /// dw[tap, i, n] (+)= Σ_points x[point, tap][i] · dy[point][n]: the transposed left matrix makes this a sum of outer products, one for
    /// each point.
    /// </summary>
    private void OuterProduct<V>(in PixelMap map, int groups, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        if (map.Points == 0)
        {
            if (!accumulate) new Span<float>(dw, checked(map.Taps * (map.SourceC / groups) * map.TargetC)).Clear();
            return;
        }
        var plan = new OuterPlan { Map = map, X = x, Dy = dy, Accumulate = accumulate, Panels = Panels.Of<V>(map, groups) };
        int wide = plan.Panels.Wide, depth = plan.Panels.Depth;
        plan.Windows = map.Taps > 1 && depth < MinSegment;
        plan.Rows = map.Taps * depth;
        plan.RowsPerTap = plan.Windows ? plan.Rows : depth;
        plan.ResultFloats = (long)plan.Rows * map.TargetC;
        long macs = map.Points * plan.ResultFloats;
        Cut(ref plan, macs);

        int tables = plan.Windows ? 1 : map.Taps;
        long windowFloats = plan.Windows ? plan.ChunkPoints * PixelMap.WindowStride<V>(plan.Rows) : 0;
        long copyFloats = plan.PackX ? (Pieces(Pieces(plan.Rows, plan.RowBlocks), Tiles.MaxRows) + 1L) * TileFloats(plan.ChunkPoints) : windowFloats;
        plan.WorkerFloats = (((2L * tables) + (plan.MaxBatch * wide)) * plan.ChunkPoints + copyFloats + 15) / 16 * 16;
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
        if (split) SumSplits<V>(plan.Result, plan.PointSplits, plan.ResultFloats, dw, accumulate);
    }

    /// <summary>
    /// Cuts the work into pieces, by the shape alone: enough of them for many cores, and of the ways to do that the one that moves the least memory.
    /// Cutting columns makes every piece read x again; cutting rows, dy; cutting points makes every piece write a whole dw, to be added up
    /// afterwards.
    /// </summary>
    private static void Cut(ref OuterPlan plan, long macs)
    {
        int points = plan.Map.Points;
        int chunks = Pieces(points, 256);
        long wanted = Math.Clamp(macs >> 21, 1, 32);
        double best = double.MaxValue;
        double x = (double)points * plan.Map.SourceC * (plan.Windows ? plan.Map.Taps : 1), dy = (double)points * plan.Map.TargetC;
        for (int splits = 1; splits <= Math.Min(chunks, 32); splits *= 2)
        for (int columns = 1; columns < 2 * plan.Panels.Count && columns <= 32; columns *= 2)
        for (int rows = 1; rows <= Math.Max(1, plan.Rows / 12) && rows <= 32; rows *= 2)
        {
            int columnBlocks = Math.Min(columns, plan.Panels.Count);
            long pieces = (long)splits * columnBlocks * rows;
            double traffic = (x * columnBlocks) + (dy * rows) + (splits > 1 ? 3.0 * splits * plan.ResultFloats : 0);
            // Too few pieces leave cores without work: as bad as so much more of it.
            if (pieces < wanted) traffic += macs * (1.0 - ((double)pieces / wanted));
            if (traffic >= best) continue;
            best = traffic;
            (plan.PointSplits, plan.ColumnBlocks, plan.RowBlocks) = (splits, columnBlocks, rows);
        }
        // A panel of a chunk of dy should stay in the first-level cache while all tiles use it (128 points of 64 columns: 32 KB), a chunk of x in the second. With several taps what a
        // chunk costs to find its pixels weighs more.
        plan.ChunkPoints = Pieces(points, Pieces(points, plan.Map.Taps == 1 ? 128 : 256));
        plan.Chunks = Pieces(points, plan.ChunkPoints);
        plan.MaxBatch = Math.Min(4, Pieces(plan.Panels.Count, plan.ColumnBlocks));
        plan.FetchNext = plan.Map is { Taps: 1, GridH: 1, Images: 1 } && x + dy >= MinFetched;
        plan.PackX = plan.Map.Taps == 1 && plan.Map.SourceC == plan.Panels.Depth && plan.MaxBatch > 1 && plan.Panels.Depth >= 768;
    }

    /// <summary>Floats of a packed tile of x, [points][6], and room for the copy of the last to run over.</summary>
    private static long TileFloats(int points) => (points * Tiles.MaxRows) + 16;

    /// <summary>One piece: some of the points, some rows and some columns of dw.</summary>
    private static void OuterBlock<V>(in OuterPlan plan, int item, int worker) where V : unmanaged
    {
        long columnBlock = item % plan.ColumnBlocks, rowBlock = item / plan.ColumnBlocks % plan.RowBlocks;
        long split = item / plan.ColumnBlocks / plan.RowBlocks;
        int firstPanel = (int)(columnBlock * plan.Panels.Count / plan.ColumnBlocks), lastPanel = (int)((columnBlock + 1) * plan.Panels.Count / plan.ColumnBlocks);
        int firstRow = (int)(rowBlock * plan.Rows / plan.RowBlocks), lastRow = (int)((rowBlock + 1) * plan.Rows / plan.RowBlocks);
        int firstChunk = (int)(split * plan.Chunks / plan.PointSplits), lastChunk = (int)((split + 1) * plan.Chunks / plan.PointSplits);

        float* packed = plan.WorkerScratch + (worker * plan.WorkerFloats);                               // [panels of a batch][points][panel width]
        float** source = (float**)(packed + (plan.ChunkPoints * plan.Panels.Wide * plan.MaxBatch));       // [taps][points]
        float* copy = (float*)(source + plan.ChunkPoints);  // with Windows [points][taps·depth], with PackX [tiles][points][6]; both have one table
        float* result = plan.Result + (split * plan.ResultFloats);
        int firstTap = firstRow / plan.RowsPerTap, lastTap = ((lastRow - 1) / plan.RowsPerTap) + 1;
        for (int chunk = firstChunk; chunk < lastChunk; chunk++)
        {
            int first = chunk * plan.ChunkPoints, count = Math.Min(plan.ChunkPoints, plan.Map.Points - first);
            bool load = plan.Accumulate || chunk > firstChunk;
            if (!plan.Windows) plan.Map.SourceRows(plan.X, plan.Zeros, firstTap, lastTap, first, count, source, plan.ChunkPoints);
            for (int i = 0; plan.Windows && i < count; i++) source[i] = copy + (i * PixelMap.WindowStride<V>(plan.Rows));
            if (plan.PackX) PackTiles(source, firstRow, lastRow, count, copy, TileFloats(plan.ChunkPoints));
            for (int panel = firstPanel, copied = -1; panel < lastPanel; panel++)
            {
                int group = plan.Panels.GroupOf(panel), inBatch = (panel - firstPanel) % plan.MaxBatch;
                if (plan.Windows && group != copied)
                {
                    plan.Map.CopyWindows<V>(plan.X, group * plan.Panels.Depth, plan.Panels.Depth, first, count, copy);
                    copied = group;
                }
                if (inBatch == 0) PackDy<V>(plan, first, count, panel, Math.Min(lastPanel, panel + plan.MaxBatch), packed);
                float* dy = packed + (inBatch * plan.ChunkPoints * plan.Panels.Wide);
                var next = new NextChunk(plan, first + count, count, firstRow, lastRow, firstPanel, lastPanel, panel - firstPanel, plan.FetchNext && chunk + 1 < lastChunk);
                OuterPanel<V>(plan, panel, firstRow, lastRow, count, source, dy, result, load, next);
            }
        }
    }

    /// <summary>One panel of one chunk, for all rows of the piece.</summary>
    private static void OuterPanel<V>(
        in OuterPlan plan, int panel, int firstRow, int lastRow, int count, float** source, float* packed, float* result, bool load, NextChunk next)
        where V : unmanaged
    {
        int group = plan.Panels.GroupOf(panel), columns = plan.Panels.ColumnsOf(panel), targetColumn = plan.Panels.FirstColumn(panel);
        var lanes = plan.Panels.Offsets;
        int firstTap = firstRow / plan.RowsPerTap;
        nint packedTile = 0;
        for (int row = firstRow, rows; row < lastRow; row += rows, packedTile += (nint)TileFloats(plan.ChunkPoints))
        {
            // Tiles do not cross from one tap to the next, their rows are consecutive channels.
            int tap = row / plan.RowsPerTap, channel = row % plan.RowsPerTap;
            rows = Tiles.NextRows(Math.Min(plan.RowsPerTap - channel, lastRow - row));
            nint offset = plan.PackX ? packedTile : channel + (plan.Windows ? 0 : group * plan.Panels.Depth);
            var (ahead, aheadStep) = next.Of(packed);
            Tiles.Outer<V>(
                source + ((long)(tap - firstTap) * plan.ChunkPoints), offset, lanes, count, packed,
                result + ((long)row * plan.Map.TargetC) + targetColumn, plan.Map.TargetC, load,
                (float*)ahead, aheadStep, rows, columns);
        }
    }

    /// <summary>
    /// What the tiles of a piece fetch for its next chunk, with every step of their loop a little: asked for all at once it would fill the queue of the memory and make the tile wait behind it.
    /// </summary>
    /// <remarks>
    /// A piece that has all rows and columns of dense maps reads both from end to end, and that is how it fetches them: the first tiles x, the others dy. A piece that has some of them meets each point of
    /// the next chunk a whole row of the map further on, a pattern that the processor does not see: the first tiles fetch a line of x of every point, one a step, those after them one of dy.
    /// </remarks>
    private struct NextChunk(in OuterPlan plan, int point, int points, int firstRow, int lastRow, int firstPanel, int lastPanel, int panelsDone, bool wanted)
    {
        private const int Line = 16;
        private readonly float* _x = plan.X + ((long)point * plan.Map.SourcePitch) + firstRow, _dy = plan.Dy + ((long)point * plan.Map.TargetC) + plan.Panels.FirstColumn(firstPanel);
        private readonly int _stepX = plan.Map.SourcePitch, _stepDy = plan.Map.TargetC, _points = points;
        private readonly int _linesX = Pieces(lastRow - firstRow, Line), _linesDy = Pieces((lastPanel - firstPanel) * plan.Panels.Wide, Line);
        private readonly bool _wanted = wanted, _whole = lastRow - firstRow == plan.Rows && lastPanel - firstPanel == plan.Panels.Count && plan.Map.SourcePitch == plan.Map.SourceC;
        private readonly int _tiles = (lastPanel - firstPanel) * Pieces(lastRow - firstRow, Tiles.MaxRows);
        private int _tile = panelsDone * Pieces(lastRow - firstRow, Tiles.MaxRows);

        /// <summary>Of the next tile: where its first step finds what it fetches, and how far it is to the next step's.</summary>
        /// <param name="nothing">Memory that is in the cache, for a tile that has nothing to fetch.</param>
        public (nint Pointer, nint Step) Of(float* nothing)
        {
            int tile = _tile++;
            if (!_wanted) return ((nint)nothing, 0);
            if (_whole)
            {
                int step = Pieces(Pieces(_stepX + _stepDy, _tiles), 4) * 4;
                long done = (long)tile * step * _points, x = (long)_points * _stepX;
                return ((nint)(done < x ? _x + done : _dy + done - x), step);
            }
            if (tile < _linesX) return ((nint)(_x + (tile * Line)), _stepX);
            return tile < _linesX + _linesDy ? ((nint)(_dy + ((tile - _linesX) * Line)), _stepDy) : ((nint)nothing, 0);
        }
    }

    /// <summary>
    /// Packs panels [panel, last) of dy, for all of a chunk's points: packed[panel][point][columns]. Several panels at a time, so that the
    /// rows of dy, which mostly come from main memory, are read in long runs.
    /// </summary>
    private static void PackDy<V>(in OuterPlan plan, int first, int count, int panel, int last, float* packed) where V : unmanaged
    {
        for (int p = 0; p < count; p += 8)
        {
            for (int i = panel; i < last; i++)
            {
                int columns = plan.Panels.ColumnsOf(i), padded = PanelWidth<V>(columns);
                float* from = plan.Dy + ((long)(first + p) * plan.Map.TargetC) + plan.Panels.FirstColumn(i);
                float* to = packed + ((i - panel) * plan.ChunkPoints * plan.Panels.Wide) + (p * padded);
                PackRows<V>(from, plan.Map.TargetC, Math.Min(8, count - p), columns, to, padded);
            }
        }
    }

    /// <summary>
    /// Copies channels [firstRow, lastRow) of the points into tiles, copy[tile][point][6], and points the rows at them. Without it a tile
    /// would read 24 bytes from each of hundreds of lines that lie a power of two apart, and so share a few sets of the cache and push each
    /// other out.
    /// </summary>
    private static void PackTiles(float** source, int firstRow, int lastRow, int count, float* copy, long tileFloats)
    {
        for (int p = 0; p < count; p++)
        {
            float* to = copy + (p * Tiles.MaxRows);
            float* from = source[p];
            source[p] = to;
            for (int row = firstRow, rows; row < lastRow; row += rows, to += tileFloats)
            {
                rows = Tiles.NextRows(lastRow - row);
                // Eight channels although six count: the next point's copy, or the room at the end, takes the two too many.
                Simd.Store(to, Simd.Load<Vector256<float>>(from + row));
            }
        }
    }

    /// <summary>dw (+)= the partial results parts[split][floats], added in their order.</summary>
    private void SumSplits<V>(float* parts, int splits, long floats, float* dw, bool accumulate) where V : unmanaged
    {
        int w = Simd.Width<V>();
        ParallelRange(floats, 16384, (first, last) =>
        {
            long i = first;
            for (; i <= last - w; i += w)
            {
                V sum = accumulate ? Simd.Load<V>(dw + i) : Simd.Broadcast<V>(0);
                for (int s = 0; s < splits; s++) sum = Simd.Add(sum, Simd.Load<V>(parts + (s * floats) + i));
                Simd.Store(dw + i, sum);
            }
            for (; i < last; i++)
            {
                float sum = accumulate ? dw[i] : 0;
                for (int s = 0; s < splits; s++) sum += parts[(s * floats) + i];
                dw[i] = sum;
            }
        });
    }
}
