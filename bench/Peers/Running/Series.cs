namespace RefConv.Bench;

/// <summary>Times of one way to do the work, a sample a round: milliseconds of one step.</summary>
/// <param name="Name">The engine, or for a peer its way: memory format, and for inference eager or frozen.</param>
internal sealed record Series(string Name)
{
    public List<double> Samples { get; } = [];

    public double Median => Statistics.Quantile(Samples, 0.5);

    public double Fastest => Samples.Min();

    /// <summary>A series of samples taken elsewhere.</summary>
    public static Series Of(string name, IEnumerable<double> samples)
    {
        var series = new Series(name);
        series.Samples.AddRange(samples);
        return series;
    }
}

/// <summary>Order statistics and means.</summary>
internal static class Statistics
{
    /// <summary>Quantile with linear interpolation between neighbours.</summary>
    public static double Quantile(IEnumerable<double> values, double q)
    {
        double[] sorted = [.. values.Order()];
        double place = q * (sorted.Length - 1);
        int below = (int)place;
        return below + 1 < sorted.Length ? sorted[below] + ((place - below) * (sorted[below + 1] - sorted[below])) : sorted[below];
    }

    /// <summary>First quartile, median, third quartile.</summary>
    public static double[] Quartiles(IReadOnlyCollection<double> values) => [.. new[] { 0.25, 0.5, 0.75 }.Select(q => Quantile(values, q))];

    /// <summary>Quotients of the samples of the same rounds.</summary>
    public static double[] Ratios(Series numerator, Series denominator) => [.. numerator.Samples.Zip(denominator.Samples, (n, d) => n / d)];

    /// <summary>The mean for quotients: half as fast and twice as fast give 1.</summary>
    public static double GeometricMean(IEnumerable<double> values) => Math.Exp(values.Average(Math.Log));
}
