namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// dw[tap, i, n] (+)= Σ_points x[point, tap][channel i of n's group] · dy[point][n], for shapes that <see cref="GroupedFits{V}"/>: x is spread
    /// out as for <see cref="GroupedProduct{V}"/>, and then every tap and i is a product of two vectors summed over the points.
    /// </summary>
    internal void GroupedWeightGradient<V>(in PixelMap map, int groups, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        int w = Simd.Width<V>();
        var plan = Spread<V>(map, groups);
        plan.Source = x;
        plan.Target = dy; // read here
        int streams = map.Taps * plan.Depth, rows = map.Images * map.GridH;
        long macs = (long)map.Points * map.TargetC * streams;
        // Rows of points are cut into splits, of which each makes a gradient of its own; these are added up in their order.
        plan.Bands = Math.Max(1, Math.Min((int)Math.Clamp(macs >> 19, 1, 32), rows / 2));
        plan.BlockGroups = Math.Min(plan.Blocks, Pieces((int)Math.Clamp(macs >> 19, 1, 8), plan.Bands));
        plan.StripRows = StripRows(map);
        long resultFloats = (long)plan.Blocks * streams * w;
        plan.WorkerFloats = (plan.Window * plan.RowStride) + ((2L * (map.Taps + streams)) + 15) / 16 * 16; // ring, and pointers
        using var small = _device.Scratch((plan.Depth * w) + (2L * map.Taps));
        using var partial = _device.Scratch(plan.Bands * resultFloats);
        using var perWorker = _device.Scratch(plan.WorkerFloats * _device.Threads);
        plan.LaneIndex = small.Pointer;
        plan.TapRow = (int*)(plan.LaneIndex + (plan.Depth * w));
        plan.TapOffset = plan.TapRow + map.Taps;
        plan.WorkerScratch = perWorker.Pointer;
        FillTables<V>(plan);
        float* results = partial.Pointer; // [split][block][tap][i][lane]
        Fork(macs, plan.Bands * plan.BlockGroups, (item, worker) => CorrelatePiece<V>(plan, item, worker, results, resultFloats));
        AddBands<V>(plan, results, resultFloats, dw, accumulate);
    }

    /// <summary>One piece: some of all rows of points, some blocks.</summary>
    private static void CorrelatePiece<V>(in GroupedPlan plan, int item, int worker, float* results, long resultFloats) where V : unmanaged
    {
        long band = item % plan.Bands, blockGroup = item / plan.Bands, rows = (long)plan.Map.Images * plan.Map.GridH;
        int firstRow = (int)(band * rows / plan.Bands), lastRow = (int)((band + 1) * rows / plan.Bands);
        int firstBlock = (int)(blockGroup * plan.Blocks / plan.BlockGroups), lastBlock = (int)((blockGroup + 1) * plan.Blocks / plan.BlockGroups);
        int streams = plan.Map.Taps * plan.Depth;
        long blockFloats = (long)streams * Simd.Width<V>();
        results += band * resultFloats;
        new Span<float>(results + (firstBlock * blockFloats), checked((int)((lastBlock - firstBlock) * blockFloats))).Clear();
        for (int first = firstRow, count; first < lastRow; first += count)
        {
            // A strip: rows of one image.
            int image = first / plan.Map.GridH, u = first % plan.Map.GridH;
            count = Math.Min(Math.Min(plan.StripRows, lastRow - first), plan.Map.GridH - u);
            PrefetchSource(plan, image, u, u + count);
            Simd.Prefetch(plan.Target + ((long)first * plan.Map.GridW * plan.Map.TargetC), (long)count * plan.Map.GridW * plan.Map.TargetC);
            for (int block = firstBlock; block < lastBlock; block++)
                CorrelateStrip<V>(plan, image, u, count, block, worker, results + (block * blockFloats));
        }
    }

    /// <summary>Rows [first, first + count) of points of one image, one block.</summary>
    private static void CorrelateStrip<V>(in GroupedPlan plan, int image, int first, int count, int block, int worker, float* sums) where V : unmanaged
    {
        int w = Simd.Width<V>(), streams = plan.Map.Taps * plan.Depth;
        float* ring = plan.WorkerScratch + (worker * plan.WorkerFloats);
        float** taps = (float**)(ring + (plan.Window * plan.RowStride));
        float** rows = taps + plan.Map.Taps; // [tap][i]
        nint step = plan.Map.TargetC;
        for (int v = 0; v < plan.Map.GridW; v += plan.SpanPoints)
        {
            int points = Math.Min(plan.SpanPoints, plan.Map.GridW - v), spread = 0;
            for (int u = first; u < first + count; u++)
            {
                int top = u * plan.Map.StepH;
                for (spread = Math.Max(spread, top); spread < top + plan.Window; spread++)
                    SpreadRow<V>(plan, image, spread + plan.FirstTop, v, block, ring + (spread % plan.Window * plan.RowStride));
                TapRows(plan, u, ring, taps);
                for (int t = 0, s = 0; t < plan.Map.Taps; t++)
                for (int i = 0; i < plan.Depth; i++, s++)
                {
                    rows[s] = taps[t] + (i * plan.PlaneStride);
                }
                // The last block's loads run over into the next pixel's channels; those lanes' sums go nowhere.
                float* dy = plan.Target + (((((long)image * plan.Map.GridH) + u) * plan.Map.GridW) + v) * step + ((long)block * w);
                GroupedTiles.Correlate<V>(rows, streams, dy, step, points, sums);
            }
        }
    }

    /// <summary>dw (+)= the splits' results, added in their order.</summary>
    private static void AddBands<V>(in GroupedPlan plan, float* results, long resultFloats, float* dw, bool accumulate) where V : unmanaged
    {
        int w = Simd.Width<V>(), streams = plan.Map.Taps * plan.Depth, channels = plan.Map.TargetC;
        for (int block = 0; block < plan.Blocks; block++)
        for (int s = 0; s < streams; s++)
        {
            float* from = results + ((((long)block * streams) + s) * w), to = dw + ((long)s * channels) + (block * w);
            int lanes = Math.Min(w, channels - (block * w));
            V sum = lanes < w ? Simd.LoadPartial<V>(to, accumulate ? lanes : 0, 0) : accumulate ? Simd.Load<V>(to) : Simd.Broadcast<V>(0);
            for (int band = 0; band < plan.Bands; band++) sum = Simd.Add(sum, Simd.Load<V>(from + (band * resultFloats)));
            if (lanes < w) Simd.StorePartial(to, sum, lanes);
            else Simd.Store(to, sum);
        }
    }
}
