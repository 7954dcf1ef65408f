using System.Globalization;

namespace RefConv.Models.Report;

/// <summary>Mean and sample standard deviation; no deviation is invented for a single value.</summary>
/// <param name="Mean">Mean.</param>
/// <param name="Deviation">Standard deviation (÷ (n − 1)); null for fewer than two values.</param>
public readonly record struct MeanDeviation(double Mean, double? Deviation)
{
    /// <summary>Of some values.</summary>
    public static MeanDeviation Of(IReadOnlyCollection<double> values)
    {
        double mean = values.Average();
        return new(mean, values.Count < 2 ? null : Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1)));
    }

    /// <summary>In percent: <c>71.3 ± 0.4</c>.</summary>
    public string ToPercent() => (100 * Mean).ToString("0.0", CultureInfo.InvariantCulture) +
        (Deviation is { } d ? " ± " + (100 * d).ToString("0.0", CultureInfo.InvariantCulture) : "");

    /// <summary>A difference of shares, in points: <c>+1.3 ± 0.4</c>.</summary>
    internal string ToPoints() => Num.Signed(100 * Mean, "0.0") + (Deviation is { } d ? " ± " + Num.Text(100 * d, "0.0") : "");
}
