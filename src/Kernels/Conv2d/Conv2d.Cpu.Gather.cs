using System.Diagnostics;

namespace RefConv.Kernels;

/// <summary>Everything the pieces of one gathering product share.</summary>
internal unsafe struct GatherPlan
{
    public PixelMap Map;
    public float* Source, Target, Packed, Start, Zeros;
    public bool Accumulate;

    /// <summary>How the columns are cut.</summary>
    public Panels Panels;

    /// <summary>Write the target past the caches: it is too large to be still there when it is read, and each element is written once.</summary>
    public bool Stream;

    /// <summary>Fetch the source ahead: large, and its rows follow one another.</summary>
    public bool Prefetch;

    /// <summary>Copy the windows of few channels side by side, see <see cref="PixelMap.CopyWindows{V}"/>.</summary>
    public bool Windows;

    /// <summary>What is done to finished sums on their way to the target; see <see cref="TileFinish"/>.</summary>
    public TileFinish Finish;

    /// <summary>
    /// The sum, Taps·Depth long, in segments; blocks of the sum are runs of segments: block i is [BlockStart[i], BlockStart[i + 1]).
    /// </summary>
    public Segment* Segments;
    public int* BlockStart;
    public int Blocks;

    /// <summary>Work is cut into RowBlocks × ColumnBlocks pieces; a row block has RowsPerBlock points at most.</summary>
    public int RowBlocks, RowsPerBlock, ColumnBlocks;

    /// <summary>Scratch memory of a thread: tables of row pointers, windows, and the tile that is being finished.</summary>
    public float* WorkerScratch;
    public long WorkerFloats;
}

internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Longest part of a sum done at once: so many rows of a panel stay in the first-level cache while all tiles of a row block use them.
    /// </summary>
    private const int MaxBlockDepth = 256;

    /// <summary>A result of at least so many floats (8 MB) is written past the caches.</summary>
    private const long MinStreamed = 2 << 20;

    /// <summary>The same for passes that read a map as large as they write (16 MB): those leave less room for the result in the caches.</summary>
    private const long MinStreamedMap = 4 << 20;

    /// <summary>Fewer channels than this, and windows are copied side by side.</summary>
    internal const int MinSegment = 16;

    /// <summary>
    /// target[point] (+)= bias + Σ_tap source[point, tap] · weights[tap], a matrix product whose left rows are gathered through pointers
    /// to pixels: no copy of the image is made.
    /// </summary>
    private void GatherProduct<V>(
        in PixelMap map, int groups, float* source, float* weights, WeightLayout layout, float* bias, float* target, bool accumulate,
        float* moments = null)
        where V : unmanaged
    {
        if (map.Points == 0 || (map.Taps == 0 && accumulate)) return;
        using var packed = _device.Scratch(PackedLength<V>(map, groups));
        PackPanels<V>(map, groups, weights, layout, packed.Pointer);
        GatherPacked<V>(map, groups, source, packed.Pointer, bias, target, accumulate, default, moments);
    }

    /// <summary>The same with weights that <see cref="PackPanels{V}"/> has packed, and with what follows the convolution in a network.</summary>
    /// <param name="map">Which pixels are summed.</param>
    /// <param name="groups">Channel groups.</param>
    /// <param name="source">The map's source.</param>
    /// <param name="packed">Packed weights.</param>
    /// <param name="bias">[TargetC], or null.</param>
    /// <param name="target">The map's target.</param>
    /// <param name="accumulate">Add to the target.</param>
    /// <param name="finish">What is done to the sums.</param>
    /// <param name="moments">[2, TargetC]: receives mean and variance of the result's columns; or null.</param>
    private void GatherPacked<V>(
        in PixelMap map, int groups, float* source, float* packed, float* bias, float* target, bool accumulate, TileFinish finish, float* moments)
        where V : unmanaged
    {
        Debug.Assert(moments == null || !finish.ChangesValues, "moments are those of the plain sums");
        var panels = Panels.Of<V>(map, groups);
        var plan = new GatherPlan { Map = map, Source = source, Target = target, Packed = packed, Accumulate = accumulate, Panels = panels };
        plan.Windows = map.Taps > 1 && panels.Depth < MinSegment;
        long sum = (long)map.Taps * panels.Depth;
        long macs = map.Points * sum * map.TargetC;
        Cut(ref plan, macs);

        int tables = plan.Windows ? 1 : map.Taps;
        long windowFloats = plan.Windows ? plan.RowsPerBlock * PixelMap.WindowStride<V>(sum) : 0;
        plan.WorkerFloats = ((2L * plan.RowsPerBlock * (tables + 1)) + windowFloats + TileScratch.Floats + 15) / 16 * 16; // a pointer takes the room of two floats
        int maxSegments = Math.Max(1, tables * Pieces(plan.Windows ? sum : panels.Depth, MaxBlockDepth));
        using var small = _device.Scratch(map.SourceC + (panels.Count * panels.Wide) + (4L * maxSegments) + 2);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        using var pivots = _device.Scratch(moments == null ? 0 : (long)plan.RowBlocks * panels.Count * panels.Wide * ColumnMoments.Rows);
        plan.Zeros = small.Pointer;
        plan.Start = plan.Zeros + map.SourceC;
        plan.Segments = (Segment*)(plan.Start + (panels.Count * panels.Wide));
        plan.BlockStart = (int*)(plan.Segments + maxSegments);
        plan.WorkerScratch = perWorker.Pointer;

        new Span<float>(plan.Zeros, map.SourceC).Clear();
        PackStart(plan, bias);
        CutSum(ref plan);
        plan.Prefetch = IsLargeMatrix(map) && groups == 1 && (long)map.SourceC * map.TargetC <= 1 << 16;
        plan.Stream = plan.Blocks == 1 && !accumulate && (long)map.Points * map.TargetC >= MinStreamed
            && (nint)target % sizeof(V) == 0 && panels.Width % Simd.Width<V>() == 0 && map.TargetPitch % Simd.Width<V>() == 0;
        plan.Finish = finish;
        plan.Finish.Moments = moments == null ? null : pivots.Pointer;
        Fork(macs, plan.RowBlocks * plan.ColumnBlocks, (item, worker) => GatherBlock<V>(plan, item, worker));
        if (moments != null) AddMoments<V>(plan, moments);
    }

    /// <summary>Mean and variance of every column from the moments of the row blocks, in double and in the order of the blocks.</summary>
    private void AddMoments<V>(GatherPlan plan, float* moments) where V : unmanaged
    {
        var panels = plan.Panels;
        int wide = panels.Wide, channels = plan.Map.TargetC;
        using var scratch = _device.Scratch(4L * panels.Count * wide);
        double* sums = (double*)scratch.Pointer; // [panels][Σ x, Σ x²][panel width]
        Fork(8L * plan.RowBlocks * panels.Count * wide, panels.Count, (panel, _) =>
        {
            double* sum = sums + (2L * panel * wide), squares = sum + wide;
            new Span<double>(sum, 2 * wide).Clear();
            for (int block = 0; block < plan.RowBlocks; block++)
            {
                float* part = plan.Finish.Moments + ((((long)block * panels.Count) + panel) * wide * ColumnMoments.Rows);
                int rows = Math.Min(plan.RowsPerBlock, plan.Map.Points - (block * plan.RowsPerBlock));
                for (int n = 0; n < wide; n += Simd.Width<V>())
                    Simd.AddMoments(sum + n, squares + n, rows, Simd.Load<V>(part + n), Simd.Load<V>(part + wide + n), Simd.Load<V>(part + (2 * wide) + n));
            }
            int first = panels.FirstColumn(panel), columns = panels.ColumnsOf(panel);
            for (int n = 0; n < columns; n++)
            {
                double mean = sum[n] / plan.Map.Points, variance = (squares[n] / plan.Map.Points) - (mean * mean);
                (moments[first + n], moments[channels + first + n]) = ((float)mean, (float)Math.Max(0, variance));
            }
        });
    }

    /// <summary>
    /// Cuts points and panels into pieces, by the shape alone. Blocks of about 96 points use a part of a panel from the first-level cache
    /// 16 times over, while their own rows stay in the second; where that makes too few pieces for many cores, smaller ones.
    /// </summary>
    private static void Cut(ref GatherPlan plan, long macs)
    {
        int points = plan.Map.Points;
        // With few points (a classifier's one row) the weights are read for little work: then memory counts, which several threads read faster.
        long weights = (long)plan.Map.Taps * plan.Panels.Depth * plan.Map.TargetC;
        int wanted = (int)Math.Clamp(Math.Max(macs >> 20, weights >> 16), 1, 64);
        int size = Pieces(points, 96) >= wanted ? 96 : 48;
        int blocks = Math.Max(1, (points + (size / 2)) / size);
        plan.RowsPerBlock = Pieces(Pieces(points, blocks), Tiles.MaxRows) * Tiles.MaxRows;
        plan.RowBlocks = Pieces(points, plan.RowsPerBlock);
        plan.ColumnBlocks = Math.Min(plan.Panels.Count, Pieces(wanted, plan.RowBlocks));
    }

    /// <summary>What each column's sum starts from, start[panel][column]: the bias, or zero.</summary>
    private static void PackStart(in GatherPlan plan, float* bias)
    {
        for (int panel = 0; panel < plan.Panels.Count; panel++)
        {
            int first = plan.Panels.FirstColumn(panel), columns = plan.Panels.ColumnsOf(panel);
            float* start = plan.Start + (panel * plan.Panels.Wide);
            for (int n = 0; n < plan.Panels.Wide; n++) start[n] = bias != null && n < columns ? bias[first + n] : 0;
        }
    }

    /// <summary>
    /// Cuts the sum over taps and channels into blocks of at most <see cref="MaxBlockDepth"/>: several whole taps, or a part of one.
    /// </summary>
    private static void CutSum(ref GatherPlan plan)
    {
        int taps = plan.Windows ? 1 : plan.Map.Taps, depth = plan.Windows ? plan.Map.Taps * plan.Panels.Depth : plan.Panels.Depth;
        int parts = Pieces(depth, MaxBlockDepth), part = Pieces(depth, parts);
        int tapsPerBlock = Math.Max(1, MaxBlockDepth / part);
        tapsPerBlock = parts > 1 ? 1 : Pieces(taps, Math.Max(1, Pieces(taps, tapsPerBlock)));
        int segments = 0;
        plan.Blocks = 0;
        for (int t = 0; t < taps; t++)
        {
            for (int i = 0; i < parts; i++)
            {
                if (parts > 1 || t % tapsPerBlock == 0) plan.BlockStart[plan.Blocks++] = segments;
                plan.Segments[segments++] = new Segment(t, i * part, Math.Min(part, depth - (i * part)));
            }
        }
        // No taps at all (input pixels between the windows of a large stride): one empty block, whose tiles just write their start.
        if (taps == 0) plan.BlockStart[plan.Blocks++] = 0;
        plan.BlockStart[plan.Blocks] = segments;
    }

    /// <summary>One piece: the points of a row block, the panels of a column block.</summary>
    private static void GatherBlock<V>(in GatherPlan plan, int item, int worker) where V : unmanaged
    {
        int rowBlock = item / plan.ColumnBlocks, first = rowBlock * plan.RowsPerBlock, count = Math.Min(plan.RowsPerBlock, plan.Map.Points - first);
        long columnBlock = item % plan.ColumnBlocks;
        var panels = plan.Panels;
        int firstPanel = (int)(columnBlock * panels.Count / plan.ColumnBlocks), lastPanel = (int)((columnBlock + 1) * panels.Count / plan.ColumnBlocks);
        long sum = (long)plan.Map.Taps * panels.Depth;
        var lanes = panels.Offsets;

        float** target = (float**)(plan.WorkerScratch + (worker * plan.WorkerFloats)); // [points]
        float** source = target + plan.RowsPerBlock;                                   // [taps][points]
        float* windows = (float*)(source + plan.RowsPerBlock);                         // [points][taps·depth], with Windows
        var scratch = new TileScratch(plan.WorkerScratch + ((worker + 1) * plan.WorkerFloats) - TileScratch.Floats, panels.Wide);
        plan.Map.TargetRows(plan.Target, first, count, target);
        if (!plan.Windows) plan.Map.SourceRows(plan.Source, plan.Zeros, 0, plan.Map.Taps, first, count, source, plan.RowsPerBlock);
        for (int i = 0; plan.Windows && i < count; i++) source[i] = windows + (i * PixelMap.WindowStride<V>(sum));

        // Of a large map, a few rows for all panels, then the next few: so both maps are walked from one end to the other. Otherwise panel by panel.
        int strip = plan.Prefetch ? 4 * Tiles.MaxRows : count;
        for (int firstRow = 0; firstRow < count; firstRow += strip)
        for (int panel = firstPanel, copied = -1; panel < lastPanel; panel++)
        {
            int lastRow = Math.Min(count, firstRow + strip);
            int group = panels.GroupOf(panel);
            if (plan.Windows && group != copied)
            {
                plan.Map.CopyWindows<V>(plan.Source, group * panels.Depth, panels.Depth, first, count, windows);
                copied = group;
            }
            int columns = panels.ColumnsOf(panel), padded = PanelWidth<V>(columns);
            float* b = plan.Packed + (panel * sum * panels.Wide);
            long tilesOfBlock = (rowBlock * (long)panels.Count) + panel;
            float* panelMoments = plan.Finish.Moments + (tilesOfBlock * panels.Wide * ColumnMoments.Rows), panelStart = plan.Start + (panel * panels.Wide);
            nint sourceOffset = plan.Windows ? 0 : group * panels.Depth, targetOffset = panels.FirstColumn(panel);
            for (int block = 0; block < plan.Blocks; block++)
            {
                var segments = plan.Segments + plan.BlockStart[block];
                int segmentCount = plan.BlockStart[block + 1] - plan.BlockStart[block], length = 0;
                for (int s = 0; s < segmentCount; s++) length += segments[s].Length;
                // The first block starts the sums, the others go on from what is in the target.
                float* start = block == 0 && !plan.Accumulate ? panelStart : null;
                bool last = block == plan.Blocks - 1, moments = last && plan.Finish.Moments != null;
                // What is written past the caches cannot be read again cheaply: its moments are taken tile by tile.
                var activation = last && plan.Finish.IsPlainActivation ? plan.Finish.Activation : ActivationKind.Identity;
                bool finish = last && ((plan.Finish.ChangesValues && !plan.Finish.IsPlainActivation) || (moments && plan.Stream));
                for (int m = firstRow, rows; m < lastRow; m += rows)
                {
                    rows = Tiles.NextRows(lastRow - m);
                    if (plan.Prefetch && panel == firstPanel) PrefetchRows(source[m] + segments->First, segments->Length, plan.Map.SourcePitch, rows);
                    if (!finish)
                    {
                        // Where the sums go is asked for before they are made, so that the stores do not wait for it.
                        for (int r = 0; block == 0 && !plan.Stream && r < rows; r++) Simd.Prefetch(target[m + r] + targetOffset, columns);
                        Tiles.Gather<V>(
                            source + m, plan.RowsPerBlock, segments, segmentCount, sourceOffset, lanes, b,
                            target + m, targetOffset, start, rows, columns, plan.Stream, activation);
                        continue;
                    }
                    if (start == null) Tiles.LoadRows<V>(target + m, targetOffset, scratch, rows, columns);
                    Tiles.Gather<V>(source + m, plan.RowsPerBlock, segments, segmentCount, sourceOffset, lanes, b, scratch.Rows, 0, start, rows, padded, stream: false);
                    if (moments) ColumnMoments.Add<V, Streamed>(scratch.Rows, 0, rows, padded, panelMoments, panels.Wide, first: m == 0, target + m, targetOffset);
                    else Tiles.Finish<V>(plan.Finish, scratch, plan.Finish.AddBias ? panelStart : null, target + m, targetOffset, rows, columns, plan.Stream);
                }
                if (moments && !finish)
                    ColumnMoments.Add<V>(target + firstRow, targetOffset, lastRow - firstRow, padded, panelMoments, panels.Wide, first: firstRow == 0);
                b += (long)length * padded;
            }
        }
    }

    /// <summary>Source and target are plain matrices, and too large to be in the caches already.</summary>
    private static bool IsLargeMatrix(in PixelMap map) =>
        map is { Taps: 1, GridH: 1, Images: 1 } && (long)map.Points * (map.SourceC + map.TargetC) >= 1 << 20;

    /// <summary>
    /// Asks for the rows of the tile after the next one. A tile reads a few lines of each of 6 rows, too short for the processor to see a
    /// pattern and fetch ahead itself; without this it waits for main memory at every tile.
    /// </summary>
    private static void PrefetchRows(float* row, int length, int stride, int rows)
    {
        row += 2 * Tiles.MaxRows * stride;
        for (int r = 0; r < rows; r++, row += stride) Simd.Prefetch(row, length);
    }
}
