using RefConv.Models.Report.Charts;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report.Sections;

/// <summary>Loss, accuracy and learning rate by epoch: the seeds of a method thin, their mean thick, all in the method's colour.</summary>
internal static class Curves
{
    private static readonly (string Caption, string Axis, Func<EpochPoint, double> Value, bool Log)[] s_charts =
    [
        ("Loss on the training pictures", "training loss", e => e.TrainLoss, true),
        ("Loss on the test pictures", "test loss", e => e.TestLoss, true),
        ("Top-1 on the training pictures, while learning", "training accuracy, %", e => 100 * e.TrainAccuracy, false),
        ("Top-1 on the test pictures", "test accuracy, %", e => 100 * e.Accuracy, false),
        ("PSNR of the held-out pictures", "PSNR on Y, dB", e => e.Psnr, false),
        ("Learning rate, last step of the epoch", "learning rate", e => e.LearningRate, false),
    ];

    /// <summary>Adds the curves of all runs of a set.</summary>
    public static void Add(Page page, RunSet set)
    {
        if (set.Runs.All(r => r.History.Count == 0)) return;
        page.Heading("Curves");
        bool seeds = set.Compared && set.Runs.Select(r => r.Seed).Distinct().Count() > 1;
        page.Text((seeds ? "Thick: mean over the seeds that reached the epoch; thin: each seed. " : "") + "A click on a name hides its lines; under the pointer stand all values of an epoch.", "small soft");
        page.Figures("", [.. s_charts.Select(c => (c.Caption, (string?)null, Draw(set, c.Caption, c.Axis, c.Value, c.Log))).Where(f => f.Item3 != null)], legend: true);
    }

    private static Chart? Draw(RunSet set, string caption, string axis, Func<EpochPoint, double> value, bool log)
    {
        List<Series> lines = [];
        string[] methods = [.. set.Methods];
        for (int m = 0; m < methods.Length; m++)
        {
            ReportRun[] runs = [.. set.Runs.Where(r => r.Method == methods[m] && r.History.Count > 0)];
            if (runs.Length == 0) continue;
            if (runs.Length == 1)
            {
                lines.Add(new Series(methods[m], Points(runs[0])) { Color = m });
                continue;
            }
            lines.AddRange(runs.Select(r => new Series($"{methods[m]}, seed {r.Seed}", Points(r)) { Color = m, Thin = true }));
            lines.Add(new Series(methods[m], [.. runs.SelectMany(Points).Where(p => double.IsFinite(p.Y)).GroupBy(p => p.X).OrderBy(g => g.Key).Select(g => (g.Key, g.Average(p => p.Y)))]) { Color = m });
        }
        return LineChart.Draw(lines, new LineChartLabels($"{caption} {set.Title}", "epoch", axis) { MayBeLogarithmic = log });

        (double X, double Y)[] Points(ReportRun run) => [.. run.History.Select(e => ((double)e.Epoch, value(e)))];
    }
}
