using System.CommandLine;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv convert</c>: weights of others become a model file, and a model file a file for PyTorch.</summary>
internal static class ConvertCommand
{
    private static readonly string[] TorchNames = [".pth", ".pt", ".bin"];

    public static Command Create()
    {
        var command = new Command("convert", "Make a model file of PyTorch weights (.pth, .pt, .bin, .safetensors), or a .pth file of a model.");
        Argument<string> from = new("IN") { Description = "Weights: a state dict or a checkpoint with one in it. Or a model file." };
        Argument<string> to = new("OUT") { Description = $"What to write: a PyTorch file if it ends in {string.Join(", ", TorchNames)}, a model file otherwise." };
        Option<string?> model = new("--model") { Description = $"Architecture of the weights: {string.Join(" | ", Zoo.Names)}. A model file says it itself.", HelpName = "NAME" };
        Option<double> width = Options.Width();
        Option<int> classes = new("--classes") { Description = "Classes.", DefaultValueFactory = _ => 1000, HelpName = "N" };
        Option<int> size = new("--size") { Description = "Rows and columns of the images the model is for.", DefaultValueFactory = _ => 224, HelpName = "PIXELS" };
        Option<bool?> small = new("--small-images") { Description = "Whether it is the variant for small images that is trained here, whose first strides are left out. Default: no, unless the shapes say so.", HelpName = "true|false" };
        Option<int> channels = new("--channels") { Description = "Channels of the images: 1 for grey, 3 for colour.", DefaultValueFactory = _ => 3, HelpName = "N" };
        Option<bool> noClassifier = new("--no-classifier") { Description = "Leave out the last layer, which gets random initial weights: for training on other classes." };
        Option<string?> method = new("--method") { Description = $"The weights are in the training form of a method, as its authors' code leaves them: {string.Join(" | ", ForeignModel.Methods)}. Default: plain weights.", HelpName = "NAME" };
        Option<string?> prefix = new("--prefix", "--key") { Description = "Where in the file the weights are: a key of the checkpoint, or what their names begin with (model_ema, student, state_dict.net). Default: wherever they are found.", HelpName = "NAME" };
        Option<ulong> seed = Options.Seed();
        Option<bool> json = Options.Json();
        command.Add(from);
        command.Add(to);
        Option[] own = [model, width, classes, size, small, channels, noClassifier, method, prefix, seed];
        foreach (var option in own.Append(json)) command.Add(option);
        command.SetAction(parsed =>
        {
            string source = parsed.GetValue(from)!, target = parsed.GetValue(to)!;
            if (Directory.Exists(target)) throw new IOException($"'{target}' is a folder. Give the name of the file to write, such as {Path.Combine(target, "model.safetensors")}.");
            using var device = new CpuDevice();
            DataInfo? data = null;
            WeightReport? report = null;
            bool described = ModelFile.IsModelFile(source);
            if (described && own.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } given)
                throw new ArgumentException($"{given.Name} cannot be given for {source}: it is a model file and says itself what it is.");
            if (!described && parsed.GetValue(model) is null) throw new ArgumentException($"{source} does not say of which architecture it is. Give it: --model NAME ({string.Join(", ", Zoo.Names)}).");
            using var net = described ? ModelFile.Load(source, device, out data) : Read();
            net.Eval();
            if (TorchNames.Contains(Path.GetExtension(target), StringComparer.OrdinalIgnoreCase)) ModelFile.SaveTorch(net, target);
            else ModelFile.Save(net, target, data);
            Report(new Output(parsed.GetValue(json)), net, source, target, report);
            return 0;

            Model Read()
            {
                var spec = new ModelSpec(parsed.GetValue(model)!) { Classes = parsed.GetValue(classes), Width = parsed.GetValue(width), ImageSize = parsed.GetValue(size), InChannels = parsed.GetValue(channels) };
                var request = new WeightRequest { Classifier = !parsed.GetValue(noClassifier), Prefix = parsed.GetValue(prefix) };
                return new ForeignModel(spec, parsed.GetValue(small), parsed.GetValue(method)).Read(source, request, device, parsed.GetValue(seed), out report);
            }
        });
        return command;
    }

    private static void Report(Output output, Model model, string source, string target, WeightReport? report)
    {
        int tensors = model.NamedParameters().Count();
        output.Line($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))}: {tensors} tensors, {model.ParameterCount():N0} parameters, from {source} to {target}.");
        var result = new JsonObject { ["in"] = source, ["out"] = target, ["model"] = model.Spec.Architecture, ["tensors"] = tensors, ["parameters"] = model.ParameterCount() };
        if (model.Forms.Count > 0) result["method"] = model.Forms[0].Method.Name;
        if (report is not null) Describe(output, result, report);
        output.Object(result);
    }

    /// <summary>What was taken and what was not.</summary>
    private static void Describe(Output output, JsonObject result, WeightReport report)
    {
        const int Shown = 12;
        string place = WeightReport.Visible(report.Prefix), names = report.Names is null ? "" : $", names of {report.Names}";
        if (place.Length > 0 || names.Length > 0) output.Line($"Taken: {(place.Length == 0 ? "the whole file" : $"'{place}'")}{names}.");
        Say("Not taken, though it fits (--prefix NAME takes it)", "notTaken", report.NotTaken);
        Say("Left out", "leftOut", report.LeftOut);
        Say("Objects that were passed over, and not run", "passedOver", report.PassedOver);
        foreach (string note in report.Notes) output.Line(note);
        result["prefix"] = report.Prefix;
        result["names"] = report.Names;
        result["notes"] = new JsonArray([.. report.Notes.Select(n => (JsonNode)n)]);

        void Say(string title, string key, IReadOnlyList<string> what)
        {
            if (what.Count > 0) output.Line($"{title}: {string.Join(", ", what.Take(Shown))}{(what.Count > Shown ? $", and {what.Count - Shown} more" : "")}.");
            result[key] = new JsonArray([.. what.Select(w => (JsonNode)w)]);
        }
    }
}
