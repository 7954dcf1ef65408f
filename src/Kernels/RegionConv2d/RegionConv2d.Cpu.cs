namespace RefConv.Kernels;

/// <remarks>
/// The pixels of an image are sorted by region, and four of one region share every load of its weights: the work is that of one ordinary convolution, whatever the
/// number of regions. Results do not depend on which pixels share a load. See <c>RegionConv2d.Cpu.Tiles.cs</c> for the products.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    private const int RegionTile = 4;   // pixels that share a load
    private const int RegionChunk = 64; // pixels in a piece of work

    public void RegionConv2dForward(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView w, BufferView b, BufferView y)
    {
        var shape = g;
        var c = g.Conv;
        int pixels = c.P * c.Q, taps = c.R * c.S, chunks = Pieces(pixels, RegionChunk);
        float* xs = P(x), masks = P(mask), ws = P(w), bs = P(b), ys = P(y);
        using var sorted = SortByRegion(g, masks);
        int* order = (int*)sorted.Pointer;
        using var spares = new RegionSpares(_device, c.C, c.K);
        float* zeros = spares.Zeros, unused = spares.Unused;
        int spareLength = spares.Length;

        void Chunk(int item, int worker)
        {
            float** rows = stackalloc float*[RegionTile], targets = stackalloc float*[RegionTile];
            int n = item / chunks, first = item % chunks * RegionChunk, last = Math.Min(pixels, first + RegionChunk);
            int* own = order + ((long)n * pixels);
            float* image = xs + ((long)n * c.H * c.W * c.C), labels = masks + ((long)n * pixels), result = ys + ((long)n * pixels * c.K);
            float* kernels = ws + (n * shape.ImageKernelLength), spare = unused + (worker * spareLength);
            for (int at = first, end; at < last; at = end)
            {
                end = TileEnd(own, labels, at, last);
                long region = (long)labels[own[at]] * shape.RegionStride;
                for (int t = 0; t < RegionTile; t++)
                {
                    targets[t] = at + t < end ? result + ((long)own[at + t] * c.K) : spare;
                    if (bs == null) new Span<float>(targets[t], c.K).Clear();
                    else new ReadOnlySpan<float>(bs, c.K).CopyTo(new Span<float>(targets[t], c.K));
                }
                for (int tap = 0; tap < taps; tap++)
                {
                    for (int t = 0; t < RegionTile; t++) rows[t] = at + t < end ? InputPixel(c, image, own[at + t], tap, zeros) : zeros;
                    AddProduct(targets, rows, kernels + region + (tap * shape.TapStride), c.C, c.K);
                }
            }
        }

        ForItems(checked(c.N * chunks), c.Macs, Chunk);
    }

    public void RegionConv2dInputGradient(in RegionConv2dGeometry g, BufferView dy, BufferView mask, BufferView w, BufferView dx, bool accumulate)
    {
        var shape = g;
        var c = g.Conv;
        int pixels = c.P * c.Q, taps = c.R * c.S;
        float* dys = P(dy), masks = P(mask), ws = P(w), dxs = P(dx);
        using var sorted = SortByRegion(g, masks);
        int* order = (int*)sorted.Pointer;
        using var spares = new RegionSpares(_device, c.K, c.C);
        float* zeros = spares.Zeros, unused = spares.Unused;
        int spareLength = spares.Length;
        using var transposed = _device.Scratch(c.WeightLength * _device.Threads);
        float* memory = transposed.Pointer;

        void Image(int n, int worker)
        {
            float** rows = stackalloc float*[RegionTile], targets = stackalloc float*[RegionTile];
            int* own = order + ((long)n * pixels);
            float* image = dxs + ((long)n * c.H * c.W * c.C), labels = masks + ((long)n * pixels), gradient = dys + ((long)n * pixels * c.K);
            float* flipped = memory + (worker * c.WeightLength), spare = unused + (worker * spareLength);
            if (!accumulate) new Span<float>(image, c.H * c.W * c.C).Clear();
            int current = -1;
            for (int at = 0, end; at < pixels; at = end)
            {
                end = TileEnd(own, labels, at, pixels);
                int region = (int)labels[own[at]];
                if (region != current)
                {
                    for (int tap = 0; tap < taps; tap++)
                        TransposeMatrix(ws + (n * shape.ImageKernelLength) + (region * shape.RegionStride) + (tap * shape.TapStride), c.C, c.K, flipped + ((long)tap * c.C * c.K));
                    current = region;
                }
                for (int t = 0; t < RegionTile; t++) rows[t] = at + t < end ? gradient + ((long)own[at + t] * c.K) : zeros;
                for (int tap = 0; tap < taps; tap++)
                {
                    for (int t = 0; t < RegionTile; t++) targets[t] = at + t < end ? InputPixel(c, image, own[at + t], tap, spare) : spare;
                    AddProduct(targets, rows, flipped + ((long)tap * c.C * c.K), c.K, c.C);
                }
            }
        }

        ForItems(c.N, c.Macs, Image);
    }

    public void RegionConv2dKernelGradient(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView dy, BufferView dw, bool accumulate)
    {
        var shape = g;
        var c = g.Conv;
        int pixels = c.P * c.Q, taps = c.R * c.S;
        float* xs = P(x), masks = P(mask), dys = P(dy), dws = P(dw);
        using var sorted = SortByRegion(g, masks);
        int* order = (int*)sorted.Pointer;
        using var spares = new RegionSpares(_device, Math.Max(c.C, c.K), 1);
        float* zeros = spares.Zeros;

        void Tap(int item, int worker)
        {
            float** rows = stackalloc float*[RegionTile], gradients = stackalloc float*[RegionTile];
            int n = item / taps, tap = item % taps;
            int* own = order + ((long)n * pixels);
            float* image = xs + ((long)n * c.H * c.W * c.C), labels = masks + ((long)n * pixels), gradient = dys + ((long)n * pixels * c.K);
            float* kernels = dws + (n * shape.ImageKernelLength) + (tap * shape.TapStride);
            for (int region = 0; !accumulate && region < shape.Regions; region++) new Span<float>(kernels + (region * shape.RegionStride), c.C * c.K).Clear();
            for (int at = 0, end; at < pixels; at = end)
            {
                end = TileEnd(own, labels, at, pixels);
                for (int t = 0; t < RegionTile; t++)
                {
                    rows[t] = at + t < end ? InputPixel(c, image, own[at + t], tap, zeros) : zeros;
                    gradients[t] = at + t < end ? gradient + ((long)own[at + t] * c.K) : zeros;
                }
                AddOuterProduct(rows, gradients, kernels + ((long)labels[own[at]] * shape.RegionStride), c.C, c.K);
            }
        }

        ForItems(checked(c.N * taps), c.Macs, Tap);
    }

    public void RegionConv2dScores(in RegionConv2dGeometry g, BufferView x, BufferView w, BufferView dy, BufferView a)
    {
        var shape = g;
        var c = g.Conv;
        int pixels = c.P * c.Q, taps = c.R * c.S, chunks = Pieces(pixels, RegionChunk);
        float* xs = P(x), ws = P(w), dys = P(dy), scores = P(a);
        using var spares = new RegionSpares(_device, c.C, RegionTile * c.K);
        float* zeros = spares.Zeros, unused = spares.Unused;
        int spareLength = spares.Length;

        void Chunk(int item, int worker)
        {
            float** rows = stackalloc float*[RegionTile], targets = stackalloc float*[RegionTile];
            int n = item / chunks, first = item % chunks * RegionChunk, last = Math.Min(pixels, first + RegionChunk);
            float* image = xs + ((long)n * c.H * c.W * c.C), kernels = ws + (n * shape.ImageKernelLength), candidates = unused + (worker * spareLength);
            for (int t = 0; t < RegionTile; t++) targets[t] = candidates + (t * c.K);
            for (int region = 0; region < shape.Regions; region++)
            for (int at = first; at < last; at += RegionTile)
            {
                int count = Math.Min(RegionTile, last - at);
                new Span<float>(candidates, RegionTile * c.K).Clear();
                for (int tap = 0; tap < taps; tap++)
                {
                    for (int t = 0; t < RegionTile; t++) rows[t] = t < count ? InputPixel(c, image, at + t, tap, zeros) : zeros;
                    AddProduct(targets, rows, kernels + (region * shape.RegionStride) + (tap * shape.TapStride), c.C, c.K);
                }
                for (int t = 0; t < count; t++)
                {
                    long pixel = ((long)n * pixels) + at + t;
                    scores[(pixel * shape.Regions) + region] = Dot(targets[t], dys + (pixel * c.K), c.K);
                }
            }
        }

        ForItems(checked(c.N * chunks), c.Macs * g.Regions, Chunk);
    }

    public void ArgMaxChannels(long rows, int channels, BufferView x, BufferView y)
    {
        float* xs = P(x), ys = P(y);
        ParallelRange(rows, Math.Max(1, ElementGrain / channels), (first, last) =>
        {
            for (long row = first; row < last; row++)
            {
                float* values = xs + (row * channels);
                int best = 0;
                for (int c = 1; c < channels; c++)
                {
                    if (values[c] > values[best]) best = c;
                }
                ys[row] = best;
            }
        });
    }

    public void SoftmaxChannelsGradient(long rows, int channels, BufferView x, BufferView a, BufferView dx, bool accumulate)
    {
        float* xs = P(x), scores = P(a), dxs = P(dx);
        ParallelRange(rows, Math.Max(1, ElementGrain / 16 / channels), (first, last) =>
        {
            for (long row = first; row < last; row++)
            {
                float* values = xs + (row * channels), weights = scores + (row * channels), target = dxs + (row * channels);
                float largest = values[0];
                double total = 0, mean = 0;
                for (int c = 1; c < channels; c++) largest = Math.Max(largest, values[c]);
                for (int c = 0; c < channels; c++)
                {
                    double e = MathF.Exp(values[c] - largest);
                    total += e;
                    mean += e * weights[c];
                }
                mean /= total;
                for (int c = 0; c < channels; c++)
                {
                    double gradient = MathF.Exp(values[c] - largest) / total * (weights[c] - mean);
                    target[c] = (float)(accumulate ? target[c] + gradient : gradient);
                }
            }
        });
    }
}
