using System.Globalization;
using System.Text;
using RefConv.IO;
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
            var first = m.First();
            return (IReadOnlyList<string>)
            [
                m.Key, MeanDeviation.Of([.. m.Select(r => r.Accuracy)]).ToPercent(), m.Key == MethodComparison.Plain ? "" : Gain(m), Error(m),
                first.TrainParameters.ToString("N0", C), first.DeployParameters.ToString("N0", C), first.TrainMacs.ToString("N0", C), first.DeployMacs.ToString("N0", C),
                m.Average(r => r.StepMs).ToString("0.0", C), first.Layers == 0 ? "" : first.Layers.ToString(C),
            ];
        }),
    ];

    /// <summary>What a reader should know before comparing.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            int tests = Comparison.Data.Test.Count, seeds = Comparison.Seeds;
            double p = Rows.Average(r => r.Accuracy), noise = 200 * Math.Sqrt(2 * p * (1 - p) / (tests * (double)seeds));
            List<string> notes =
            [
                $"Differences below about {noise.ToString("0.0", C)} points are what chance does with {tests:N0} test pictures and {seeds} seed{(seeds == 1 ? "" : "s")}.",
                "Merge error: largest difference of a test picture's scores between the trained form and the merged file loaded into the plain architecture, relative to the largest score.",
            ];
            if (Rows.Any(r => r.Method == MethodComparison.Retrained))
                notes.Add("RefConv starts from the trained plain model, so it was trained twice. The row 'retrained' is the plain model trained twice: that is what it is to be held against.");
            if (Rows.Any(r => r.Method == "drconv")) notes.Add("DRConv's kernels depend on the picture: it is deployed as it is trained, nothing is merged.");
            return notes;
        }
    }

    private IReadOnlyList<IGrouping<string, MethodRow>> Methods => [.. Rows.GroupBy(r => r.Method)];

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
        var html = new StringBuilder(Page.Head("RefConv: methods compared"));
        html.Append("<h1>Methods compared</h1>").Append(C, $"<p class=\"lead\">{SvgChart.Escape(Lead)}</p>").Append(Page.Table(Titles, Table)).Append("<ul>");
        foreach (string note in Notes) html.Append("<li>").Append(SvgChart.Escape(note)).Append("</li>");
        html.Append("</ul><h2>Accuracy on the test pictures, every seed</h2><figure>")
            .Append(SvgChart.Dots([.. Methods.Select(m => (m.Key, (IReadOnlyList<double>)[.. m.Select(r => r.Accuracy)]))], "top-1", "0.0%")).Append("</figure>");
        html.Append("<h2>Time of a training step</h2><figure>")
            .Append(SvgChart.Dots([.. Methods.Select(m => (m.Key, (IReadOnlyList<double>)[.. m.Select(r => r.StepMs)]))], "milliseconds", "0.0")).Append("</figure>");
        return html.Append(Page.Foot).ToString();
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

    /// <summary>Difference to the plain model of the same seed, in points.</summary>
    private string Gain(IEnumerable<MethodRow> rows)
    {
        var gain = MeanDeviation.Of([.. rows.Select(r => r.Accuracy - Rows.First(p => p.Method == MethodComparison.Plain && p.Seed == r.Seed).Accuracy)]);
        return (100 * gain.Mean).ToString("+0.0;−0.0;0.0", C) + (gain.Deviation is { } d ? " ± " + (100 * d).ToString("0.0", C) : "");
    }

    private static string Error(IEnumerable<MethodRow> rows) => rows.Max(r => r.MergeError) switch
    {
        null => "",
        0 => "0",
        double e => e.ToString("0.0e0", C),
    };
}
