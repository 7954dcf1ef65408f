namespace RefConv.Models.Imaging;

/// <summary>
/// For every pixel of a resampled row or column, which source pixels it is made of and with which weights: in fixed point, computed and rounded
/// as Pillow does (Resample.c), so that results are the same.
/// </summary>
internal readonly struct FilterWeights
{
    /// <summary>8 bits for the value, 2 so that sums of a filter with negative parts do not overflow, the rest of 32 for the weight.</summary>
    public const int Bits = 32 - 8 - 2;

    private FilterWeights(int taps, int[] starts, int[] counts, int[] weights) => (Taps, Starts, Counts, Weights) = (taps, starts, counts, weights);

    /// <summary>Places for weights a pixel.</summary>
    public int Taps { get; }

    /// <summary>First source pixel of each.</summary>
    public int[] Starts { get; }

    /// <summary>Source pixels of each.</summary>
    public int[] Counts { get; }

    /// <summary>[pixels, <see cref="Taps"/>], in units of 2^-<see cref="Bits"/>.</summary>
    public int[] Weights { get; }

    public ReadOnlySpan<int> Of(int pixel) => Weights.AsSpan(pixel * Taps, Counts[pixel]);

    /// <summary>Weights of some pixels of a row.</summary>
    /// <param name="source">Pixels of the source row.</param>
    /// <param name="target">Pixels of the whole resampled row.</param>
    /// <param name="first">The first one wanted.</param>
    /// <param name="count">How many are wanted.</param>
    /// <param name="interpolation">The filter.</param>
    public static FilterWeights Compute(int source, int target, int first, int count, Interpolation interpolation)
    {
        double scale = (double)source / target, widening = Math.Max(scale, 1);
        double support = (interpolation == Interpolation.Bicubic ? 2 : 1) * widening;
        int taps = ((int)Math.Ceiling(support) * 2) + 1;
        int[] starts = new int[count], counts = new int[count], weights = new int[checked(count * taps)];
        double[] values = new double[taps];
        double inverse = 1 / widening;
        for (int i = 0; i < count; i++)
        {
            double center = (first + i + 0.5) * scale;
            int start = Math.Max(0, (int)(center - support + 0.5));
            int length = Math.Min(source, (int)(center + support + 0.5)) - start;
            double sum = 0;
            for (int k = 0; k < length; k++)
            {
                double x = (k + start - center + 0.5) * inverse;
                values[k] = interpolation == Interpolation.Bicubic ? Cubic(x) : Triangle(x);
                sum += values[k];
            }
            for (int k = 0; k < length; k++)
            {
                double weight = (sum == 0 ? values[k] : values[k] / sum) * (1 << Bits);
                weights[(i * taps) + k] = (int)(weight + (weight < 0 ? -0.5 : 0.5));
            }
            (starts[i], counts[i]) = (start, length);
        }
        return new FilterWeights(taps, starts, counts, weights);
    }

    private static double Triangle(double x) => Math.Max(0, 1 - Math.Abs(x));

    private static double Cubic(double x)
    {
        const double A = -0.5;
        x = Math.Abs(x);
        if (x < 1) return (((((A + 2) * x) - (A + 3)) * x) * x) + 1;
        return x < 2 ? ((((((x - 5) * x) + 8) * x) - 4) * A) : 0;
    }
}
