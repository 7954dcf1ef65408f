using System.Globalization;
using System.Text;
using RefConv.IO;
using RefConv.Models.Analysis;
using RefConv.Models.Report.Charts;
using RefConv.Models.Train;

namespace RefConv.Models.Report;

/// <summary>What one row of an ablation shows, over all seeds.</summary>
/// <param name="Row">Which.</param>
/// <param name="Good">Its results, one a seed.</param>
/// <param name="Failed">Its failures.</param>
/// <param name="AgainstBaseline">Top-1 against the baseline of the same seed; null for the baseline, and where no seed has both.</param>
/// <param name="AgainstRetrain">Top-1 against the retrained baseline of the same seed; null for those two, and where no seed has both.</param>
public sealed record AblationSummary(AblationRow Row, IReadOnlyList<MethodRow> Good, IReadOnlyList<MethodRow> Failed, PairedDifference? AgainstBaseline, PairedDifference? AgainstRetrain)
{
    /// <summary>Top-1; null where every seed failed.</summary>
    public MeanDeviation? Accuracy => Good.Count == 0 ? null : MeanDeviation.Of([.. Good.Select(r => r.Accuracy)]);

    /// <summary>One for each row that has results or failures.</summary>
    public static IReadOnlyList<AblationSummary> Of(IReadOnlyList<MethodRow> rows)
    {
        return
        [
            .. AblationTable.All.Where(a => rows.Any(r => r.Method == a.Name)).Select(a => new AblationSummary(a, Good(a.Name), [.. rows.Where(r => r.Method == a.Name && r.Failed != null)],
                a.Name == AblationTable.Baseline ? null : Against(a.Name, AblationTable.Baseline),
                a.Name is AblationTable.Baseline or AblationTable.Retrain ? null : Against(a.Name, AblationTable.Retrain))),
        ];

        IReadOnlyList<MethodRow> Good(string name) => [.. rows.Where(r => r.Method == name && r.Failed == null)];

        PairedDifference? Against(string name, string other) =>
            PairedDifference.Of([.. Good(name).Join(Good(other), r => r.Seed, r => r.Seed, (a, b) => a.Accuracy - b.Accuracy)]);
    }
}

/// <summary>What an <see cref="Ablation"/> shows, as tables, as Markdown and as a page.</summary>
/// <param name="Ablation">What was run.</param>
/// <param name="Results">All rows and seeds, model by model.</param>
/// <param name="Device">Where it ran.</param>
public sealed record AblationReport(Ablation Ablation, IReadOnlyList<(ModelSpec Model, IReadOnlyList<MethodRow> Rows)> Results, string Device)
{
    /// <summary>Titles of <see cref="Table"/>.</summary>
    public static IReadOnlyList<string> Titles { get; } =
        ["row", "top-1 %", "against baseline", "t", "p", "against retrain", "t", "p", "so, against retrain", "parameters training", "deployed", "merge error"];

    private static readonly CultureInfo C = CultureInfo.InvariantCulture;

    /// <summary>One line a row, over all seeds of a model.</summary>
    public static IReadOnlyList<IReadOnlyList<string>> Table(IReadOnlyList<MethodRow> rows) => [.. AblationSummary.Of(rows).Select(Line)];

    /// <summary>What each row is, in words.</summary>
    public IReadOnlyList<AblationRow> Rows => [.. AblationTable.All.Where(a => Results.Any(r => r.Rows.Any(row => row.Method == a.Name)))];

    /// <summary>What a reader should know before comparing, for all models.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            int tests = Ablation.Data.Test.Count, seeds = Ablation.Seeds;
            double p = Results.SelectMany(r => r.Rows).Where(r => r.Failed == null).Select(r => r.Accuracy).DefaultIfEmpty(0.5).Average();
            double noise = 200 * Math.Sqrt(2 * p * (1 - p) / (tests * (double)seeds));
            int clearable = Results.Sum(r => AblationSummary.Of(r.Rows).Count(s => s.AgainstRetrain != null));
            List<string> notes =
            [
                "Every row but the baseline starts from the trained baseline of its seed and is trained by the same recipe, finetune at a smaller learning rate. " +
                    "retrain is what a second training gives by itself, so the rows below it are to be held against it.",
                "A random base replaces the kernels that RefConv takes; all other layers are the trained baseline's. refconv is also the row of Xavier's initialisation and of map_k 3.",
                $"Differences below about {noise.ToString("0.0", C)} points are what chance does with {tests.ToString("N0", C)} test pictures and {seeds} seed{(seeds == 1 ? "" : "s")}.",
            ];
            notes.Add(seeds == 1
                ? "One seed says nothing about the spread between seeds, so there is no deviation and no test. Repeat with --seeds 3: what is done is kept."
                : $"t and p: paired over seeds, two-sided. 'better' and 'worse' mean p ≤ {PairedDifference.Level.ToString(C)}; of {clearable} comparisons with retrain about {(PairedDifference.Level * clearable).ToString("0.0", C)} are so by chance alone.");
            foreach (var (model, rows) in Results)
            {
                foreach (var row in rows.Where(r => r.Failed != null)) notes.Add($"{model.Architecture}, {row.Method}, seed {row.Seed} failed: {row.Failed}");
            }
            return notes;
        }
    }

    /// <summary>Writes <c>report.html</c> and <c>ablation.md</c> into the folder.</summary>
    /// <returns>The page.</returns>
    public string Save()
    {
        AtomicFile.WriteAllText(Path.Combine(Ablation.Folder, "ablation.md"), ToMarkdown());
        string page = Path.Combine(Ablation.Folder, "report.html");
        AtomicFile.WriteAllText(page, ToHtml());
        return page;
    }

    /// <summary>The tables and their notes.</summary>
    public string ToMarkdown()
    {
        var text = new StringBuilder();
        text.Append(C, $"{Lead}\n");
        foreach (var (model, rows) in Results)
        {
            text.Append(C, $"\n## {model}\n\n| {string.Join(" | ", Titles)} |\n|{string.Concat(Titles.Select(_ => "---|"))}\n");
            foreach (var row in Table(rows)) text.Append(C, $"| {string.Join(" | ", row)} |\n");
        }
        text.Append("\n## Rows\n\n");
        foreach (var row in Rows) text.Append(C, $"* `{row.Name}`: {row.About}\n");
        text.Append("\n## How to read it\n\n");
        foreach (string note in Notes) text.Append(C, $"* {note}\n");
        return text.ToString();
    }

    /// <summary>The page: one self-contained HTML file.</summary>
    public string ToHtml()
    {
        var page = new Page("RefConv: ablation");
        foreach (var (model, rows) in Results)
        {
            page.Section(model.ToString()).Table(model.Architecture, Titles, Table(rows));
            var shown = AblationSummary.Of(rows).Where(s => s.Good.Count > 0).Select(s => (s.Row.Name, (IReadOnlyList<double>)[.. s.Good.Select(r => 100 * r.Accuracy)])).ToArray();
            page.Figures("", [("Every seed", "dashed: mean of retrain", DotChart.Draw($"{model.Architecture} top-1", "top-1 accuracy, %", shown, AblationTable.Retrain))]);
        }
        page.Section("Rows").List([.. Rows.Select(r => $"{r.Name}: {r.About}")]);
        page.Section("How to read it").List([.. Notes]);
        return page.ToHtml("RefConv taken apart", Lead);
    }

    /// <summary>A difference of shares, in points.</summary>
    internal static string Points(PairedDifference difference) => (100 * difference.Mean).ToString("+0.0;−0.0;0.0", C) +
        (difference.Deviation is { } d ? " ± " + (100 * d).ToString("0.0", C) : "");

    private static IReadOnlyList<string> Line(AblationSummary s)
    {
        if (s.Good.Count == 0) return [s.Row.Name, "failed", .. Enumerable.Repeat("", Titles.Count - 2)];
        var first = s.Good[0];
        return
        [
            s.Row.Name, s.Accuracy!.Value.ToPercent() + (s.Failed.Count > 0 ? $" ({s.Failed.Count} failed)" : ""), .. Cells(s.AgainstBaseline), .. Cells(s.AgainstRetrain),
            s.AgainstRetrain?.Verdict ?? "", first.TrainParameters.ToString("N0", C), first.DeployParameters.ToString("N0", C),
            s.Good.Max(r => r.MergeError) switch { null => "", 0 => "0", double e => e.ToString("0.0e0", C) },
        ];
    }

    private static string[] Cells(PairedDifference? difference) => difference == null ? ["", "", ""] :
        [Points(difference), difference.T?.ToString("0.0", C).Replace('-', '−') ?? "", difference.P switch { null => "", < 0.001 => "< 0.001", double p => p.ToString("0.000", C) }];

    private string Lead
    {
        get
        {
            var r = Ablation.Recipe;
            int baseEpochs = Ablation.BaseEpochs ?? r.Epochs;
            return $"{Ablation.Data.Spec.Split(':')[0]}, {Ablation.Data.Train.Count.ToString("N0", C)} training and {Ablation.Data.Test.Count.ToString("N0", C)} test pictures, {r.Epochs} epoch{(r.Epochs == 1 ? "" : "s")} of batch {r.BatchSize} " +
                $"({baseEpochs} of the baseline), learning rate {r.LearningRate.ToString(C)}, {Ablation.Seeds} seed{(Ablation.Seeds == 1 ? "" : "s")}; {Device}.";
        }
    }
}
