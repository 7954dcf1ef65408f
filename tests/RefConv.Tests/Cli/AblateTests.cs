using System.Text.Json;
using RefConv.Models.Train;
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

    [Fact]
    public void OneRecipeFileSaysEverything()
    {
        string recipe = _folder.Write("recipe.json", """
            {"width":0.0625,"data":"shapes","limit":40,"testLimit":20,"recipe":{"epochs":1,"batchSize":10,"learningRate":0.05,"warmupEpochs":0},
             "ablation":{"models":["mobilenet_v1"],"rows":["finetune"],"seeds":2,"baseEpochs":2,"finetuneLearningRate":0.001}}
            """u8);
        string text = Good("ablate", "--recipe", recipe, "--threads", "2", "--out", _folder.File("runs")).Out;
        Assert.Contains($"Recipe {recipe}", text);
        Assert.DoesNotContain("Given otherwise", text);
        Assert.Contains("6 of 6 rows done: mobilenet_v1 finetune, seed 2", text);
        string run = File.ReadAllText(_folder.File("runs/mobilenet_v1/seed2/finetune/run.json")), start = File.ReadAllText(_folder.File("runs/mobilenet_v1/seed2/baseline/run.json"));
        Assert.Contains("\"learningRate\": 0.001", run);
        Assert.Contains("\"epochs\": 2", start);

        // What it leaves makes the same table: nothing is left to do. Options win, and it is said.
        string left = _folder.File("runs/recipe.json");
        DateTime written = File.GetLastWriteTimeUtc(_folder.File("runs/mobilenet_v1/seed1/finetune/last.safetensors"));
        Good("ablate", "--recipe", left, "--threads", "2", "--out", _folder.File("runs"));
        Assert.Equal(written, File.GetLastWriteTimeUtc(_folder.File("runs/mobilenet_v1/seed1/finetune/last.safetensors")));
        text = Good("ablate", "--recipe", left, "--seeds", "1", "--rows", "finetune,map-k-1", "--threads", "2", "--out", _folder.File("runs")).Out;
        Assert.Contains("Given otherwise: --seeds 1 (the recipe says 2), --rows finetune,map-k-1 (the recipe says finetune).", text);
        Assert.Contains("4 of 4 rows done", text);
        Fails(1, "holds an ablation of something else", "ablate", "--recipe", recipe, "--finetune-lr", "0.002", "--out", _folder.File("runs"));
        Assert.Equal(["finetune", "map-k-1"], RecipeFile.Load(left).Ablation!.Rows!); // the refused one has not written over it

        Fails(1, "refconv ablate --recipe", "train", "--recipe", recipe);
        Fails(1, "refconv ablate --recipe", "compare", "--recipe", recipe);
        Fails(1, "refconv ablate --recipe", "lr-find", "--recipe", recipe);
        Fails(1, "refconv ablate --recipe", "refocus", "--from", _folder.File("runs/mobilenet_v1/seed1/baseline/last.safetensors"), "--recipe", recipe);
        Fails(1, "There is no row 'zero'", "ablate", "--recipe", recipe, "--rows", "zero", "--out", _folder.File("x"));
    }

    private static Dictionary<string, JsonElement> Rows(CommandLine result) => result.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
        .Select(line => JsonDocument.Parse(line).RootElement).Where(o => o.TryGetProperty("row", out _))
        .ToDictionary(o => o.GetProperty("row").GetString()!);
}
