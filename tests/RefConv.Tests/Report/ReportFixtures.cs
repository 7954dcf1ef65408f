using System.Globalization;
using System.Text.Json.Nodes;

namespace RefConv.Tests.Report;

/// <summary>Folders of runs and analyses written by hand, in the shapes that the tool writes. All numbers are functions of names and seeds, so that tests know them.</summary>
internal static class ReportFixtures
{
    public static readonly JsonObject Spec = new() { ["architecture"] = "mobilenet_v1", ["classes"] = 10, ["width"] = 0.25, ["smallImages"] = true, ["inChannels"] = 3, ["imageSize"] = 32 };

    public static JsonObject Recipe(int epochs = 8, double rate = 0.1, ulong seed = 1) =>
        new() { ["epochs"] = epochs, ["batchSize"] = 64, ["learningRate"] = rate, ["labelSmoothing"] = 0, ["horizontalFlip"] = true, ["seed"] = seed };

    public static JsonArray History(int epochs, double accuracy) => new([.. Enumerable.Range(1, epochs).Select(e => (JsonNode)new JsonObject
    {
        ["epoch"] = e, ["trainLoss"] = 0.4 + (2.0 / e), ["trainAccuracy"] = accuracy * (0.9 - (0.5 / e)), ["testLoss"] = 0.5 + (1.9 / e), ["accuracy"] = accuracy * (1 - (0.5 / e) + (0.5 / epochs)),
        ["top5"] = 0.9, ["learningRate"] = 0.1 * (1 + Math.Cos(Math.PI * e / epochs)) / 2, ["seconds"] = 3.5,
    })]);

    /// <summary>A comparison: accuracies by row and seed.</summary>
    public static string Comparison(string folder, params (string Method, double[] Accuracies)[] rows)
    {
        Write(Path.Combine(folder, "comparison.json"), new JsonObject { ["model"] = Spec.DeepClone(), ["data"] = "cifar10:/data/cifar10", ["trainImages"] = 3000, ["testImages"] = 1000, ["recipe"] = Recipe() });
        foreach (var (method, accuracies) in rows)
        {
            for (int s = 0; s < accuracies.Length; s++) Row(Path.Combine(folder, $"seed{s + 1}", method), method, s + 1, accuracies[s]);
        }
        return folder;
    }

    public static void Row(string folder, string method, int seed, double accuracy, int epochs = 8)
    {
        bool form = method is not ("none" or "baseline" or "retrained" or "retrain" or "finetune");
        Write(Path.Combine(folder, "row.json"), new JsonObject
        {
            ["method"] = method, ["seed"] = seed, ["accuracy"] = accuracy, ["testLoss"] = 2 - accuracy, ["mergeError"] = form ? 0 : null, ["trainParameters"] = form ? 1785458 : 215642, ["deployParameters"] = 215642,
            ["trainMacs"] = 3000000, ["deployMacs"] = 3000000, ["stepMs"] = form ? 52.5 + seed : 50 + seed, ["layers"] = form ? 14 : 0, ["history"] = History(epochs, accuracy),
        });
        Write(Path.Combine(folder, "run.json"), State(method, epochs, seed, accuracy));
    }

    public static JsonObject State(string kind, int epochs, int seed, double accuracy, string data = "cifar10:/data/cifar10", double rate = 0.1) => new()
    {
        ["kind"] = kind, ["data"] = data, ["limit"] = 3000, ["testLimit"] = 1000, ["recipe"] = Recipe(epochs, rate, (ulong)seed), ["environment"] = "cpu, 2 threads, 512-bit vectors",
        ["epoch"] = epochs, ["stepInEpoch"] = 0, ["history"] = History(epochs, accuracy),
    };

    /// <summary>A run of train.</summary>
    public static string Run(string folder, double accuracy = 0.7, int epochs = 8, int seed = 1, string data = "cifar10:/data/cifar10", double rate = 0.1)
    {
        Write(Path.Combine(folder, "run.json"), State("train", epochs, seed, accuracy, data, rate));
        return folder;
    }

    /// <summary>An analysis file of one kind, made from a trained model of one seed.</summary>
    public static string Analysis(string folder, string kind, int seed = 1)
    {
        Write(Path.Combine(folder, kind + ".json"), new JsonObject
        {
            ["format"] = "refconv-analysis", ["version"] = 1, ["kind"] = kind, ["model"] = "mobilenet_v1 ×0.25 small", ["subject"] = $"runs/seed{seed}/refconv/last.safetensors",
            ["against"] = $"runs/seed{seed}/none/last.safetensors", ["data"] = "cifar10:/data/cifar10", ["images"] = 2000, ["command"] = $"refconv analyze {kind} runs/seed{seed}/refconv/last.safetensors --against …",
            ["environment"] = "cpu, 2 threads, 512-bit vectors", ["results"] = Results(kind, seed),
        });
        return folder;
    }

    /// <summary>All kinds.</summary>
    public static string Analyses(string folder, int seed = 1)
    {
        foreach (string kind in new[] { "connection", "redundancy", "skeleton", "rank", "kernels", "landscape", "attack", "cost" }) Analysis(folder, kind, seed);
        return folder;
    }

    private static JsonObject Results(string kind, int seed) => kind switch
    {
        "connection" => Layers((name, i) => new() { ["layer"] = name, ["groups"] = 16 << i, ["size"] = Math.Min(64, 16 << i), ["values"] = Matrix(Math.Min(64, 16 << i), (r, c) => r == c ? 2 : 0.5 + (0.4 * Wave(r, c, seed))),
            ["diagonalMean"] = 2, ["offDiagonalMean"] = 0.5 + (0.01 * seed), ["note"] = i < 2 ? $"fewer than 64 channels: all {16 << i} shown" : null }),
        "redundancy" => Layers((name, i) => new() { ["layer"] = name, ["channels"] = 64, ["before"] = i == 3 ? null : new JsonObject { ["mean"] = 0.1, ["values"] = Matrix(64, (r, c) => r == c ? 0 : 0.1 + (0.05 * Wave(r, c, seed))) },
            ["after"] = new JsonObject { ["mean"] = 0.2 + (0.001 * seed), ["values"] = Matrix(64, (r, c) => r == c ? 0 : 0.2 + (0.1 * Wave(c, r, seed))) }, ["afterAtEqualSize"] = i == 3 ? null : 0.08 - (0.001 * seed), ["note"] = i == 3 ? "no batch norm follows this layer" : null }),
        "skeleton" => Layers((name, i) => new() { ["layer"] = name, ["rows"] = 3, ["columns"] = 3, ["before"] = Numbers(0.4, 0.7, 0.4, 0.6, 1, 0.6, 0.3, 0.7, 0.4), ["after"] = Numbers(0.3, 0.7, 0.3, 0.7, 1, 0.7, 0.3, 0.7, 0.3) }),
        "rank" => Layers((name, i) => new() { ["layer"] = name, ["effectiveRankBefore"] = 6.5 + (0.2 * i), ["effectiveRankAfter"] = 7.1 + (0.3 * i), ["cosineBefore"] = 0.3, ["cosineAfter"] = 0.22, ["maximum"] = 9 }),
        "kernels" => Layers((name, i) => new() { ["layer"] = name, ["rows"] = 3, ["columns"] = 3, ["count"] = i == 0 ? 10 : 64, ["before"] = Kernels(i == 0 ? 10 : 64, 0.4), ["after"] = Kernels(i == 0 ? 10 : 64, 0.6) }),
        "landscape" => Landscape(seed),
        "attack" => new JsonObject { ["models"] = new JsonArray(Attacked("baseline", 0.70, 9), Attacked("refconv", 0.71, 8.8 - (0.01 * seed))) },
        _ => new JsonObject
        {
            ["rows"] = new JsonArray([.. Names.Append("total").Select((n, i) => (JsonNode)new JsonObject { ["layer"] = n, ["plain"] = Cost(576 << i, 1, 1.0 + i), ["refconv"] = Cost(576 << i, 10, 1.1 + i) })]),
            ["memory"] = new JsonObject { ["plainPeakBytes"] = 100 << 20, ["refconvPeakBytes"] = 112 << 20 }, ["stepMs"] = new JsonObject { ["plain"] = 50, ["refconv"] = 52 + (0.1 * seed) }, ["batch"] = 64,
        },
    };

    private static readonly string[] Names = ["model.1.0", "model.2.0", "model.3.0", "model.4.0"];

    private static JsonObject Layers(Func<string, int, JsonObject> layer) => new() { ["layers"] = new JsonArray([.. Names.Select((n, i) => (JsonNode)layer(n, i))]) };

    private static JsonObject Landscape(int seed)
    {
        double[] grid = [.. Enumerable.Range(0, 25).Select(i => (i - 12) / 12.0)];
        JsonObject Surface(string name, string directions, double steep, bool two, bool path)
        {
            double Loss(double x, double y) => 0.4 + (steep * ((x * x) + (2 * y * y) + (0.3 * Math.Sin(5 * x) * y)));
            double[] loss = two ? [.. grid.SelectMany(y => grid.Select(x => Loss(x, y)))] : [.. grid.Select(x => Loss(x, 0))];
            return new JsonObject
            {
                ["name"] = name, ["directions"] = directions, ["seed"] = 1, ["xs"] = Numbers(grid), ["ys"] = two ? Numbers(grid) : null, ["loss"] = Numbers(loss), ["accuracy"] = Numbers([.. loss.Select(l => Math.Max(0.1, 0.8 - (0.1 * l)))]),
                ["path"] = path ? new JsonArray([.. Enumerable.Range(0, 9).Select(i => (JsonNode)Numbers(-0.9 + (0.1125 * i), 0.8 * (1 - (i / 8.0)) * (1 - (i / 8.0))))]) : null, ["explained"] = path ? Numbers(0.8, 0.1) : null,
                ["centreLoss"] = 0.4, ["sharpness"] = new JsonObject { ["maxLoss"] = loss.Max(), ["meanRise"] = loss.Average() - 0.4, ["curvatureX"] = 2 * steep, ["curvatureY"] = two ? 4 * steep : null },
            };
        }
        double refocused = 4 - (0.02 * seed);
        return new JsonObject
        {
            ["surfaces"] = new JsonArray(Surface("baseline", "filter-normalised random", 5, true, false), Surface("refconv", "filter-normalised random", refocused, true, false), Surface("refconv", "pca", refocused, true, true),
                Surface("baseline", "filter-normalised random", 5, false, false), Surface("refconv", "filter-normalised random", refocused, false, false)),
        };
    }

    private static JsonObject Attacked(string name, double clean, double fall) => new()
    {
        ["name"] = name, ["clean"] = clean, ["rows"] = new JsonArray([.. new[] { ("FGSM", 1), ("PGD", 10) }.SelectMany(a => new[] { 1, 2, 4, 8 }.Select(e => (JsonNode)new JsonObject
        {
            ["attack"] = a.Item1, ["epsilon"] = e / 255.0, ["steps"] = a.Item2, ["stepSize"] = e / 255.0 / a.Item2, ["accuracy"] = clean * Math.Exp(-fall * e * a.Item2 / (a.Item2 + 2) / 80),
        }))]),
    };

    private static JsonObject Cost(long parameters, int times, double ms) => new() { ["parameters"] = parameters * times, ["macs"] = parameters * 1024, ["bytes"] = parameters * times * 4, ["stepMs"] = ms };

    private static double Wave(int r, int c, int seed) => Math.Sin((r * 12.9898) + (c * 78.233) + seed);

    private static JsonArray Matrix(int n, Func<int, int, double> value) => Numbers([.. Enumerable.Range(0, n * n).Select(i => value(i / n, i % n))]);

    private static JsonArray Kernels(int count, double size) => Numbers([.. Enumerable.Range(0, count * 9).Select(i => size * Wave(i / 9, i % 9, 3))]);

    public static JsonArray Numbers(params double[] values) => new([.. values.Select(v => (JsonNode)JsonValue.Create(v))]);

    public static void Write(string path, JsonNode json) => Write(path, json.ToJsonString());

    public static void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    public static double Number(string text) => double.Parse(text.Replace('−', '-'), CultureInfo.InvariantCulture);
}
