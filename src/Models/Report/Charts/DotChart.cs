using System.Text;

namespace RefConv.Models.Report.Charts;

/// <summary>One line a name with a dot for each of its values (one a seed) and a bar at their mean.</summary>
internal static class DotChart
{
    private const int Width = 560, Top = 10, Bottom = 46, Row = 24, Right = 24;

    /// <summary>Draws; null where there is no value.</summary>
    /// <param name="name">Of the CSV file.</param>
    /// <param name="label">Name and unit of the axis.</param>
    /// <param name="rows">Names and values.</param>
    /// <param name="reference">The row that the others are held against: a line at its mean. Null for none.</param>
    public static Chart? Draw(string name, string label, IReadOnlyList<(string Name, IReadOnlyList<double> Values)> rows, string? reference = null)
    {
        double[] all = [.. rows.SelectMany(r => r.Values).Where(double.IsFinite)];
        if (all.Length == 0) return null;
        int names = Math.Clamp((int)(rows.Max(r => r.Name.Length) * 6.6) + 18, 60, 240), height = Top + (rows.Count * Row) + Bottom;
        var axis = Axis.For(all);
        double X(double v) => names + (axis.Share(v) * (Width - names - Right));

        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 {Width} {height}\" role=\"img\" aria-label=\"{Num.Escape(label)}, {rows.Count} rows\" class=\"chart\">");
        foreach (double t in axis.Ticks)
        {
            svg.Put($"<line class=\"grid\" x1=\"{Num.Px(X(t))}\" x2=\"{Num.Px(X(t))}\" y1=\"{Top}\" y2=\"{height - Bottom}\"/>");
            svg.Put($"<text x=\"{Num.Px(X(t))}\" y=\"{height - Bottom + 18}\" text-anchor=\"middle\">{axis.Text(t)}</text>");
        }
        if (rows.FirstOrDefault(r => r.Name == reference).Values?.Where(double.IsFinite).ToArray() is { Length: > 0 } held)
            svg.Put($"<path class=\"reference\" d=\"M{Num.Px(X(held.Average()))} {Top}V{height - Bottom}\"/>");
        for (int i = 0; i < rows.Count; i++)
        {
            double y = Top + (i * Row) + (Row / 2.0);
            svg.Put($"<text x=\"{names - 10}\" y=\"{Num.Px(y + 4)}\" text-anchor=\"end\">{Num.Escape(Shortened(rows[i].Name))}</text>");
            double[] values = [.. rows[i].Values.Where(double.IsFinite)];
            if (values.Length == 0) continue;
            string style = $"c{i % LineChart.Colors}";
            if (values.Length > 1) svg.Put($"<path class=\"line {style}\" d=\"M{Num.Px(X(values.Average()))} {Num.Px(y - 8)}v16\"/>");
            foreach (double v in values) svg.Put($"<circle class=\"{style}\" cx=\"{Num.Px(X(v))}\" cy=\"{Num.Px(y)}\" r=\"4\"><title>{Num.Escape(rows[i].Name)}: {Num.Short(v)}</title></circle>");
        }
        svg.Put($"<text class=\"name\" x=\"{(names + Width - Right) / 2}\" y=\"{height - 6}\" text-anchor=\"middle\">{Num.Escape(label)}</text></svg>");
        int most = rows.Max(r => r.Values.Count);
        var data = new FigureData(name, ["name", .. Enumerable.Range(1, most).Select(i => most == 1 ? label : $"{label} ({i})")],
            [.. rows.Select(r => (double[])[.. r.Values, .. Enumerable.Repeat(double.NaN, most - r.Values.Count)])], [.. rows.Select(r => r.Name)]);
        return new Chart(svg.ToString(), data);
    }

    private static string Shortened(string name) => name.Length <= 34 ? name : name[..16] + "…" + name[^17..];
}
