using RefConv.Models.Report;

namespace RefConv.Models.Analysis;

/// <summary>
/// The difference of two things measured under the same conditions several times, as two rows are with the same seeds. What the conditions have in common
/// falls out of the pairs, so the deviation of the differences says how far their mean can be trusted.
/// </summary>
/// <param name="Pairs">How many.</param>
/// <param name="Mean">Mean difference.</param>
/// <param name="Deviation">Standard deviation of the differences (÷ (n − 1)); null for fewer than two pairs: none is invented.</param>
/// <param name="T">Student's t, mean / (deviation / √n); null for fewer than two pairs, and where all differences are equal up to rounding, so that t has no value.</param>
/// <param name="P">Two-sided: how often chance alone gives a t at least this large. Null where t is.</param>
public sealed record PairedDifference(int Pairs, double Mean, double? Deviation, double? T, double? P)
{
    /// <summary>Chances up to this one count as none.</summary>
    public const double Level = 0.05;

    /// <summary>Of some differences; null of none.</summary>
    public static PairedDifference? Of(IReadOnlyCollection<double> differences)
    {
        int n = differences.Count;
        if (n == 0) return null;
        var (mean, deviation) = MeanDeviation.Of(differences);
        if (deviation is not { } s) return new(n, mean, null, null, null);
        if (StudentsT.IsTie(mean, s)) return new(n, mean, 0, null, null);
        double t = mean / (s / Math.Sqrt(n));
        return new(n, mean, s, t, StudentsT.TwoSided(t, n - 1));
    }

    /// <summary>More than chance explains.</summary>
    public bool IsClear => P <= Level;

    /// <summary>In words: better, worse, or too few to tell.</summary>
    public string Verdict => this switch
    {
        { IsClear: true } => Mean > 0 ? "better" : "worse",
        { Pairs: 1 } => "1 seed, too few to tell",
        { Mean: 0, Deviation: 0 } => "equal with every seed",
        _ => $"{Pairs} seeds, too few to tell",
    };
}
