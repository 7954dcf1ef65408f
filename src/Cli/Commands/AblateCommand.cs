using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Models;
using RefConv.Models.Analysis;
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
        var table = new TableOptions(command, "ablation.json, ablation.md", models, rows, baseEpochs, finetune);
        command.SetAction(parsed =>
        {
            var request = table.Read(parsed, f => f.Ablation?.Seeds);
            request.Reading.RefuseTables(except: command.Name);
            string names = request.Reading.Pick(models, f => Join(f.Ablation?.Models) ?? f.Model), wanted = request.Reading.Pick(rows, f => Join(f.Ablation?.Rows));
            var plan = new AblationPlan
            {
                Models = TableOptions.Names(names) is { Length: > 0 } some ? some : throw new ArgumentException("--model names no architecture. Give at least one."),
                Rows = wanted == "all" ? [.. AblationTable.All.Select(r => r.Name)] : TableOptions.Names(wanted),
                Seeds = request.Seeds,
                BaseEpochs = request.Reading.Pick(baseEpochs, f => f.Ablation?.BaseEpochs) ?? request.Used.Recipe.Epochs,
                FinetuneLearningRate = request.Reading.Pick(finetune, f => f.Ablation?.FinetuneLearningRate) ?? request.Used.Recipe.LearningRate / 10,
            };
            using var where = table.Open(parsed);
            return Run(request, request.Used with { Ablation = plan }, where, cancellation);
        });
        return command;

        static string? Join(IReadOnlyList<string>? names) => names == null ? null : string.Join(',', names);
    }

    private static int Run(TableRequest request, RecipeFile used, Device device, CancellationToken cancellation)
    {
        var output = request.Output;
        var view = new View(output);
        var plan = used.Ablation!;
        var ablation = new Ablation
        {
            Models = [.. plan.Models!.Select(n => Options.SpecFor(n, used.Width!.Value, request.Source.Train))],
            Data = request.Source,
            Recipe = used.Recipe,
            Rows = plan.Rows!,
            BaseEpochs = plan.BaseEpochs,
            FinetuneRate = plan.FinetuneLearningRate,
            Seeds = request.Seeds,
            Folder = request.Folder,
            Train = view.Train,
            OnRow = view.OnRow,
        };
        request.Reading.Tell(output);
        return request.Run(used, () => ablation.Run(device, progress => view.Progress = progress, cancellation), results => Show(output, ablation, new AblationReport(ablation, results, $"{device.Name}, {device.Description}")));
    }

    private static void Show(Output output, Ablation ablation, AblationReport report)
    {
        string page = report.Save();
        foreach (var (model, rows) in report.Results)
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
        output.Object(new JsonObject { ["models"] = report.Results.Count, ["rows"] = ablation.Rows.Count, ["seeds"] = ablation.Seeds, ["report"] = page, ["folder"] = ablation.Folder });
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
