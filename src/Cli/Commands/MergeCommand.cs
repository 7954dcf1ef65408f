using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Models;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv merge</c>: a model in training form becomes a plain one.</summary>
internal static class MergeCommand
{
    public static Command Create()
    {
        var command = new Command("merge", "Turn a model in the training form of a method, such as a refocused one, into the plain model that computes the same, and check it layer by layer.");
        Option<string> from = new("--from") { Description = "The model in training form.", Required = true, HelpName = "FILE" };
        Option<string> to = new("--out") { Description = "The merged model to write.", Required = true, HelpName = "FILE" };
        Option<bool> json = Options.Json();
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[from, to, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            string path = parsed.GetValue(to)!;
            if (Directory.Exists(path)) throw new IOException($"'{path}' is a folder. Give the name of the file to write, such as {Path.Combine(path, "merged.safetensors")}.");
            using var where = device.Open(parsed);
            using var model = ModelFile.Load(parsed.GetValue(from)!, where, out var data);
            var (merged, report) = model.Merge();
            using (merged)
            {
                ModelFile.Save(merged, path, data);
                var worst = report.Worst;
                output.Line($"Merged {report.Layers.Count - 1} layers: {model.ParameterCount():N0} parameters became {merged.ParameterCount():N0}.");
                output.Line(worst.MaxAbsDifference == 0
                    ? "Checked on a probe batch: every merged layer, and the model's output, are equal to the last bit."
                    : $"Checked on a probe batch: the worst layer is '{worst.Name}', which differs by {worst.MaxAbsDifference:E1} at values up to {worst.MaxAbsValue:0.###}.");
                output.Line(merged.Forms.Count == 0
                    ? $"Plain model: {path}"
                    : $"Not all of it could be merged: {string.Join(", ", merged.Forms)} {(merged.Forms.Sum(f => f.Layers.Count) == 1 ? "stays" : "stay")}, because {TrainingRun.WhatStays(merged) ?? "no plain layer computes the same"}. Model: {path}");
                output.Object(new JsonObject
                {
                    ["maxAbsDifference"] = report.Layers.Max(l => l.MaxAbsDifference),
                    ["worstLayer"] = worst.Name,
                    ["layers"] = report.Layers.Count - 1,
                    ["parameters"] = merged.ParameterCount(),
                    ["trainParameters"] = model.ParameterCount(),
                    ["stays"] = new JsonArray([.. merged.Forms.Select(f => (JsonNode)f.Method.Name)]),
                    ["file"] = path,
                });
            }
            return 0;
        });
        return command;
    }
}
