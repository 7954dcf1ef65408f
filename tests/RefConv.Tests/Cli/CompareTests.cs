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
        Assert.Equal(6, page.Split("<circle").Length - 1); // three rows in two charts
        Assert.Contains("| refconv |", File.ReadAllText(_folder.File("runs/comparison.md")));
        Fails(1, "comparison of something else", [.. Options, "--lr", "0.2"]);
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
