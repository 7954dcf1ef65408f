using System.Diagnostics;

namespace RefConv.Kernels;

/// <summary>Everything the pieces of one Winograd convolution share.</summary>
internal unsafe struct WinogradPlan
{
    public int Images, SourceH, SourceW, SourceC, TargetH, TargetW, TargetC;

    /// <summary>Target pixel (h, w) sums over source rows [h + Top, h + Top + 3) and columns [w + Left, w + Left + 3).</summary>
    public int Top, Left;

    public float* Source, Packed, Bias, Target, Zeros;
    public bool Accumulate;

    /// <summary>Tiles of 4×4 target pixels: along a column, along a row, in all.</summary>
    public int TilesH, TilesW, Tiles;

    /// <summary>Tiles and panels of columns are each cut into pieces of at most so many; a piece of work is one piece of both.</summary>
    public int ChunkTiles, Chunks, Panels, ColumnBlocks;

    /// <summary>Of the panels of a piece, so many are multiplied before their products are transformed back.</summary>
    public int PanelsAtOnce;

    public int PanelWidth;

    /// <summary>Floats of a transformed window's row of channels, and of all of them for one point.</summary>
    public int DepthStride;
    public long SourcePlane, ProductPlane;

    public float* WorkerScratch;
    public long WorkerFloats;
}

/// <remarks>
/// Winograd's algorithm for 3×3 convolutions of stride 1, F(4×4, 3×3); the maths is told at <see cref="Winograd"/>. For each tile of 4×4 results
/// the 6×6 window under it is transformed, channel by channel, to 36 values. At each of the 36 points the tiles make a matrix [tiles, C], the
/// transformed weights another [C, K], and their product is an ordinary matrix product: the tile kernel of <c>Gemm.Cpu.Tiles.cs</c> does it. The 36
/// products of a tile are transformed back to 16 results. A quarter of the multiplications of the direct sum, and a larger rounding error.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Floats a piece's transformed windows may take: half of a second-level cache of 1 MB, the rest is for weights and products.</summary>
    private const int WinogradSourceFloats = 128 << 10;

    /// <summary>Fewest tiles a piece has if there are as many: each panel of weights read from far away is then used for that many rows.</summary>
    private const int WinogradFewestTiles = 24;

    /// <summary>The algorithm can compute this shape.</summary>
    internal static bool WinogradComputes(in Conv2dGeometry g) =>
        g is { R: 3, S: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1 };

    /// <summary>
    /// The algorithm computes this shape, and faster than the direct sum does. Measured: the transforms are additions for every channel of
    /// either side, so what they cost beside the products falls with the other side's channels; and a tile that hangs over the edge
    /// of the map computes what nobody wants.
    /// </summary>
    internal static bool WinogradFits(in Conv2dGeometry g) => WinogradComputes(g) && Math.Min(g.C, g.K) >= 16;

    /// <summary>Floats of the packed, transformed weights of the forward direction.</summary>
    internal static long WinogradPackedLength<V>(in Conv2dGeometry g) where V : unmanaged => WinogradPackedLength<V>(g.C, g.K);

    /// <summary>The same for the input gradient, where the two channel counts change places.</summary>
    internal static long WinogradTransposedLength<V>(in Conv2dGeometry g) where V : unmanaged => WinogradPackedLength<V>(g.K, g.C);

    /// <summary>
    /// Transforms weights for <see cref="WinogradForward{V}"/>: packed[panel][point][c][columns of the panel]. Once for each version of the weights.
    /// </summary>
    internal void WinogradPack<V>(in Conv2dGeometry g, float* w, float* packed) where V : unmanaged =>
        WinogradPack<V>(g.C, g.K, w, new WeightLayout((long)g.C * g.K, RowStride: g.K, ColumnStride: 1, 0), flip: false, packed);

    /// <summary>The same for <see cref="WinogradInputGradient{V}"/>: every tap's matrix transposed, the taps in reverse order.</summary>
    internal void WinogradPackTransposed<V>(in Conv2dGeometry g, float* w, float* packed) where V : unmanaged =>
        WinogradPack<V>(g.K, g.C, w, new WeightLayout((long)g.C * g.K, RowStride: 1, ColumnStride: g.K, 0), flip: true, packed);

    /// <summary>y = bias + x ∗ w, from transformed weights.</summary>
    internal void WinogradForward<V>(in Conv2dGeometry g, float* x, float* packed, float* bias, float* y) where V : unmanaged
    {
        Debug.Assert(WinogradComputes(g));
        WinogradProduct<V>(new WinogradPlan
        {
            Images = g.N, SourceH = g.H, SourceW = g.W, SourceC = g.C, TargetH = g.P, TargetW = g.Q, TargetC = g.K,
            Top = -g.PadTop, Left = -g.PadLeft, Source = x, Packed = packed, Bias = bias, Target = y,
        });
    }

    /// <summary>
    /// dx (+)= dy ∗ wᵀ, from weights transformed by <see cref="WinogradPackTransposed{V}"/>. Output row p touches input row p + r − pad, so input
    /// row h is touched by rows h + pad − r of dy: a window of 3 that begins at h + pad − 2, with the last kernel row first.
    /// </summary>
    internal void WinogradInputGradient<V>(in Conv2dGeometry g, float* dy, float* packed, float* dx, bool accumulate) where V : unmanaged
    {
        Debug.Assert(WinogradComputes(g));
        WinogradProduct<V>(new WinogradPlan
        {
            Images = g.N, SourceH = g.P, SourceW = g.Q, SourceC = g.K, TargetH = g.H, TargetW = g.W, TargetC = g.C,
            Top = g.PadTop - 2, Left = g.PadLeft - 2, Source = dy, Packed = packed, Target = dx, Accumulate = accumulate,
        });
    }

    private static long WinogradPackedLength<V>(int depth, int width) where V : unmanaged
    {
        int wide = 2 * Simd.Width<V>(), whole = width / wide * wide;
        return (long)Winograd.Products * depth * (whole + (width > whole ? PanelWidth<V>(width - whole) : 0));
    }

    private void WinogradPack<V>(int depth, int width, float* w, WeightLayout layout, bool flip, float* packed) where V : unmanaged
    {
        // Rows of a panel are done some at a time, so that the nine taps of them are in the first-level caches when they are transformed.
        const int Rows = 32;
        int wide = 2 * Simd.Width<V>(), panels = Pieces(width, wide), parts = Pieces(depth, Rows);
        long scratchFloats = (9L * Rows * wide) + (18 * Simd.Width<V>());
        using var perWorker = _device.Scratch(scratchFloats * _device.Threads);
        float* scratch = perWorker.Pointer;
        Fork((long)depth * width * Winograd.Products, panels * parts, (item, worker) =>
        {
            int panel = item / parts, first = item % parts * Rows, rows = Math.Min(Rows, depth - first);
            int column = panel * wide, columns = Math.Min(wide, width - column), padded = PanelWidth<V>(columns);
            float* taps = scratch + (worker * scratchFloats), half = taps + (9 * Rows * wide); // [tap][row][padded]
            for (int t = 0; t < 9; t++)
            {
                float* from = w + (t * layout.TapStride) + (first * layout.RowStride) + (column * layout.ColumnStride), to = taps + (t * Rows * padded);
                if (layout.ColumnStride == 1) PackRows<V>(from, layout.RowStride, rows, columns, to);
                else PackColumns<V>(from, layout.ColumnStride, rows, columns, to);
            }
            float* target = packed + ((long)Winograd.Products * depth * column) + ((long)first * padded);
            for (int i = 0; i < rows * padded; i += Simd.Width<V>())
                Winograd.TransformFilter<V>(taps + i, Rows * padded, flip, target + i, (nint)depth * padded, half);
        });
    }

    private void WinogradProduct<V>(WinogradPlan plan) where V : unmanaged
    {
        plan.TilesH = Pieces(plan.TargetH, Winograd.Outputs);
        plan.TilesW = Pieces(plan.TargetW, Winograd.Outputs);
        plan.Tiles = checked(plan.Images * plan.TilesH * plan.TilesW);
        if (plan.Tiles == 0 || plan.TargetC == 0) return;
        int w = Simd.Width<V>();
        plan.PanelWidth = 2 * w;
        plan.Panels = Pieces(plan.TargetC, plan.PanelWidth);
        plan.DepthStride = Pieces(plan.SourceC, w) * w;
        long macs = (long)plan.Tiles * Winograd.Products * plan.SourceC * plan.TargetC;
        Cut(ref plan, macs);

        // A plane is the rows of all tiles of a piece at one point. An odd number of cache lines from one to the next: 36 planes a power of two apart
        // would share a few sets of the first-level cache.
        plan.SourcePlane = OddLines((long)plan.ChunkTiles * plan.DepthStride);
        plan.ProductPlane = OddLines((long)plan.ChunkTiles * plan.PanelsAtOnce * plan.PanelWidth);
        plan.WorkerFloats = (Winograd.Products * (plan.SourcePlane + plan.ProductPlane + w)) + OddLines(4L * plan.ChunkTiles);
        using var zeros = _device.Scratch(plan.DepthStride + plan.PanelWidth);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        new Span<float>(zeros.Pointer, plan.DepthStride + plan.PanelWidth).Clear();
        plan.Zeros = zeros.Pointer;
        plan.WorkerScratch = perWorker.Pointer;
        Fork(macs, plan.Chunks * plan.ColumnBlocks, (item, worker) => WinogradPiece<V>(plan, item, worker));
    }

    private static long OddLines(long floats) => (((floats + 15) / 16) | 1) * 16;

    /// <summary>
    /// Cuts tiles and columns into pieces, by the shape alone. Few channels: as many tiles as fit the second-level cache, and one panel of columns
    /// after the other. Many channels: at least so many tiles that reading the weights does not hold up the arithmetic; the
    /// transformed windows are then larger than the cache, and each is used for several panels while it is there.
    /// </summary>
    private static void Cut(ref WinogradPlan plan, long macs)
    {
        int fitting = Math.Max(WinogradFewestTiles, WinogradSourceFloats / (Winograd.Products * plan.DepthStride) / Tiles.MaxRows * Tiles.MaxRows);
        int wanted = (int)Math.Clamp(macs >> 20, 1, 32);
        int chunks = Math.Max(Pieces(plan.Tiles, fitting), Math.Min(wanted, Pieces(plan.Tiles, WinogradFewestTiles)));
        plan.ChunkTiles = Pieces(plan.Tiles, chunks);
        plan.Chunks = Pieces(plan.Tiles, plan.ChunkTiles);
        // Each block of columns transforms the windows of its tiles anew, so no more blocks than the threads of a small machine need.
        plan.ColumnBlocks = Math.Min(plan.Panels, Pieces(Math.Min(wanted, 8), plan.Chunks));
        plan.PanelsAtOnce = (long)plan.ChunkTiles * plan.DepthStride * Winograd.Products > 2 * WinogradSourceFloats ? 4 : 1;
    }

    /// <summary>One piece: a chunk of tiles, some panels of columns.</summary>
    private static void WinogradPiece<V>(in WinogradPlan plan, int item, int worker) where V : unmanaged
    {
        int firstTile = item % plan.Chunks * plan.ChunkTiles, tiles = Math.Min(plan.ChunkTiles, plan.Tiles - firstTile);
        long columnBlock = item / plan.Chunks;
        int panel = (int)(columnBlock * plan.Panels / plan.ColumnBlocks), lastPanel = (int)((columnBlock + 1) * plan.Panels / plan.ColumnBlocks);
        float* source = plan.WorkerScratch + (worker * plan.WorkerFloats);        // [point][tile][channel]
        float* product = source + (Winograd.Products * plan.SourcePlane);         // [point][tile][column]
        float* half = product + (Winograd.Products * plan.ProductPlane);          // 36 vectors
        float** sourceRows = (float**)(half + (Winograd.Products * Simd.Width<V>()));
        float** productRows = sourceRows + plan.ChunkTiles;
        for (int i = 0; i < tiles; i++)
        {
            sourceRows[i] = source + ((long)i * plan.DepthStride);
            productRows[i] = product + ((long)i * plan.PanelsAtOnce * plan.PanelWidth);
        }
        WinogradSource<V>(plan, firstTile, tiles, source, half);
        for (int last; panel < lastPanel; panel = last)
        {
            last = Math.Min(lastPanel, panel + plan.PanelsAtOnce);
            WinogradMultiply<V>(plan, panel, last, tiles, sourceRows, productRows);
            WinogradResult<V>(plan, panel, last, firstTile, tiles, product, half);
        }
    }

    /// <summary>Transforms the windows of the tiles.</summary>
    private static void WinogradSource<V>(in WinogradPlan plan, int firstTile, int tiles, float* source, float* half) where V : unmanaged
    {
        float** pixels = stackalloc float*[Winograd.Products];
        for (int i = 0; i < tiles; i++)
        {
            int tile = firstTile + i, n = tile / (plan.TilesH * plan.TilesW);
            int top = (tile / plan.TilesW % plan.TilesH * Winograd.Outputs) + plan.Top, left = (tile % plan.TilesW * Winograd.Outputs) + plan.Left;
            for (int r = 0; r < Winograd.Points; r++)
            {
                int h = top + r;
                bool inside = (uint)h < (uint)plan.SourceH;
                float* line = plan.Source + (((long)n * plan.SourceH) + h) * plan.SourceW * plan.SourceC;
                for (int s = 0; s < Winograd.Points; s++)
                {
                    int w = left + s;
                    pixels[(r * Winograd.Points) + s] = inside && (uint)w < (uint)plan.SourceW ? line + ((long)w * plan.SourceC) : plan.Zeros;
                }
            }
            // Whole vectors: the last one reads on into the next pixel, or into the spare bytes at the end of the pool's blocks, and what comes of that
            // is never used.
            Winograd.TransformSource<V>(pixels, plan.SourceC, source + ((long)i * plan.DepthStride), (nint)plan.SourcePlane, half);
        }
    }

    /// <summary>The products at the 36 points, for panels [panel, last).</summary>
    private static void WinogradMultiply<V>(in WinogradPlan plan, int panel, int last, int tiles, float** source, float** product) where V : unmanaged
    {
        Segment segment;
        float* zeros = plan.Zeros + plan.DepthStride; // what the sums start from
        int firstPanel = panel;
        for (int point = 0; point < Winograd.Products; point++)
        for (panel = firstPanel; panel < last; panel++)
        {
            int column = panel * plan.PanelWidth, width = PanelWidth<V>(Math.Min(plan.PanelWidth, plan.TargetC - column));
            float* weights = plan.Packed + ((long)Winograd.Products * plan.SourceC * column) + ((long)point * plan.SourceC * width);
            nint sourceOffset = (nint)(point * plan.SourcePlane), productOffset = (nint)((point * plan.ProductPlane) + column - (firstPanel * plan.PanelWidth));
            for (int i = 0, length; i < plan.SourceC; i += length)
            {
                length = Math.Min(MaxBlockDepth, plan.SourceC - i);
                segment = new Segment(0, i, length);
                for (int row = 0, rows; row < tiles; row += rows)
                {
                    rows = Tiles.NextRows(tiles - row);
                    Tiles.Gather<V>(
                        source + row, 0, &segment, 1, sourceOffset, weights + ((long)i * width),
                        product + row, productOffset, i == 0 ? zeros : null, rows, width, stream: false);
                }
            }
        }
    }

    /// <summary>Transforms the products of panels [panel, last) back and writes them.</summary>
    private static void WinogradResult<V>(in WinogradPlan plan, int panel, int last, int firstTile, int tiles, float* product, float* half)
        where V : unmanaged
    {
        int column = panel * plan.PanelWidth, columns = Math.Min(last * plan.PanelWidth, plan.TargetC) - column;
        nint stride = (nint)plan.ProductPlane, pixel = plan.TargetC, line = (nint)plan.TargetW * plan.TargetC;
        float* bias = plan.Bias == null ? null : plan.Bias + column;
        for (int i = 0; i < tiles; i++)
        {
            int tile = firstTile + i, n = tile / (plan.TilesH * plan.TilesW);
            int top = tile / plan.TilesW % plan.TilesH * Winograd.Outputs, left = tile % plan.TilesW * Winograd.Outputs;
            int height = Math.Min(Winograd.Outputs, plan.TargetH - top), width = Math.Min(Winograd.Outputs, plan.TargetW - left);
            float* from = product + ((long)i * plan.PanelsAtOnce * plan.PanelWidth);
            float* to = plan.Target + (((((long)n * plan.TargetH) + top) * plan.TargetW) + left) * plan.TargetC + column;
            if (plan.Accumulate)
                Winograd.TransformProduct<V, Winograd.Accumulate>(from, stride, 0, columns, bias, to, line, pixel, height, width, half);
            else
                Winograd.TransformProduct<V, Winograd.Overwrite>(from, stride, 0, columns, bias, to, line, pixel, height, width, half);
        }
    }
}
