using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Report;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv demo</c>: the main job, end to end.</summary>
internal static class DemoCommand
{
    // As many epochs as fit three times into well under two minutes on two cores. The base comes near its plateau and does not quite reach it:
    // a second schedule still gains some points, which is why the control stands beside RefConv.
    private const int Epochs = 17, TrainImages = 5000, TestImages = 1000, BatchSize = 64, TinyImages = 10;
    private const double Width = 0.25;

    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("demo",
            "Train a small model, refocus it, merge it back, prove the merge and write a report. Without options it uses drawn pictures and takes about two minutes.");
        Option<string> data = Options.Data(), model = Options.ModelName(), init = Options.RefocusInitialisation();
        Option<double> width = Options.Width(Width);
        Option<int?> limit = Options.Limit(), testLimit = Options.TestLimit();
        Option<int> mapK = Options.MapK();
        Option<int> seeds = Options.Seeds();
        Option<bool> json = Options.Json(), tiny = new("--tiny") { Description = "Every part on a handful of pictures, one epoch each: shows in seconds that a device works, and nothing about accuracy." };
        Option<string?> outFolder = Options.Out("Folder for checkpoints and report.html. Default: a new folder runs/demo-N.");
        foreach (var option in (ReadOnlySpan<Option>)[data, model, width, limit, testLimit]) command.Add(option);
        var recipe = new RecipeOptions(command, Epochs, BatchSize);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[tiny, seeds, mapK, init, outFolder, json]) command.Add(option);

        command.SetAction(parsed =>
        {
            string spec = parsed.GetValue(data)!;
            bool drawn = spec == "shapes", small = parsed.GetValue(tiny);
            var source = DataSource.Open(spec, parsed.GetValue(limit) ?? (small ? TinyImages : drawn ? TrainImages : null), parsed.GetValue(testLimit) ?? (small ? TinyImages : drawn ? TestImages : null));
            using var where = device.Open(parsed);
            var options = new RefConvOptions { MapK = parsed.GetValue(mapK), Init = Options.ParseInit(parsed.GetValue(init)!) };
            return Run(new Output(parsed.GetValue(json)), where, source, Options.SpecFor(parsed.GetValue(model)!, parsed.GetValue(width), source.Train),
                small ? recipe.Read(parsed) with { Epochs = 1, WarmupEpochs = 0, BatchSize = TinyImages / 2 } : recipe.Read(parsed), options, parsed.GetValue(seeds), parsed.GetValue(outFolder), cancellation);
        });
        return command;
    }

    private static int Run(Output output, Device device, DataSource data, ModelSpec spec, Recipe recipe, RefConvOptions options, int seeds, string? folder, CancellationToken cancellation)
    {
        if (seeds < 1) throw new ArgumentException($"--seeds must be at least 1; it is {seeds}.");
        recipe.Validate();
        folder ??= Options.NewFolder("demo");
        long started = Stopwatch.GetTimestamp();
        output.Heading("RefConv demo");
        output.Line($"A {spec} is trained on {data.Train.Count:N0} pictures ({data.Spec}). Then, from the same weights and by the same recipe, it is");
        output.Line("trained once more as it is (the control), and once with its k×k kernels frozen and refocused (RefConv, arXiv 2310.10563).");
        output.Line($"The refocused kernels are then merged back into the plain model. Device: {device.Name}, {device.Description}.");
        output.Line();
        List<ExperimentResult> results = [];
        RefocusExperiment? experiment = null;
        for (int i = 0; i < seeds; i++)
        {
            string label = seeds == 1 ? "" : $"seed {recipe.Seed + (ulong)i} ";
            experiment = new RefocusExperiment
            {
                Spec = spec,
                Data = data,
                Recipe = recipe with { Seed = recipe.Seed + (ulong)i },
                Options = options,
                Folder = seeds == 1 ? folder : Path.Combine(folder, $"seed{recipe.Seed + (ulong)i}"),
                Train = (name, trainer, token) => TrainingView.Run(output, label + name, trainer, null, token),
            };
            results.Add(experiment.Run(device, cancellation));
        }
        var report = new ExperimentReport(experiment!, results, Stopwatch.GetElapsedTime(started).TotalSeconds, $"{device.Name}, {device.Description}");
        string page = Path.Combine(folder, "report.html");
        report.Save(page);
        output.Line();
        output.Table(ExperimentReport.Titles, report.Rows);
        foreach (string line in report.Conclusions) output.Line("• " + line);
        output.Line();
        output.Line($"Report: {Path.GetFullPath(page)}   ({Output.Duration(report.Seconds)} in all)");
        output.Line($"Merged model: {Path.Combine(experiment!.Folder, "merged.safetensors")}");
        output.Object(ToJson(report, page));
        return 0;
    }

    private static JsonObject ToJson(ExperimentReport report, string page)
    {
        var all = report.Results;
        var result = new JsonObject
        {
            ["base"] = Row(r => r.Base),
            ["retrained"] = Row(r => r.Retrained),
            ["refocused"] = Row(r => r.Refocused),
            ["merged"] = Row(r => r.Merged),
            ["seconds"] = report.Seconds,
            ["report"] = page,
            ["seeds"] = new JsonArray([.. all.Select(r => (JsonNode)r.Seed)]),
        };
        result["merged"]!["maxAbsDifference"] = all.Max(r => r.MergeError);
        return result;

        JsonObject Row(Func<ExperimentResult, ExperimentRow> pick)
        {
            var accuracy = MeanDeviation.Of([.. all.Select(r => pick(r).Accuracy)]);
            var first = pick(all[0]);
            var row = new JsonObject
            {
                ["accuracy"] = accuracy.Mean,
                ["parameters"] = first.DeployParameters,
                ["trainParameters"] = first.TrainParameters,
                ["macs"] = first.Macs,
                ["seconds"] = all.Average(r => pick(r).Seconds),
            };
            if (accuracy.Deviation is { } d)
            {
                row["deviation"] = d;
                row["accuracies"] = new JsonArray([.. all.Select(r => (JsonNode)pick(r).Accuracy)]);
            }
            return row;
        }
    }
}
