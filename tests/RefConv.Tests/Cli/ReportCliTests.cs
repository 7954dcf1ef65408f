using RefConv.Tests.Report;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>refconv report, and event files from the command line.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class ReportCliTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void RealRunsOfAllKindsAreReported()
    {
        string[] tiny = [.. Tiny, "--width", "0.0625", "--epochs", "1"];
        Good(["demo", .. tiny, "--out", _folder.File("demo")]);
        Good(["train", .. tiny, "--out", _folder.File("run"), "--tensorboard", _folder.File("events")]);
        Assert.Single(Directory.GetFiles(_folder.File("events"), "events.out.tfevents.*"));
        Good(["refocus", "--from", _folder.File("run/last.safetensors"), .. Tiny, "--epochs", "1", "--out", _folder.File("refocused"), "--tensorboard", _folder.File("events2")]);
        string page = _folder.File("page.html");
        var result = Good("report", _folder.File("demo"), _folder.File("run"), _folder.File("refocused"), "--out", page, "--json").Json;
        Assert.Equal(5, result.GetProperty("runs").GetInt32());
        Assert.Equal(page, result.GetProperty("report").GetString());
        string html = File.ReadAllText(page);
        // The demo's three parts are one comparison: merged exactly, one seed only.
        var text = Good("report", _folder.File("demo"), "--out", page).Out;
        Assert.Contains("No cost when deployed: seen. mobilenet_v1 ×0.0625", text);
        Assert.Contains("Better than training the plain model once more: too small to tell.", text);
        Assert.Contains("(one seed: its spread is not known)", text);
        Assert.Contains("! One seed only", text);
        Assert.Contains("in refconv form", html);
        Assert.Contains("Computed on: cpu, ", html);
        Assert.Contains("data-plot=\"lines\"", File.ReadAllText(_folder.File("demo/report.html")));
        Fails(1, "There is no run", "report", _folder.File("nothing"));
        Fails(2, "--help", "report");
        Fails(1, "there is no folder", "report", _folder.File("run"), "--out", _folder.File("no/such/page.html"));
        Fails(1, "is a file", ["train", .. tiny, "--out", _folder.File("third"), "--tensorboard", page]);
    }
}
