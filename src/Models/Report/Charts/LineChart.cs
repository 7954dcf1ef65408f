using System.Text;

namespace RefConv.Models.Report.Charts;

/// <summary>A line of a chart.</summary>
/// <param name="Name">For the legend, the pointer and the CSV file.</param>
/// <param name="Points">In order of x.</param>
internal sealed record Series(string Name, IReadOnlyList<(double X, double Y)> Points)
{
    /// <summary>Lines of one colour belong together: the seeds of a method.</summary>
    public int Color { get; init; }

    /// <summary>One of several seeds, drawn behind their mean and left out of the legend.</summary>
    public bool Thin { get; init; }

    /// <summary>A vertical bar through a point, by its x: mean ± deviation. Null for none.</summary>
    public IReadOnlyDictionary<double, double>? Deviation { get; init; }
}

/// <summary>What is said about a line chart besides its lines.</summary>
/// <param name="Name">Of the CSV file.</param>
/// <param name="X">Name and unit of the x axis.</param>
/// <param name="Y">Name and unit of the y axis.</param>
internal sealed record LineChartLabels(string Name, string X, string Y)
{
    /// <summary>x counts something.</summary>
    public bool WholeX { get; init; } = true;

    /// <summary>Where one large value would press all others flat, take a logarithmic axis.</summary>
    public bool MayBeLogarithmic { get; init; }
}

/// <summary>
/// Lines over common axes. Colours are classes, so that the page's style gives them for light and dark; what lies under the pointer is read off the chart's numbers by
/// the page's script. A line is one element however many points it has.
/// </summary>
internal static class LineChart
{
    /// <summary>Colours; further lines repeat them dashed.</summary>
    public const int Colors = 8;

    private const int Width = 560, Height = 300, Left = 62, Right = 14, Top = 12, Bottom = 46, MostDots = 60;

    /// <summary>Draws; null where no line has a point.</summary>
    public static Chart? Draw(IReadOnlyList<Series> series, LineChartLabels labels)
    {
        var points = series.SelectMany(s => s.Points).Where(p => double.IsFinite(p.Y) && double.IsFinite(p.X)).ToArray();
        if (points.Length == 0) return null;
        Axis x = Axis.For(points.Select(p => p.X), whole: labels.WholeX), y = Axis.For(Extent(series), labels.MayBeLogarithmic);
        if (!labels.WholeX) x = Axis.Exact(points.Min(p => p.X), points.Max(p => p.X));
        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 {Width} {Height}\" role=\"img\" aria-label=\"{Num.Escape(labels.Y)} by {Num.Escape(labels.X)}\" class=\"chart\"");
        svg.Put($" data-plot=\"lines\" data-box=\"{Left},{Top},{Width - Right},{Height - Bottom}\" data-x=\"{x.Low},{x.High}\">");
        Frame(svg, x, y, labels);
        foreach (var line in series.Where(s => s.Thin)) Line(svg, line, x, y);
        foreach (var line in series.Where(s => !s.Thin)) Line(svg, line, x, y);
        svg.Put($"<line class=\"guide\" y1=\"{Top}\" y2=\"{Height - Bottom}\" x1=\"-9\" x2=\"-9\"/></svg>");
        return new Chart(svg.ToString(), Data(series, labels), Legend(series));
    }

    private static IEnumerable<double> Extent(IReadOnlyList<Series> series) => series.SelectMany(s => s.Points.SelectMany(p =>
        s.Deviation != null && s.Deviation.TryGetValue(p.X, out double d) ? new[] { p.Y - d, p.Y + d } : [p.Y]));

    private static double Px(Axis x, double value) => Left + (x.Share(value) * (Width - Left - Right));

    private static double Py(Axis y, double value) => Height - Bottom - (y.Share(value) * (Height - Top - Bottom));

    private static void Frame(StringBuilder svg, Axis x, Axis y, LineChartLabels labels)
    {
        foreach (double t in y.Ticks)
        {
            string at = Num.Px(Py(y, t));
            svg.Put($"<line class=\"grid\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{at}\" y2=\"{at}\"/>");
            svg.Put($"<text x=\"{Left - 7}\" y=\"{Num.Px(Py(y, t) + 4)}\" text-anchor=\"end\">{y.Text(t)}</text>");
        }
        foreach (double t in x.Ticks)
        {
            svg.Put($"<line class=\"axis\" x1=\"{Num.Px(Px(x, t))}\" x2=\"{Num.Px(Px(x, t))}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom + 4}\"/>");
            svg.Put($"<text x=\"{Num.Px(Px(x, t))}\" y=\"{Height - Bottom + 18}\" text-anchor=\"middle\">{x.Text(t)}</text>");
        }
        svg.Put($"<line class=\"axis\" x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{Height - Bottom}\" y2=\"{Height - Bottom}\"/>");
        svg.Put($"<text class=\"name\" x=\"{(Left + Width - Right) / 2}\" y=\"{Height - 6}\" text-anchor=\"middle\">{Num.Escape(labels.X)}</text>");
        string scale = y.Logarithmic ? " (logarithmic)" : "";
        svg.Put($"<text class=\"name\" transform=\"translate(14 {(Top + Height - Bottom) / 2}) rotate(-90)\" text-anchor=\"middle\">{Num.Escape(labels.Y)}{scale}</text>");
    }

    private static void Line(StringBuilder svg, Series line, Axis x, Axis y)
    {
        var path = new StringBuilder();
        var dots = new StringBuilder();
        bool pen = false;
        bool withDots = !line.Thin && line.Points.Count <= MostDots;
        for (int i = 0; i < line.Points.Count; i++)
        {
            var (px, py) = line.Points[i];
            // What is no number leaves a gap; on a logarithmic axis so does what is not above zero.
            if (!double.IsFinite(py) || (y.Logarithmic && py <= 0)) { pen = false; continue; }
            path.Append(pen ? 'L' : 'M').Append(Num.Px(Px(x, px))).Append(' ').Append(Num.Px(Py(y, py)));
            bool next = i + 1 < line.Points.Count && double.IsFinite(line.Points[i + 1].Y);
            if (withDots || (!pen && !next)) dots.Put($"M{Num.Px(Px(x, px))} {Num.Px(Py(y, py))}h0"); // a lone point has no line
            pen = true;
            if (line.Deviation != null && line.Deviation.TryGetValue(px, out double d) && d > 0)
                dots.Put($"M{Num.Px(Px(x, px))} {Num.Px(Py(y, py - d))}V{Num.Px(Py(y, py + d))}M{Num.Px(Px(x, px))} {Num.Px(Py(y, py))}");
        }
        if (path.Length == 0) return;
        string style = $"c{line.Color % Colors}{(line.Color >= Colors ? " dashed" : "")}{(line.Thin ? " thin" : "")}";
        svg.Put($"<path class=\"line {style}\" data-group=\"{line.Color}\" d=\"{path}\"/>");
        if (dots.Length > 0) svg.Put($"<path class=\"dots {style}\" data-group=\"{line.Color}\" d=\"{dots}\"/>"); // strokes of no length with round ends
    }

    private static string Legend(IReadOnlyList<Series> series)
    {
        var shown = series.Where(s => !s.Thin).ToArray();
        if (shown.Length < 2 && series.Count < 2) return "";
        var html = new StringBuilder();
        foreach (var s in shown)
        {
            html.Put($"<button type=\"button\" class=\"key\" data-group=\"{s.Color}\" aria-pressed=\"true\"><svg viewBox=\"0 0 26 10\" aria-hidden=\"true\">");
            html.Put($"<path class=\"line c{s.Color % Colors}{(s.Color >= Colors ? " dashed" : "")}\" d=\"M1 5H25\"/></svg>{Num.Escape(s.Name)}</button>");
        }
        return html.ToString();
    }

    private static FigureData Data(IReadOnlyList<Series> series, LineChartLabels labels)
    {
        double[] xs = [.. series.SelectMany(s => s.Points).Select(p => p.X).Distinct().Order()];
        var columns = series.Select(s =>
        {
            Dictionary<double, double> at = [];
            foreach (var (x, y) in s.Points) at[x] = y;
            return at;
        }).ToArray();
        return new FigureData(labels.Name, [labels.X, .. series.Select(s => s.Name)], [.. xs.Select(x => (double[])[x, .. columns.Select(c => c.GetValueOrDefault(x, double.NaN))])]);
    }
}
