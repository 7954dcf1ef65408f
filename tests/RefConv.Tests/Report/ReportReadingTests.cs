using RefConv.IO;
using RefConv.Models.Report;
using RefConv.Models.Report.Reading;

namespace RefConv.Tests.Report;

/// <summary>What runs leave behind when things go wrong is read as far as it goes, and said.</summary>
public sealed class ReportReadingTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ACutLogIsReadUpToTheCut()
    {
        string run = ReportFixtures.Run(_folder.File("run"), epochs: 8), file = Path.Combine(run, "run.json"), text = File.ReadAllText(file);
        var whole = RunReader.Read([run]).Sets[0].Runs[0];
        Assert.Equal(8, whole.History.Count);
        Assert.Empty(whole.Faults);
        // In the middle of the sixth epoch's loss: five and a half epochs are there, and the half one has its first values.
        int cut = text.IndexOf("\"epoch\":6", StringComparison.Ordinal) + 30;
        File.WriteAllText(file, text[..cut]);
        var part = RunReader.Read([run]).Sets[0].Runs[0];
        Assert.Equal(whole.History.Take(5), part.History.Take(5));
        Assert.Equal(5, part.History.Count);
        Assert.Contains(part.Faults, f => f.Contains("is cut off"));
        Assert.Contains(part.Faults, f => f.Contains("5 of 8 epochs are done, so its last figures are no result"));
        var notes = EvidenceReport.Read([run]).Notes;
        Assert.Contains(notes, n => n.StartsWith("run: its log run.json is cut off", StringComparison.Ordinal));
    }

    [Fact]
    public void EveryCutIsSurvived()
    {
        string text = File.ReadAllText(Path.Combine(ReportFixtures.Run(_folder.File("run"), epochs: 3), "run.json"));
        int before = 0;
        for (int cut = 0; cut <= text.Length; cut++)
        {
            int epochs = LenientJson.Parse(text[..cut], out string? fault).Objects("history").Select(EpochPoint.Of).OfType<EpochPoint>().Count(e => !double.IsNaN(e.Seconds));
            Assert.Equal(cut < text.Length, fault != null);
            Assert.True(epochs >= before, $"after {cut} of {text.Length} characters {epochs} epochs, one character earlier {before}");
            before = epochs;
        }
        Assert.Equal(3, before);
    }

    [Fact]
    public void WhatIsNoNumberLeavesAGapAndIsSaid()
    {
        string run = ReportFixtures.Run(_folder.File("run"), epochs: 4), file = Path.Combine(run, "run.json");
        File.WriteAllText(file, System.Text.RegularExpressions.Regex.Replace(File.ReadAllText(file), "(\"epoch\":2,\"trainLoss\":)[0-9.]+", "$1NaN"));
        var read = RunReader.Read([run]).Sets[0].Runs[0];
        Assert.Equal([false, true, false, false], read.History.Select(e => double.IsNaN(e.TrainLoss)));
        Assert.Contains(read.Faults, f => f.Contains("holds values that are no numbers"));
        Assert.Contains(read.Faults, f => f.Contains("1 epoch of its log has a value missing or not finite"));
        string html = EvidenceReport.Read([run]).ToHtml();
        Assert.Contains("[2,null]", html);                                               // an empty cell in the CSV
        Assert.Matches("class=\"line c0\" data-group=\"0\" d=\"M[^LM]*M[^\"]*L", html);  // a lone point, a gap, and a line
        Assert.DoesNotContain("NaN", System.Text.RegularExpressions.Regex.Replace(html.Replace("(NaN or infinite)", ""), "<script>.*?</script>", "", System.Text.RegularExpressions.RegexOptions.Singleline));
    }

    [Fact]
    public void DifferentModelsDataAndRecipesAreSaid()
    {
        ReportFixtures.Comparison(_folder.File("a"), ("none", [0.5]), ("refconv", [0.6]));
        ReportFixtures.Run(_folder.File("b"), data: "mnist:/d", rate: 0.2);
        ReportFixtures.Analysis(_folder.File("c"), "rank");
        string text = File.ReadAllText(_folder.File("c/rank.json"));
        File.WriteAllText(_folder.File("c/rank.json"), text.Replace("mobilenet_v1", "resnet18"));
        var notes = EvidenceReport.Read([_folder.File("a"), _folder.File("b"), _folder.File("c")]).Notes;
        Assert.Contains(notes, n => n.StartsWith("Different models stand side by side: mobilenet_v1 ×0.25 small (comparison of mobilenet_v1 ×0.25 (small images)); resnet18", StringComparison.Ordinal));
        Assert.Contains(notes, n => n.StartsWith("Different data stand side by side: cifar10 (", StringComparison.Ordinal) && n.Contains("mnist (b)"));
        Assert.Contains(notes, n => n.StartsWith("Recipes differ in learning rate:", StringComparison.Ordinal));
        Assert.Contains(notes, n => n.StartsWith("One seed only (mobilenet_v1 ×0.25 (small images))", StringComparison.Ordinal));
        // The same model, written by a comparison and by an analysis, is the same model.
        Assert.DoesNotContain(EvidenceReport.Read([_folder.File("a"), ReportFixtures.Analysis(_folder.File("d"), "rank")]).Notes, n => n.Contains("Different models"));
    }

    [Fact]
    public void ASingleSeedHasNoDeviation()
    {
        string html = EvidenceReport.Read([ReportFixtures.Comparison(_folder.File("a"), ("none", [0.5]), ("refconv", [0.6]))]).ToHtml();
        Assert.DoesNotMatch("<td[^>]*>[^<]*±", html);
        Assert.Matches("<td[^>]*>[^<]*±", EvidenceReport.Read([ReportFixtures.Comparison(_folder.File("b"), ("none", [0.5, 0.6]), ("refconv", [0.6, 0.8]))]).ToHtml());
    }

    [Fact]
    public void FailedRowsAndUnfinishedOnesAreSaidAndNotCounted()
    {
        ReportFixtures.Comparison(_folder.File("a"), ("none", [0.5, 0.5]), ("refconv", [0.6, 0.7]));
        string failed = _folder.File("a/seed2/refconv/row.json");
        File.WriteAllText(failed, File.ReadAllText(failed).Replace("\"layers\":14", "\"layers\":0,\"failed\":\"the loss is <no> number\"").Replace("\"accuracy\":0.7,", "\"accuracy\":0,"));
        File.Delete(_folder.File("a/seed2/none/row.json"));
        File.WriteAllText(_folder.File("a/seed2/none/run.json"), ReportFixtures.State("none", 8, 2, 0.5).ToJsonString().Replace("\"epochs\":8", "\"epochs\":12"));
        var report = EvidenceReport.Read([_folder.File("a")]);
        Assert.Contains(report.Notes, n => n.Contains("refconv, seed 2 failed: the loss is <no> number"));
        Assert.Contains(report.Notes, n => n.Contains("none, seed 2: 8 of 12 epochs are done"));
        Assert.Contains("+10.0 points (one seed", report.Claims.Single(c => c.Claim == "Better than the plain model").Sentence);
        Assert.Contains("the loss is &lt;no&gt; number", report.ToHtml());
    }

    [Fact]
    public void AResultThatWasCutOffDoesNotHideTheWholeLogBesideIt()
    {
        ReportFixtures.Comparison(_folder.File("a"), ("none", [0.5, 0.6]), ("refconv", [0.6, 0.8]));
        string row = _folder.File("a/seed1/none/row.json"), text = File.ReadAllText(row);
        File.WriteAllText(row, text[..(text.IndexOf("\"history\"", StringComparison.Ordinal) + 60)]);
        var notes = EvidenceReport.Read([_folder.File("a")]).Notes;
        Assert.Contains(notes, n => n.Contains("none, seed 1: its log row.json is cut off"));
        Assert.DoesNotContain(notes, n => n.Contains("no finished epoch"));
    }

    [Fact]
    public void AnalysesWithGapsAndStrangeOnesAreHandled()
    {
        ReportFixtures.Analyses(_folder.File("a"));
        string connection = _folder.File("a/connection.json"), landscape = _folder.File("a/landscape.json"), text = File.ReadAllText(connection);
        File.WriteAllText(connection, text.Replace("\"values\":[2,", "\"values\":[null,"));
        File.WriteAllText(landscape, System.Text.RegularExpressions.Regex.Replace(File.ReadAllText(landscape), "\"loss\":\\[[0-9.]+,", "\"loss\":[null,"));
        File.WriteAllText(_folder.File("a/rank.json"), """{"format":"refconv-analysis","version":1,"kind":"rank","results":{"layers":[{"layer":"x"},3,null]}}""");
        File.WriteAllText(_folder.File("a/kernels.json"), """{"format":"refconv-analysis","version":1,"kind":"kernels","results":{"layers":[{"layer":"x","rows":3,"columns":3,"count":2000000000,"after":[1,2]}]}}""");
        File.WriteAllText(_folder.File("a/skeleton.json"), """{"format":"refconv-analysis","version":9,"kind":"skeleton","results":{}}""");
        File.WriteAllText(_folder.File("a/other.json"), "{\"some\":1}");
        var report = EvidenceReport.Read([_folder.File("a")]);
        Assert.Equal(7, report.Analyses);
        Assert.Contains(report.Notes, n => n.StartsWith("The connection analysis of seed1/refconv/last.safetensors holds values that are not finite", StringComparison.Ordinal));
        Assert.Contains(report.Notes, n => n.Contains("kind 'skeleton', version 9"));
        string html = report.ToHtml();
        Assert.Contains("There is nothing to draw", html);
        Assert.Contains("fewer than 64 channels: all 16 shown", html);
        Assert.DoesNotContain("∞", html);
    }

    [Fact]
    public void WhatIsNoRunIsRefused()
    {
        Assert.Contains("There is no run", Assert.Throws<FileNotFoundException>(() => EvidenceReport.Read([_folder.File("nothing")])).Message);
        Directory.CreateDirectory(_folder.File("empty"));
        Assert.Contains("holds no run and no analysis", Assert.Throws<IOException>(() => EvidenceReport.Read([_folder.File("empty")])).Message);
        Assert.Contains("no analysis", Assert.Throws<FileFormatException>(() => EvidenceReport.Read([_folder.Write("x.json", "{}"u8)])).Message);
        Assert.Contains("is damaged", Assert.Throws<FileFormatException>(() => EvidenceReport.Read([_folder.Write("y.json", "???"u8)])).Message);
    }

    [Fact]
    public void RunsWithTheSameNameAreToldApart()
    {
        ReportFixtures.Run(_folder.File("first/run"));
        ReportFixtures.Run(_folder.File("second/run"));
        ReportFixtures.Run(_folder.File("third"));
        Assert.Equal(["first/run", "second/run", "third"], RunReader.Read([_folder.Path]).Sets.Single().Runs.Select(r => r.Method));
    }

    [Fact]
    public void ARunWhosePatienceWasOverIsFinished()
    {
        var state = ReportFixtures.State("train", 8, 1, 0.7);
        state["recipe"]!["patience"] = 2;
        state["recipe"]!["epochs"] = 50;
        var history = state["history"]!.AsArray();
        history[6]!["accuracy"] = 0.1;
        history[7]!["accuracy"] = 0.1;
        ReportFixtures.Write(_folder.File("run/run.json"), state);
        Assert.True(RunReader.Read([_folder.File("run")]).Sets[0].Runs[0].Finished);
        state["recipe"]!["patience"] = 3;
        ReportFixtures.Write(_folder.File("run/run.json"), state);
        Assert.False(RunReader.Read([_folder.File("run")]).Sets[0].Runs[0].Finished);
    }
}
