using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Report;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv ablate</c>: RefConv taken apart, row by row, against its controls.</summary>
internal static class AblateCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("ablate", "Take RefConv apart on one or several models: every row changes one thing, and is compared seed by seed with the plain model and with the plain model trained twice. Run again with the same --out, it goes on where it was stopped.");
        Option<string> models = new("--model")
        {
            Description = $"Architectures, separated by commas: {string.Join(" | ", Zoo.Names)}.",
            DefaultValueFactory = _ => "mobilenet_v1",
            HelpName = "NAMES",
        };
        Option<string> rows = new("--rows")
        {
            Description = $"Rows, separated by commas: {string.Join(" | ", AblationTable.All.Select(r => r.Name))}; or all. {AblationTable.Baseline} and {AblationTable.Retrain} are always trained.",
            DefaultValueFactory = _ => "all",
            HelpName = "NAMES",
        };
        Option<int?> baseEpochs = new("--base-epochs") { Description = "Epochs of the baseline, which all other rows start from. Default: those of --epochs.", HelpName = "N" };
        Option<double?> finetune = new("--finetune-lr") { Description = "Learning rate of the row finetune. Default: a tenth of --lr.", HelpName = "X" };
        Option<string> data = Options.Data();
        Option<double> width = Options.Width();
        Option<int?> limit = Options.Limit(), testLimit = Options.TestLimit();
        Option<int> seeds = Options.Seeds();
        Option<bool> json = Options.Json();
        Option<string?> outFolder = Options.Out("Folder for the runs, ablation.json, ablation.md and report.html. Default: a new folder runs/ablate-N.");
        foreach (var option in (ReadOnlySpan<Option>)[data, models, width, limit, testLimit, rows, baseEpochs, finetune]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[seeds, outFolder, json]) command.Add(option);

        command.SetAction(parsed =>
        {
            if (parsed.GetValue(seeds) < 1) throw new ArgumentException($"--seeds must be at least 1; it is {parsed.GetValue(seeds)}.");
            var settings = recipe.Read(parsed);
            settings.Validate();
            var source = DataSource.Open(parsed.GetValue(data)!, parsed.GetValue(limit), parsed.GetValue(testLimit));
            using var where = device.Open(parsed);
            string[] names = Names(parsed.GetValue(models)!);
            if (names.Length == 0) throw new ArgumentException("--model names no architecture. Give at least one.");
            string wanted = parsed.GetValue(rows)!;
            return Run(new Output(parsed.GetValue(json)), where, show => new Ablation
            {
                Models = [.. names.Select(n => Options.SpecFor(n, parsed.GetValue(width), source.Train))],
                Data = source,
                Recipe = settings,
                Rows = wanted == "all" ? [.. AblationTable.All.Select(r => r.Name)] : Names(wanted),
                BaseEpochs = parsed.GetValue(baseEpochs),
                FinetuneRate = parsed.GetValue(finetune),
                Seeds = parsed.GetValue(seeds),
                Folder = parsed.GetValue(outFolder) ?? Options.NewFolder("ablate"),
                Train = show.Train,
                OnRow = show.OnRow,
            }, cancellation);
        });
        return command;
    }

    private static string[] Names(string list) => list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static int Run(Output output, Device device, Func<View, Ablation> make, CancellationToken cancellation)
    {
        var view = new View(output);
        var ablation = make(view);
        IReadOnlyList<(ModelSpec Model, IReadOnlyList<MethodRow> Rows)> results;
        try
        {
            results = ablation.Run(device, progress => view.Progress = progress, cancellation);
        }
        catch (OperationCanceledException)
        {
            output.Line($"Stopped; what was done is kept. Go on with the same command and --out {ablation.Folder}");
            return 130;
        }
        var report = new AblationReport(ablation, results, $"{device.Name}, {device.Description}");
        string page = report.Save();
        foreach (var (model, rows) in results)
        {
            output.Line();
            output.Heading(model.ToString());
            output.Table(AblationReport.Titles, AblationReport.Table(rows));
            foreach (var summary in AblationSummary.Of(rows)) output.Object(ToJson(model, summary));
        }
        output.Line();
        foreach (var row in report.Rows) output.Line($"  {row.Name,-18}{row.About}");
        output.Line();
        foreach (string note in report.Notes) output.Line("• " + note);
        output.Line($"Report: {Path.GetFullPath(page)}");
        output.Object(new JsonObject { ["models"] = results.Count, ["rows"] = ablation.Rows.Count, ["seeds"] = ablation.Seeds, ["report"] = page, ["folder"] = ablation.Folder });
        return 0;
    }

    private static JsonObject ToJson(ModelSpec model, AblationSummary summary)
    {
        var result = new JsonObject { ["model"] = model.Architecture, ["row"] = summary.Row.Name, ["about"] = summary.Row.About };
        if (summary.Accuracy is { } accuracy)
        {
            result["accuracy"] = accuracy.Mean;
            if (accuracy.Deviation is { } deviation) result["deviation"] = deviation;
            result["accuracies"] = new JsonArray([.. summary.Good.Select(r => (JsonNode)r.Accuracy)]);
            result["seeds"] = new JsonArray([.. summary.Good.Select(r => (JsonNode)r.Seed)]);
            result["trainParameters"] = summary.Good[0].TrainParameters;
            result["deployParameters"] = summary.Good[0].DeployParameters;
            result["mergeError"] = summary.Good.Max(r => r.MergeError);
        }
        if (summary.AgainstBaseline is { } baseline) result["againstBaseline"] = ToJson(baseline);
        if (summary.AgainstRetrain is { } retrain) result["againstRetrain"] = ToJson(retrain);
        if (summary.Failed.Count > 0) result["failed"] = string.Join("; ", summary.Failed.Select(r => $"seed {r.Seed}: {r.Failed}"));
        return result;
    }

    private static JsonObject ToJson(PairedDifference difference) => new()
    {
        ["pairs"] = difference.Pairs,
        ["mean"] = difference.Mean,
        ["deviation"] = difference.Deviation,
        ["t"] = difference.T,
        ["p"] = difference.P,
        ["verdict"] = difference.Verdict,
    };

    /// <summary>Shows rows as they are trained, how many are done, and how long the whole table may take.</summary>
    private sealed class View(Output output)
    {
        public AblationProgress? Progress { get; set; }

        public bool Train(string name, Trainer trainer, CancellationToken cancellation)
        {
            string title = $"[{Progress!.Done + 1}/{Progress.Total}] {name}";
            return TrainingView.Run(output, title, trainer, null, cancellation, () => Progress.SecondsLeft(trainer.State) is { } left ? $", {Output.Duration(left)} for all rows" : "");
        }

        public void OnRow(ModelSpec model, MethodRow row)
        {
            Progress!.Add(model, row);
            string left = Progress.SecondsLeft() is { } seconds and > 0 ? $"; {Output.Duration(seconds)} left" : "";
            output.Line($"  {Progress.Done} of {Progress.Total} rows done: {model.Architecture} {row.Method}, seed {row.Seed}: {(row.Failed ?? $"top-1 {Output.Text(100 * row.Accuracy, "0.0")} %")}{left}");
        }
    }
}
