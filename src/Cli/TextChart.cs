namespace RefConv.Cli;

/// <summary>A curve drawn with letters, for terminals and files.</summary>
internal static class TextChart
{
    private const int Width = 64, Height = 14, LabelWidth = 9;

    /// <summary>Draws y over x, x logarithmically.</summary>
    /// <param name="points">At least one; x above 0.</param>
    /// <param name="marked">An x to mark by a vertical line; null for none.</param>
    /// <param name="yTitle">Name of y.</param>
    /// <param name="xTitle">Name of x.</param>
    public static IEnumerable<string> Draw(IReadOnlyList<(double X, double Y)> points, double? marked, string yTitle, string xTitle)
    {
        double low = points.Min(p => p.Y), high = points.Max(p => p.Y), first = Math.Log10(points[0].X), last = Math.Log10(points[^1].X);
        char[][] cells = [.. Enumerable.Range(0, Height).Select(_ => new string(' ', Width).ToCharArray())];
        if (marked is { } x)
        {
            foreach (char[] row in cells) row[Column(x)] = '|';
        }
        foreach (var (at, y) in points) cells[Height - 1 - Place(y, low, high, Height)][Column(at)] = '*';
        yield return $"{yTitle}, by {xTitle}";
        for (int row = 0; row < Height; row++)
        {
            double value = high - ((high - low) * row / (Height - 1));
            string label = row is 0 or Height - 1 || row == Height / 2 ? Output.Text(value, "0.000") : "";
            yield return $"{label.PadLeft(LabelWidth)} |{new string(cells[row]).TrimEnd()}";
        }
        yield return new string(' ', LabelWidth + 1) + "+" + new string('-', Width);
        yield return new string(' ', LabelWidth + 2) + Ticks();

        int Column(double at) => Place(Math.Log10(at), first, last, Width);

        // Powers of ten, where their labels have room.
        string Ticks()
        {
            char[] line = new string(' ', Width + 6).ToCharArray();
            for (int power = (int)Math.Ceiling(first - 1e-9), free = 0; power <= last + 1e-9; power++)
            {
                string text = $"1e{power}";
                int column = Column(Math.Pow(10, power));
                if (column < free) continue;
                text.CopyTo(line.AsSpan(column));
                free = column + text.Length + 1;
            }
            return new string(line).TrimEnd();
        }
    }

    private static int Place(double value, double low, double high, int cells) =>
        high > low ? Math.Clamp((int)Math.Round((value - low) / (high - low) * (cells - 1)), 0, cells - 1) : 0;
}
