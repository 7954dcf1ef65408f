using RefConv.Models.Report;
using RefConv.Models.Report.Reading;

namespace RefConv.Tests.Report;

/// <summary>What is called seen, not seen, and too small to tell.</summary>
public sealed class ClaimsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    // Differences +2, +3, +4 points: s = 1, interval 3 ± 4.303/√3 = 0.52 to 5.48.
    [InlineData(new[] { 0.60, 0.61, 0.62 }, new[] { 0.62, 0.64, 0.66 }, "seen", "+3.0 points (deviation 1.0 over 3 seeds, 95 % interval 0.5 to 5.5)")]
    [InlineData(new[] { 0.62, 0.64, 0.66 }, new[] { 0.60, 0.61, 0.62 }, "not seen", "−3.0 points (deviation 1.0 over 3 seeds, 95 % interval −5.5 to −0.5)")]
    // The same mean from two seeds, +2.5 and +3.5: 3 ± 12.706 · 0.7071/√2 = −3.4 to 9.4.
    [InlineData(new[] { 0.60, 0.61 }, new[] { 0.625, 0.645 }, "too small to tell", "+3.0 points (deviation 0.7 over 2 seeds, 95 % interval −3.4 to 9.4)")]
    // One seed never suffices, however large the difference.
    [InlineData(new[] { 0.30 }, new[] { 0.90 }, "too small to tell", "+60.0 points (one seed: its spread is not known)")]
    // Seeds differ far more than methods; inside each seed the difference is the same. Only pairing sees that.
    [InlineData(new[] { 0.30, 0.50, 0.70 }, new[] { 0.310, 0.5101, 0.7099 }, "seen", "+1.0 points (deviation 0.0 over 3 seeds")]
    public void AccuraciesAreJudgedByPairedDifferences(double[] plain, double[] refocused, string verdict, string number)
    {
        var report = EvidenceReport.Read([ReportFixtures.Comparison(_folder.File("study"), ("none", plain), ("refconv", refocused))]);
        var (_, found, sentence) = report.Claims.Single(c => c.Claim == "Better than the plain model");
        Assert.Equal(verdict, found);
        Assert.Contains(number, sentence);
        Assert.Equal("not measured", report.Claims.Single(c => c.Claim.Contains("once more")).Verdict);
    }

    [Fact]
    public void PairsAreSeedsThatBothHave()
    {
        ReportFixtures.Comparison(_folder.File("study"), ("none", [0.5, 0.6, 0.7]), ("refconv", [0.52, 0.63]));
        var report = EvidenceReport.Read([_folder.File("study")]);
        Assert.Contains("+2.5 points (deviation 0.7 over 2 seeds", report.Claims.Single(c => c.Claim == "Better than the plain model").Sentence);
        Assert.Contains(report.Notes, n => n.Contains("not every row has all seeds: refconv (2 of 3)"));
    }

    [Fact]
    public void AnAblationAnswersAllItsRows()
    {
        // The shape of refconv ablate: a folder a model, a setup with a list of models.
        ReportFixtures.Write(_folder.File("study/ablation.json"), new System.Text.Json.Nodes.JsonObject
        {
            ["models"] = new System.Text.Json.Nodes.JsonArray(ReportFixtures.Spec.DeepClone()), ["data"] = "cifar10:/d", ["trainImages"] = 3000, ["testImages"] = 1000, ["recipe"] = ReportFixtures.Recipe(),
        });
        (string, double)[] rows = [("baseline", 0.6), ("retrain", 0.7), ("finetune", 0.61), ("refconv", 0.65), ("random-frozen", 0.5), ("trained-learnable", 0.66), ("random-learnable", 0.55), ("no-shortcut", 0.4)];
        foreach (var (name, accuracy) in rows)
        {
            for (int s = 1; s <= 3; s++) ReportFixtures.Row(_folder.File($"study/mobilenet_v1/seed{s}/{name}"), name, s, accuracy + (0.05 * s) + (name == "refconv" ? 0.001 * s : 0));
        }
        var claims = EvidenceReport.Read([_folder.File("study")]).Claims.ToDictionary(c => c.Claim, c => c.Verdict);
        Assert.Equal("seen", claims["Better than the plain model"]);
        Assert.Equal("not seen", claims["Better than training the plain model once more"]);
        Assert.Equal("seen", claims["Better than fine-tuning the plain model"]);
        Assert.Equal("seen", claims["Better than a random frozen basis"]);
        Assert.Equal("not seen", claims["Better than a learnable basis"]);
        Assert.Equal("seen", claims["Better than a random learnable basis"]);
        Assert.Equal("seen", claims["Better than without the shortcut"]);
        Assert.Equal("seen", claims["No cost when deployed"]);
        Assert.Equal("seen", claims["Negligible cost while training"]); // 2.5 ms of about 50 more
        Assert.Contains(EvidenceReport.Read([_folder.File("study")]).ToHtml().Split('<'), t => t.EndsWith(">Results: mobilenet_v1 ×0.25 (small images)", StringComparison.Ordinal));
    }

    [Fact]
    public void AnalysesAreJudgedAcrossTrainedModels()
    {
        ReportFixtures.Analyses(_folder.File("seed1"), 1);
        var one = EvidenceReport.Read([_folder.File("seed1")]).Claims;
        string[] measured = ["Kernel channels become connected", "Kernel channels become less redundant", "The loss landscape becomes smoother", "The model becomes more robust to attacks", "Negligible cost while training"];
        Assert.All(measured, c => Assert.Equal("too small to tell", one.Single(o => o.Claim == c).Verdict));
        Assert.Contains("25.5 % (one trained model: its spread is not known)", one.Single(o => o.Claim == measured[0]).Sentence);
        Assert.Contains("+101 %", one.Single(o => o.Claim == measured[1]).Sentence); // layers with a plain kernel: 0.201 / 0.1
        Assert.Contains("−20.4 %", one.Single(o => o.Claim == measured[2]).Sentence);  // 3.98 / 5

        for (int s = 2; s <= 3; s++) ReportFixtures.Analyses(_folder.File($"seed{s}"), s);
        // The same model analysed twice is one model.
        ReportFixtures.Analyses(_folder.File("again"), 3);
        var three = EvidenceReport.Read([_folder.File("seed1"), _folder.File("seed2"), _folder.File("seed3"), _folder.File("again")]).Claims;
        Assert.All(measured, c => Assert.Equal("seen", three.Single(o => o.Claim == c).Verdict));
        Assert.All(measured[..4], c => Assert.Contains("over 3 trained models", three.Single(o => o.Claim == c).Sentence));
    }

    [Fact]
    public void IntervalsAreStudents()
    {
        // By hand: s = √7, t(0.975; 3) = 3.18245, half = t·s/√4.
        var i = Interval.Of([1, 2, 4, 7]);
        Assert.Equal(3.5, i.Mean);
        Assert.Equal(3.18245 * Math.Sqrt(7) / 2, i.Half!.Value, 2);
        Assert.Null(Interval.Of([5]).Half);
        Assert.False(Interval.Of([5]).IsAbove(0));
        Assert.True(Interval.Of([1, 1, 1]).IsAbove(0)); // equal with every seed
        Assert.False(Interval.Of([0, 0, 0]).IsAbove(0));
        Assert.Equal(2.042 / Math.Sqrt(100) * Math.Sqrt(100 / 99.0) * 0.5, Interval.Of([.. Enumerable.Range(0, 100).Select(k => (double)(k % 2))]).Half!.Value, 9);
    }
}
