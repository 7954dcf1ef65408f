namespace RefConv.Kernels;

/// <summary>Everything the pieces of one convolution of few channels share.</summary>
internal unsafe struct StripPlan
{
    public Conv2dGeometry G;

    /// <summary>Output rows are done so many at a time: enough points to be worth starting for.</summary>
    public int RowsPerBlock;

    /// <summary>Blocks of rows of all images, and how many of them a piece of work does.</summary>
    public int Blocks, BlocksPerItem;

    /// <summary>Floats of a strip: what one output row reads of one input row, padding included.</summary>
    public int Strip;

    /// <summary>Floats of a kernel row, S·C: one run of memory in a strip.</summary>
    public int Run;

    public readonly int Rows => G.N * G.P;

    public readonly int PointsPerBlock => RowsPerBlock * G.Q;

    public readonly int Items => (Blocks + BlocksPerItem - 1) / BlocksPerItem;

    /// <summary>Floats of the strips and of the pointers into them, of one thread.</summary>
    public readonly long WorkerFloats => ((long)RowsPerBlock * G.R * Strip) + (2L * G.R * PointsPerBlock);
}

/// <summary>
/// Convolution of few input channels: a network's stem. A sum of a pixel's three values would spend its time on starting, so a whole kernel row is taken
/// as one run of memory, S·C values. Input rows are copied to strips that include the padding; then all points are alike: the pointers of
/// a block of output rows are the same for all blocks, and are made once. The copy moves R rows for each row of the result, little beside it.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Points done together at least, where a map has so many.</summary>
    private const int StripPoints = 128;

    /// <summary>A convolution of so few channels that its input is copied to strips.</summary>
    internal static bool StripsFit(in Conv2dGeometry g) => g.Groups == 1 && g.C < MinSegment && g.R * g.S > 1 && g.DilationW == 1;

    private static StripPlan CutStrips(in Conv2dGeometry g, int mostItems)
    {
        var plan = new StripPlan { G = g, Run = g.S * g.C };
        plan.RowsPerBlock = Math.Clamp(StripPoints / g.Q, 1, g.N * g.P);
        plan.Blocks = Pieces(plan.Rows, plan.RowsPerBlock);
        int wanted = (int)Math.Clamp(g.Macs >> 18, 1, mostItems);
        plan.BlocksPerItem = Pieces(plan.Blocks, wanted);
        plan.Strip = Pieces((((g.Q - 1) * g.StrideW) + g.S) * g.C, 16) * 16;
        return plan;
    }

    /// <summary>y from x: tiles of the gathering product over strips. See <see cref="GatherPacked{V}"/> for the parameters.</summary>
    private void StripForward<V>(in Conv2dGeometry g, float* x, float* packed, float* bias, float* y, ActivationKind activation, float* moments) where V : unmanaged
    {
        if (g.OutputLength == 0) return;
        var plan = CutStrips(g, mostItems: 64);
        var panels = Panels.Of<V>(1, g.R * plan.Run, g.K);
        int wide = panels.Wide, points = plan.PointsPerBlock, padded = PanelWidth<V>(g.K);
        bool stream = g.OutputLength >= MinStreamed && g.Q * g.K % Simd.Width<V>() == 0 && (nint)y % sizeof(V) == 0;
        // Whole vectors go from registers to the result. What has to be looked at or changed first is done in a block that stays in the caches.
        bool direct = g.K == padded && activation is ActivationKind.Identity or ActivationKind.ReLU or ActivationKind.ReLU6 && !(stream && moments != null);
        long perWorker = plan.WorkerFloats + (2L * points) + ((long)points * padded) + Simd.Width<V>();
        using var memory = _device.Scratch(perWorker * _device.Threads);
        using var small = _device.Scratch((panels.Count * wide) + (4L * g.R));
        using var pivots = _device.Scratch(moments == null ? 0 : (long)plan.Blocks * panels.Count * wide * ColumnMoments.Rows);
        float* start = small.Pointer, scratch = memory.Pointer, pivot = pivots.Pointer;
        var isReady = new bool[_device.Threads];
        var segments = (Segment*)(start + (panels.Count * wide));
        for (int r = 0; r < g.R; r++) segments[r] = new Segment(r, 0, plan.Run);
        var sums = new GatherPlan { Panels = panels, Start = start, RowBlocks = plan.Blocks, RowsPerBlock = points };
        (sums.Map.Images, sums.Map.GridH, sums.Map.GridW, sums.Map.TargetC) = (1, plan.Rows, g.Q, g.K);
        sums.Finish.Moments = pivot;
        PackStart(sums, bias);

        int q = g.Q, taps = g.R, channels = g.K;
        Fork(g.Macs, plan.Items, (item, worker) =>
        {
            float* strips = scratch + (worker * perWorker);
            float** a = (float**)(strips + ((long)plan.RowsPerBlock * taps * plan.Strip));
            float** c = a + ((long)taps * points);
            float* block = (float*)(c + points);
            if (!isReady[worker]) StripPointers(plan, strips, a);
            for (int i = 0; i < points && !isReady[worker]; i++) c[i] = block + ((long)i * padded);
            isReady[worker] = true;
            for (int b = item * plan.BlocksPerItem; b < Math.Min(plan.Blocks, (item + 1) * plan.BlocksPerItem); b++)
            {
                int count = FillStrips(plan, x, b, strips) * q;
                float* target = y + ((long)b * points * channels);
                for (int panel = 0; panel < panels.Count; panel++)
                {
                    int columns = panels.ColumnsOf(panel), vectors = PanelWidth<V>(columns);
                    nint offset = (direct ? (nint)(target - block) : 0) + panels.FirstColumn(panel);
                    float* weights = packed + ((long)panel * wide * taps * plan.Run);
                    for (int m = 0, rows; m < count; m += rows)
                    {
                        rows = Tiles.NextRows(count - m);
                        Tiles.Gather<V>(
                            a + m, points, segments, taps, 0, default, weights, c + m, offset, start + (panel * wide), rows, vectors,
                            direct && stream, direct ? activation : ActivationKind.Identity);
                    }
                    if (moments == null) continue;
                    float* to = pivot + (((long)b * panels.Count) + panel) * wide * ColumnMoments.Rows;
                    ColumnMoments.Add<V>(c, offset, count, vectors, to, wide, first: true);
                }
                if (!direct) PutBlock<V>(block, count, channels, padded, activation, target, stream);
            }
        });
        if (moments != null) AddMoments<V>(sums, moments);
    }

    /// <summary>dw from x and dy: every kernel row is a sum of outer products over strips.</summary>
    private void StripWeightGradient<V>(in Conv2dGeometry g, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        long floats = (long)g.R * g.S * g.C * g.K;
        if (g.OutputLength == 0)
        {
            if (!accumulate) new Span<float>(dw, checked((int)floats)).Clear();
            return;
        }
        var plan = CutStrips(g, mostItems: 16);
        var panels = Panels.Of<V>(1, g.R * plan.Run, g.K);
        int points = plan.PointsPerBlock, wide = panels.Wide;
        bool packs = g.K != PanelWidth<V>(g.K) || panels.Count > 1, split = plan.Items > 1;
        long perWorker = plan.WorkerFloats + (packs ? (long)points * wide : 0);
        using var memory = _device.Scratch(perWorker * _device.Threads);
        using var parts = _device.Scratch(split ? plan.Items * floats : 0);
        float* scratch = memory.Pointer, results = split ? parts.Pointer : dw;
        var isReady = new bool[_device.Threads];
        bool adds = accumulate && !split;

        Fork(g.Macs, plan.Items, (item, worker) =>
        {
            float* strips = scratch + (worker * perWorker);
            float** a = (float**)(strips + ((long)plan.RowsPerBlock * plan.G.R * plan.Strip));
            float* panelOfDy = (float*)(a + ((long)plan.G.R * points)), result = results + (item * floats);
            if (!isReady[worker]) StripPointers(plan, strips, a);
            isReady[worker] = true;
            int firstBlock = item * plan.BlocksPerItem;
            for (int b = firstBlock; b < Math.Min(plan.Blocks, firstBlock + plan.BlocksPerItem); b++)
            {
                int count = FillStrips(plan, x, b, strips) * plan.G.Q;
                float* from = dy + ((long)b * points * plan.G.K);
                for (int panel = 0; panel < panels.Count; panel++)
                {
                    int columns = panels.ColumnsOf(panel), column = panels.FirstColumn(panel);
                    if (packs) PackRows<V>(from + column, plan.G.K, count, columns, panelOfDy, PanelWidth<V>(columns));
                    for (int r = 0; r < plan.G.R; r++)
                    for (int row = 0, rows; row < plan.Run; row += rows)
                    {
                        rows = Tiles.NextRows(plan.Run - row);
                        float* values = packs ? panelOfDy : from, to = result + ((((long)r * plan.Run) + row) * plan.G.K) + column;
                        Tiles.Outer<V>(a + ((long)r * points), row, default, count, values, to, plan.G.K, adds || b > firstBlock, values, 0, rows, columns);
                    }
                }
            }
        });
        if (split) SumSplits<V>(results, plan.Items, floats, dw, accumulate);
    }

    /// <summary>Where each point of a block finds its kernel rows in the strips: a[r·points + point].</summary>
    private static void StripPointers(in StripPlan plan, float* strips, float** a)
    {
        var g = plan.G;
        for (int r = 0; r < g.R; r++)
        for (int row = 0, q = g.Q; row < plan.RowsPerBlock; row++)
        {
            float* strip = strips + ((((long)row * g.R) + r) * plan.Strip);
            for (int i = 0; i < q; i++) *a++ = strip + ((long)i * g.StrideW * g.C);
        }
    }

    /// <summary>Copies what the output rows of a block read, strips[row][r]; rows and columns outside the input are zeros.</summary>
    /// <returns>How many output rows the block has.</returns>
    private static int FillStrips(in StripPlan plan, float* x, int block, float* strips)
    {
        var g = plan.G;
        int first = block * plan.RowsPerBlock, count = Math.Min(plan.RowsPerBlock, plan.Rows - first), lineFloats = g.W * g.C;
        // Pixel i of a strip is pixel i − PadLeft of the input row; negative padding crops. Inside the input are pixels [left, right).
        int pixels = ((g.Q - 1) * g.StrideW) + g.S, left = Math.Clamp(g.PadLeft, 0, pixels), right = Math.Clamp(g.W + g.PadLeft, left, pixels);
        for (int row = 0; row < count; row++)
        {
            int n = (first + row) / g.P, top = ((first + row) % g.P * g.StrideH) - g.PadTop;
            for (int r = 0; r < g.R; r++, strips += plan.Strip)
            {
                int h = top + (r * g.DilationH), from = left * g.C, to = (uint)h < (uint)g.H ? right * g.C : from;
                float* line = x + ((((long)n * g.H) + h) * lineFloats) - (g.PadLeft * g.C);
                new Span<float>(strips, from).Clear();
                new ReadOnlySpan<float>(line + from, to - from).CopyTo(new Span<float>(strips + from, to - from));
                new Span<float>(strips + to, plan.Strip - to).Clear();
            }
        }
        return count;
    }

    /// <summary>Moves finished sums [points][padded] to the result [points][channels], through the activation.</summary>
    private static void PutBlock<V>(float* block, int points, int channels, int padded, ActivationKind activation, float* target, bool stream) where V : unmanaged
    {
        int w = Simd.Width<V>();
        // Rows move together in place: each vector is stored at or before where it was read, and what runs over is overwritten by the next row.
        for (int i = 0; channels != padded && i < points; i++)
        {
            float* from = block + ((long)i * padded), to = block + ((long)i * channels);
            for (int n = 0; n < channels; n += w) Simd.Store(to + n, Simd.Load<V>(from + n));
        }
        int count = points * channels;
        if (activation != ActivationKind.Identity) Tiles.FinishRow<V>(new TileFinish { Activation = activation }, block, count);
        if (stream)
        {
            for (int i = 0; i < count; i += w) Simd.StoreStreamed(target + i, Simd.Load<V>(block + i));
        }
        else
        {
            new ReadOnlySpan<float>(block, count).CopyTo(new Span<float>(target, count));
        }
    }
}
