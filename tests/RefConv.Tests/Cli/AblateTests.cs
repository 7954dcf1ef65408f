using System.Text.Json;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>RefConv taken apart from the command line.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class AblateTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string[] Options => ["ablate", .. Tiny, "--model", "mobilenet_v1", "--width", "0.0625", "--epochs", "1", "--base-epochs", "2", "--rows", "refconv,finetune", "--out", _folder.File("runs")];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void AnAblationIsStoppedGoneOnWithAndShown()
    {
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var stopped = Run(stop.Token, Options);
        Assert.Equal(130, stopped.Code);
        Assert.Contains($"Go on with the same command and --out {_folder.File("runs")}", stopped.Out);
        string text = Good([.. Options, "--seeds", "2"]).Out;
        // Rows done of all, with the time that is left until there is none.
        Assert.Contains("1 of 8 rows done: mobilenet_v1 baseline, seed 1: top-1 ", text);
        Assert.Matches(@"7 of 8 rows done: mobilenet_v1 finetune, seed 2: top-1 .* %; .* left", text);
        Assert.Matches(@"8 of 8 rows done: mobilenet_v1 refconv, seed 2: top-1 [0-9.]* %\n", text);
        Assert.Contains("against retrain", text);
        Assert.Contains("paired over seeds", text);
        string page = File.ReadAllText(_folder.File("runs/report.html"));
        Assert.Equal(8, page.Split("<circle").Length - 1);
        Assert.Contains("* `refconv`: RefConv: trained base", File.ReadAllText(_folder.File("runs/ablation.md")));

        // Once more, for machines, with nothing left to do: a line a row, and only numbers that there are.
        DateTime written = File.GetLastWriteTimeUtc(_folder.File("runs/mobilenet_v1/seed2/refconv/last.safetensors"));
        var result = Good([.. Options, "--seeds", "2", "--json"]);
        var rows = Rows(result);
        Assert.Equal(["baseline", "retrain", "finetune", "refconv"], rows.Keys);
        Assert.Equal(2, rows["refconv"].GetProperty("againstRetrain").GetProperty("pairs").GetInt32());
        Assert.False(rows["retrain"].TryGetProperty("againstRetrain", out _));
        Assert.True(rows["baseline"].GetProperty("deviation").GetDouble() >= 0);
        Assert.Equal(0, rows["refconv"].GetProperty("mergeError").GetDouble());
        Assert.Equal(_folder.File("runs"), result.Json.GetProperty("folder").GetString());
        var one = Rows(Good([.. Options, "--json"]));
        Assert.False(one["baseline"].TryGetProperty("deviation", out _));
        Assert.Equal(JsonValueKind.Null, one["refconv"].GetProperty("againstRetrain").GetProperty("p").ValueKind);
        Assert.Equal("1 seed, too few to tell", one["refconv"].GetProperty("againstRetrain").GetProperty("verdict").GetString());
        Assert.Equal(written, File.GetLastWriteTimeUtc(_folder.File("runs/mobilenet_v1/seed2/refconv/last.safetensors")));

        Fails(1, "holds an ablation of something else", [.. Options, "--lr", "0.2"]);
        Fails(1, "There is no row 'zero'", [.. Options.Select(o => o == "refconv,finetune" ? "zero" : o)]);
        Fails(1, "--seeds must be at least 1", [.. Options, "--seeds", "0"]);
    }

    private static Dictionary<string, JsonElement> Rows(CommandLine result) => result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => JsonDocument.Parse(line).RootElement).Where(o => o.TryGetProperty("row", out _))
        .ToDictionary(o => o.GetProperty("row").GetString()!);
}
