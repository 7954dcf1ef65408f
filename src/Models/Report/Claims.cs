using System.Text.Json.Nodes;
using RefConv.Models.Report.Reading;

namespace RefConv.Models.Report;

/// <summary>What the numbers say of a claim.</summary>
internal enum Verdict
{
    /// <summary>The numbers support it.</summary>
    Seen,

    /// <summary>The numbers contradict it.</summary>
    NotSeen,

    /// <summary>The numbers could be chance.</summary>
    TooSmallToTell,

    /// <summary>There are no numbers.</summary>
    NotMeasured,
}

/// <summary>A claim with the number that supports or contradicts it.</summary>
internal sealed record Claim(string Title, Verdict Verdict, string Sentence);

/// <summary>
/// The claims that are made for RefConv, each held against what was measured. A claim is *seen* where the whole 95 % interval of the mean of its number across seeds lies
/// on the claimed side of the threshold, *not seen* where the whole interval lies on the other side, and *too small to tell* in between, and always with one seed.
/// Accuracies are paired: the difference is taken inside each seed.
/// </summary>
internal static class Claims
{
    /// <summary>Off-diagonal entries of the map count as sizeable above this share of the diagonal ones.</summary>
    public const double SizeableConnection = 0.1;

    /// <summary>A training step counts as negligibly dearer below this share more.</summary>
    public const double NegligibleCost = 0.1;

    /// <summary>Merged and trained form compute the same up to rounding: relative to the largest score.</summary>
    public const double Rounding = 1e-4;

    /// <summary>The rule, for readers.</summary>
    public static string Rule { get; } =
        "The rule: for each seed (each trained model) one number is taken; accuracies are paired, so the difference is that of two runs with the same seed. A claim is seen where the whole 95 % interval of the mean " +
        "(mean ± t·s/√n with Student's t) lies on the claimed side, not seen where it lies wholly on the other side, and too small to tell in between. One seed has no interval and never suffices. " +
        $"Thresholds: differences of accuracy, redundancy, sharpness and robustness are held against 0, connections against {Num.Text(100 * SizeableConnection, "0")} % of the diagonal, the time of a training step against " +
        $"{Num.Text(100 * NegligibleCost, "0")} % more. Sizes of the deployed model are counted, not drawn by chance, and are judged as they are.";

    /// <summary>All claims, in the order in which they are made.</summary>
    public static IReadOnlyList<Claim> Judge(ReportInput input) =>
    [
        .. Each(AnalysesOf(input, "connection"), "Kernel channels become connected", Connections, "refconv analyze connection"),
        .. Each(AnalysesOf(input, "redundancy"), "Kernel channels become less redundant", Redundancy, "refconv analyze redundancy"),
        .. Each(AtEqualSize(AnalysesOf(input, "redundancy")), "Kernel channels become less redundant, weights being of equal size", RedundancyAtEqualSize, null),
        .. Each(AnalysesOf(input, "landscape"), "The loss landscape becomes smoother", Landscape, "refconv analyze landscape"),
        .. Accuracies(input),
        .. Deployed(input),
        .. TrainingCost(input),
        .. Each(AnalysesOf(input, "attack"), "The model becomes more robust to attacks", Robustness, "refconv analyze attack"),
    ];

    /// <summary>On which side of a threshold an interval lies.</summary>
    public static Verdict Of(Interval interval, double threshold, bool above) =>
        (above ? interval.IsAbove(threshold) : interval.IsBelow(threshold)) ? Verdict.Seen
        : (above ? interval.IsBelow(threshold) : interval.IsAbove(threshold)) ? Verdict.NotSeen : Verdict.TooSmallToTell;

    // ---- accuracy ----

    private static readonly (int Role, string Title, bool Always)[] s_rivals =
    [
        (RowNames.Baseline, "Better than the plain model", true),
        (RowNames.Retrained, "Better than training the plain model once more", true),
        (RowNames.Finetuned, "Better than fine-tuning the plain model", true),
        (RowNames.RandomBase, "Better than a random frozen basis", true),
        (RowNames.LearnableBase, "Better than a learnable basis", false),
        (RowNames.RandomLearnableBase, "Better than a random learnable basis", false),
        (RowNames.NoShortcut, "Better than without the shortcut", false),
    ];

    private static IEnumerable<Claim> Accuracies(ReportInput input)
    {
        var sets = input.Sets.Where(s => s.Compared && Row(s, RowNames.RefConv) != null).ToArray();
        foreach (var (role, title, always) in s_rivals)
        {
            var with = sets.Where(s => Row(s, role) != null).ToArray();
            if (with.Length == 0 && always) yield return new(title, Verdict.NotMeasured, "No comparison with both rows is among the runs: refconv ablate trains them.");
            foreach (var set in with)
            {
                string name = Row(set, RowNames.RefConv)!, rival = Row(set, role)!;
                var (ours, theirs) = (set.BySeed(name), set.BySeed(rival));
                double[] differences = [.. ours.Keys.Intersect(theirs.Keys).Order().Select(seed => ours[seed].Accuracy - theirs[seed].Accuracy).Where(double.IsFinite)];
                if (differences.Length == 0)
                {
                    yield return new(title, Verdict.NotMeasured, $"{set.Title}: no seed has finished both {name} and {rival}.");
                    continue;
                }
                var interval = Interval.Of(differences);
                yield return new(title, Of(interval, 0, above: true), $"{set.Title}: {name} minus {rival} is {Points(interval)}.");
            }
        }
    }

    private static string? Row(RunSet set, int role) => set.Methods.FirstOrDefault(m => RowNames.Role(m) == role);

    // ---- cost ----

    private static IEnumerable<Claim> Deployed(ReportInput input)
    {
        const string Title = "No cost when deployed";
        int found = 0;
        foreach (var set in input.Sets.Where(s => s.Compared && Row(s, RowNames.RefConv) != null && Row(s, RowNames.Baseline) != null))
        {
            var (ours, plain) = (set.BySeed(Row(set, RowNames.RefConv)!).Values, set.BySeed(Row(set, RowNames.Baseline)!).Values.FirstOrDefault()?.Figures);
            RowFigures[] rows = [.. ours.Select(r => r.Figures).OfType<RowFigures>().Where(f => f.DeployParameters != null && f.MergeError != null)];
            if (rows.Length == 0 || plain?.DeployParameters == null) continue;
            found++;
            double error = rows.Max(r => r.MergeError!.Value);
            bool same = rows.All(r => r.DeployParameters == plain.DeployParameters && (r.DeployMacs == plain.DeployMacs || plain.DeployMacs == null)) && error < Rounding;
            yield return new(Title, same ? Verdict.Seen : Verdict.NotSeen, $"{set.Title}: merged {Num.Whole(rows[0].DeployParameters!.Value)} weights, plain {Num.Whole(plain.DeployParameters.Value)}; " +
                $"scores of the merged file differ from the trained form's by {(error == 0 ? "nothing, to the last bit" : $"at most {Num.Text(error, "0.0e0")} of the largest")} (counted, so no seed matters).");
        }
        if (found == 0) yield return new(Title, Verdict.NotMeasured, "No finished comparison with RefConv and the plain model is among the runs.");
    }

    private static IEnumerable<Claim> TrainingCost(ReportInput input)
    {
        const string Title = "Negligible cost while training";
        int found = 0;
        foreach (var set in input.Sets.Where(s => s.Compared && Row(s, RowNames.RefConv) != null && Row(s, RowNames.Baseline) != null))
        {
            var (ours, plain) = (set.BySeed(Row(set, RowNames.RefConv)!), set.BySeed(Row(set, RowNames.Baseline)!));
            double[] more = [.. ours.Keys.Intersect(plain.Keys).Select(s => (ours[s].Figures?.StepMs / plain[s].Figures?.StepMs) - 1).OfType<double>().Where(double.IsFinite)];
            if (more.Length == 0) continue;
            found++;
            yield return new(Title, Of(Interval.Of(more), NegligibleCost, above: false), $"{set.Title}: a training step takes {Share(Interval.Of(more))} more time than the plain model's.");
        }
        foreach (var group in AnalysesOf(input, "cost").GroupBy(a => a.Model))
        {
            double[] more = [.. group.DistinctBy(a => a.Subject ?? a.File).Select(CostShare).Where(double.IsFinite)];
            if (more.Length == 0) continue;
            found++;
            var memory = group.First().Results.Inner("memory");
            double bytes = (memory.Number("refconvPeakBytes") / memory.Number("plainPeakBytes")) - 1;
            yield return new(Title, Of(Interval.Of(more), NegligibleCost, above: false), $"{group.Key ?? "a model"}: a training step takes {Share(Interval.Of(more), "measurement")} more time than the plain model's" +
                (double.IsFinite(bytes) ? $", and {Num.Signed(100 * bytes, "0.0")} % memory at its peak." : "."));
        }
        if (found == 0) yield return new(Title, Verdict.NotMeasured, "No step was timed: refconv analyze cost measures it.");
    }

    private static double CostShare(AnalysisInput file) => file.Results.Inner("stepMs") is { } ms ? (ms.Number("refconv") / ms.Number("plain")) - 1 : double.NaN;

    // ---- analyses: one number a trained model ----

    private static AnalysisInput[] AnalysesOf(ReportInput input, string kind) => [.. input.Analyses.Where(a => a.Kind == kind)];

    private static IEnumerable<Claim> Each(AnalysisInput[] files, string title, Func<string, IReadOnlyList<AnalysisInput>, Claim?> judge, string? command)
    {
        // What was measured on different pictures is no repetition of one measurement.
        var groups = files.GroupBy(f => (f.Model, f.Data)).ToArray();
        var claims = groups.Select(g => judge(Label(g.Key.Model, g.Key.Data), [.. g.DistinctBy(f => f.Identity)])).OfType<Claim>().Select(c => c with { Title = title }).ToArray();
        return claims.Length > 0 || command == null ? claims : [new(title, Verdict.NotMeasured, files.Length == 0 ? $"No analysis of it is among the files: {command} makes one." : "The analyses hold no plain model to compare with, or no finite number.")];

        string Label(string? model, string? data) => (model ?? "a model") + (groups.Count(g => g.Key.Model == model) > 1 ? $" on {data ?? "unknown pictures"}" : "");
    }

    private static Claim? Connections(string model, IReadOnlyList<AnalysisInput> files)
    {
        double[] shares = [.. files.Select(f => MeanOf(f.Results.Objects("layers").Select(l => l.Number("offDiagonalMean") / l.Number("diagonalMean")))).Where(double.IsFinite)];
        if (shares.Length == 0 && files.Any(f => f.Results.Objects("layers").Any(l => l.Whole("groups") == 1)))
            return new("", Verdict.NotMeasured, $"{model}: the refocus groups of dense layers have one member each, so there is nothing to connect.");
        var interval = Interval.Of(shares);
        return shares.Length == 0 ? null : new("", Of(interval, SizeableConnection, above: true), $"{model}: off the diagonal the entries of the connection map are {Share(interval, "trained model")} of those on it, " +
            "averaged over layers. (Maps that begin at random are connected from the start; one that begins at zero shows what training alone put there.)");
    }

    private static Claim? Redundancy(string model, IReadOnlyList<AnalysisInput> files) => Divergence(model, files, l => l.Inner("after").Number("mean"),
        "from the plain to the refocused kernels; more is less redundant. (Softmax makes larger weights differ more, so this is also a measure of their size.)");

    private static Claim? RedundancyAtEqualSize(string model, IReadOnlyList<AnalysisInput> files) => Divergence(model, files, l => l.Number("afterAtEqualSize"),
        "from the plain to the refocused kernels, each layer's brought to the plain one's root mean square; more is less redundant.");

    /// <summary>Files that have it: those of earlier versions do not.</summary>
    private static AnalysisInput[] AtEqualSize(AnalysisInput[] files) => [.. files.Where(f => f.Results.Objects("layers").Any(l => double.IsFinite(l.Number("afterAtEqualSize"))))];

    private static Claim? Divergence(string model, IReadOnlyList<AnalysisInput> files, Func<JsonObject, double> after, string how)
    {
        double[] changes = [.. files.Select(f =>
        {
            var layers = f.Results.Objects("layers").Where(l => double.IsFinite(l.Inner("before").Number("mean")) && double.IsFinite(after(l))).ToArray();
            return (MeanOf(layers.Select(after)) / MeanOf(layers.Select(l => l.Inner("before").Number("mean")))) - 1;
        }).Where(double.IsFinite)];
        var interval = Interval.Of(changes);
        return changes.Length == 0 ? null : new("", Of(interval, 0, above: true), $"{model}: the mean KL divergence between kernel channels changes by {Share(interval, "trained model", signed: true)} {how}");
    }

    private static Claim? Landscape(string model, IReadOnlyList<AnalysisInput> files)
    {
        double[] changes = [.. files.Select(f => MeanOf(Pairs(f.Results.Objects("surfaces"), s => (s.Text("directions"), s["seed"]?.ToJsonString(), s["ys"] is JsonArray))
            .Select(p => (Rise(p.Ours) / Rise(p.Plain)) - 1))).Where(double.IsFinite)];
        var interval = Interval.Of(changes);
        return changes.Length == 0 ? null : new("", Of(interval, 0, above: false), $"{model}: the mean rise of the loss around the trained weights changes by {Share(interval, "trained model", signed: true)} from the plain to the refocused model; less is smoother.");

        static double Rise(JsonObject s) => s.Inner("sharpness").Number("meanRise");
    }

    private static Claim? Robustness(string model, IReadOnlyList<AnalysisInput> files)
    {
        double[] gains = [.. files.Select(f => MeanOf(Pairs(f.Results.Objects("models"), _ => 0).SelectMany(p => Rows(p.Ours).Join(Rows(p.Plain), r => r.Key, r => r.Key, (a, b) => a.Accuracy - b.Accuracy)))).Where(double.IsFinite)];
        var interval = Interval.Of(gains);
        return gains.Length == 0 ? null : new("", Of(interval, 0, above: true), $"{model}: under attack the refocused model's top-1 is {Points(interval, "trained model")} beside the plain model's, averaged over attacks and strengths.");

        static IEnumerable<((string?, double, double) Key, double Accuracy)> Rows(JsonObject m) => m.Objects("rows").Select(r => ((r.Text("attack"), r.Number("epsilon"), r.Number("steps")), r.Number("accuracy")));
    }

    /// <summary>The refocused and the plain one of what is otherwise alike, by their names.</summary>
    private static IEnumerable<(JsonObject Ours, JsonObject Plain)> Pairs<TKey>(IReadOnlyList<JsonObject> all, Func<JsonObject, TKey> key) => all.GroupBy(key).SelectMany(g =>
    {
        var ours = g.FirstOrDefault(o => RowNames.RoleOfPath(o.Text("name") ?? "") == RowNames.RefConv);
        var plain = g.FirstOrDefault(o => RowNames.RoleOfPath(o.Text("name") ?? "") == RowNames.Baseline) ?? g.FirstOrDefault(o => RowNames.RoleOfPath(o.Text("name") ?? "") == RowNames.Retrained);
        return ours != null && plain != null ? new[] { (ours, plain) } : [];
    });

    private static double MeanOf(IEnumerable<double> values) => values.Where(double.IsFinite).DefaultIfEmpty(double.NaN).Average();

    // ---- words ----

    private static string Points(Interval i, string each = "seed") => $"{Num.Signed(100 * i.Mean, "0.0")} points{Spread(i, 100, "0.0", each)}";

    private static string Share(Interval i, string each = "seed", bool signed = false) => $"{(signed ? Num.Signed(100 * i.Mean, "0.#") : Num.Text(100 * i.Mean, "0.#"))} %{Spread(i, 100, "0.#", each)}";

    private static string Spread(Interval i, double unit, string format, string each) => i.Half is { } half
        ? $" (deviation {Num.Text(unit * i.Deviation!.Value, format)} over {Num.Count(i.Count, each)}, 95 % interval {Num.Text(unit * (i.Mean - half), format)} to {Num.Text(unit * (i.Mean + half), format)})"
        : $" (one {each}: its spread is not known)";
}
