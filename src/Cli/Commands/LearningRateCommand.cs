using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv lr-find</c>: which learning rate a model can take.</summary>
internal static class LearningRateCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("lr-find", "Train for some steps with a growing learning rate, draw the loss over it and suggest a rate. Nothing is kept.");
        Option<double> minimum = Options.Number("--min", 1e-6, "Rate of the first step."), maximum = Options.Number("--max", 10, "Rate of the last step.");
        Option<int> steps = Options.Integer("--steps", 100, "Steps between them.");
        Option<bool> json = Options.Json();
        var start = new StartOptions();
        foreach (var option in (ReadOnlySpan<Option>)[minimum, maximum, steps, .. start.All]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var device = new DeviceOptions(command);
        command.Add(json);

        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            var reading = new RecipeReading(parsed, parsed.GetValue(start.RecipeFile));
            // No picture is tested on; one is what must be opened.
            var used = start.Read(reading, recipe) with { TestLimit = 1 };
            using var where = device.Open(parsed);
            using var begin = start.Open(parsed, used, where);
            if (begin is { How.NeedsTrainedModel: true, Trained: null }) throw new ArgumentException($"{begin.How.Name} starts from a trained model. Give one with --from.");
            using var plain = begin.Begin(where, used.Recipe.Seed);
            using var expanded = begin.How == null ? null : plain.Expand(begin.How, begin.Policy, used.Recipe.Seed);
            var net = expanded ?? plain;
            reading.Tell(output);
            var finder = new LearningRateFinder { Recipe = used.Recipe, Minimum = parsed.GetValue(minimum), Maximum = parsed.GetValue(maximum), Steps = parsed.GetValue(steps) };
            output.Line($"{net.Spec}; {begin.Source.Train}; {used.Recipe.Optimizer.ToString().ToLowerInvariant()}, batch {used.Recipe.BatchSize}; {finder.Steps} steps from {Number(finder.Minimum)} to {Number(finder.Maximum)}");
            Show(output, finder.Run(net, begin.Source.Train, cancellation: cancellation));
            return 0;
        });
        return command;
    }

    private static void Show(Output output, LearningRateSweep sweep)
    {
        if (!output.IsJson)
        {
            foreach (string line in TextChart.Draw([.. sweep.Points.Select(p => (p.LearningRate, p.Smoothed))], sweep.Suggestion, "smoothed loss", "learning rate")) output.Line(line);
        }
        if (sweep.Stopped) output.Line($"The loss had grown four times as large as at its lowest: stopped at a rate of {Number(sweep.Points[^1].LearningRate)}.");
        output.Line(sweep.Suggestion is { } rate
            ? $"The loss falls fastest at {Number(rate)} and is lowest at {Number(sweep.LowestAt)}. Try --lr {Number(rate)}."
            : "The loss never fell: no rate can be suggested. Take more steps (--steps), smaller rates (--min), or look at the model and the images.");
        output.Object(new JsonObject
        {
            ["suggestion"] = sweep.Suggestion,
            ["lowestAt"] = sweep.LowestAt,
            ["stopped"] = sweep.Stopped,
            ["points"] = new JsonArray([.. sweep.Points.Select(p => (JsonNode)new JsonObject { ["learningRate"] = p.LearningRate, ["loss"] = p.Loss, ["smoothed"] = p.Smoothed })]),
        });
    }

    private static string Number(double value) => value is >= 0.001 and < 1000 ? Output.Text(value, "0.####") : Output.Text(value, "0.##e-0");
}
