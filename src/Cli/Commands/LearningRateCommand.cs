using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;
using RefConv.Models.Train;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv lr-find</c>: which learning rate a model can take.</summary>
internal static class LearningRateCommand
{
    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("lr-find", "Train for some steps with a growing learning rate, draw the loss over it and suggest a rate. Nothing is kept.");
        Option<string?> recipeFile = RecipeOptions.File();
        Option<string> data = Options.Data(), model = Options.ModelName();
        Option<double> width = Options.Width();
        Option<string?> from = new("--from") { Description = "Start from this trained model instead of new weights; in its form if it has one. Default: new weights.", HelpName = "FILE" };
        Option<string> method = Options.Method("none", "Put the model into the form of a method first");
        Option<string[]> methodOptions = Options.MethodOptions();
        Option<int?> limit = Options.Limit(), imageSize = new("--image-size") { Description = "Rows and columns that pictures of an imagefolder are brought to. Default: as in train.", HelpName = "PIXELS" };
        Option<double> minimum = Options.Number("--min", 1e-6, "Rate of the first step."), maximum = Options.Number("--max", 10, "Rate of the last step.");
        Option<int> steps = Options.Integer("--steps", 100, "Steps between them.");
        Option<bool> json = Options.Json();
        foreach (var option in (ReadOnlySpan<Option>)[minimum, maximum, steps, recipeFile, data, imageSize, model, width, method, methodOptions, from, limit]) command.Add(option);
        var recipe = new RecipeOptions(command, epochs: 12);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[json]) command.Add(option);

        command.SetAction(parsed =>
        {
            var output = new Output(parsed.GetValue(json));
            var reading = new RecipeReading(parsed, parsed.GetValue(recipeFile));
            var settings = reading.Read(recipe);
            string form = reading.Pick(method, f => f.Method);
            var how = Options.ReadMethod(form, parsed.GetValue(methodOptions), reading.File?.Method == form ? reading.File.MethodOptions : null);
            using var where = device.Open(parsed);
            DataInfo? info = null;
            string? start = reading.PickOptional(from, f => f.From);
            using var trained = start == null ? null : ModelFile.Load(start, where, out info);
            string pictures = reading.PickData(data);
            int? size = reading.Pick(imageSize, f => pictures.StartsWith("imagefolder:", StringComparison.Ordinal) ? f.ImageSize : null);
            var source = DataSource.Open(pictures, reading.Pick(limit, f => f.Limit), 1,
                trained != null ? ImageFolderOptions.For(trained.Spec, info) : size == null ? null : new ImageFolderOptions(ImagePreprocessing.ForSize(size.Value)));
            using var begun = trained == null ? Zoo.Create(Options.SpecFor(reading.Pick(model, f => f.Model), reading.Pick(width, f => f.Width), source.Train), new Initializer(where, settings.Seed)) : null;
            var plain = trained ?? begun!;
            if (how is { NeedsTrainedModel: true } && trained == null) throw new ArgumentException($"{how.Name} starts from a trained model. Give one with --from.");
            using var expanded = how == null ? null : plain.Expand(how, seed: settings.Seed);
            var net = expanded ?? plain;
            reading.Tell(output);
            var finder = new LearningRateFinder { Recipe = settings, Minimum = parsed.GetValue(minimum), Maximum = parsed.GetValue(maximum), Steps = parsed.GetValue(steps) };
            output.Line($"{net.Spec}; {source.Train}; {settings.Optimizer.ToString().ToLowerInvariant()}, batch {settings.BatchSize}; {finder.Steps} steps from {Number(finder.Minimum)} to {Number(finder.Maximum)}");
            Show(output, finder.Run(net, source.Train, cancellation: cancellation));
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
