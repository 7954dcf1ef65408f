using System.Text.Json.Nodes;
using RefConv.Models.Report.Charts;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report.Sections;

/// <summary>Analyses of kernels: connection, redundancy, skeleton, rank, pictures.</summary>
internal static class KernelSections
{
    /// <summary>Connection degree between kernel channels.</summary>
    public static void Connection(Page page, AnalysisInput file)
    {
        var layers = Layers(page, file);
        page.Table("connection", ["layer", "groups", "shown", "mean on the diagonal", "mean off the diagonal", "off / on", " note"], [.. layers.Select(l => (IReadOnlyList<Cell>)
        [
            Name(l), Cell.Of(l.Whole("groups")), Cell.Of(l.Whole("size")), Value(l.Number("diagonalMean")), Value(l.Number("offDiagonalMean")), Value(l.Number("offDiagonalMean") / l.Number("diagonalMean")), l.Text("note") ?? "",
        ])]);
        var maps = layers.Where(l => l.Whole("size") is not 1).ToArray();
        if (maps.Length == 0 && layers.Count > 0) page.Text("No maps: the refocus groups of these layers have one member each, so there is nothing to connect.", "soft");
        else page.Figures("maps", [.. maps.Select(l => (Name(l), (string?)null, Matrix(l, l.Numbers("values"), $"connection {Name(l)}", "basis channel", "kernel channel", "connection degree, Σ|w|", null)))]);
    }

    /// <summary>KL divergence between kernel channels, before and after on one scale.</summary>
    public static void Redundancy(Page page, AnalysisInput file)
    {
        var layers = Layers(page, file);
        page.Text("KL[i, j] of channels i and j, each through softmax a distribution over its positions. Large is different, zero is equal: the larger the mean, the less redundant the channels. Larger weights differ more through softmax, whatever they look like; at equal size, the kernels after refocusing have the root mean square of those before.", "small soft");
        page.Table("redundancy", ["layer", "channels", "mean KL before", "after", "change %", "after, at equal size", "change %", " note"], [.. layers.Select(l => (IReadOnlyList<Cell>)
        [
            Name(l), Cell.Of(l.Whole("channels")), Value(l.Inner("before").Number("mean")), Value(l.Inner("after").Number("mean")),
            Value(100 * ((l.Inner("after").Number("mean") / l.Inner("before").Number("mean")) - 1)),
            Value(l.Number("afterAtEqualSize")), Value(100 * ((l.Number("afterAtEqualSize") / l.Inner("before").Number("mean")) - 1)), l.Text("note") ?? "",
        ])]);
        List<(string, string?, Chart?)> maps = [];
        foreach (var l in layers)
        {
            double[]? before = l.Inner("before").Numbers("values"), after = l.Inner("after").Numbers("values");
            double high = (before ?? []).Concat(after ?? []).Where(double.IsFinite).DefaultIfEmpty(1).Max();
            foreach (var (values, when) in new[] { (before, "before"), (after, "after") })
            {
                if (values != null) maps.Add((Name(l), when, Matrix(l, values, $"redundancy {Name(l)} {when}", "channel j", "channel i", "KL(i‖j), nats", high)));
            }
        }
        page.Figures("maps", maps);
    }

    /// <summary>Mean magnitude at each position of the kernel.</summary>
    public static void Skeleton(Page page, AnalysisInput file)
    {
        var layers = Layers(page, file);
        page.Text("Mean magnitude of the weights at each position of the kernel.", "small soft");
        List<(string, string?, Chart?)> figures = [];
        foreach (var l in layers)
        {
            int rows = Size(l, "rows"), columns = Size(l, "columns");
            double[]? before = l.Numbers("before"), after = l.Numbers("after");
            double[] all = [.. (before ?? []).Concat(after ?? []).Where(double.IsFinite)];
            foreach (var (values, when) in new[] { (before, "before"), (after, "after") })
            {
                if (values == null) continue;
                figures.Add((Name(l), when, rows * columns == values.Length && all.Length > 0 && rows * columns <= 400
                    ? KernelTiles.Skeleton($"skeleton {Name(l)} {when}", rows, columns, values, Math.Min(0, all.Min()), all.Max()) : null));
            }
        }
        page.Figures("maps", figures);
    }

    /// <summary>Effective rank and cosine similarity.</summary>
    public static void Rank(Page page, AnalysisInput file)
    {
        var layers = Layers(page, file);
        page.Table("rank", ["layer", "effective rank before", "after", "largest possible", "mean cosine before", "after"], [.. layers.Select(l => (IReadOnlyList<Cell>)
        [
            Name(l), Value(l.Number("effectiveRankBefore")), Value(l.Number("effectiveRankAfter")), Cell.Of(l.Whole("maximum")), Value(l.Number("cosineBefore")), Value(l.Number("cosineAfter")),
        ])]);
        page.Figures("", [Bars("Effective rank of the kernels, layer by layer", "effective rank", "effectiveRank"), Bars("Mean cosine between kernels, layer by layer", "cosine similarity", "cosine")], legend: true);

        (string, string?, Chart?) Bars(string caption, string axis, string field)
        {
            Series[] lines = [.. new[] { ("before", 6), ("after", 0) }.Select(w => new Series(w.Item1, [.. layers.Select((l, i) => (i + 1.0, l.Number(field + (w.Item1 == "before" ? "Before" : "After"))))]) { Color = w.Item2 })
                .Where(s => s.Points.Any(p => double.IsFinite(p.Y)))];
            return (caption, null, LineChart.Draw(lines, new LineChartLabels(caption, "layer, in the table's order", axis)));
        }
    }

    /// <summary>The first kernels as pictures.</summary>
    public static void Kernels(Page page, AnalysisInput file)
    {
        var layers = Layers(page, file);
        List<(string, string?, Chart?)> figures = [];
        foreach (var l in layers)
        {
            int rows = Size(l, "rows"), columns = Size(l, "columns"), count = Size(l, "count");
            double[]? before = l.Numbers("before"), after = l.Numbers("after");
            double largest = (before ?? []).Concat(after ?? []).Where(double.IsFinite).Select(Math.Abs).DefaultIfEmpty(1).Max();
            foreach (var (values, when) in new[] { (before, "before"), (after, "after") })
            {
                if (values == null) continue;
                bool fits = count is > 0 and <= 4096 && rows > 0 && columns > 0 && (long)count * rows * columns == values.Length;
                figures.Add((Name(l), $"{when}, the first {Num.Count(count, "kernel")}", fits ? KernelTiles.Draw($"kernels {Name(l)} {when}", count, rows, columns, values, largest > 0 ? largest : 1) : null));
            }
        }
        page.Figures("maps", figures);
    }

    private static IReadOnlyList<JsonObject> Layers(Page page, AnalysisInput file)
    {
        var layers = file.Results.Objects("layers");
        if (layers.Count == 0) page.Text("The analysis holds no layers.");
        return layers;
    }

    private static string Name(JsonObject layer) => layer.Text("layer") ?? "a layer";

    private static int Size(JsonObject layer, string name) => (int)Math.Clamp(layer.Whole(name) ?? 0, 0, 1 << 16);

    private static Cell Value(double v) => double.IsFinite(v) ? new Cell(Num.Short(v), v) : "";

    /// <summary>A square map; null where the file's numbers are none.</summary>
    private static Chart? Matrix(JsonObject layer, double[]? values, string name, string x, string y, string unit, double? high)
    {
        // A group may have fewer channels than rows are shown, so the map need not be square.
        int rows = Size(layer, layer["size"] != null ? "size" : "channels");
        if (values == null || rows == 0 || values.Length % rows != 0 || values.Length > 1 << 22) return null;
        double[] finite = [.. values.Where(double.IsFinite)];
        return finite.Length == 0 ? null : HeatMap.Draw(new HeatMapData(name, rows, values.Length / rows, values, Math.Min(0, finite.Min()), high ?? finite.Max(), x, y, unit));
    }
}
