using System.Text.Json.Nodes;
using RefConv.Models.Report.Charts;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report.Sections;

/// <summary>Analyses of whole models: loss landscapes, attacks, cost.</summary>
internal static class ModelSections
{
    /// <summary>Landscapes: contours of two directions with one scale for all, lines of one direction on shared axes.</summary>
    public static void Landscape(Page page, AnalysisInput file)
    {
        var surfaces = file.Results.Objects("surfaces");
        page.Table("sharpness", ["surface", " directions", "axes", "seed", "loss at the weights", "largest loss", "mean rise", "curvature x", "curvature y"], [.. surfaces.Select(s => (IReadOnlyList<Cell>)
        [
            Name(s), Directions(s), Cell.Of(s.Numbers("ys") == null ? 1L : 2L), Cell.Of(s.Whole("seed")), Value(s.Number("centreLoss")), Value(s.Inner("sharpness").Number("maxLoss")), Value(s.Inner("sharpness").Number("meanRise")),
            Value(s.Inner("sharpness").Number("curvatureX")), Value(s.Inner("sharpness").Number("curvatureY")),
        ])]);
        page.Text("Mean rise: how far the loss lies above that of the trained weights, on average over the grid. The cross marks the trained weights; a white line is the way that training took.", "small soft");
        foreach (var group in surfaces.Where(s => s.Numbers("ys") != null).GroupBy(s => s.Text("directions")))
        {
            page.Heading($"Two directions, {group.Key ?? "not said which"}", 4);
            var (loss, accuracy) = (Levels.For(group.SelectMany(s => s.Numbers("loss") ?? []), true), Levels.For(group.SelectMany(s => Percent(s)), false));
            page.Figures("wide", [.. group.SelectMany(s => new[] { (Name(s), "loss", Contour(s, s.Numbers("loss"), "loss", loss)), (Name(s), (string?)"accuracy", Contour(s, Percent(s), "accuracy, %", accuracy)) })]);
        }
        foreach (var group in surfaces.Where(s => s.Numbers("ys") == null).GroupBy(s => s.Text("directions")))
        {
            page.Heading($"One direction, {group.Key ?? "not said which"}", 4);
            page.Figures("", [Lines("Loss", "loss", s => s.Numbers("loss"), true), Lines("Accuracy", "accuracy, %", Percent, false)], legend: true);

            (string, string?, Chart?) Lines(string caption, string axis, Func<JsonObject, double[]?> values, bool log) => (caption, "along the direction", LineChart.Draw(
                [.. group.Select((s, i) => new Series(Name(s) + (group.Count(o => Name(o) == Name(s)) > 1 ? $", seed {s.Whole("seed")}" : ""), [.. (s.Numbers("xs") ?? []).Zip(values(s) ?? [])]) { Color = i })],
                new LineChartLabels($"landscape {caption}", "step along the direction, × weight norm", axis) { WholeX = false, MayBeLogarithmic = log }));
        }
    }

    /// <summary>Accuracy under attack.</summary>
    public static void Attack(Page page, AnalysisInput file)
    {
        var models = file.Results.Objects("models");
        page.Table("attacks", ["model", "attack", "epsilon, of 255", "steps", "step size, of 255", "top-1 %", "lost points"], [.. models.SelectMany(m => m.Objects("rows").Prepend(null).Select(r => (IReadOnlyList<Cell>)
        [
            m.Text("name") ?? "a model", r == null ? "none" : r.Text("attack") ?? "", Value(255 * (r == null ? 0 : r.Number("epsilon"))), Cell.Of(r.Whole("steps")), Value(255 * r.Number("stepSize")),
            Percent(r == null ? m.Number("clean") : r.Number("accuracy")), r == null ? "" : Percent(m.Number("clean") - r.Number("accuracy")),
        ]))]);
        string[] attacks = [.. models.SelectMany(m => m.Objects("rows")).Select(r => r.Text("attack") ?? "").Distinct()];
        page.Figures("", [.. attacks.Select(a => (a, (string?)"top-1 by strength", LineChart.Draw(
            [.. models.Select((m, i) => new Series(m.Text("name") ?? "a model", [.. m.Objects("rows").Where(r => (r.Text("attack") ?? "") == a).Select(r => (255 * r.Number("epsilon"), 100 * r.Number("accuracy")))
                .Prepend((0.0, 100 * m.Number("clean"))).Where(p => double.IsFinite(p.Item1)).OrderBy(p => p.Item1)]) { Color = i })],
            new LineChartLabels($"attack {a}", "epsilon, of 255", "top-1 accuracy, %") { WholeX = false })))], legend: true);
    }

    /// <summary>What training in the form of RefConv costs.</summary>
    public static void Cost(Page page, AnalysisInput file)
    {
        var rows = file.Results.Objects("rows");
        page.Table("cost", ["layer", "parameters plain", "RefConv", "MACs plain", "RefConv", "bytes plain", "RefConv", "step ms plain", "RefConv", "times"], [.. rows.Select(r =>
        {
            var (p, c) = (r.Inner("plain"), r.Inner("refconv"));
            return (IReadOnlyList<Cell>)
            [
                r.Text("layer") ?? "", Cell.Of(p.Whole("parameters")), Cell.Of(c.Whole("parameters")), Cell.Of(p.Whole("macs")), Cell.Of(c.Whole("macs")), Cell.Of(p.Whole("bytes")), Cell.Of(c.Whole("bytes")),
                Value(p.Number("stepMs")), Value(c.Number("stepMs")), Value(c.Number("stepMs") / p.Number("stepMs")),
            ];
        })]);
        List<string> facts = [];
        var (memory, step) = (file.Results.Inner("memory"), file.Results.Inner("stepMs"));
        if (step != null) facts.Add($"A training step{(file.Results.Whole("batch") is { } b ? $" of {b} pictures" : "")}: {Num.Short(step.Number("plain"))} ms plain, {Num.Short(step.Number("refconv"))} ms in RefConv form ({Num.Short(step.Number("refconv") / step.Number("plain"))} times).");
        if (memory != null) facts.Add($"Memory at its peak: {Num.Text(memory.Number("plainPeakBytes") / 1048576, "0.0")} MiB plain, {Num.Text(memory.Number("refconvPeakBytes") / 1048576, "0.0")} MiB in RefConv form ({Num.Short(memory.Number("refconvPeakBytes") / memory.Number("plainPeakBytes"))} times).");
        page.List(facts);
    }

    private static string Name(JsonObject o) => o.Text("name") ?? "a model";

    private static string Directions(JsonObject s)
    {
        double[] explained = s.Numbers("explained") ?? [];
        return (s.Text("directions") ?? "") + (explained.Length > 0 ? $", explain {string.Join(" and ", explained.Select(e => Num.Text(100 * e, "0.#") + " %"))} of the way" : "");
    }

    private static double[] Percent(JsonObject s) => [.. (s.Numbers("accuracy") ?? []).Select(a => 100 * a)];

    private static Cell Percent(double v) => double.IsFinite(v) ? Cell.Of(100 * v, "0.0") : "";

    private static Cell Value(double v) => double.IsFinite(v) ? new Cell(Num.Short(v), v) : "";

    private static Chart? Contour(JsonObject s, double[]? values, string unit, Levels levels)
    {
        double[] xs = s.Numbers("xs") ?? [], ys = s.Numbers("ys") ?? [];
        if (values == null || xs.Length < 2 || ys.Length < 2 || values.Length != xs.Length * ys.Length || values.Length > 1 << 20 || !Rising(xs) || !Rising(ys) || !values.Any(double.IsFinite)) return null;
        string directions = s.Text("directions") == "pca" ? "principal direction" : "direction";
        var path = (s["path"] as JsonArray)?.OfType<JsonArray>().Where(p => p.Count == 2).Select(p => (LenientJson.Number(p[0]), LenientJson.Number(p[1]))).Where(p => double.IsFinite(p.Item1) && double.IsFinite(p.Item2)).ToArray();
        return ContourChart.Draw(new Surface($"landscape {Name(s)} {s.Text("directions")} {unit}", xs, ys, values, $"first {directions}", $"second {directions}", unit) { Path = path }, levels);
    }

    private static bool Rising(double[] values) => values.Zip(values.Skip(1), (a, b) => b > a).All(x => x);
}
