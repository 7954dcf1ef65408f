using System.Diagnostics;

namespace RefConv.Kernels;

/// <summary>Everything the pieces of one Winograd weight gradient share.</summary>
internal unsafe struct WinogradGradientPlan
{
    public Conv2dGeometry G;
    public float* X, Dy, Zeros;

    /// <summary>Where the pieces write: [Splits][9][C][K], or dw itself when there is one split.</summary>
    public float* Result;
    public long ResultFloats;
    public bool Accumulate;

    /// <summary>Tiles of 4×4 pixels of dy: along a column, along a row, in all.</summary>
    public int TilesH, TilesW, Tiles;

    /// <summary>Work is cut into Splits parts of the tiles × BlocksC × BlocksK blocks of dw.</summary>
    public int Splits, BlocksC, BlocksK;

    /// <summary>Channels and columns of a block at most, in whole vectors.</summary>
    public int BlockC, BlockK;

    /// <summary>Floats from one of the 36 points to the next: of transformed windows of x, of transformed tiles of dy, of sums.</summary>
    public long PlaneX, PlaneDy, PlaneSum;

    public float* WorkerScratch;
    public long WorkerFloats;
}

/// <remarks>
/// The weight gradient of a 3×3 convolution by Winograd's algorithm. The forward pass is y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A in each tile, which is linear in w;
/// its transpose, applied to dy, is the gradient: dw = Gᵀ[Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)]G. So tiles of dy go to 36 points, windows of x as in the forward
/// pass, and at each point the sum over tiles is a product of matrices [C, tiles] · [tiles, K]: 36 multiplications where the direct sum has 144. Only when
/// all tiles are summed are the 36 values of each (c, k) brought back to nine, so that costs nothing beside the rest.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Channels and columns of a block. Its 36 · 64 · 64 sums are 590 KB and stay in a second-level cache of 1 MB while the tiles pass by. Larger blocks would
    /// transform less often (x once for each block of columns, dy once for each block of channels) but not stay there.
    /// </summary>
    private const int WinogradBlock = 64;

    /// <summary>
    /// Tiles transformed at a time: enough that visiting the sums costs little beside the multiplications, few enough that they stay near. Measured: 16 and 64 are 10
    /// to 20 % slower.
    /// </summary>
    private const int WinogradGradientTiles = 32;

    /// <summary>The algorithm computes this weight gradient, and faster than the sum of outer products does.</summary>
    internal static bool WinogradWeightGradientFits(in Conv2dGeometry g) =>
        WinogradComputes(g) && g.C >= 16 && g.K >= 16 && WinogradPays(g.C, g.P, g.Q) && (long)g.N * g.P * g.Q >= 16 * WinogradFewestTiles;

    /// <summary>dw (+)= the gradient of the weights of a 3×3 convolution of stride 1.</summary>
    internal void WinogradWeightGradient<V>(in Conv2dGeometry g, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        Debug.Assert(WinogradComputes(g));
        int w = Simd.Width<V>();
        var plan = new WinogradGradientPlan
        {
            G = g, X = x, Dy = dy, ResultFloats = 9L * g.C * g.K,
            TilesH = Pieces(g.P, Winograd.Outputs), TilesW = Pieces(g.Q, Winograd.Outputs),
            BlocksC = Pieces(g.C, WinogradBlock), BlocksK = Pieces(g.K, WinogradBlock),
        };
        plan.Tiles = g.N * plan.TilesH * plan.TilesW;
        if (plan.Tiles == 0)
        {
            if (!accumulate) new Span<float>(dw, checked((int)plan.ResultFloats)).Clear();
            return;
        }
        plan.BlockC = Pieces(Pieces(g.C, plan.BlocksC), w) * w;
        plan.BlockK = Pieces(Pieces(g.K, plan.BlocksK), w) * w;
        // Whole vectors may leave fewer blocks than were asked for.
        plan.BlocksC = Pieces(g.C, plan.BlockC);
        plan.BlocksK = Pieces(g.K, plan.BlockK);
        long macs = (long)plan.Tiles * Winograd.Products * g.C * g.K;
        // Enough pieces for many cores; each part of the tiles pays with a dw of its own.
        int wanted = (int)Math.Clamp(macs >> 21, 1, 16), blocks = plan.BlocksC * plan.BlocksK;
        plan.Splits = Math.Clamp(Pieces(wanted, blocks), 1, Pieces(plan.Tiles, WinogradGradientTiles));

        plan.PlaneX = OddLines((long)WinogradGradientTiles * plan.BlockC);
        plan.PlaneDy = OddLines((long)WinogradGradientTiles * plan.BlockK);
        plan.PlaneSum = OddLines((long)plan.BlockC * plan.BlockK);
        plan.WorkerFloats = (Winograd.Products * (plan.PlaneX + plan.PlaneDy + plan.PlaneSum + w)) + OddLines(2L * WinogradGradientTiles);
        bool split = plan.Splits > 1;
        int zeroFloats = Math.Max(plan.BlockC, plan.BlockK);
        using var zeros = _device.Scratch(zeroFloats);
        using var partial = _device.Scratch(split ? plan.Splits * plan.ResultFloats : 0);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        new Span<float>(zeros.Pointer, zeroFloats).Clear();
        plan.Zeros = zeros.Pointer;
        plan.WorkerScratch = perWorker.Pointer;
        plan.Result = split ? partial.Pointer : dw;
        plan.Accumulate = accumulate && !split;
        Fork(macs, plan.Splits * blocks, (item, worker) => WinogradGradientPiece<V>(plan, item, worker));
        if (split) SumSplits<V>(plan.Result, plan.Splits, plan.ResultFloats, dw, accumulate);
    }

    /// <summary>One piece: a block of channels and columns, a part of the tiles.</summary>
    private static void WinogradGradientPiece<V>(in WinogradGradientPlan plan, int item, int worker) where V : unmanaged
    {
        int blockK = item % plan.BlocksK, blockC = item / plan.BlocksK % plan.BlocksC, split = item / plan.BlocksK / plan.BlocksC;
        int c = blockC * plan.BlockC, channels = Math.Min(plan.BlockC, plan.G.C - c);
        int k = blockK * plan.BlockK, columns = Math.Min(plan.BlockK, plan.G.K - k);
        int firstTile = (int)((long)split * plan.Tiles / plan.Splits), lastTile = (int)((split + 1L) * plan.Tiles / plan.Splits);

        float* x = plan.WorkerScratch + (worker * plan.WorkerFloats);   // [point][tile][channel]
        float* dy = x + (Winograd.Products * plan.PlaneX);              // [point][panel][tile][column]
        float* sums = dy + (Winograd.Products * plan.PlaneDy);          // [point][channel][column]
        float* half = sums + (Winograd.Products * plan.PlaneSum);       // 36 vectors
        float** rows = (float**)(half + (Winograd.Products * Simd.Width<V>()));
        for (int i = 0; i < WinogradGradientTiles; i++) rows[i] = x + ((long)i * plan.BlockC);
        for (int tile = firstTile, count; tile < lastTile; tile += count)
        {
            count = Math.Min(WinogradGradientTiles, lastTile - tile);
            for (int i = 0; i < count; i++) WinogradGradientWindows<V>(plan, tile + i, i, count, c, channels, k, columns, x, dy, half);
            WinogradGradientSum<V>(plan, count, channels, columns, rows, dy, sums, load: tile > firstTile);
        }
        float* result = plan.Result + (split * plan.ResultFloats) + ((long)c * plan.G.K) + k;
        nint tap = (nint)plan.G.C * plan.G.K;
        for (int i = 0; i < channels; i++, result += plan.G.K)
        {
            float* from = sums + ((long)i * plan.BlockK);
            if (plan.Accumulate) Winograd.TransformFilterBack<V, AddTo>(from, (nint)plan.PlaneSum, 0, columns, result, tap, half);
            else Winograd.TransformFilterBack<V, Overwrite>(from, (nint)plan.PlaneSum, 0, columns, result, tap, half);
        }
    }

    /// <summary>Transforms one tile of dy and the window of x over it, as tile <paramref name="place"/> of <paramref name="count"/>.</summary>
    private static void WinogradGradientWindows<V>(
        in WinogradGradientPlan plan, int tile, int place, int count, int c, int channels, int k, int columns, float* x, float* dy, float* half)
        where V : unmanaged
    {
        // Pixels outside of the maps are zeros. Whole vectors are read: the last may read on into the next pixel, or into the spare bytes at the end of the
        // pool's blocks; what comes of that stays in lanes that nobody reads.
        float** pixels = stackalloc float*[Winograd.Products];
        int n = tile / (plan.TilesH * plan.TilesW);
        int p = tile / plan.TilesW % plan.TilesH * Winograd.Outputs, q = tile % plan.TilesW * Winograd.Outputs;
        Window(plan.X + c, plan.Zeros, n, p - plan.G.PadTop, q - plan.G.PadLeft, Winograd.Points, plan.G.H, plan.G.W, plan.G.C, pixels);
        Winograd.TransformSource<V>(pixels, channels, x + ((long)place * plan.BlockC), (nint)plan.PlaneX, half);
        int wide = Tiles.MaxVectors<V>() * Simd.Width<V>();
        for (int column = 0; column < columns; column += wide)
        {
            int width = PanelWidth<V>(Math.Min(wide, columns - column));
            Window(plan.Dy + k + column, plan.Zeros, n, p, q, Winograd.Outputs, plan.G.P, plan.G.Q, plan.G.K, pixels);
            Winograd.TransformGradient<V>(pixels, width, dy + ((long)column * count) + ((long)place * width), (nint)plan.PlaneDy, half);
        }
    }

    /// <summary>Pointers to the side × side pixels of a map [n, height, width, channels] from (top, left) on.</summary>
    private static void Window(float* map, float* zeros, int n, int top, int left, int side, int height, int width, int channels, float** pixels)
    {
        for (int r = 0; r < side; r++)
        {
            int h = top + r;
            bool inside = (uint)h < (uint)height;
            float* line = map + (((long)n * height) + h) * width * channels;
            for (int s = 0; s < side; s++)
            {
                int w = left + s;
                pixels[(r * side) + s] = inside && (uint)w < (uint)width ? line + ((long)w * channels) : zeros;
            }
        }
    }

    /// <summary>At each point: sums[channel][column] (+)= Σ_tiles x[tile][channel] · dy[tile][column].</summary>
    private static void WinogradGradientSum<V>(
        in WinogradGradientPlan plan, int count, int channels, int columns, float** rows, float* dy, float* sums, bool load)
        where V : unmanaged
    {
        int wide = Tiles.MaxVectors<V>() * Simd.Width<V>();
        for (int point = 0; point < Winograd.Products; point++)
        for (int column = 0; column < columns; column += wide)
        {
            int width = PanelWidth<V>(Math.Min(wide, columns - column));
            float* b = dy + (point * plan.PlaneDy) + ((long)column * count), c = sums + (point * plan.PlaneSum) + column;
            for (int row = 0, height; row < channels; row += height)
            {
                height = Tiles.NextRows(channels - row);
                Tiles.Outer<V>(
                    rows, (nint)(point * plan.PlaneX) + row, lanes: default, count, b, c + ((long)row * plan.BlockK), plan.BlockK, load,
                    ahead: b, aheadStep: 0, height, width);
            }
        }
    }
}
