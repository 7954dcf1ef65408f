using System.Text.Json;
using RefConv.Models.Train;
using RefConv.Tests.Models;
using static RefConv.Tests.Cli.CommandLine;

namespace RefConv.Tests.Cli;

/// <summary>Recipe files on the command line, and the learning-rate finder.</summary>
[Collection(ConsoleCollection.Name)]
public sealed class RecipeCliTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ARecipeOfARunMakesTheRunAgain()
    {
        // Options alone; then the file that the first run left, alone; then the one it was asked to save.
        string saved = _folder.File("saved.json");
        Good(["train", .. Tiny, "--width", "0.0625", "--epochs", "1", "--optimizer", "adamw", "--lr", "0.003", "--schedule", "polynomial", "--ema", "0.9", "--mixup", "0.2", "--cutout", "4", "--clip", "1",
            "--label-smoothing", "0.1", "--method", "acb", "--save-recipe", saved, "--out", _folder.File("a")]);
        string left = _folder.File("a/recipe.json");
        Assert.Equal(File.ReadAllText(left), File.ReadAllText(saved));
        var file = RecipeFile.Load(left);
        Assert.Equal(("mobilenet_v1", 0.0625, "acb", "shapes", 40, 20), (file.Model, file.Width, file.Method, file.Data, file.Limit, file.TestLimit));
        Assert.Equal(new Recipe { Epochs = 1, BatchSize = 10, Optimizer = OptimizerKind.AdamW, LearningRate = 0.003, Schedule = ScheduleKind.Polynomial, EmaDecay = 0.9, Mixup = 0.2, Cutout = 4, ClipNorm = 1, LabelSmoothing = 0.1 }, file.Recipe);

        string told = Good("train", "--recipe", left, "--threads", "2", "--out", _folder.File("b")).Out;
        Assert.Contains($"Recipe {left}", told);
        Assert.DoesNotContain("Given otherwise", told);
        SortedDictionary<string, int[]> a = TrainingBench.Tensors(_folder.File("a/last.safetensors")), b = TrainingBench.Tensors(_folder.File("b/last.safetensors"));
        Assert.Equal(a.Keys, b.Keys);
        foreach (string key in a.Keys) Assert.Equal(a[key], b[key]);
        Assert.Equal(File.ReadAllText(left), File.ReadAllText(_folder.File("b/recipe.json")));
    }

    [Fact]
    public void WhatIsGivenBesideARecipeCountsAndIsSaid()
    {
        string recipe = _folder.Write("recipe.json", """
            {"description":"a test","model":"resnet18","width":0.0625,"data":"shapes","limit":40,"testLimit":20,"method":"dbb","methodOptions":{},
             "recipe":{"epochs":3,"batchSize":10,"learningRate":0.05,"schedule":"step","milestones":[2]},"expected":{"accuracy":0.5,"tolerance":0.1}}
            """u8);
        string told = Good("train", "--recipe", recipe, "--model", "mobilenet_v1", "--epochs", "1", "--schedule", "cosine", "--milestones", "", "--method", "none", "--limit", "40", "--threads", "2", "--out", _folder.File("run")).Out;
        Assert.Contains($"Recipe {recipe}: a test", told);
        Assert.Contains("Given otherwise: --method none (the recipe says dbb), --model mobilenet_v1 (the recipe says resnet18), --epochs 1 (the recipe says 3), --schedule cosine (the recipe says step), --milestones none (the recipe says 2).", told);
        Assert.DoesNotContain("Expected", told); // it is another run
        var used = RecipeFile.Load(_folder.File("run/recipe.json"));
        Assert.Equal(("mobilenet_v1", 0.0625, "none", 40), (used.Model, used.Width, used.Method, used.Limit));
        Assert.Equal(new Recipe { Epochs = 1, BatchSize = 10, LearningRate = 0.05 }, used.Recipe);
        Fails(1, "milestone number 1 must be", "train", "--recipe", recipe, "--epochs", "2", "--out", _folder.File("x"));
        Fails(1, "cannot be given with --resume", "train", "--resume", _folder.File("run"), "--recipe", recipe);

        // A RefConv of the run by the same recipe, which is for another model; and a comparison.
        Fails(1, "recipe is for the method dbb", "refocus", "--from", _folder.File("run/last.safetensors"), "--recipe", recipe);
        Good("refocus", "--from", _folder.File("run/last.safetensors"), "--recipe", _folder.File("run/recipe.json"), "--threads", "2", "--out", _folder.File("refocused"));
        var refocused = RecipeFile.Load(_folder.File("refocused/recipe.json"));
        Assert.Equal((_folder.File("run/last.safetensors"), "refconv", "k3", 40), (refocused.From, refocused.Method, refocused.Layers, refocused.Limit));
        Good("train", "--recipe", _folder.File("refocused/recipe.json"), "--threads", "2", "--out", _folder.File("again"));
        Assert.Equal(TrainingBench.Tensors(_folder.File("refocused/last.safetensors")).Values, TrainingBench.Tensors(_folder.File("again/last.safetensors")).Values);
        Assert.Contains("Given otherwise: --epochs 1", Good("compare", "--recipe", recipe, "--schedule", "constant", "--milestones", "", "--epochs", "1", "--methods", "none", "--threads", "2", "--out", _folder.File("compared")).Out);
    }

    [Fact]
    public void ARecipeOfAComparisonMakesItsTable()
    {
        string recipe = _folder.Write("recipe.json", """
            {"model":"mobilenet_v1","width":0.0625,"data":"shapes","limit":40,"testLimit":20,"recipe":{"epochs":1,"batchSize":10},
             "comparison":{"methods":["wn","refconv"],"methodOptions":{"refconv":{"mapK":1}},"seeds":2}}
            """u8);
        string[] command = ["compare", "--threads", "2", "--out", _folder.File("runs"), "--recipe"];
        string text = Good([.. command, recipe]).Out;
        Assert.Contains("by none, wn, retrained, refconv", text);
        Assert.Contains("refconv, seed 2: top-1", text);
        Assert.Contains("\"mapK\":1", File.ReadAllText(_folder.File("runs/seed2/refconv/options.json")));
        // What it leaves makes it again; --set counts before it.
        var left = RecipeFile.Load(_folder.File("runs/recipe.json"));
        Assert.Equal(["wn", "refconv"], left.Comparison!.Methods!);
        Assert.Equal((2, "{\"refconv\":{\"mapK\":1}}"), (left.Comparison.Seeds, left.Comparison.MethodOptions!.ToJsonString()));
        Fails(1, "has a row refconv with the options", [.. command, _folder.File("runs/recipe.json"), "--set", "refconv.mapK=3"]);
        Fails(1, "refconv compare --recipe", "ablate", "--recipe", recipe);
        Fails(1, "refconv has no such option. Did you mean 'mapK'?", [.. command, _folder.Write("option.json", """{"comparison":{"methodOptions":{"refconv":{"mapk":1}}}}"""u8)]);
        Fails(1, "which is no method. Did you mean 'refconv'?", [.. command, _folder.Write("method.json", """{"comparison":{"methodOptions":{"refcon":{}}}}"""u8)]);
    }

    [Fact]
    public void WhatIsWrongIsToldInASentence()
    {
        Fails(1, "There is no recipe file", "train", "--recipe", _folder.File("none.json"));
        string recipe = _folder.Write("recipe.json", """{"data":"cifar10:DIR","recipe":{"epochs":1}}"""u8);
        Fails(1, "Say where they are: --data cifar10:FOLDER", "train", "--recipe", recipe);
        Fails(1, "cifar10", "train", "--recipe", recipe, "--data", $"cifar10:{_folder.File("nowhere")}");
        Fails(1, "Did you mean 'epochs'?", "train", "--recipe", _folder.Write("bad.json", """{"recipe":{"epocs":1}}"""u8));
        Fails(1, "The recipe sets 'mapk': refconv has no such option. Did you mean 'mapK'?", "train", "--recipe", _folder.Write("option.json", """{"method":"refconv","methodOptions":{"mapk":3}}"""u8), "--limit", "40", "--batch", "10");
        Fails(2, "--optimizer cannot be 'adanw'. Did you mean 'adamw'?", "train", "--optimizer", "adanw");
        Fails(2, "--schedule cannot be 'linear'", "train", "--schedule", "linear");
        Fails(1, "--milestones takes whole numbers", "train", "--schedule", "step", "--milestones", "3,x");
        Fails(1, "cannot be given with --task super-resolution", "train", "--task", "super-resolution", "--recipe", recipe);
        Fails(1, "cannot be given with --task super-resolution", "train", "--task", "super-resolution", "--ema", "0.9");
    }

    [Fact]
    public void TheFinderDrawsAndSuggests()
    {
        string[] command = ["lr-find", "--limit", "40", "--batch", "10", "--width", "0.0625", "--steps", "30", "--threads", "2"];
        var found = Good([.. command, "--json"]).Json;
        var points = found.GetProperty("points").EnumerateArray().ToArray();
        Assert.InRange(points.Length, 10, 30);
        Assert.Equal(1e-6, points[0].GetProperty("learningRate").GetDouble(), 1e-12);
        string[] text = Good(command).Out.TrimEnd().Split('\n');
        Assert.Contains("smoothed loss, by learning rate", text);
        Assert.Contains(text, l => l.Contains("1e-6") && l.Contains("1e-3"));
        Assert.Equal(14, text.Count(l => l.Length > 10 && l[10] == '|'));
        if (found.GetProperty("suggestion").ValueKind == JsonValueKind.Number) Assert.Contains("Try --lr", text[^1]);
        else Assert.Contains("no rate can be suggested", text[^1]);
        Fails(1, "more than 12 steps", "lr-find", "--limit", "40", "--batch", "10", "--steps", "5", "--width", "0.0625");
        Fails(1, "must be above 0 and grow", "lr-find", "--limit", "40", "--batch", "10", "--min", "1", "--max", "0.1", "--width", "0.0625");
        Fails(1, "starts from a trained model", "lr-find", "--method", "refconv", "--limit", "40");
        Fails(1, "--image-size is for imagefolder:DIR", "lr-find", "--image-size", "64", "--limit", "40");
    }
}
