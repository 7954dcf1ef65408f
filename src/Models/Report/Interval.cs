using RefConv.Models.Analysis;

namespace RefConv.Models.Report;

/// <summary>
/// The mean of some values with its 95 % interval by Student's t, which is honest about few of them: with two values it is mean ± 12.7 s/√2, with three
/// mean ± 4.3 s/√3. One value has no interval. Values that are equal up to rounding show no spread to judge by, as <see cref="PairedDifference"/> has it: their interval is a point and
/// lies on neither side of anything. With few test pictures such a tie is chance, not certainty.
/// </summary>
internal readonly record struct Interval(int Count, double Mean, double? Deviation, double? Half)
{
    /// <summary>Of values, all finite.</summary>
    public static Interval Of(IReadOnlyCollection<double> values)
    {
        if (values.Count == 0) return new(0, double.NaN, null, null);
        var (mean, deviation) = MeanDeviation.Of(values);
        if (deviation is not { } s) return new(values.Count, mean, null, null);
        return StudentsT.IsTie(mean, s) ? new(values.Count, mean, 0, 0) : new(values.Count, mean, s, StudentsT.Quantile(PairedDifference.Level, values.Count - 1) * s / Math.Sqrt(values.Count));
    }

    /// <summary>Wholly above a value.</summary>
    public bool IsAbove(double threshold) => Half is { } h and > 0 && Mean - h > threshold;

    /// <summary>Wholly below a value.</summary>
    public bool IsBelow(double threshold) => Half is { } h and > 0 && Mean + h < threshold;
}
