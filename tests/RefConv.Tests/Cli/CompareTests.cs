using System.Text.Json;
using RefConv.Models;
using RefConv.Models.Train;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>Methods side by side, and training in the form of one.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class CompareTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string[] Options => ["compare", .. Tiny, "--width", "0.0625", "--epochs", "1", "--methods", "refconv", "--json", "--out", _folder.File("runs")];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void AComparisonGoesOnWhereItWasStoppedAndEndsTheSame()
    {
        // Stopped before its first step, then done in one go; and once more, when there is nothing left to do.
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Equal(130, Run(stop.Token, Options).Code);
        Assert.True(File.Exists(_folder.File("runs/seed1/none/last.safetensors")));
        var rows = Rows(Good(Options));
        Assert.Equal(["none", "retrained", "refconv"], rows.Keys);
        DateTime written = File.GetLastWriteTimeUtc(_folder.File("runs/seed1/refconv/last.safetensors"));
        var again = Rows(Good(Options));
        Assert.Equal(rows.Values.Select(r => r.ToString()), again.Values.Select(r => r.ToString()));
        Assert.Equal(written, File.GetLastWriteTimeUtc(_folder.File("runs/seed1/refconv/last.safetensors")));

        Assert.Equal(0, rows["refconv"].GetProperty("mergeError").GetDouble());
        Assert.Equal(JsonValueKind.Null, rows["none"].GetProperty("mergeError").ValueKind);
        Assert.True(rows["refconv"].GetProperty("trainParameters").GetInt64() > rows["none"].GetProperty("trainParameters").GetInt64());
        Assert.Equal(rows["none"].GetProperty("deployParameters").GetInt64(), rows["refconv"].GetProperty("deployParameters").GetInt64());
        Assert.All(rows.Values, r => Assert.True(r.GetProperty("stepMs").GetDouble() > 0));

        // The control and RefConv start from the plain row's weights; the plain row is what train makes of the same recipe.
        Good(["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--json", "--out", _folder.File("train")]);
        float[] trained = Weight(_folder.File("train/last.safetensors"), "model.1.0.weight");
        Assert.Equal(trained, Weight(_folder.File("runs/seed1/none/last.safetensors"), "model.1.0.weight"));
        Assert.Equal(trained, Weight(_folder.File("runs/seed1/refconv/last.safetensors"), "model.1.0.weight")); // the frozen basis
        string page = File.ReadAllText(_folder.File("runs/report.html"));
        Assert.Equal(6, page.Split("<circle").Length - 1); // three rows in two charts of dots
        Assert.Contains("| refconv |", File.ReadAllText(_folder.File("runs/comparison.md")));
        Fails(1, "comparison of something else", [.. Options, "--lr", "0.2"]);
    }

    [Fact]
    public void EveryMethodHasItsRow()
    {
        string[] options = ["compare", "--limit", "20", "--test-limit", "10", "--batch", "10", "--threads", "2", "--width", "0.0625", "--epochs", "1",
            "--methods", "all", "--set", "dyrep.every=1", "--set", "clb.width=16", "--set", "drconv.regions=2", "--out", _folder.File("runs")];
        var rows = Rows(Good([.. options, "--json"]));
        Assert.Equal([.. RefConv.Layers.Reparameterizations.Names.Append("none").Append("retrained").Order()], rows.Keys.Order());
        foreach (var (name, row) in rows)
        {
            bool merges = name is not ("none" or "retrained" or "drconv");
            var error = row.GetProperty("mergeError");
            Assert.True(merges ? error.GetDouble() < 1e-5 : error.ValueKind == JsonValueKind.Null, $"{name}: {error}");
            Assert.Equal(name == "drconv", row.TryGetProperty("stays", out _));
            if (merges) Assert.Equal(rows["none"].GetProperty("deployParameters").GetInt64(), row.GetProperty("deployParameters").GetInt64());
        }
        // Nothing grows after the only epoch: the row says that it shows nothing of the method.
        Assert.Equal("0 of 14 convolutions grew, so what was trained is the plain network", rows["dyrep"].GetProperty("progress").GetString());
        string page = File.ReadAllText(_folder.File("runs/comparison.md"));
        Assert.Contains("* dyrep: 0 of 14 convolutions grew, so", page);
        Assert.Contains("* drconv: layers stay in its form when it is deployed, because its kernels are made anew", page);
        Assert.Contains("The rows refconv start from the trained plain model", page);
        Fails(1, "has a row dyrep with the options", [.. options, "--set", "dyrep.every=2"]);
    }

    [Fact]
    public void WhatTheModelCannotTakeIsToldBeforeAnythingIsTrained()
    {
        string[] options = ["compare", "--limit", "20", "--test-limit", "10", "--batch", "10", "--threads", "2", "--width", "0.0625", "--epochs", "1", "--model", "repvgg_a0", "--out", _folder.File("runs")];
        Fails(1, "dyrep cannot take over", [.. options, "--methods", "wn,dyrep"]);
        Assert.False(Path.Exists(_folder.File("runs")));
    }

    [Fact]
    public void ADivergingRowIsARow()
    {
        string[] options = ["compare", "--limit", "20", "--test-limit", "10", "--batch", "10", "--threads", "2", "--width", "0.0625", "--epochs", "1", "--warmup", "0", "--lr", "1e30",
            "--methods", "wn,refconv", "--out", _folder.File("runs")];
        var rows = Rows(Good([.. options, "--json"]));
        Assert.Equal(["none", "wn", "retrained", "refconv"], rows.Keys);
        Assert.All(rows.Values, r => Assert.Contains("training diverged", r.GetProperty("failed").GetString()));
        Assert.Contains("starts from the row 'none', which failed", rows["refconv"].GetProperty("failed").GetString());
        string page = File.ReadAllText(_folder.File("runs/comparison.md"));
        Assert.Contains("| wn | failed |", page);
        Assert.Contains("* wn failed: ", page);
        Assert.DoesNotContain(page.Split('\n'), line => line.StartsWith('|') && line.Contains("NaN"));
        Assert.Contains("training diverged", Good(options).Out);
    }

    [Fact]
    public void WhatStaysIsSaid()
    {
        string[] options = ["train", "--limit", "20", "--test-limit", "10", "--batch", "10", "--threads", "2", "--width", "0.0625", "--epochs", "1"];
        string merged = _folder.File("merged");
        Assert.Contains("in drconv form stay, because its kernels are made anew", Good([.. options, "--method", "drconv", "--set", "regions=2", "--out", _folder.File("drconv")]).Out);
        Assert.Contains("(not all of it can be: something of 14 layers in asr form stays)", Good([.. options, "--method", "asr", "--set", "both=true", "--out", _folder.File("both")]).Out);
        string text = Good("merge", "--from", _folder.File("both/last.safetensors"), "--out", merged).Out;
        Assert.Contains("Not all of it could be merged: 14 layers in asr form stay, because its channel attention", text);
        Assert.DoesNotContain("Plain model", text);
        Good([.. options, "--method", "asr", "--out", _folder.File("asr")]);
        Assert.Contains($"Plain model: {merged}", Good("merge", "--from", _folder.File("asr/last.safetensors"), "--out", merged).Out);
    }

    [Fact]
    public void AMethodThatNeedsATrainedModelChecksBothFoldersFirst()
    {
        string[] options = ["train", "--limit", "20", "--test-limit", "10", "--batch", "10", "--threads", "2", "--width", "0.0625", "--epochs", "2", "--method", "refconv"];
        Good([.. options[..^2], "--out", _folder.File("taken")]);
        Fails(1, "holds a run already", [.. options, "--out", _folder.File("taken")]);
        Assert.False(Path.Exists(_folder.File("taken/base")));

        // Stopped in the first half: the second one is not forgotten.
        string path = _folder.File("both"), from = Path.Combine(path, "base", "last.safetensors");
        Assert.Contains($"give this command again with --from {from} --out {path}", Good([.. options, "--stop-after", "1", "--out", path]).Out);
        Good("train", "--resume", Path.Combine(path, "base"));
        Assert.Contains("in refconv form", Good([.. options, "--from", from, "--out", path]).Out);
    }

    [Fact]
    public void TrainPutsAModelIntoTheFormOfAMethod()
    {
        // RefConv needs trained kernels: without --from a plain model is trained first.
        string[] options = ["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--method", "refconv", "--set", "mapK=1", "--set", "init=Zero"];
        string text = Good([.. options, "--out", _folder.File("both")]).Out;
        Assert.Contains("a plain one is trained first", text);
        Assert.Contains("14 layers in refconv form", text);
        string file = _folder.File("both/last.safetensors");
        using (var device = new Kernels.CpuDevice())
        {
            using var model = ModelFile.Load(file, device);
            Assert.Equal(1, ((RefConv.Layers.RefConvMethod)model.Forms[0].Method).Settings.MapK);
        }
        string from = _folder.File("both/base/last.safetensors");
        Good([.. options, "--from", from, "--out", _folder.File("second")]);
        Assert.Equal(Weight(file, "model.1.0.convmap.weight"), Weight(_folder.File("second/last.safetensors"), "model.1.0.convmap.weight"));
        Fails(1, "in refconv form already", [.. options, "--from", file, "--out", _folder.File("third")]);
    }

    private static Dictionary<string, JsonElement> Rows(CommandLine result) => result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => JsonDocument.Parse(line).RootElement).Where(o => o.TryGetProperty("method", out _))
        .ToDictionary(o => o.GetProperty("method").GetString()!);

    private static float[] Weight(string path, string name)
    {
        using var file = IO.SafeTensorsFile.Open(path);
        return file.Read(name);
    }
}
