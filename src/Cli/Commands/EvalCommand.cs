using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv eval</c>: how good a model is.</summary>
internal static class EvalCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("eval", "Top-1, top-5 and loss of a model, in any form, on the test images of a data set.");
        Argument<string> file = new("FILE") { Description = "The model." };
        Option<string> data = Options.Data();
        Option<int?> limit = new("--limit") { Description = "Use at most so many test images, classes in balance. Default: all.", HelpName = "IMAGES" };
        Option<int> batch = Options.Batch();
        Option<bool> json = Options.Json();
        Option<bool> all = new("--all") { Description = "Of an imagefolder without train and val, test on all pictures instead of every fifth: for pictures the model was not trained on." };
        command.Add(file);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[data, all, limit, batch, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            using var where = device.Open(parsed);
            using var model = ModelFile.Load(parsed.GetValue(file)!, where, out var info);
            if (parsed.GetValue(batch) < 1) throw new ArgumentException($"--batch must be at least 1; it is {parsed.GetValue(batch)}.");
            // Only the test pictures are used; of the training set only the normalisation, which does not depend on the limit.
            var options = ImageFolderOptions.For(model.Spec, info) is { } o ? o with { TestOnAll = parsed.GetValue(all) } : null;
            var source = DataSource.Open(parsed.GetValue(data)!, trainLimit: 1, parsed.GetValue(limit), options);
            long started = System.Diagnostics.Stopwatch.GetTimestamp();
            var result = Evaluator.Evaluate(model, source.Test, parsed.GetValue(batch), cancellation: cancellation);
            double seconds = System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds;
            output.Line($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))} on {source.Test}");
            output.Line($"Top-1 {Output.Text(100 * result.Accuracy, "0.00")} %, top-5 {Output.Text(100 * result.Top5, "0.00")} %, loss {Output.Text(result.Loss, "0.0000")}   ({Output.Text(result.Count / seconds, "0")} images/s)");
            output.Object(new JsonObject { ["accuracy"] = result.Accuracy, ["top5"] = result.Top5, ["loss"] = result.Loss, ["images"] = result.Count, ["seconds"] = seconds });
            return 0;
        });
        return command;
    }
}
