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

    /// <summary>Residual and activation, for inference.</summary>
    public TileFinish Finish;

    /// <summary>Write the target past the caches: it is too large to be still there when it is read.</summary>
    public bool Stream;

    /// <summary>Tiles of 4×4 target pixels: along a column, along a row, in all.</summary>
    public int TilesH, TilesW, Tiles;

    /// <summary>Tiles and panels of columns are each cut into pieces of at most so many; a piece of work is one piece of both.</summary>
    public int ChunkTiles, Chunks, Panels, ColumnBlocks;

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
    private const int WinogradSourceFloats = 96 << 10;

    /// <summary>Fewest tiles a piece has if there are as many: each panel of weights read from far away is then used for that many rows.</summary>
    private const int WinogradFewestTiles = 24;

    /// <summary>The algorithm can compute this shape.</summary>
    internal static bool WinogradComputes(in Conv2dGeometry g) =>
        g is { R: 3, S: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1 };

    /// <summary>The algorithm computes this shape forward, and faster than the direct sum does once the weights are transformed.</summary>
    internal static bool WinogradFits(in Conv2dGeometry g) => WinogradComputes(g) && WinogradPays(g.C, g.P, g.Q) && WinogradPaysReading(g.N, g.P, g.Q);

    /// <summary>The same when the weights must be transformed for this one call.</summary>
    internal static bool WinogradFitsWithPacking(in Conv2dGeometry g) => WinogradFits(g) && WinogradPaysPacking(g.N, g.P, g.Q);

    /// <summary>The same for the input gradient.</summary>
    internal static bool WinogradInputGradientFitsWithPacking(in Conv2dGeometry g) =>
        WinogradComputes(g) && WinogradPays(g.K, g.H, g.W) && WinogradPaysPacking(g.N, g.H, g.W);

    /// <summary>
    /// Measured: with fewer than 8 source channels the products at the points are sums too short to be worth their transforms; and tiles that hang
    /// over the edge of a small map compute what nobody wants, so of the fourfold saving at least 1.5 must be left.
    /// </summary>
    private static bool WinogradPays(int sourceC, int targetH, int targetW) =>
        sourceC >= 8 && 9L * targetH * targetW * 2 >= 3L * Winograd.Products * Pieces(targetH, Winograd.Outputs) * Pieces(targetW, Winograd.Outputs);

    /// <summary>
    /// A pair of channels has 36 transformed weights to read instead of 9, and where these come from main memory few tiles do not make up for it. ResNet-18's last layers, a 7×7 map of 512
    /// channels (4 tiles, 38 MB): 0.83 ms, summed directly 0.65. By the same counting of bytes 7 tiles are level.
    /// </summary>
    private static bool WinogradPaysReading(int images, int targetH, int targetW) =>
        (long)images * Pieces(targetH, Winograd.Outputs) * Pieces(targetW, Winograd.Outputs) >= 7;

    /// <summary>Measured: transforming the weights takes as long as what some 15 tiles save.</summary>
    private static bool WinogradPaysPacking(int images, int targetH, int targetW) =>
        (long)images * Pieces(targetH, Winograd.Outputs) * Pieces(targetW, Winograd.Outputs) >= 24;

    /// <summary>Floats of the packed, transformed weights of the forward direction.</summary>
    internal static long WinogradPackedLength<V>(in Conv2dGeometry g) where V : unmanaged => WinogradPackedLength<V>(g.C, g.K);

    /// <summary>The same for the input gradient, where the two channel counts change places.</summary>
    internal static long WinogradTransposedLength<V>(in Conv2dGeometry g) where V : unmanaged => WinogradPackedLength<V>(g.K, g.C);

    /// <summary>
    /// Transforms weights for <see cref="WinogradForward{V}"/>: packed[panel][point][c][columns of the panel]. Once a version of the weights.
    /// </summary>
    internal void WinogradPack<V>(in Conv2dGeometry g, float* w, float* packed) where V : unmanaged =>
        WinogradPack<V>(g.C, g.K, w, new WeightLayout((long)g.C * g.K, RowStride: g.K, ColumnStride: 1, 0), flip: false, packed);

    /// <summary>The same for <see cref="WinogradInputGradient{V}"/>: every tap's matrix transposed, the taps in reverse order.</summary>
    internal void WinogradPackTransposed<V>(in Conv2dGeometry g, float* w, float* packed) where V : unmanaged =>
        WinogradPack<V>(g.K, g.C, w, new WeightLayout((long)g.C * g.K, RowStride: 1, ColumnStride: g.K, 0), flip: true, packed);

    /// <summary>y (+)= bias + x ∗ w, from transformed weights, and what follows.</summary>
    internal void WinogradForward<V>(in Conv2dGeometry g, float* x, float* packed, float* bias, float* y, TileFinish finish, bool accumulate = false) where V : unmanaged
    {
        Debug.Assert(WinogradComputes(g));
        WinogradProduct<V>(new WinogradPlan
        {
            Images = g.N, SourceH = g.H, SourceW = g.W, SourceC = g.C, TargetH = g.P, TargetW = g.Q, TargetC = g.K,
            Top = -g.PadTop, Left = -g.PadLeft, Source = x, Packed = packed, Bias = bias, Target = y, Accumulate = accumulate, Finish = finish,
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
        // Some rows of a panel at a time: their nine taps and 36 transformed points stay in the near caches, and leave them in runs. Written
        // straight to their places, a power of two apart, the 36 points would push each other out before a line is sent off.
        const int Rows = 16;
        int w1 = Simd.Width<V>(), wide = 2 * w1, panels = Pieces(width, wide), parts = Pieces(depth, Rows);
        int tapStride = Rows * wide, pointStride = (Rows * wide) + 16;
        long scratchFloats = (9L * tapStride) + ((long)Winograd.Products * pointStride) + (18 * w1);
        using var perWorker = _device.Scratch(scratchFloats * _device.Threads);
        float* scratch = perWorker.Pointer;
        Fork((long)depth * width * Winograd.Products, panels * parts, (item, worker) =>
        {
            int panel = item / parts, first = item % parts * Rows, rows = Math.Min(Rows, depth - first);
            int column = panel * wide, columns = Math.Min(wide, width - column), padded = PanelWidth<V>(columns);
            float* taps = scratch + (worker * scratchFloats), points = taps + (9 * tapStride), half = points + (Winograd.Products * pointStride);
            for (int t = 0; t < 9; t++)
            {
                float* from = w + (t * layout.TapStride) + (first * layout.RowStride) + (column * layout.ColumnStride), to = taps + (t * tapStride);
                if (layout.ColumnStride == 1) PackRows<V>(from, layout.RowStride, rows, columns, to, padded);
                else PackColumns<V>(from, layout.ColumnStride, rows, columns, to, padded);
            }
            int count = rows * padded;
            for (int i = 0; i < count; i += w1) Winograd.TransformFilter<V>(taps + i, tapStride, flip, points + i, pointStride, half);
            float* target = packed + ((long)Winograd.Products * depth * column) + ((long)first * padded);
            for (int p = 0; p < Winograd.Products; p++, points += pointStride, target += (long)depth * padded)
            for (int i = 0; i < count; i += w1)
            {
                Simd.Store(target + i, Simd.Load<V>(points + i));
            }
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
        // Only where a vector is a whole cache line: half ones would have to meet in the processor's few write buffers, and 16 pixels lie between them.
        plan.Stream = w == 16 && !plan.Accumulate && !plan.Finish.ChangesValues && plan.TargetC % w == 0 && (nint)plan.Target % sizeof(V) == 0
            && (long)plan.Images * plan.TargetH * plan.TargetW * plan.TargetC >= MinStreamed;
        long macs = (long)plan.Tiles * Winograd.Products * plan.SourceC * plan.TargetC;
        Cut(ref plan, macs);

        // A plane is the rows of all tiles of a piece at one point. An odd number of cache lines from one to the next: 36 planes a power of two apart
        // would share a few sets of the first-level cache.
        plan.SourcePlane = OddLines((long)plan.ChunkTiles * plan.DepthStride);
        plan.ProductPlane = OddLines((long)plan.ChunkTiles * plan.PanelWidth);
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
    /// Cuts tiles and columns into pieces, by the shape alone. Few channels: as many tiles as fit the second-level cache. Many channels: at
    /// least so many tiles that reading the weights does not hold up the arithmetic; more of them when weights come from main memory.
    /// </summary>
    private static void Cut(ref WinogradPlan plan, long macs)
    {
        int fewest = (long)Winograd.Products * plan.SourceC * plan.TargetC > 4 << 20 ? 2 * WinogradFewestTiles : WinogradFewestTiles;
        int fitting = Math.Max(fewest, WinogradSourceFloats / (Winograd.Products * plan.DepthStride) / Tiles.MaxRows * Tiles.MaxRows);
        int wanted = (int)Math.Clamp(macs >> 20, 1, 32);
        int chunks = Math.Max(Pieces(plan.Tiles, fitting), Math.Min(wanted, Pieces(plan.Tiles, fewest)));
        plan.ChunkTiles = Pieces(plan.Tiles, chunks);
        plan.Chunks = Pieces(plan.Tiles, plan.ChunkTiles);
        // Each block of columns transforms the windows of its tiles anew, so no more blocks than the threads of a small machine need.
        plan.ColumnBlocks = Math.Min(plan.Panels, Pieces(Math.Min(wanted, 8), plan.Chunks));
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
            productRows[i] = product + ((long)i * plan.PanelWidth);
        }
        WinogradSource<V>(plan, firstTile, tiles, source, half);
        // One panel of columns after the other, all 36 products of it: so these, too, are still in the second-level cache when they are
        // transformed back.
        for (; panel < lastPanel; panel++)
        {
            WinogradMultiply<V>(plan, panel, tiles, sourceRows, productRows);
            WinogradResult<V>(plan, panel, firstTile, tiles, product, half);
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

    /// <summary>The products at the 36 points, for one panel of columns.</summary>
    private static void WinogradMultiply<V>(in WinogradPlan plan, int panel, int tiles, float** source, float** product) where V : unmanaged
    {
        int column = panel * plan.PanelWidth, width = PanelWidth<V>(Math.Min(plan.PanelWidth, plan.TargetC - column));
        float* weights = plan.Packed + ((long)Winograd.Products * plan.SourceC * column);
        float* zeros = plan.Zeros + plan.DepthStride; // what the sums start from
        for (int point = 0; point < Winograd.Products; point++)
        for (int i = 0, length; i < plan.SourceC; i += length, weights += length * width)
        {
            // Long sums in blocks, for which the panel's part stays in the first-level cache while all tiles use it.
            length = Math.Min(MaxBlockDepth, plan.SourceC - i);
            var segment = new Segment(0, i, length);
            for (int row = 0, rows; row < tiles; row += rows)
            {
                rows = Tiles.NextRows(tiles - row);
                Tiles.Gather<V>(
                    source + row, 0, &segment, 1, (nint)(point * plan.SourcePlane), lanes: default, weights,
                    product + row, (nint)(point * plan.ProductPlane), i == 0 ? zeros : null, rows, width, stream: false);
            }
        }
    }

    /// <summary>Transforms the products of a panel back and writes them.</summary>
    private static void WinogradResult<V>(in WinogradPlan plan, int panel, int firstTile, int tiles, float* product, float* half) where V : unmanaged
    {
        int column = panel * plan.PanelWidth, columns = Math.Min(plan.PanelWidth, plan.TargetC - column);
        nint stride = (nint)plan.ProductPlane, pixel = plan.TargetC, line = (nint)plan.TargetW * plan.TargetC;
        float* bias = plan.Bias == null ? null : plan.Bias + column;
        for (int i = 0; i < tiles; i++)
        {
            int tile = firstTile + i, n = tile / (plan.TilesH * plan.TilesW);
            int top = tile / plan.TilesW % plan.TilesH * Winograd.Outputs, left = tile % plan.TilesW * Winograd.Outputs;
            int height = Math.Min(Winograd.Outputs, plan.TargetH - top), width = Math.Min(Winograd.Outputs, plan.TargetW - left);
            float* from = product + ((long)i * plan.PanelWidth);
            float* to = plan.Target + (((((long)n * plan.TargetH) + top) * plan.TargetW) + left) * plan.TargetC + column;
            if (plan.Accumulate)
                Winograd.TransformProduct<V, AddTo>(from, stride, 0, columns, bias, to, line, pixel, height, width, half);
            else if (plan.Stream)
                Winograd.TransformProduct<V, Streamed>(from, stride, 0, columns, bias, to, line, pixel, height, width, half);
            else
                Winograd.TransformProduct<V, Overwrite>(from, stride, 0, columns, bias, to, line, pixel, height, width, half);
            if (plan.Finish.ChangesValues)
            {
                for (int r = 0; r < height; r++)
                for (int s = 0; s < width; s++) Tiles.FinishRow<V>(plan.Finish, to + (r * line) + (s * pixel), columns);
            }
        }
    }
}
