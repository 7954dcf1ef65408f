using RefConv.Models.Analysis;
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
        // Larger, and that is all of it: at equal size they are more alike.
        Assert.Equal("not seen", three.Single(c => c.Claim.EndsWith("of equal size", StringComparison.Ordinal)).Verdict);
        Assert.All(measured[..4], c => Assert.Contains("over 3 trained models", three.Single(o => o.Claim == c).Sentence));
    }

    [Fact]
    public void DenseLayersHaveNothingToConnect()
    {
        ReportFixtures.Write(_folder.File("connection.json"), """
            {"format":"refconv-analysis","version":1,"kind":"connection","model":"resnet18","subject":"refconv/last.safetensors",
             "results":{"layers":[{"layer":"conv1","groups":1,"size":1,"values":[2],"diagonalMean":2,"offDiagonalMean":null}]}}
            """);
        var report = EvidenceReport.Read([_folder.File("connection.json")]);
        var (_, verdict, sentence) = report.Claims.Single(c => c.Claim.Contains("connected"));
        Assert.Equal("not measured", verdict);
        Assert.Equal("resnet18: the refocus groups of dense layers have one member each, so there is nothing to connect.", sentence);
        Assert.Contains("No maps: the refocus groups", report.ToHtml());
        Assert.DoesNotContain("no value in it is a finite number", report.ToHtml());
    }

    [Fact]
    public void WhatIsOneTrainedModelIsToldByItsBytesAndNotByItsPath()
    {
        // Three models, each called runs/seed1/… where it lay; the third one twice, under two names.
        foreach (var (folder, fingerprint, path) in new[] { ("a", "11", 1), ("b", "22", 1), ("c", "33", 1), ("d", "33", 2) })
        {
            string file = Path.Combine(ReportFixtures.Analysis(_folder.File(folder), "attack", path), "attack.json");
            ReportFixtures.Write(file, File.ReadAllText(file).Replace("\"against\"", $"\"fingerprint\":\"{fingerprint}\",\"against\"", StringComparison.Ordinal));
        }
        string[] folders = [.. "abcd".Select(f => _folder.File(f.ToString()))];
        Assert.Contains("over 3 trained models", EvidenceReport.Read(folders).Claims.Single(c => c.Claim.Contains("robust")).Sentence);

        // On other pictures it is another measurement, and said to be.
        string other = Path.Combine(_folder.File("b"), "attack.json");
        ReportFixtures.Write(other, File.ReadAllText(other).Replace("cifar10:/data/cifar10", "shapes", StringComparison.Ordinal));
        var report = EvidenceReport.Read(folders);
        Assert.Equal(["mobilenet_v1 ×0.25 small on cifar10", "mobilenet_v1 ×0.25 small on shapes"], report.Claims.Where(c => c.Claim.Contains("robust")).Select(c => c.Sentence.Split(':')[0]).Order());
        Assert.Contains(report.Notes, n => n.StartsWith("Different data stand side by side: cifar10 (attack analysis); shapes (attack analysis)", StringComparison.Ordinal));
        ReportFixtures.Write(other, File.ReadAllText(other).Replace("shapes", "cifar10:/d", StringComparison.Ordinal).Replace("\"images\":2000", "\"images\":500", StringComparison.Ordinal));
        Assert.Contains(EvidenceReport.Read(folders).Notes, n => n.Contains("used 2,000 and 500 pictures"));
    }

    [Theory]
    [InlineData(0.020, 0.021, 0.022)]
    [InlineData(-0.020, -0.021, -0.022)]
    [InlineData(0.010, 0.020, 0.030)]
    [InlineData(0.010, 0.016, 0.030, 0.011)]
    [InlineData(0.002, 0.020)]
    [InlineData(0.020, 0.020)]
    [InlineData(0.55 - 0.5, 0.6 - 0.55, 0.7 - 0.65)]
    [InlineData(0.020)]
    public void TheReportAndTheTableOfAnAblationSayTheSame(params double[] differences)
    {
        var interval = Interval.Of(differences);
        var paired = PairedDifference.Of(differences)!;
        Assert.Equal((interval.IsAbove(0), interval.IsBelow(0)), (paired.Verdict == "better", paired.Verdict == "worse"));
    }

    [Fact]
    public void IntervalsAreStudents()
    {
        // By hand: s = √7, t(0.975; 3) = 3.18245, half = t·s/√4.
        var i = Interval.Of([1, 2, 4, 7]);
        Assert.Equal(3.5, i.Mean);
        Assert.Equal(3.182446305 * Math.Sqrt(7) / 2, i.Half!.Value, 8);
        Assert.Null(Interval.Of([5]).Half);
        Assert.False(Interval.Of([5]).IsAbove(0));
        // Equal with every seed: no spread to judge by, so no claim, as in the table of an ablation.
        Assert.False(Interval.Of([1, 1, 1]).IsAbove(0));
        Assert.False(PairedDifference.Of([1, 1, 1])!.IsClear);
        Assert.False(Interval.Of([0, 0, 0]).IsAbove(0));
        Assert.Equal(1.984216952 / Math.Sqrt(100) * Math.Sqrt(100 / 99.0) * 0.5, Interval.Of([.. Enumerable.Range(0, 100).Select(k => (double)(k % 2))]).Half!.Value, 9);
    }
}
