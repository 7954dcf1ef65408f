using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Report;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv compare</c>: several methods from one recipe and seed, in one table.</summary>
internal static class CompareCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("compare", "Train one model by several methods, from one recipe and seed, merge each and put them into one table. Run again with the same --out, it goes on where it was stopped.");
        Option<string> methods = new("--methods")
        {
            Description = $"Methods, separated by commas: {string.Join(" | ", Reparameterizations.Names)} | none; or all. The plain model (none) is always trained.",
            DefaultValueFactory = _ => "all",
            HelpName = "NAMES",
        };
        Option<string[]> methodOptions = new("--set")
        {
            Description = "An option of a method, as METHOD.NAME=VALUE (dyrep.every=1); may be given several times. Default: the methods' own.",
            HelpName = "METHOD.NAME=VALUE",
        };
        Option<string> model = Options.ModelName();
        var table = new TableOptions(command, "comparison.md", methods, methodOptions, model);
        command.SetAction(parsed =>
        {
            var request = table.Read(parsed, f => f.Comparison?.Seeds);
            request.Reading.RefuseTables(except: command.Name);
            string list = request.Reading.Pick(methods, f => f.Comparison?.Methods is { } named ? string.Join(',', named) : null);
            string[] names = list == "all" ? [.. Reparameterizations.Names] : TableOptions.Names(list);
            var options = ReadOptions(request.Reading.File?.Comparison?.MethodOptions, parsed.GetValue(methodOptions) ?? [], names);
            // Without a list all are tried, in the recipe that is left, too: those that the model cannot take are left out.
            var used = request.Used with
            {
                Model = request.Reading.Pick(model, f => f.Model),
                Comparison = new ComparisonPlan { Methods = list == "all" ? null : names, MethodOptions = options.Count == 0 ? null : new JsonObject(options.Select(o => KeyValuePair.Create(o.Key, (JsonNode?)o.Value.DeepClone()))), Seeds = request.Seeds },
            };
            using var where = table.Open(parsed);
            return Run(request, used, names, options, where, cancellation);
        });
        return command;
    }

    private static int Run(TableRequest request, RecipeFile used, string[] names, Dictionary<string, JsonObject> options, Device device, CancellationToken cancellation)
    {
        var output = request.Output;
        var comparison = new MethodComparison
        {
            Spec = Options.SpecFor(used.Model!, used.Width!.Value, request.Source.Train),
            Data = request.Source,
            Recipe = used.Recipe,
            Methods = names,
            MethodOptions = options,
            SkipUnsuitable = used.Comparison!.Methods == null,
            Seeds = request.Seeds,
            Folder = request.Folder,
            Train = (name, trainer, token) => TrainingView.Run(output, name, trainer, null, token),
            OnRow = row => output.Line($"  {row.Method}, seed {row.Seed}: {(row.Failed ?? $"top-1 {Output.Text(100 * row.Accuracy, "0.0")} %")}"),
        };
        request.Reading.Tell(output);
        output.Heading($"{comparison.Spec} by {string.Join(", ", comparison.RowNames)}");
        return request.Run(used, () => comparison.Run(device, cancellation), rows => Show(output, comparison, rows, $"{device.Name}, {device.Description}"));
    }

    private static void Show(Output output, MethodComparison comparison, IReadOnlyList<MethodRow> rows, string device)
    {
        var report = new ComparisonReport(comparison, rows, device);
        string page = report.Save();
        output.Line();
        output.Table(ComparisonReport.Titles, report.Table);
        foreach (string note in report.Notes) output.Line("• " + note);
        output.Line($"Report: {Path.GetFullPath(page)}");
        foreach (var (name, reason) in comparison.Skipped) output.Object(new JsonObject { ["method"] = name, ["skipped"] = reason });
        foreach (var group in rows.GroupBy(r => r.Method)) output.Object(ToJson(group.Key, [.. group]));
        output.Object(new JsonObject { ["methods"] = rows.Select(r => r.Method).Distinct().Count(), ["seeds"] = comparison.Seeds, ["report"] = page, ["folder"] = comparison.Folder });
    }

    /// <summary>What the recipe and each METHOD.NAME=VALUE say, by method. A method that is not compared is a slip.</summary>
    private static Dictionary<string, JsonObject> ReadOptions(JsonObject? inFile, string[] settings, IReadOnlyList<string> methods)
    {
        Dictionary<string, JsonObject> byMethod = [];
        foreach (var (method, options) in inFile ?? [])
        {
            // A list of methods on the command line may be shorter than the recipe's; what is in no list was never meant to count.
            if (!Reparameterizations.Names.Contains(method)) throw new ArgumentException($"The recipe sets options of '{method}', which is no method.{Suggest.Offer(method, Reparameterizations.Names)}");
            if (methods.Contains(method)) byMethod[method] = Options.KnownOptions(method, options!.AsObject());
        }
        foreach (string setting in settings)
        {
            // The first dot: a value may have one too.
            int dot = setting.IndexOf('.'), equals = setting.IndexOf('=');
            if (dot < 1 || equals < dot) throw new ArgumentException($"--set {setting}: several methods are compared, so say whose option it is: METHOD.NAME=VALUE.");
            string method = setting[..dot];
            if (!methods.Contains(method) || !Reparameterizations.Names.Contains(method))
                throw new ArgumentException($"--set {setting}: '{method}' is no method of this comparison.{Suggest.Offer(method, methods)} Name it in --methods too.");
            if (!byMethod.TryGetValue(method, out var options)) byMethod[method] = options = [];
            foreach (var (name, value) in Options.ReadMethodOptions(method, [setting[(dot + 1)..]])) options[name] = value?.DeepClone();
        }
        return byMethod;
    }

    private static JsonObject ToJson(string method, IReadOnlyList<MethodRow> all)
    {
        MethodRow[] rows = [.. all.Where(r => r.Failed == null)];
        string failed = string.Join("; ", all.Where(r => r.Failed != null).Select(r => all.Count == 1 ? r.Failed : $"seed {r.Seed}: {r.Failed}"));
        if (rows.Length == 0) return new JsonObject { ["method"] = method, ["failed"] = failed };
        var accuracy = MeanDeviation.Of([.. rows.Select(r => r.Accuracy)]);
        var result = new JsonObject
        {
            ["method"] = method,
            ["accuracy"] = accuracy.Mean,
            ["mergeError"] = rows.Max(r => r.MergeError),
            ["trainParameters"] = rows[0].TrainParameters,
            ["deployParameters"] = rows[0].DeployParameters,
            ["trainMacs"] = rows[0].TrainMacs,
            ["deployMacs"] = rows[0].DeployMacs,
            ["stepMs"] = rows.Average(r => r.StepMs),
        };
        if (failed.Length > 0) result["failed"] = failed;
        if (rows.FirstOrDefault(r => r.Stays != null) is { } kept) result["stays"] = kept.Stays;
        if (rows[0].Progress != null) result["progress"] = string.Join("; ", rows.Select(r => r.Progress));
        if (accuracy.Deviation is { } d)
        {
            result["deviation"] = d;
            result["accuracies"] = new JsonArray([.. rows.Select(r => (JsonNode)r.Accuracy)]);
        }
        return result;
    }
}
