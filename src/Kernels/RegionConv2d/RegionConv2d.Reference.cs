namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void RegionConv2dForward(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView w, BufferView b, BufferView y)
    {
        var c = g.Conv;
        for (int pixel = 0; pixel < g.MaskLength; pixel++)
        {
            int region = (int)S(mask)[pixel];
            for (int k = 0; k < c.K; k++) S(y)[(pixel * c.K) + k] = (b.IsEmpty ? 0 : S(b)[k]) + Candidate(g, x, w, pixel, region, k);
        }
    }

    public void RegionConv2dInputGradient(in RegionConv2dGeometry g, BufferView dy, BufferView mask, BufferView w, BufferView dx, bool accumulate)
    {
        var c = g.Conv;
        if (!accumulate) S(dx).Clear();
        for (int pixel = 0; pixel < g.MaskLength; pixel++)
        foreach (var (input, kernel) in RegionWindow(g, pixel, (int)S(mask)[pixel]))
        for (int i = 0; i < c.C; i++)
        for (int k = 0; k < c.K; k++)
            S(dx)[input + i] += S(dy)[(pixel * c.K) + k] * S(w)[kernel + (i * c.K) + k];
    }

    public void RegionConv2dKernelGradient(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView dy, BufferView dw, bool accumulate)
    {
        var c = g.Conv;
        if (!accumulate) S(dw).Clear();
        for (int pixel = 0; pixel < g.MaskLength; pixel++)
        foreach (var (input, kernel) in RegionWindow(g, pixel, (int)S(mask)[pixel]))
        for (int i = 0; i < c.C; i++)
        for (int k = 0; k < c.K; k++)
            S(dw)[kernel + (i * c.K) + k] += S(x)[input + i] * S(dy)[(pixel * c.K) + k];
    }

    public void RegionConv2dScores(in RegionConv2dGeometry g, BufferView x, BufferView w, BufferView dy, BufferView a)
    {
        for (int pixel = 0; pixel < g.MaskLength; pixel++)
        for (int region = 0; region < g.Regions; region++)
        {
            double sum = 0;
            for (int k = 0; k < g.Conv.K; k++) sum += S(dy)[(pixel * g.Conv.K) + k] * Candidate(g, x, w, pixel, region, k);
            S(a)[(pixel * g.Regions) + region] = sum;
        }
    }

    public void ArgMaxChannels(long rows, int channels, BufferView x, BufferView y)
    {
        for (int row = 0; row < rows; row++)
        {
            int best = 0;
            for (int c = 1; c < channels; c++)
            {
                if (S(x)[(row * channels) + c] > S(x)[(row * channels) + best]) best = c;
            }
            S(y)[row] = best;
        }
    }

    public void SoftmaxChannelsGradient(long rows, int channels, BufferView x, BufferView a, BufferView dx, bool accumulate)
    {
        for (int row = 0; row < rows; row++)
        {
            var xs = S(x).Slice(row * channels, channels);
            var scores = S(a).Slice(row * channels, channels);
            double largest = xs[0], total = 0, mean = 0;
            foreach (double v in xs) largest = Math.Max(largest, v);
            foreach (double v in xs) total += Math.Exp(v - largest);
            for (int c = 0; c < channels; c++) mean += Math.Exp(xs[c] - largest) / total * scores[c];
            for (int c = 0; c < channels; c++) Put(ref S(dx)[(row * channels) + c], Math.Exp(xs[c] - largest) / total * (scores[c] - mean), accumulate);
        }
    }

    /// <summary>One channel of one output pixel, with the kernel of a region.</summary>
    private static double Candidate(in RegionConv2dGeometry g, BufferView x, BufferView w, int pixel, int region, int k)
    {
        double sum = 0;
        foreach (var (input, kernel) in RegionWindow(g, pixel, region))
        for (int i = 0; i < g.Conv.C; i++)
            sum += S(x)[input + i] * S(w)[kernel + (i * g.Conv.K) + k];
        return sum;
    }

    /// <summary>What an output pixel reads: for every tap inside the image the first channel of the input pixel, and the [C, K] matrix of the region's kernel.</summary>
    private static List<(int Input, int Kernel)> RegionWindow(in RegionConv2dGeometry g, int pixel, int region)
    {
        var c = g.Conv;
        List<(int, int)> taps = [];
        int n = pixel / (c.P * c.Q), p = pixel / c.Q % c.P, q = pixel % c.Q;
        for (int r = 0; r < c.R; r++)
        for (int s = 0; s < c.S; s++)
        {
            int h = (p * c.StrideH) + (r * c.DilationH) - c.PadTop, v = (q * c.StrideW) + (s * c.DilationW) - c.PadLeft;
            if (h < 0 || h >= c.H || v < 0 || v >= c.W) continue;
            long kernel = (n * g.ImageKernelLength) + (((r * c.S) + s) * g.TapStride) + (region * g.RegionStride);
            taps.Add((((((n * c.H) + h) * c.W) + v) * c.C, (int)kernel));
        }
        return taps;
    }
}
