using System.Globalization;
using System.Text;

namespace RefConv.Models.Report;

/// <summary>A line of a chart.</summary>
/// <param name="Name">For the legend.</param>
/// <param name="Points">In order of x.</param>
public sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Line and dot charts as SVG text. Colours come from CSS variables of the page, so one chart serves light and dark.</summary>
public static class SvgChart
{
    private const int Width = 640, Height = 320, Left = 56, Right = 16, Top = 16, Bottom = 44;

    /// <summary>Draws lines over common axes, with ticks, names of axes, a legend, and each point's values on hover.</summary>
    /// <param name="series">The lines.</param>
    /// <param name="xLabel">Name of the x axis.</param>
    /// <param name="yLabel">Name of the y axis.</param>
    /// <param name="yFormat">.NET format of values: <c>P0</c>, <c>0.00</c>.</param>
    public static string Lines(IReadOnlyList<Series> series, string xLabel, string yLabel, string yFormat)
    {
        var points = series.SelectMany(s => s.Points).Where(p => double.IsFinite(p.Y)).ToArray();
        if (points.Length == 0) return "<p>No points to draw.</p>";
        var (xTicks, xLow, xHigh) = Ticks(points.Min(p => p.X), points.Max(p => p.X), whole: true);
        // A logarithmic axis where one large value (the first epochs' loss) would press all others flat.
        bool log = points.Min(p => p.Y) > 0 && points.Max(p => p.Y) > 30 * points.Min(p => p.Y);
        var (yTicks, yLow, yHigh) = log ? Decades(points.Min(p => p.Y), points.Max(p => p.Y)) : Ticks(points.Min(p => p.Y), points.Max(p => p.Y), whole: false);
        double X(double x) => Left + ((x - xLow) / (xHigh - xLow) * (Width - Left - Right));
        double Share(double y) => log ? Math.Log(y / yLow) / Math.Log(yHigh / yLow) : (y - yLow) / (yHigh - yLow);
        double Y(double y) => Height - Bottom - (Share(y) * (Height - Top - Bottom));

        var svg = new StringBuilder();
        Append($"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{Escape(yLabel)} by {Escape(xLabel)}\" class=\"chart\">");
        foreach (double t in yTicks)
        {
            Append($"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Y(t):0.#}\" y2=\"{Y(t):0.#}\"/>");
            Append($"<text x=\"{Left - 8}\" y=\"{Y(t) + 4:0.#}\" text-anchor=\"end\">{(log ? t.ToString("0.###", CultureInfo.InvariantCulture) : Text(t, yFormat))}</text>");
        }
        foreach (double t in xTicks) Append($"<text x=\"{X(t):0.#}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{t:0.##}</text>");
        Append($"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom}\"/>");
        Append($"<text x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\" text-anchor=\"middle\">{Escape(xLabel)}</text>");
        Append($"<text transform=\"translate(14 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">{Escape(yLabel)}{(log ? " (logarithmic)" : "")}</text>");
        for (int s = 0; s < series.Count; s++)
        {
            var line = series[s].Points.Where(p => double.IsFinite(p.Y)).ToArray();
            string path = string.Join(" ", line.Select((p, i) => FormattableString.Invariant($"{(i == 0 ? "M" : "L")}{X(p.X):0.#} {Y(p.Y):0.#}")));
            Append($"<path class=\"s{s % 6}\" d=\"{path}\"/>");
            foreach (var (x, y) in line)
                Append($"<circle class=\"s{s % 6}\" cx=\"{X(x):0.#}\" cy=\"{Y(y):0.#}\" r=\"2.5\"><title>{Escape(series[s].Name)}, {Escape(xLabel)} {x:0.##}: {Text(y, yFormat)}</title></circle>");
        }
        svg.Append("</svg><p class=\"legend\">");
        for (int s = 0; s < series.Count; s++) Append($"<span><i class=\"s{s % 6}\"></i>{Escape(series[s].Name)}</span> ");
        return svg.Append("</p>").ToString();

        void Append(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Draws one line a name with a dot for each of its values and a bar at their mean; values are shown on hover.</summary>
    /// <param name="rows">Names and values.</param>
    /// <param name="label">Name of the axis.</param>
    /// <param name="format">.NET format of values.</param>
    public static string Dots(IReadOnlyList<(string Name, IReadOnlyList<double> Values)> rows, string label, string format)
    {
        const int Row = 24, Right = 32; // the last tick's text is centred on the end of the axis
        double[] all = [.. rows.SelectMany(r => r.Values).Where(double.IsFinite)];
        if (all.Length == 0) return "<p>No points to draw.</p>";
        var (ticks, low, high) = Ticks(all.Min(), all.Max(), whole: false);
        int names = Math.Max(110, (8 * rows.Max(r => r.Name.Length)) + 10); // at 12 pixels few letters are wider than 8
        int height = Top + (rows.Count * Row) + Bottom;
        double X(double x) => names + ((x - low) / (high - low) * (Width - names - Right));

        var svg = new StringBuilder();
        Append($"<svg viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"{Escape(label)} of {rows.Count} rows\" class=\"chart\">");
        foreach (double t in ticks)
        {
            Append($"<line class=\"grid\" x1=\"{X(t):0.#}\" x2=\"{X(t):0.#}\" y1=\"{Top}\" y2=\"{height - Bottom}\"/>");
            Append($"<text x=\"{X(t):0.#}\" y=\"{height - Bottom + 18}\" text-anchor=\"middle\">{Text(t, format)}</text>");
        }
        for (int i = 0; i < rows.Count; i++)
        {
            double y = Top + (i * Row) + (Row / 2.0);
            Append($"<text x=\"{names - 10}\" y=\"{y + 4:0.#}\" text-anchor=\"end\">{Escape(rows[i].Name)}</text>");
            double[] values = [.. rows[i].Values.Where(double.IsFinite)];
            if (values.Length == 0) continue;
            Append($"<path class=\"s{i % 6}\" d=\"M{X(values.Average()):0.#} {y - 7:0.#}v14\"/>");
            foreach (double v in values) Append($"<circle class=\"s{i % 6}\" cx=\"{X(v):0.#}\" cy=\"{y:0.#}\" r=\"4\"><title>{Escape(rows[i].Name)}: {Text(v, format)}</title></circle>");
        }
        Append($"<text x=\"{(names + Width - Right) / 2}\" y=\"{height - 6}\" text-anchor=\"middle\">{Escape(label)}</text>");
        return svg.Append("</svg>").ToString();

        void Append(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Text for HTML.</summary>
    internal static string Escape(string text) => System.Net.WebUtility.HtmlEncode(text);

    private static string Text(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>Powers of ten from at or below the lowest to at or above the highest value.</summary>
    private static (double[] Ticks, double Low, double High) Decades(double low, double high)
    {
        int first = (int)Math.Floor(Math.Log10(low)), last = (int)Math.Ceiling(Math.Log10(high));
        double[] ticks = [.. Enumerable.Range(first, last - first + 1).Select(e => Math.Pow(10, e))];
        return (ticks, ticks[0], ticks[^1]);
    }

    /// <summary>Round ticks (1, 2 or 5 times a power of ten apart) from at or below the lowest to at or above the highest value.</summary>
    private static (double[] Ticks, double Low, double High) Ticks(double low, double high, bool whole)
    {
        double range = Math.Max(high - low, 1e-9 * Math.Max(1, Math.Abs(high)));
        double raw = range / 6, power = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = power * ((raw / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
        if (whole) step = Math.Max(1, step);
        double first = whole ? low : Math.Floor(low / step) * step;
        double last = whole ? Math.Max(high, low + 1) : Math.Ceiling(high / step) * step;
        if (last <= first) last = first + step;
        List<double> ticks = [];
        for (double t = Math.Ceiling((first / step) - 1e-9) * step; t <= last + (step * 1e-9); t += step) ticks.Add(Math.Round(t, 12));
        return ([.. ticks], first, last);
    }
}
