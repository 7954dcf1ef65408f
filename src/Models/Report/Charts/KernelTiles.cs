using System.Text;

namespace RefConv.Models.Report.Charts;

/// <summary>Kernel channels as small pictures side by side, and the kernel skeleton as one with its numbers.</summary>
internal static class KernelTiles
{
    private const int AcrossTiles = 8, Zoom = 6;

    /// <summary>Kernels in rows of eight, orange above and blue below zero.</summary>
    /// <param name="name">Of the CSV file.</param>
    /// <param name="count">Kernels.</param>
    /// <param name="rows">Rows of a kernel.</param>
    /// <param name="columns">Columns of a kernel.</param>
    /// <param name="values">[count, rows, columns].</param>
    /// <param name="largest">The scale goes from minus this to this.</param>
    public static Chart Draw(string name, int count, int rows, int columns, IReadOnlyList<double> values, double largest)
    {
        int across = Math.Min(AcrossTiles, count), down = (count + across - 1) / across, w = (across * (columns + 1)) - 1, h = (down * (rows + 1)) - 1;
        byte[] pixels = new byte[w * h];
        Array.Fill(pixels, ColorScale.Missing);
        for (int k = 0; k < count; k++)
        {
            int left = k % across * (columns + 1), top = k / across * (rows + 1);
            for (int y = 0; y < rows; y++)
            {
                for (int x = 0; x < columns; x++) pixels[((top + y) * w) + left + x] = ColorScale.Index(values[(((k * rows) + y) * columns) + x], -largest, largest);
            }
        }
        double zoom = Math.Min(Zoom, 200.0 / w), width = w * zoom, height = h * zoom;
        const int Left = 16, Top = 6;
        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 232 {Num.Px(height + 56)}\" role=\"img\" aria-label=\"{count} kernels of {rows} by {columns}\" class=\"chart map\" data-plot=\"tiles\"");
        svg.Put($" data-box=\"{Left},{Top},{Num.Px(Left + width)},{Num.Px(Top + height)}\" data-tiles=\"{across},{rows},{columns},{w},{h}\">");
        HeatMap.Picture(svg, Left, Top, width, height, w, h, pixels, ColorScale.Diverging, pixelated: true);
        HeatMap.ScaleBar(svg, Left, Top + height + 10, 200, -largest, largest, "weight", ColorScale.Diverging);
        return new Chart(svg.Append("</svg>").ToString(), FigureData.OfMatrix(name, "kernel \\ position", count, rows * columns, values));
    }

    /// <summary>The skeleton: mean magnitude at each position, with its number.</summary>
    public static Chart Skeleton(string name, int rows, int columns, IReadOnlyList<double> values, double low, double high)
    {
        const int Left = 4, Top = 4;
        double cell = Math.Min(58, 200.0 / Math.Max(rows, columns));
        var svg = new StringBuilder();
        svg.Put($"<svg viewBox=\"0 0 232 {Num.Px((rows * cell) + 54)}\" role=\"img\" aria-label=\"skeleton, {rows} by {columns}\" class=\"chart map\">");
        for (int i = 0; i < rows * columns; i++)
        {
            double v = values[i], x = Left + 10 + (i % columns * cell), y = Top + (i / columns * cell);
            string fill = double.IsFinite(v) ? ColorScale.Viridis.Css(v, low, high) : "none";
            svg.Put($"<rect x=\"{Num.Px(x)}\" y=\"{Num.Px(y)}\" width=\"{Num.Px(cell - 1)}\" height=\"{Num.Px(cell - 1)}\" fill=\"{fill}\"><title>{Num.Short(v)}</title></rect>");
            if (cell < 30 || !double.IsFinite(v)) continue;
            string ink = ColorScale.Viridis.IsLight(v, low, high) ? "onlight" : "ondark";
            svg.Put($"<text class=\"{ink}\" x=\"{Num.Px(x + (cell / 2))}\" y=\"{Num.Px(y + (cell / 2) + 4)}\" text-anchor=\"middle\">{Num.Text(v, "0.00")}</text>");
        }
        HeatMap.ScaleBar(svg, Left + 10, Top + (rows * cell) + 6, 200, low, high, "mean magnitude", ColorScale.Viridis);
        return new Chart(svg.Append("</svg>").ToString(), FigureData.OfMatrix(name, "row \\ column", rows, columns, values));
    }
}
