using System.Globalization;
using RefConv.IO;
using RefConv.Models.Report.Charts;
using RefConv.Models.Train;

namespace RefConv.Models.Report;

/// <summary>What a <see cref="RefocusExperiment"/> shows, in words, as a table and as a page.</summary>
/// <param name="Experiment">What was run.</param>
/// <param name="Results">One for every seed.</param>
/// <param name="Seconds">Time in all.</param>
/// <param name="Device">Where it ran.</param>
public sealed record ExperimentReport(RefocusExperiment Experiment, IReadOnlyList<ExperimentResult> Results, double Seconds, string Device)
{
    /// <summary>Titles of <see cref="Rows"/>.</summary>
    public static IReadOnlyList<string> Titles { get; } =
        ["model", "top-1 %", "test loss", "parameters training", "parameters deployed", "MACs / image", "seconds", "merge error"];

    /// <summary>The table: base, retrained, refocused, merged.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Rows =>
    [
        Row("base", r => r.Base, null),
        Row("retrained (control)", r => r.Retrained, null),
        Row("refocused (RefConv)", r => r.Refocused, null),
        Row("merged, loaded as plain", r => r.Merged, Results.Max(r => r.MergeError)),
    ];

    /// <summary>What the numbers do and do not show, in sentences.</summary>
    public IReadOnlyList<string> Conclusions
    {
        get
        {
            var gainOverBase = MeanDeviation.Of([.. Results.Select(r => r.Refocused.Accuracy - r.Base.Accuracy)]);
            var gainOverControl = MeanDeviation.Of([.. Results.Select(r => r.Refocused.Accuracy - r.Retrained.Accuracy)]);
            int tests = Experiment.Data.Test.Count;
            // Two independent estimates of one accuracy p on n pictures differ by about √(2p(1−p)/n) by chance alone.
            double p = Results.Average(r => r.Retrained.Accuracy), noise = Math.Sqrt(2 * p * (1 - p) / (tests * (double)Results.Count));
            double error = Results.Max(r => r.MergeError);
            List<string> lines =
            [
                error == 0
                    ? $"Merging is exact: the merged file, loaded into the plain architecture, gives the refocused model's scores to the last bit on all {tests} test pictures, with the base's {Results[0].Merged.DeployParameters:N0} parameters."
                    : $"Merged and refocused scores differ by at most {error:E1} on the {tests} test pictures.",
                $"RefConv against the base it started from: {Points(gainOverBase)}. This includes what a second round of training gives by itself, which the control has too.",
                $"RefConv against the control (the same base trained again as it is, by the same recipe): {Points(gainOverControl)}.",
            ];
            bool small = Math.Abs(gainOverControl.Mean) < 2 * Math.Max(noise, (gainOverControl.Deviation ?? 0) / Math.Sqrt(Results.Count));
            lines.Add(small
                ? $"That is within what chance does at this scale (about ±{200 * noise:0.0} points from {tests} test pictures{(Results.Count > 1 ? $" and {Results.Count} seeds" : "")}): these numbers show neither a gain nor a loss from refocusing."
                : $"That is more than the chance of drawing {tests} test pictures explains (about ±{200 * noise:0.0} points), at this scale and with this recipe.");
            if (Results.Count == 1) lines.Add("One seed says nothing about the spread between seeds; repeat with --seeds 3.");
            return lines;
        }
    }

    /// <summary>Writes the page: one self-contained HTML file.</summary>
    public void Save(string path) => AtomicFile.WriteAllText(path, ToHtml());

    /// <summary>The page.</summary>
    public string ToHtml()
    {
        var page = new Page("RefConv: train, refocus, merge");
        page.Table("results", Titles, Rows);
        page.Section("What this shows, and what not").List([.. Conclusions]);
        var first = Results[0];
        page.Section("Curves" + (Results.Count > 1 ? $" (seed {first.Seed})" : ""));
        page.Figures("", [Curve("Accuracy on the test pictures", "top-1 accuracy, %", h => 100 * h.Accuracy, false), Curve("Loss while training", "training loss", h => h.TrainLoss, true),
            Curve("Loss on the test pictures", "test loss", h => h.TestLoss, true), Curve("Learning rate, last step of the epoch", "learning rate", h => h.LearningRate, false)], legend: true);
        page.Section("Merging, layer by layer").Text("Largest difference between the outputs of the refocused and of the merged layer on a random batch.");
        page.Table("merging", ["layer", "largest difference", "largest value"],
            [.. first.Report.Layers.Select(l => (IReadOnlyList<Cell>)[l.Name, new Cell(Exact(l.MaxAbsDifference), l.MaxAbsDifference), Cell.Of(l.MaxAbsValue, "0.000")])]);
        page.Section("Recipe").Table("recipe", ["setting", "value"], [.. RecipeRows()]);
        string seeds = Results.Count == 1 ? $"seed {first.Seed}" : $"{Results.Count} seeds";
        return page.ToHtml("Train, refocus, merge", $"{Experiment.Spec} on {Experiment.Data.Spec.Split(':')[0]}, {Num.Whole(Experiment.Data.Train.Count)} training and " +
            $"{Num.Whole(Experiment.Data.Test.Count)} test pictures, {Experiment.Recipe.Epochs} epochs each, {seeds}. {Num.Text(Seconds, "0")} s on {Device}.");

        (string, string?, Chart?) Curve(string title, string axis, Func<EpochResult, double> value, bool log) => (title, null, LineChart.Draw(
            [.. new[] { first.Base, first.Retrained, first.Refocused }.Select((row, i) => new Series(row.Name, [.. row.History.Select(h => ((double)h.Epoch, value(h)))]) { Color = i })],
            new LineChartLabels(title, "epoch", axis) { MayBeLogarithmic = log }));
    }

    private static string Exact(double difference) => difference == 0 ? "0" : difference.ToString("0.0e0", CultureInfo.InvariantCulture);

    private static string Points(MeanDeviation gain) => (100 * gain.Mean).ToString("+0.0;−0.0;0.0", CultureInfo.InvariantCulture) + " points" +
        (gain.Deviation is { } d ? $" (± {(100 * d).ToString("0.0", CultureInfo.InvariantCulture)} between seeds, paired)" : "");

    private IReadOnlyList<string> Row(string name, Func<ExperimentResult, ExperimentRow> pick, double? error)
    {
        var rows = Results.Select(pick).ToArray();
        var c = CultureInfo.InvariantCulture;
        return
        [
            name, MeanDeviation.Of([.. rows.Select(r => r.Accuracy)]).ToPercent(), rows.Average(r => r.Loss).ToString("0.000", c),
            error == null ? rows[0].TrainParameters.ToString("N0", c) : "", rows[0].DeployParameters.ToString("N0", c), rows[0].Macs.ToString("N0", c),
            rows.Average(r => r.Seconds).ToString("0.0", c), error is { } e ? Exact(e) : "",
        ];
    }

    private IEnumerable<IReadOnlyList<string>> RecipeRows()
    {
        var r = Experiment.Recipe;
        var c = CultureInfo.InvariantCulture;
        yield return ["optimiser", $"SGD, momentum {r.Momentum.ToString(c)}{(r.Nesterov ? ", Nesterov" : "")}"];
        yield return ["learning rate", $"{r.LearningRate.ToString(c)}, linear warm-up over {r.WarmupEpochs.ToString(c)} epoch, then cosine to {r.MinimumLearningRate.ToString(c)}"];
        yield return ["epochs, batch", $"{r.Epochs}, {r.BatchSize}"];
        yield return ["weight decay", $"{r.WeightDecay.ToString(c)} (norms and biases {r.NormWeightDecay.ToString(c)})"];
        yield return ["augmentation", $"random crop with padding {r.CropPadding}, {(r.HorizontalFlip ? "" : "no ")}horizontal flip"];
        yield return ["refocusing", $"map_k {Experiment.Options.MapK}, {Experiment.Options.Init} initial weights{(Experiment.Options.Shortcut ? "" : ", no shortcut")}{(Experiment.Options.BaseTrainable ? ", basis trained" : "")}{(Experiment.Options.BaseRandom ? ", random basis" : "")}"];
        yield return ["seeds", string.Join(", ", Results.Select(x => x.Seed))];
    }
}
