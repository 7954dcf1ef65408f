namespace RefConv.Models.Report.Charts;

/// <summary>An axis: where it begins and ends, its ticks, and where a value lies on it.</summary>
internal sealed record Axis(IReadOnlyList<double> Ticks, double Low, double High, bool Logarithmic = false)
{
    /// <summary>From 0 at the low end to 1 at the high end.</summary>
    public double Share(double value) => Logarithmic ? Math.Log(value / Low) / Math.Log(High / Low) : (value - Low) / (High - Low);

    /// <summary>Text of a tick: as many digits as tell neighbours apart.</summary>
    public string Text(double tick)
    {
        double step = Ticks.Count > 1 && !Logarithmic ? Math.Abs(Ticks[1] - Ticks[0]) : Math.Abs(tick);
        double size = Math.Max(Math.Abs(Low), Math.Abs(High));
        if (Logarithmic ? tick is >= 1e6 or < 1e-3 : size >= 1e6 || size < 1e-3) return tick == 0 ? "0" : Num.Text(tick, "0.##e0");
        int digits = step > 0 ? Math.Clamp((int)Math.Ceiling(-Math.Log10(step) - 1e-9), 0, 9) : 0;
        if (!Logarithmic && digits < 9 && Math.Abs((step * Math.Pow(10, digits)) - Math.Round(step * Math.Pow(10, digits))) > 1e-6) digits++;
        return Num.Text(tick, digits == 0 ? "#,0" : "0." + new string('0', digits));
    }

    /// <summary>For values; a logarithmic axis where one large value (the first epochs' loss) would press all others flat.</summary>
    public static Axis For(IEnumerable<double> values, bool mayBeLogarithmic = false, bool whole = false)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double v in values.Where(double.IsFinite)) (low, high) = (Math.Min(low, v), Math.Max(high, v));
        if (low > high) (low, high) = (0, 1);
        return mayBeLogarithmic && low > 0 && high > 10 * low ? Decades(low, high) : whole ? Whole(low, high) : Round(low, high);
    }

    /// <summary>Exactly from one value to the other, with round ticks between: for pictures that fill their frame.</summary>
    public static Axis Exact(double low, double high)
    {
        if (!(high > low)) (low, high) = (low - 0.5, low + 0.5);
        // From −4.9 to 4.9 in steps of 5 there is 0 alone, and one number is no scale.
        double[] ticks = Multiples(low, high, Step((high - low) / 4));
        return new Axis(ticks.Length >= 3 ? ticks : Multiples(low, high, Step((high - low) / 8)), low, high);
    }

    /// <summary>Powers of ten from at or below the lowest to at or above the highest value.</summary>
    private static Axis Decades(double low, double high)
    {
        int first = (int)Math.Floor(Math.Log10(low)), last = (int)Math.Ceiling(Math.Log10(high));
        // Many decades: every second or third one has a number, so that numbers do not touch.
        int every = 1 + ((last - first) / 6);
        if (last - first > 3) return new Axis([.. Enumerable.Range(first, last - first + 1).Where(e => (e - first) % every == 0).Select(e => Math.Pow(10, e))], Math.Pow(10, first), Math.Pow(10, last), true);
        // Few decades: 1, 2 and 5 in each, and no more room than is needed.
        double[] all = [.. Enumerable.Range(first, last - first + 1).SelectMany(e => new[] { 1, 2, 5 }.Select(m => m * Math.Pow(10, e)))];
        double from = all.Last(t => t <= low * 1.0000001), to = all.First(t => t >= high * 0.9999999);
        return new Axis([.. all.Where(t => t >= from && t <= to)], from, to, true);
    }

    /// <summary>Epochs: the ends are the values' own, ticks are whole.</summary>
    private static Axis Whole(double low, double high)
    {
        if (high <= low) high = low + 1;
        double step = Math.Max(1, Step((high - low) / 6));
        return new Axis(Multiples(low, high, step), low, high);
    }

    /// <summary>Ticks 1, 2 or 5 times a power of ten apart, from at or below the lowest to at or above the highest value.</summary>
    private static Axis Round(double low, double high)
    {
        double range = Math.Max(high - low, 1e-9 * Math.Max(Math.Abs(high), double.Epsilon));
        if (high == low) range = high == 0 ? 1 : 0.1 * Math.Abs(high);
        double step = Step(range / 5), first = Math.Floor((low / step) + 1e-9) * step, last = Math.Ceiling((high / step) - 1e-9) * step;
        if (last <= first) last = first + step;
        return new Axis(Multiples(first, last, step), first, last);
    }

    private static double Step(double raw)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        return power * ((raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
    }

    private static double[] Multiples(double low, double high, double step)
    {
        List<double> ticks = [];
        double first = Math.Ceiling((low / step) - 1e-9);
        for (int i = 0; i < 100 && (first + i) * step <= high + (step * 1e-9); i++) ticks.Add((first + i) * step);
        return [.. ticks];
    }
}
