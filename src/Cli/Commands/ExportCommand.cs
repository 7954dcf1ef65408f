using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using RefConv.Models;
using RefConv.Onnx;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv export</c>: a model for other runtimes.</summary>
internal static class ExportCommand
{
    public static Command Create()
    {
        var command = new Command("export", "Write a model as ONNX, for other runtimes: batch norms folded, any batch size, names kept.");
        Argument<string> file = new("FILE") { Description = "The model, merged." };
        Option<string> to = new("--out", "-o") { Description = "The .onnx file to write.", Required = true, HelpName = "FILE" };
        Option<int?> size = new("--input-size") { Description = "Rows and columns of the images the file takes. Default: what the model was made for.", HelpName = "PIXELS" };
        Option<bool> merge = new("--merge") { Description = "Merge a model that is still in training form on the way." };
        Option<bool> trainingForm = new("--training-form") { Description = "Write a model in training form as it computes now." };
        Option<bool> json = Options.Json();
        command.Add(file);
        foreach (var option in (ReadOnlySpan<Option>)[to, size, merge, trainingForm, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            string path = parsed.GetValue(to)!;
            if (parsed.GetValue(merge) && parsed.GetValue(trainingForm)) throw new ArgumentException("--merge and --training-form contradict each other. Give one of them.");
            if (Directory.Exists(path)) throw new IOException($"'{path}' is a folder. Give the name of the file to write, such as {Path.Combine(path, "model.onnx")}.");
            using var device = Devices.Open("cpu", 0);
            using var loaded = ModelFile.Load(parsed.GetValue(file)!, device, out var data);
            // A model that has nothing to merge is what --merge asks for.
            using var merged = parsed.GetValue(merge) && loaded.IsMergeable ? loaded.Merge().Merged : null;
            var model = merged ?? loaded;
            var options = new OnnxOptions { ImageSize = parsed.GetValue(size), TrainingForm = parsed.GetValue(trainingForm), Data = data };
            Print(output, model, OnnxExporter.Export(model, path, options), merged != null);
            return 0;
        });
        return command;
    }

    private static void Print(Output output, Model model, OnnxSummary summary, bool merged)
    {
        output.Line($"{model.Spec}{(merged ? ", merged" : "")}: {summary.Parameters:N0} parameters in {summary.Operators.Values.Sum()} nodes ({string.Join(", ", summary.Operators.Select(o => $"{o.Value} {o.Key}"))}).");
        output.Line($"{summary.Input} → {summary.Output}, operator set 17, {Output.Text(summary.Bytes / 1e6, "0.0")} MB: {summary.Path}");
        JsonObject operators = [];
        foreach (var (name, count) in summary.Operators) operators[name] = count;
        output.Object(new JsonObject
        {
            ["file"] = summary.Path,
            ["bytes"] = summary.Bytes,
            ["parameters"] = summary.Parameters,
            ["merged"] = merged,
            ["input"] = Sizes(summary.Input),
            ["output"] = Sizes(summary.Output),
            ["operators"] = operators,
        });

        // Numbers as numbers, free sizes by their names.
        static JsonArray Sizes(OnnxValue value) => new([.. value.Sizes.Select(s => int.TryParse(s, NumberStyles.None, CultureInfo.InvariantCulture, out int size) ? (JsonNode)size : s)]);
    }
}
