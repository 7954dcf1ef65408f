namespace RefConv.Kernels;

/// <summary>The error function <c>erf(x) = 2/√π · ∫₀ˣ e^(−t²) dt</c> in double, to about 1e-15; .NET has none.</summary>
internal static class ErrorFunction
{
    private const double TwoOverRootPi = 1.1283791670955125739;
    private const double OneOverRootPi = 0.56418958354775628695;

    /// <summary>erf(x)</summary>
    public static double Erf(double x)
    {
        double a = Math.Abs(x);
        if (double.IsNaN(x)) return x;
        double value = a < 2.5 ? Series(a) : 1 - Tail(a);
        return x < 0 ? -value : value;
    }

    /// <summary>1 − erf(x), without the cancellation that the subtraction would have for large x.</summary>
    public static double Erfc(double x)
    {
        if (double.IsNaN(x)) return x;
        return x < 2.5 ? 1 - Erf(x) : Tail(x);
    }

    /// <summary>erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (1·3·5···(2n+1)): every term is positive, so nothing cancels.</summary>
    private static double Series(double x)
    {
        double term = x, sum = x;
        for (int n = 1; term > 1e-18 * sum; n++)
        {
            term *= 2 * x * x / ((2 * n) + 1);
            sum += term;
        }
        return TwoOverRootPi * Math.Exp(-x * x) * sum;
    }

    /// <summary>erfc(x) = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + 2/(x + …))))), evaluated from the far end.</summary>
    private static double Tail(double x)
    {
        double fraction = x;
        for (int k = 120; k >= 1; k--) fraction = x + (0.5 * k / fraction);
        return OneOverRootPi * Math.Exp(-x * x) / fraction;
    }
}
