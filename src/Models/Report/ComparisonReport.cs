using System.Globalization;
using System.Text;
using RefConv.IO;
using RefConv.Layers;
using RefConv.Models.Report.Charts;
using RefConv.Models.Train;

namespace RefConv.Models.Report;

/// <summary>What a <see cref="MethodComparison"/> shows, as a table, as Markdown and as a page.</summary>
/// <param name="Comparison">What was run.</param>
/// <param name="Rows">All methods and seeds.</param>
/// <param name="Device">Where it ran.</param>
public sealed record ComparisonReport(MethodComparison Comparison, IReadOnlyList<MethodRow> Rows, string Device)
{
    /// <summary>Titles of <see cref="Table"/>.</summary>
    public static IReadOnlyList<string> Titles { get; } =
        ["method", "top-1 %", "against plain", "merge error", "parameters training", "deployed", "MACs/image training", "deployed", "step ms", "layers"];

    private static readonly CultureInfo C = CultureInfo.InvariantCulture;

    /// <summary>One row a method, over all seeds.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Table =>
    [
        .. Methods.Select(m =>
        {
            IReadOnlyList<MethodRow> good = [.. Good(m)];
            if (good.Count == 0) return (IReadOnlyList<string>)[m.Key, "failed", .. Enumerable.Repeat("", Titles.Count - 2)];
            var first = good[0];
            return
            [
                m.Key, MeanDeviation.Of([.. good.Select(r => r.Accuracy)]).ToPercent(), m.Key == MethodComparison.Plain ? "" : Gain(good), Error(good),
                first.TrainParameters.ToString("N0", C), first.DeployParameters.ToString("N0", C), first.TrainMacs.ToString("N0", C), first.DeployMacs.ToString("N0", C),
                good.Average(r => r.StepMs).ToString("0.0", C), first.Layers == 0 ? "" : first.Layers.ToString(C),
            ];
        }),
    ];

    /// <summary>What a reader should know before comparing.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            int tests = Comparison.Data.Test.Count, seeds = Comparison.Seeds;
            double p = Good(Rows).Select(r => r.Accuracy).DefaultIfEmpty(0.5).Average(), noise = 200 * Math.Sqrt(2 * p * (1 - p) / (tests * (double)seeds));
            List<string> notes =
            [
                $"Differences below about {noise.ToString("0.0", C)} points are what chance does with {tests.ToString("N0", C)} test pictures and {seeds} seed{(seeds == 1 ? "" : "s")}.",
                "Merge error: largest difference of a test picture's scores between the trained form and the merged file loaded into the plain architecture, relative to the largest score.",
            ];
            string[] names = [.. Rows.Select(r => r.Method).Distinct()];
            string[] second = [.. names.Where(n => n is not (MethodComparison.Plain or MethodComparison.Retrained) && Reparameterizations.Create(n).NeedsTrainedModel)];
            if (names.Contains(MethodComparison.Retrained))
            {
                notes.Add((second.Length == 0 ? "" : $"The rows {string.Join(", ", second)} start from the trained plain model, so it was trained twice. ") +
                    "The row 'retrained' is the plain model trained twice: that is what a second training gives by itself" + (second.Length == 0 ? "." : ", and what those are to be held against."));
            }
            foreach (var m in Methods)
            {
                if (m.FirstOrDefault(r => r.Stays != null) is { } row) notes.Add($"{m.Key}: layers stay in its form when it is deployed, because {row.Stays}; {(row.MergeError == null ? "nothing" : "the rest")} is merged.");
            }
            foreach (var row in Rows.Where(r => r.Progress != null)) notes.Add($"{Named(row)}: {row.Progress}.");
            foreach (var row in Rows.Where(r => r.Failed != null)) notes.Add($"{Named(row)} failed: {row.Failed}");
            foreach (var (name, reason) in Comparison.Skipped) notes.Add($"{name} is left out: {reason}");
            return notes;
        }
    }

    private string Named(MethodRow row) => Comparison.Seeds == 1 ? row.Method : $"{row.Method}, seed {row.Seed}";

    private static IEnumerable<MethodRow> Good(IEnumerable<MethodRow> rows) => rows.Where(r => r.Failed == null);

    private IReadOnlyList<IGrouping<string, MethodRow>> Methods => [.. Rows.GroupBy(r => r.Method)];

    private IReadOnlyList<IGrouping<string, MethodRow>> Shown => [.. Good(Rows).GroupBy(r => r.Method)];

    /// <summary>Writes <c>report.html</c> and <c>comparison.md</c> into the comparison's folder.</summary>
    /// <returns>The page.</returns>
    public string Save()
    {
        AtomicFile.WriteAllText(Path.Combine(Comparison.Folder, "comparison.md"), ToMarkdown());
        string page = Path.Combine(Comparison.Folder, "report.html");
        AtomicFile.WriteAllText(page, ToHtml());
        return page;
    }

    /// <summary>The table and its notes.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.Append(C, $"{Lead}\n\n| {string.Join(" | ", Titles)} |\n|{string.Concat(Titles.Select(_ => "---|"))}\n");
        foreach (var row in Table) text.Append(C, $"| {string.Join(" | ", row)} |\n");
        text.Append('\n');
        foreach (string note in Notes) text.Append(C, $"* {note}\n");
        return text.ToString();
    }

    /// <summary>The page: one self-contained HTML file.</summary>
    public string ToHtml()
    {
        var page = new Page("RefConv: methods compared");
        page.Table("methods", Titles, Table).List([.. Notes]);
        if (Shown.Count > 0)
        {
            page.Section("Every seed").Figures("", [
                ("Accuracy on the test pictures", "dashed: mean of the plain model", Dots("top-1 accuracy, %", r => 100 * r.Accuracy)),
                ("Time of a training step", "dashed: mean of the plain model", Dots("training step, ms", r => r.StepMs))]);
            page.Section("Curves" + (Comparison.Seeds > 1 ? $" (seed {Comparison.Recipe.Seed})" : "")).Figures("", [
                ("Accuracy on the test pictures", null, Curve("top-1 accuracy, %", h => 100 * h.Accuracy, false)),
                ("Loss while training", null, Curve("training loss", h => h.TrainLoss, true))], legend: true);
        }
        return page.ToHtml("Methods compared", Lead);

        Chart? Dots(string label, Func<MethodRow, double> value) =>
            DotChart.Draw(label, label, [.. Shown.Select(m => (m.Key, (IReadOnlyList<double>)[.. m.Select(value)]))], MethodComparison.Plain);

        Chart? Curve(string label, Func<EpochResult, double> value, bool log) => LineChart.Draw(
            [.. Rows.Where(r => r.Seed == Comparison.Recipe.Seed).Select((r, i) => new Series(r.Method, [.. r.History.Select(h => ((double)h.Epoch, value(h)))]) { Color = i })],
            new LineChartLabels(label, "epoch", label) { MayBeLogarithmic = log });
    }

    private string Lead
    {
        get
        {
            var r = Comparison.Recipe;
            return $"{Comparison.Spec} on {Comparison.Data.Spec.Split(':')[0]}, {Comparison.Data.Train.Count.ToString("N0", C)} training and {Comparison.Data.Test.Count.ToString("N0", C)} test pictures, " +
                $"{r.Epochs} epochs of batch {r.BatchSize}, learning rate {r.LearningRate.ToString(C)}, {Comparison.Seeds} seed{(Comparison.Seeds == 1 ? "" : "s")}; {Device}.";
        }
    }

    /// <summary>Difference to the plain model of the same seed, in points; empty where that failed.</summary>
    private string Gain(IEnumerable<MethodRow> rows)
    {
        var plain = Good(Rows).Where(r => r.Method == MethodComparison.Plain).ToDictionary(r => r.Seed, r => r.Accuracy);
        double[] gains = [.. rows.Where(r => plain.ContainsKey(r.Seed)).Select(r => r.Accuracy - plain[r.Seed])];
        if (gains.Length == 0) return "";
        var gain = MeanDeviation.Of(gains);
        return (100 * gain.Mean).ToString("+0.0;−0.0;0.0", C) + (gain.Deviation is { } d ? " ± " + (100 * d).ToString("0.0", C) : "");
    }

    private static string Error(IEnumerable<MethodRow> rows) => rows.Max(r => r.MergeError) switch
    {
        null => "",
        0 => "0",
        double e => e.ToString("0.0e0", C),
    };
}
