namespace RefConv.Models.Report;

/// <summary>
/// The mean of some values with its 95 % interval by Student's t, which is honest about few of them: with two values it is mean ± 12.7 s/√2, with three
/// mean ± 4.3 s/√3. One value has no interval.
/// </summary>
internal readonly record struct Interval(int Count, double Mean, double? Deviation, double? Half)
{
    // Quantiles of |t| at 0.975 for 1, 2 … 30 degrees of freedom.
    private static readonly double[] s_quantiles =
    [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];

    /// <summary>Of values, all finite.</summary>
    public static Interval Of(IReadOnlyCollection<double> values)
    {
        if (values.Count == 0) return new(0, double.NaN, null, null);
        var (mean, deviation) = MeanDeviation.Of(values);
        return new(values.Count, mean, deviation, deviation is { } s ? Quantile(values.Count - 1) * s / Math.Sqrt(values.Count) : null);
    }

    /// <summary>Above thirty degrees the quantile of thirty: a little on the careful side.</summary>
    private static double Quantile(int degrees) => s_quantiles[Math.Min(degrees, s_quantiles.Length) - 1];

    /// <summary>Wholly above a value.</summary>
    public bool IsAbove(double threshold) => Half is { } h && Mean - h > threshold;

    /// <summary>Wholly below a value.</summary>
    public bool IsBelow(double threshold) => Half is { } h && Mean + h < threshold;
}
