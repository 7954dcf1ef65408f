namespace RefConv.Models.Analysis;

/// <summary>Student's distribution for a whole number of degrees of freedom: what a mean of few values may differ from the true one by.</summary>
internal static class StudentsT
{
    /// <summary>Probability of |t| or more.</summary>
    /// <remarks>For a whole number of degrees the integral is a finite sum in θ = atan(t/√ν) (Abramowitz and Stegun 26.7.3 and 26.7.4).</remarks>
    public static double TwoSided(double t, int degrees)
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

    /// <summary>The t whose <see cref="TwoSided"/> probability is <paramref name="level"/>.</summary>
    public static double Quantile(double level, int degrees)
    {
        double low = 0, high = 1;
        while (TwoSided(high, degrees) > level) high *= 2;
        // Halving until nothing lies between: the probability falls all the way, so there is one such t.
        for (double middle = high / 2; middle > low && middle < high; middle = low + ((high - low) / 2))
        {
            if (TwoSided(middle, degrees) > level) low = middle;
            else high = middle;
        }
        return high;
    }

    /// <summary>The values behind a mean and a deviation differ by rounding alone: they show no spread that a statistic could be made of.</summary>
    public static bool IsTie(double mean, double deviation) => deviation <= 1e-12 + (1e-9 * Math.Abs(mean));
}
