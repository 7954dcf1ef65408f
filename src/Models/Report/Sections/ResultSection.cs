using RefConv.Models.Report.Charts;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report.Sections;

/// <summary>What a set of runs came to: one row a method, all seeds, and the curves on shared axes.</summary>
internal static class ResultSection
{
    /// <summary>Adds the section.</summary>
    public static void Add(Page page, RunSet set)
    {
        page.Section(set.Compared ? $"Results: {set.Title}" : set.Title);
        var first = set.Runs[0];
        string[] facts = [.. new[] { Same(set, r => r.Model), Same(set, r => r.Data), Same(set, r => r.Pictures) }.OfType<string>()];
        if (facts.Length > 0) page.Text(string.Join("; ", facts) + ".", "soft");
        if (set.Compared) Compared(page, set);
        else Loose(page, set);
        Curves.Add(page, set);
    }

    private static string? Same(RunSet set, Func<ReportRun, string?> value) => set.Runs.Select(value).Distinct().ToArray() is [{ } one] ? one : null;

    private static void Compared(Page page, RunSet set)
    {
        string[] methods = [.. set.Methods];
        string? baseline = methods.FirstOrDefault(m => RowNames.Role(m) == RowNames.Baseline), control = methods.FirstOrDefault(m => RowNames.Role(m) == RowNames.Retrained);
        List<string> titles = ["row", "seeds", "top-1 %", "test loss"];
        if (baseline != null) titles.Add($"points − {baseline}");
        if (control != null) titles.Add($"points − {control}");
        titles.AddRange(["parameters training", "deployed", "million MACs training", "deployed", "step ms", "merge error"]);
        page.Table($"results {set.Title}", titles, [.. methods.Select(m => Row(set, m, baseline, control))]);
        page.Text("Mean ± standard deviation over seeds where there are several; the columns with − are differences of top-1, taken inside each seed. Merge error: largest difference of a test picture's scores between the trained form and the merged file, relative to the largest score.", "small soft");
        page.Figures("", [("Top-1 on the test pictures, every seed", baseline == null ? null : $"dashed: mean of {baseline}",
            DotChart.Draw($"accuracy {set.Title}", "top-1 accuracy, %", [.. methods.Select(m => (m, (IReadOnlyList<double>)[.. set.BySeed(m).OrderBy(r => r.Key).Select(r => 100 * r.Value.Accuracy)]))], baseline)),
            ("Time of a training step, every seed", baseline == null ? null : $"dashed: mean of {baseline}",
            DotChart.Draw($"step time {set.Title}", "training step, ms", [.. methods.Select(m => (m, (IReadOnlyList<double>)[.. set.BySeed(m).OrderBy(r => r.Key).Select(r => r.Value.Figures?.StepMs ?? double.NaN)]))], baseline))]);
    }

    private static IReadOnlyList<Cell> Row(RunSet set, string method, string? baseline, string? control)
    {
        var runs = set.BySeed(method);
        int columns = 10 + (baseline == null ? 0 : 1) + (control == null ? 0 : 1);
        if (runs.Count == 0) return [method, Cell.Of(0L), "no result", .. Enumerable.Repeat((Cell)"", columns - 3)];
        RowFigures[] figures = [.. runs.Values.Select(r => r.Figures).OfType<RowFigures>()];
        List<Cell> cells = [method, Cell.Of((long)runs.Count), Mean([.. runs.Values.Select(r => 100 * r.Accuracy)], "0.0"), Mean([.. runs.Values.Select(r => r.TestLoss)], "0.000")];
        if (baseline != null) cells.Add(Against(baseline));
        if (control != null) cells.Add(Against(control));
        var f = figures.FirstOrDefault();
        double[] errors = [.. figures.Where(x => x.MergeError != null).Select(x => x.MergeError!.Value)];
        cells.AddRange([Cell.Of(f?.TrainParameters), Cell.Of(f?.DeployParameters), Millions(f?.TrainMacs), Millions(f?.DeployMacs),
            Mean([.. figures.Where(x => x.StepMs != null).Select(x => x.StepMs!.Value)], "0.0"), errors.Length == 0 ? "" : errors.Max() == 0 ? new Cell("0", 0) : Cell.Of(errors.Max(), "0.0e0")]);
        return cells;

        static Cell Millions(long? macs) => Cell.Of(macs / 1e6, "0.00");

        Cell Against(string other)
        {
            if (other == method) return "";
            var theirs = set.BySeed(other);
            double[] differences = [.. runs.Keys.Intersect(theirs.Keys).Select(s => runs[s].Accuracy - theirs[s].Accuracy).Where(double.IsFinite)];
            return differences.Length == 0 ? "" : new Cell(MeanDeviation.Of(differences).ToPoints(), 100 * differences.Average());
        }
    }

    private static Cell Mean(double[] values, string format)
    {
        double[] finite = [.. values.Where(double.IsFinite)];
        if (finite.Length == 0) return "";
        var (mean, deviation) = MeanDeviation.Of(finite);
        return new Cell(Num.Text(mean, format) + (deviation is { } d ? " ± " + Num.Text(d, format) : ""), mean);
    }

    private static void Loose(Page page, RunSet set)
    {
        page.Table("runs", ["run", " form", "epochs", "top-1 %", "best top-1 %", "test loss", "training loss", "seconds", "seed"], [.. set.Runs.Select(r => (IReadOnlyList<Cell>)
        [
            r.Method, (r.Model ?? "model not known") + (r.Form == null ? "" : ", " + r.Form), Cell.Of((long)r.History.Count), Finite(100 * r.Accuracy, "0.00"), Finite(100 * Best(r), "0.00"), Finite(r.TestLoss, "0.000"),
            Finite(r.History.LastOrDefault()?.TrainLoss ?? double.NaN, "0.000"), Finite(r.History.Sum(e => e.Seconds), "0.0"), r.Seed is { } s ? new Cell(s.ToString(System.Globalization.CultureInfo.InvariantCulture), s) : "",
        ])]);

        static Cell Finite(double v, string format) => Cell.Of(double.IsFinite(v) ? v : null, format);
        static double Best(ReportRun r) => r.History.Select(e => e.Accuracy).Where(double.IsFinite).DefaultIfEmpty(double.NaN).Max();
    }
}
