using System.Text;
using RefConv.Models.Imaging.Png;

namespace RefConv.Models.Report.Charts;

/// <summary>What a heat map shows.</summary>
/// <param name="Name">Of the CSV file.</param>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
/// <param name="Values">Row by row; NaN is left blank.</param>
/// <param name="Low">Value of the first colour.</param>
/// <param name="High">Value of the last colour.</param>
/// <param name="X">What columns are.</param>
/// <param name="Y">What rows are.</param>
/// <param name="Unit">What the values are: beside the scale.</param>
internal sealed record HeatMapData(string Name, int Rows, int Columns, IReadOnlyList<double> Values, double Low, double High, string X, string Y, string Unit);

/// <summary>
/// A matrix as colours: one picture, however many values it has, with ends of the axes and a scale bar. 4,096 rectangles would weigh on the browser; a picture of
/// 64×64 pixels does not.
/// </summary>
internal static class HeatMap
{
    private const int Left = 40, Top = 8, Side = 220, Below = 78;

    /// <summary>Draws.</summary>
    public static Chart Draw(HeatMapData map)
    {
        double cell = Side / (double)Math.Max(map.Rows, map.Columns);
        double width = cell * map.Columns, height = cell * map.Rows;
        int w = Left + Side + 16;
        double h = Top + height + Below;
        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 {w} {Num.Px(h)}\" role=\"img\" aria-label=\"{Num.Escape(map.Unit)}: {map.Rows} by {map.Columns} values\" class=\"chart map\"");
        svg.Put($" data-plot=\"cells\" data-box=\"{Left},{Top},{Num.Px(Left + width)},{Num.Px(Top + height)}\" data-names=\"{Num.Escape(map.Y)}|{Num.Escape(map.X)}\">");
        byte[] pixels = [.. map.Values.Select(v => ColorScale.Index(v, map.Low, map.High))];
        Picture(svg, Left, Top, width, height, map.Columns, map.Rows, pixels, ColorScale.Viridis, pixelated: true);
        svg.Put($"<rect class=\"frame\" x=\"{Left}\" y=\"{Top}\" width=\"{Num.Px(width)}\" height=\"{Num.Px(height)}\"/>");
        Ends(svg, map, cell, width, height);
        ScaleBar(svg, Left, Top + height + 38, Side, map.Low, map.High, map.Unit, ColorScale.Viridis);
        return new Chart(svg.Append("</svg>").ToString(), FigureData.OfMatrix(map.Name, $"{map.Y} \\ {map.X}", map.Rows, map.Columns, map.Values));
    }

    /// <summary>A picture of places in a scale.</summary>
    public static void Picture(StringBuilder svg, double x, double y, double width, double height, int columns, int rows, ReadOnlySpan<byte> pixels, ColorScale scale, bool pixelated)
    {
        string data = Convert.ToBase64String(PngWriter.Encode(columns, rows, pixels, scale.Table, ColorScale.Missing));
        svg.Put($"<image class=\"{(pixelated ? "pixels" : "smooth")}\" x=\"{Num.Px(x)}\" y=\"{Num.Px(y)}\" width=\"{Num.Px(width)}\" height=\"{Num.Px(height)}\"");
        svg.Put($" preserveAspectRatio=\"none\" href=\"data:image/png;base64,{data}\"/>");
    }

    /// <summary>The colours from low to high with ticks and the name of what they mean.</summary>
    public static void ScaleBar(StringBuilder svg, double x, double y, double width, double low, double high, string name, ColorScale scale, bool logarithmic = false)
    {
        byte[] ramp = [.. Enumerable.Range(0, ColorScale.Levels).Select(i => (byte)i)];
        Picture(svg, x, y, width, 8, ramp.Length, 1, ramp, scale, pixelated: false);
        Axis axis = logarithmic ? new Axis([.. Axis.For([low, high], mayBeLogarithmic: true).Ticks.Where(t => t >= low && t <= high)], low, high, true) : Axis.Exact(low, high);
        double last = double.NegativeInfinity;
        foreach (double t in axis.Ticks)
        {
            double at = x + (axis.Share(t) * width);
            string text = axis.Text(t);
            if (at - last < Math.Max(34, (7 * text.Length) + 4)) continue; // texts would touch
            last = at;
            svg.Put($"<text x=\"{Num.Px(at)}\" y=\"{Num.Px(y + 20)}\" text-anchor=\"middle\">{text}</text>");
        }
        svg.Put($"<text class=\"name\" x=\"{Num.Px(x + (width / 2))}\" y=\"{Num.Px(y + 35)}\" text-anchor=\"middle\">{Num.Escape(name)}</text>");
    }

    private static void Ends(StringBuilder svg, HeatMapData map, double cell, double width, double height)
    {
        foreach (int j in map.Columns > 1 ? new[] { 0, map.Columns - 1 } : [0])
            svg.Put($"<text x=\"{Num.Px(Left + ((j + 0.5) * cell))}\" y=\"{Num.Px(Top + height + 14)}\" text-anchor=\"middle\">{j}</text>");
        foreach (int i in map.Rows > 1 ? new[] { 0, map.Rows - 1 } : [0])
            svg.Put($"<text x=\"{Left - 6}\" y=\"{Num.Px(Top + ((i + 0.5) * cell) + 4)}\" text-anchor=\"end\">{i}</text>");
        svg.Put($"<text class=\"name\" x=\"{Num.Px(Left + (width / 2))}\" y=\"{Num.Px(Top + height + 26)}\" text-anchor=\"middle\">{Num.Escape(map.X)}</text>");
        svg.Put($"<text class=\"name\" transform=\"translate(12 {Num.Px(Top + (height / 2))}) rotate(-90)\" text-anchor=\"middle\">{Num.Escape(map.Y)}</text>");
    }
}
