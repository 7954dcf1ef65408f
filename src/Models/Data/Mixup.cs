using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>Trains on pictures between the pictures (arXiv 1710.09412).</summary>
internal static class Mixup
{
    /// <summary>
    /// Mixes a batch with itself in reverse order, in place (timm's way): picture i becomes <c>λ·x_i + (1 − λ)·x_(n−1−i)</c>, and has both labels. The batch is shuffled, so
    /// any fixed partner is a random one.
    /// </summary>
    public static Batch Mix(Batch batch, double share)
    {
        int n = batch.Count, size = batch.Height * batch.Width * batch.Channels;
        float own = (float)share, other = (float)(1 - share);
        for (int i = 0; i < n / 2; i++)
        {
            Span<float> a = batch.Images.AsSpan(i * size, size), b = batch.Images.AsSpan((n - 1 - i) * size, size);
            for (int j = 0; j < size; j++) (a[j], b[j]) = ((own * a[j]) + (other * b[j]), (own * b[j]) + (other * a[j]));
        }
        return batch with { OtherLabels = [.. batch.Labels.Take(n).Reverse()], Share = share };
    }

    /// <summary>
    /// λ from Beta(α, α): X/(X + Y) for two gamma variates. Rounded to multiples of 2⁻¹⁶, because the last bits of a power depend on the platform's mathematics library and a
    /// run must not.
    /// </summary>
    public static double DrawShare(double alpha, ulong seed, ulong stream)
    {
        var random = new RandomStream(seed, stream);
        double x = LogGamma(alpha, random), y = LogGamma(alpha, random);
        // In logarithms, because for a small α both may be too small for a double.
        return Math.Round(65536 / (1 + Math.Exp(y - x))) / 65536;
    }

    /// <summary>Logarithm of a gamma variate of shape α: Marsaglia and Tsang (2000), for α &lt; 1 from shape α + 1 by a power of a uniform number.</summary>
    private static double LogGamma(double alpha, RandomStream random)
    {
        if (alpha < 1) return LogGamma(alpha + 1, random) + (Math.Log(random.NextUniform(0, 1)) / alpha);
        double d = alpha - (1.0 / 3), c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = random.NextNormal(), v = 1 + (c * x);
            if (v <= 0) continue;
            v = v * v * v;
            if (Math.Log(random.NextUniform(0, 1)) < (0.5 * x * x) + d - (d * v) + (d * Math.Log(v))) return Math.Log(d * v);
        }
    }
}
