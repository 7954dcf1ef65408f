using System.Text.Json;
using RefConv.Models.Analysis;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary><c>refconv analyze</c>.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class AnalyzeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void EverythingIsAnalysedAndWritten()
    {
        var (plain, refocused) = Train();
        string[] command = ["analyze", "all", refocused, "--against", plain, "--limit", "20", "--points", "3", "--dimensions", "both", "--path", _folder.File("refocused"),
            "--epsilon", "8", "--steps", "2", "--batch", "4", "--threads", "2", "--out", _folder.File("out")];
        string[] lines = Good([.. command, "--json"]).Out.TrimEnd().Split('\n');
        Assert.Equal(AnalysisFile.Kinds, lines.Select(l => JsonDocument.Parse(l).RootElement.GetProperty("kind").GetString()!));
        Assert.Equal(AnalysisFile.Kinds.Select(k => k + ".json").Order(StringComparer.Ordinal), Directory.GetFiles(_folder.File("out")).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal));
        foreach (string kind in AnalysisFile.Kinds)
        {
            var file = AnalysisFile.Read(_folder.File($"out/{kind}.json"));
            Assert.Equal((kind, "mobilenet_v1 ×0.0625 small", refocused, plain), (file.Kind, file.Model, file.Subject, file.Against));
            Assert.Equal(kind is "landscape" or "attack" ? ("shapes", 20) : (null, null), (file.Data, file.Images));
            Assert.StartsWith("refconv analyze all ", file.Command);
            Assert.StartsWith("cpu, 2 threads, ", file.Environment);
        }
        var surfaces = ((LandscapeResults)AnalysisFile.Read(_folder.File("out/landscape.json")).Results).Surfaces;
        Assert.Equal([("baseline", 3), ("baseline", 9), ("refconv", 3), ("refconv", 9), ("refconv", 3), ("refconv", 9)], surfaces.Select(s => (s.Name, s.Loss.Length)));
        Assert.Equal([4, 4], surfaces.Where(s => s.Directions == "pca").Select(s => s.Path!.Length));
        Assert.Equal(surfaces[2].CentreLoss, surfaces[4].CentreLoss);
        var models = ((AttackResults)AnalysisFile.Read(_folder.File("out/attack.json")).Results).Models;
        Assert.Equal(["baseline", "refconv"], models.Select(m => m.Name));
        Assert.Equal([("FGSM", 1), ("PGD", 2)], models[0].Rows.Select(r => (r.Attack, r.Steps)));
        Assert.Equal(14, ((CostResults)AnalysisFile.Read(_folder.File("out/cost.json")).Results).Rows.Count);

        // For people: tables; a plain model has no connections, and says so.
        string text = Good("analyze", "redundancy", plain, "--out", _folder.File("plain")).Out;
        Assert.Contains("model.13.0", text);
        Assert.Contains("fewer than 64 channels", text);
        Assert.Contains("nothing to compare with", text);
    }

    [Fact]
    public void ALandscapeThatWasStoppedGoesOn()
    {
        var (plain, _) = Train(refocus: false);
        string[] command = ["analyze", "landscape", plain, "--limit", "20", "--points", "3", "--threads", "2", "--out", _folder.File("out")];
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var stopped = Run(stop.Token, command);
        Assert.Equal(130, stopped.Code);
        Assert.Contains("Go on with the same command and --out", stopped.Out);
        Assert.Equal(["landscape-1.part.json"], Directory.GetFiles(_folder.File("out")).Select(Path.GetFileName));
        Good(command);
        Assert.Equal(["landscape.json"], Directory.GetFiles(_folder.File("out")).Select(Path.GetFileName));
        var surface = Assert.Single(((LandscapeResults)AnalysisFile.Read(_folder.File("out/landscape.json")).Results).Surfaces);
        Assert.Equal(("last.safetensors", 9), (surface.Name, surface.Loss.Length));

        File.WriteAllText(_folder.File("out/landscape-1.part.json"), "{\"fingerprint\":\"");
        Fails(1, "landscape-1.part.json: the part of a landscape in it is damaged", command);
        File.Delete(_folder.File("out/landscape-1.part.json"));

        // And what makes no sense.
        Fails(1, "Did you mean 'landscape'?", "analyze", "landscap", plain);
        Fails(1, "none of these layers is refocused", "analyze", "connection", plain);
        Fails(1, "--points means nothing for rank", "analyze", "rank", plain, "--points", "5");
        Fails(1, "--limit means nothing for cost", "analyze", "cost", plain, "--limit", "5");
        Fails(1, "odd number of points", "analyze", "landscape", plain, "--points", "4", "--out", _folder.File("other"));
        Fails(1, "--dimensions takes 1, 2 or both, not '3'", "analyze", "landscape", plain, "--dimensions", "3");
        Fails(1, "not 'much'", "analyze", "attack", plain, "--epsilon", "1,much");
        Fails(1, "--epsilon names no change", "analyze", "attack", plain, "--epsilon", ",");
        Fails(1, "--steps must be at least 1; it is 0", "analyze", "attack", plain, "--steps", "0");
        Fails(1, "skeleton looks at one model", "analyze", "skeleton", plain, plain);
        Fails(1, "--keep-epochs", "analyze", "landscape", plain, "--path", _folder.File("plain"), "--out", _folder.File("other"));
        Fails(1, "nothing.safetensors", "analyze", "rank", _folder.File("nothing.safetensors"));
        Fails(2, "no option '--pionts'", "analyze", "landscape", plain, "--pionts", "5");
    }

    private (string Plain, string Refocused) Train(bool refocus = true)
    {
        string plain = _folder.File("plain/last.safetensors"), refocused = _folder.File("refocused/last.safetensors");
        Good(["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--out", _folder.File("plain")]);
        if (refocus) Good(["refocus", "--from", plain, .. Tiny, "--epochs", "3", "--layers", "model.1.0,model.2.0,model.3.0,model.4.0,model.5.0,model.6.0,model.7.0,model.8.0,model.9.0,model.10.0,model.11.0,model.12.0,model.13.0", "--keep-epochs", "--out", _folder.File("refocused")]);
        return (plain, refocused);
    }
}
