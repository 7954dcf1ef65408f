using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
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
        Option<string> data = Options.Data(), model = Options.ModelName();
        Option<double> width = Options.Width();
        Option<int?> limit = Options.Limit(), testLimit = Options.TestLimit();
        Option<int> seeds = Options.Seeds();
        Option<bool> json = Options.Json();
        Option<string?> outFolder = Options.Out("Folder for the runs, comparison.md and report.html. Default: a new folder runs/compare-N.");
        Option<string?> recipeFile = RecipeOptions.File();
        foreach (var option in (ReadOnlySpan<Option>)[methods, methodOptions, recipeFile, data, model, width, limit, testLimit]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[seeds, outFolder, json]) command.Add(option);

        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            if (parsed.GetValue(seeds) < 1) throw new ArgumentException($"--seeds must be at least 1; it is {parsed.GetValue(seeds)}.");
            var reading = new RecipeReading(parsed, parsed.GetValue(recipeFile));
            var settings = reading.Read(recipe);
            settings.Validate();
            string list = parsed.GetValue(methods)!;
            IReadOnlyList<string> names = list == "all" ? [.. Reparameterizations.Names] : list.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            var options = ReadOptions(parsed.GetValue(methodOptions) ?? [], names);
            var source = DataSource.Open(reading.PickData(data), reading.Pick(limit, f => f.Limit), reading.Pick(testLimit, f => f.TestLimit));
            using var where = device.Open(parsed);
            string folder = parsed.GetValue(outFolder) ?? Options.NewFolder("compare");
            var comparison = new MethodComparison
            {
                Spec = Options.SpecFor(reading.Pick(model, f => f.Model), reading.Pick(width, f => f.Width), source.Train),
                Data = source,
                Recipe = settings,
                Methods = names,
                MethodOptions = options,
                SkipUnsuitable = list == "all",
                Seeds = parsed.GetValue(seeds),
                Folder = folder,
                Train = (name, trainer, token) => TrainingView.Run(output, name, trainer, null, token),
                OnRow = row => output.Line($"  {row.Method}, seed {row.Seed}: {(row.Failed ?? $"top-1 {Output.Text(100 * row.Accuracy, "0.0")} %")}"),
            };
            reading.Tell(output);
            output.Heading($"{comparison.Spec} by {string.Join(", ", comparison.RowNames)}");
            IReadOnlyList<MethodRow> rows;
            try
            {
                rows = comparison.Run(where, cancellation);
            }
            catch (OperationCanceledException)
            {
                output.Line($"Stopped; what was done is kept. Go on with the same command and --out {folder}");
                return 130;
            }
            var report = new ComparisonReport(comparison, rows, $"{where.Name}, {where.Description}");
            string page = report.Save();
            output.Line();
            output.Table(ComparisonReport.Titles, report.Table);
            foreach (string note in report.Notes) output.Line("• " + note);
            output.Line($"Report: {Path.GetFullPath(page)}");
            foreach (var (name, reason) in comparison.Skipped) output.Object(new JsonObject { ["method"] = name, ["skipped"] = reason });
            foreach (var group in rows.GroupBy(r => r.Method)) output.Object(ToJson(group.Key, [.. group]));
            output.Object(new JsonObject { ["methods"] = rows.Select(r => r.Method).Distinct().Count(), ["seeds"] = comparison.Seeds, ["report"] = page, ["folder"] = folder });
            return 0;
        });
        return command;
    }

    /// <summary>What each METHOD.NAME=VALUE says, by method. A method that is not compared is a slip.</summary>
    private static Dictionary<string, JsonObject> ReadOptions(string[] settings, IReadOnlyList<string> methods)
    {
        Dictionary<string, List<string>> byMethod = [];
        foreach (string setting in settings)
        {
            // The first dot: a value may have one too.
            int dot = setting.IndexOf('.'), equals = setting.IndexOf('=');
            if (dot < 1 || equals < dot) throw new ArgumentException($"--set {setting}: several methods are compared, so say whose option it is: METHOD.NAME=VALUE.");
            string method = setting[..dot];
            if (!methods.Contains(method) || !Reparameterizations.Names.Contains(method))
                throw new ArgumentException($"--set {setting}: '{method}' is no method of this comparison.{Suggest.Offer(method, methods)} Name it in --methods too.");
            if (!byMethod.TryGetValue(method, out var list)) byMethod[method] = list = [];
            list.Add(setting[(dot + 1)..]);
        }
        return byMethod.ToDictionary(m => m.Key, m => Options.ReadMethodOptions(m.Key, m.Value));
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
