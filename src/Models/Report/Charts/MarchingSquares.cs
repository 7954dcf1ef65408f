namespace RefConv.Models.Report.Charts;

/// <summary>A line of equal values: points in units of the grid (column, row), and whether it closes.</summary>
internal sealed record Isoline(IReadOnlyList<(double X, double Y)> Points, bool Closed);

/// <summary>
/// Lines of equal values of a grid. Every cell between four neighbouring values is cut where the value is reached on its sides (linear between corners); the pieces
/// are put together by the sides that they share.
/// </summary>
internal static class MarchingSquares
{
    /// <summary>All lines of one level; cells with a corner that is no number are left out.</summary>
    /// <param name="values">[rows, columns].</param>
    /// <param name="rows">Rows of the grid.</param>
    /// <param name="columns">Columns of the grid.</param>
    /// <param name="level">The value.</param>
    public static IReadOnlyList<Isoline> Lines(IReadOnlyList<double> values, int rows, int columns, double level)
    {
        // A side is named by its first corner and its direction; it belongs to at most two cells, so at most two pieces end on it.
        Dictionary<int, (double X, double Y)> points = [];
        Dictionary<int, List<int>> neighbours = [];
        for (int i = 0; i + 1 < rows; i++)
        {
            for (int j = 0; j + 1 < columns; j++) Cell(i, j);
        }
        return Chains(points, neighbours);

        double At(int i, int j) => values[(i * columns) + j];

        void Cell(int i, int j)
        {
            double a = At(i, j), b = At(i, j + 1), c = At(i + 1, j + 1), d = At(i + 1, j);
            if (!(double.IsFinite(a) && double.IsFinite(b) && double.IsFinite(c) && double.IsFinite(d))) return;
            int kind = (a >= level ? 1 : 0) | (b >= level ? 2 : 0) | (c >= level ? 4 : 0) | (d >= level ? 8 : 0);
            if (kind is 0 or 15) return;
            int top = Side(i, j, false), bottom = Side(i + 1, j, false), left = Side(i, j, true), right = Side(i, j + 1, true);
            // Two opposite corners are above: what the middle is decides which of them hang together.
            bool middle = (a + b + c + d) / 4 >= level;
            switch (kind)
            {
                case 1 or 14: Piece(left, top); break;
                case 2 or 13: Piece(top, right); break;
                case 4 or 11: Piece(right, bottom); break;
                case 8 or 7: Piece(bottom, left); break;
                case 3 or 12: Piece(left, right); break;
                case 6 or 9: Piece(top, bottom); break;
                case 5 when middle: case 10 when !middle: Piece(left, bottom); Piece(top, right); break;
                default: Piece(left, top); Piece(right, bottom); break;
            }
        }

        int Side(int i, int j, bool down) => (2 * ((i * columns) + j)) + (down ? 1 : 0);

        void Piece(int from, int to)
        {
            foreach (int side in (ReadOnlySpan<int>)[from, to])
            {
                if (points.ContainsKey(side)) continue;
                int i = side / 2 / columns, j = side / 2 % columns;
                bool down = (side & 1) != 0;
                double first = At(i, j), second = down ? At(i + 1, j) : At(i, j + 1), t = (level - first) / (second - first);
                points[side] = down ? (j, i + t) : (j + t, i);
                neighbours[side] = [];
            }
            neighbours[from].Add(to);
            neighbours[to].Add(from);
        }
    }

    private static List<Isoline> Chains(Dictionary<int, (double X, double Y)> points, Dictionary<int, List<int>> neighbours)
    {
        List<Isoline> lines = [];
        HashSet<int> seen = [];
        // Open lines first, from their ends at the border; what is left are rings.
        foreach (int start in points.Keys.Where(k => neighbours[k].Count == 1).Concat(points.Keys.Where(k => neighbours[k].Count == 2)))
        {
            if (!seen.Add(start)) continue;
            List<(double, double)> line = [points[start]];
            int at = start;
            while (neighbours[at].FirstOrDefault(n => !seen.Contains(n), -1) is var next and >= 0)
            {
                seen.Add(next);
                line.Add(points[next]);
                at = next;
            }
            bool closed = line.Count > 2 && neighbours[start].Count == 2 && neighbours[at].Contains(start);
            if (closed) line.Add(line[0]);
            if (line.Count > 1) lines.Add(new Isoline(line, closed));
        }
        return lines;
    }
}
