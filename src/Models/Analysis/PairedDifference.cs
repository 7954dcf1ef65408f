namespace RefConv.Models.Analysis;

/// <summary>
/// The difference of two things measured under the same conditions several times, as two rows are with the same seeds. What the conditions have in common
/// falls out of the pairs, so the deviation of the differences says how far their mean can be trusted.
/// </summary>
/// <param name="Pairs">How many.</param>
/// <param name="Mean">Mean difference.</param>
/// <param name="Deviation">Standard deviation of the differences (÷ (n − 1)); null for fewer than two pairs: none is invented.</param>
/// <param name="T">Student's t, mean / (deviation / √n); null for fewer than two pairs, and where all differences are equal, so that t has no value.</param>
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
        double mean = differences.Average();
        if (n == 1) return new(1, mean, null, null, null);
        double deviation = Math.Sqrt(differences.Sum(d => (d - mean) * (d - mean)) / (n - 1));
        if (deviation == 0) return new(n, mean, 0, null, null);
        double t = mean / (deviation / Math.Sqrt(n));
        return new(n, mean, deviation, t, TwoSided(t, n - 1));
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

    /// <summary>
    /// Probability of |t| or more under Student's distribution. For a whole number of degrees of freedom the integral is a finite sum in θ = atan(t/√ν)
    /// (Abramowitz and Stegun 26.7.3 and 26.7.4).
    /// </summary>
    internal static double TwoSided(double t, int degrees)
    {
        double angle = Math.Atan(Math.Abs(t) / Math.Sqrt(degrees)), sine = Math.Sin(angle), cosine = Math.Cos(angle);
        bool odd = degrees % 2 == 1;
        // The sum's terms: each is the one before times cos² and the next two factors of the double factorials.
        double term = odd ? cosine : 1, sum = 0;
        for (int k = odd ? 3 : 2; k <= degrees; k += 2)
        {
            sum += term;
            term *= cosine * cosine * (k - 1) / k;
        }
        double within = odd ? (angle + (sine * sum)) * 2 / Math.PI : sine * sum;
        return Math.Clamp(1 - within, 0, 1);
    }
}
