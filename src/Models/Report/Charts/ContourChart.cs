using System.Text;

namespace RefConv.Models.Report.Charts;

/// <summary>A surface over two directions.</summary>
/// <param name="Name">Of the CSV file.</param>
/// <param name="Xs">Steps along the first direction, evenly spaced.</param>
/// <param name="Ys">Steps along the second direction, evenly spaced.</param>
/// <param name="Values">[ys, xs].</param>
/// <param name="X">Name of the first direction.</param>
/// <param name="Y">Name of the second direction.</param>
/// <param name="Unit">What the values are.</param>
internal sealed record Surface(string Name, IReadOnlyList<double> Xs, IReadOnlyList<double> Ys, IReadOnlyList<double> Values, string X, string Y, string Unit)
{
    /// <summary>The way of training over the surface; null for none.</summary>
    public IReadOnlyList<(double X, double Y)>? Path { get; init; }
}

/// <summary>Levels of lines that several surfaces share, so that they can be compared by eye.</summary>
/// <param name="Low">First colour.</param>
/// <param name="High">Last colour.</param>
/// <param name="Logarithmic">Colours and lines are spaced by ratio: a loss that explodes at the border would hide everything else.</param>
internal sealed record Levels(double Low, double High, bool Logarithmic)
{
    private const int Lines = 11;

    /// <summary>For all values of some surfaces.</summary>
    public static Levels For(IEnumerable<double> values, bool mayBeLogarithmic)
    {
        double low = double.PositiveInfinity, high = double.NegativeInfinity;
        foreach (double v in values.Where(double.IsFinite)) (low, high) = (Math.Min(low, v), Math.Max(high, v));
        if (low > high) (low, high) = (0, 1);
        if (low == high) high = low + Math.Max(1e-9, Math.Abs(low) * 1e-3);
        return new Levels(low, high, mayBeLogarithmic && low > 0 && high > 8 * low);
    }

    /// <summary>Values that get a line.</summary>
    public IEnumerable<double> Values
    {
        get
        {
            if (Logarithmic) return Enumerable.Range(1, Lines).Select(i => Low * Math.Pow(High / Low, i / (Lines + 1.0)));
            double step = Axis.Exact(Low, High).Ticks is { Count: > 1 } t ? (t[1] - t[0]) / 2 : (High - Low) / Lines;
            return Enumerable.Range(0, 40).Select(i => (Math.Floor(Low / step) + i) * step).Where(v => v > Low && v < High);
        }
    }

    /// <summary>From 0 at the low to 1 at the high end.</summary>
    public double Share(double value) => Logarithmic ? Math.Log(Math.Max(value, Low) / Low) / Math.Log(High / Low) : (value - Low) / (High - Low);
}

/// <summary>A surface as colours with lines of equal value, and the way of training over it.</summary>
internal static class ContourChart
{
    private const int Left = 52, Top = 8, Side = 300, Pixels = 120;

    /// <summary>Draws.</summary>
    public static Chart Draw(Surface surface, Levels levels)
    {
        int rows = surface.Ys.Count, columns = surface.Xs.Count;
        Axis x = Axis.Exact(surface.Xs[0], surface.Xs[^1]), y = Axis.Exact(surface.Ys[0], surface.Ys[^1]);
        double Px(double v) => Left + (x.Share(v) * Side);
        double Py(double v) => Top + ((1 - y.Share(v)) * Side);

        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 {Left + Side + 16} {Top + Side + 88}\" role=\"img\" aria-label=\"{Num.Escape(surface.Unit)} over two directions\" class=\"chart contour\"");
        svg.Put($" data-plot=\"grid\" data-box=\"{Left},{Top},{Left + Side},{Top + Side}\" data-names=\"{Num.Escape(surface.Y)}|{Num.Escape(surface.X)}\">");
        HeatMap.Picture(svg, Left, Top, Side, Side, Pixels, Pixels, Shade(surface, levels), ColorScale.Viridis, pixelated: false);
        foreach (double level in levels.Values) Level(svg, surface, rows, columns, level, levels);
        Trained(svg, surface, Px, Py);
        svg.Put($"<rect class=\"frame\" x=\"{Left}\" y=\"{Top}\" width=\"{Side}\" height=\"{Side}\"/>");
        foreach (double t in x.Ticks) svg.Put($"<text x=\"{Num.Px(Px(t))}\" y=\"{Top + Side + 15}\" text-anchor=\"middle\">{x.Text(t)}</text>");
        foreach (double t in y.Ticks) svg.Put($"<text x=\"{Left - 6}\" y=\"{Num.Px(Py(t) + 4)}\" text-anchor=\"end\">{y.Text(t)}</text>");
        svg.Put($"<text class=\"name\" x=\"{Left + (Side / 2)}\" y=\"{Top + Side + 31}\" text-anchor=\"middle\">{Num.Escape(surface.X)}</text>");
        svg.Put($"<text class=\"name\" transform=\"translate(12 {Top + (Side / 2)}) rotate(-90)\" text-anchor=\"middle\">{Num.Escape(surface.Y)}</text>");
        HeatMap.ScaleBar(svg, Left, Top + Side + 46, Side, levels.Low, levels.High, surface.Unit + (levels.Logarithmic ? " (logarithmic)" : ""), ColorScale.Viridis, levels.Logarithmic);
        var data = FigureData.OfMatrix(surface.Name, $"{surface.Y} \\ {surface.X}", rows, columns, surface.Values, surface.Ys, surface.Xs);
        return new Chart(svg.Append("</svg>").ToString(), data);
    }

    /// <summary>The surface between its points, straight along both axes; the picture's first row is the largest y.</summary>
    private static byte[] Shade(Surface surface, Levels levels)
    {
        int rows = surface.Ys.Count, columns = surface.Xs.Count;
        byte[] pixels = new byte[Pixels * Pixels];
        for (int p = 0; p < Pixels; p++)
        {
            double v = (1 - ((p + 0.5) / Pixels)) * (rows - 1);
            int i = Math.Clamp((int)v, 0, rows - 2);
            for (int q = 0; q < Pixels; q++)
            {
                double u = (q + 0.5) / Pixels * (columns - 1);
                int j = Math.Clamp((int)u, 0, columns - 2);
                double At(int r, int c) => surface.Values[(r * columns) + c];
                double low = (At(i, j) * (1 - (u - j))) + (At(i, j + 1) * (u - j)), high = (At(i + 1, j) * (1 - (u - j))) + (At(i + 1, j + 1) * (u - j));
                double value = (low * (1 - (v - i))) + (high * (v - i));
                pixels[(p * Pixels) + q] = ColorScale.Index(double.IsFinite(value) ? levels.Share(value) : double.NaN, 0, 1);
            }
        }
        return pixels;
    }

    private static void Level(StringBuilder svg, Surface surface, int rows, int columns, double level, Levels levels)
    {
        double X(double j) => Left + (j / (columns - 1) * Side);
        double Y(double i) => Top + ((1 - (i / (rows - 1))) * Side);
        var path = new StringBuilder();
        Isoline? longest = null;
        foreach (var line in MarchingSquares.Lines(surface.Values, rows, columns, level))
        {
            for (int k = 0; k < line.Points.Count; k++) path.Append(k == 0 ? 'M' : 'L').Append(Num.Px(X(line.Points[k].X))).Append(' ').Append(Num.Px(Y(line.Points[k].Y)));
            if (line.Closed) path.Append('Z');
            if (line.Points.Count > (longest?.Points.Count ?? 8)) longest = line;
        }
        if (path.Length == 0) return;
        string ink = levels.Share(level) > 0.6 ? "onlight" : "ondark";
        svg.Put($"<path class=\"iso {ink}\" d=\"{path}\"><title>{Num.Short(level)}</title></path>");
        if (longest == null) return;
        // A label on the line, away from the border and not under each other: a different place on each level.
        var (lx, ly) = longest.Points[(int)(longest.Points.Count * (0.2 + (0.6 * Math.Abs(Math.Sin(1 + (9 * levels.Share(level)))))))];
        if (X(lx) < Left + 18 || X(lx) > Left + Side - 18 || Y(ly) < Top + 10 || Y(ly) > Top + Side - 10) return;
        svg.Put($"<text class=\"iso {ink}\" x=\"{Num.Px(X(lx))}\" y=\"{Num.Px(Y(ly) + 3)}\" text-anchor=\"middle\">{Num.Brief(level)}</text>");
    }

    /// <summary>Where the trained weights are, and how training came there.</summary>
    private static void Trained(StringBuilder svg, Surface surface, Func<double, double> x, Func<double, double> y)
    {
        bool Inside((double X, double Y) p) => p.X >= surface.Xs[0] && p.X <= surface.Xs[^1] && p.Y >= surface.Ys[0] && p.Y <= surface.Ys[^1];
        if (surface.Path is { Count: > 1 } path)
        {
            var inside = path.Where(Inside).ToArray();
            string points = string.Join("L", inside.Select(p => $"{Num.Px(x(p.X))} {Num.Px(y(p.Y))}"));
            string dots = string.Concat(inside.Select(p => $"M{Num.Px(x(p.X))} {Num.Px(y(p.Y))}h0"));
            if (inside.Length > 0) svg.Put($"<path class=\"way\" d=\"M{points}\"/><path class=\"way dots\" d=\"{dots}\"><title>Training, one point a checkpoint</title></path>");
        }
        if (!Inside((0, 0))) return;
        svg.Put($"<path class=\"centre\" d=\"M{Num.Px(x(0) - 6)} {Num.Px(y(0))}h12M{Num.Px(x(0))} {Num.Px(y(0) - 6)}v12\"><title>The trained weights</title></path>");
    }
}
