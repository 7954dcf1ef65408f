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
        Option<bool?> small = new("--small-images") { Description = "Whether it is the variant for small images, whose first strides are left out. Default: true up to 64 pixels, false above.", HelpName = "true|false" };
        Option<int> channels = new("--channels") { Description = "Channels of the images: 1 for grey, 3 for colour.", DefaultValueFactory = _ => 3, HelpName = "N" };
        Option<bool> noClassifier = new("--no-classifier") { Description = "Leave out the last layer, which gets random initial weights: for training on other classes." };
        Option<ulong> seed = Options.Seed();
        Option<bool> json = Options.Json();
        command.Add(from);
        command.Add(to);
        Option[] own = [model, width, classes, size, small, channels, noClassifier, seed];
        foreach (var option in own.Append(json)) command.Add(option);
        command.SetAction(parsed =>
        {
            string source = parsed.GetValue(from)!, target = parsed.GetValue(to)!;
            if (Directory.Exists(target)) throw new IOException($"'{target}' is a folder. Give the name of the file to write, such as {Path.Combine(target, "model.safetensors")}.");
            using var device = new CpuDevice();
            DataInfo? data = null;
            bool described = ModelFile.IsModelFile(source);
            if (described && own.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } given)
                throw new ArgumentException($"{given.Name} cannot be given for {source}: it is a model file and says itself what it is.");
            if (!described && parsed.GetValue(model) is null) throw new ArgumentException($"{source} does not say of which architecture it is. Give it: --model NAME ({string.Join(", ", Zoo.Names)}).");
            using var net = described ? ModelFile.Load(source, device, out data) : Read();
            net.Eval();
            if (TorchNames.Contains(Path.GetExtension(target), StringComparer.OrdinalIgnoreCase)) ModelFile.SaveTorch(net, target);
            else ModelFile.Save(net, target, data);
            Report(new Output(parsed.GetValue(json)), net, source, target);
            return 0;

            Model Read()
            {
                var spec = Options.SpecFor(parsed.GetValue(model)!, parsed.GetValue(width), parsed.GetValue(classes), parsed.GetValue(size)) with { InChannels = parsed.GetValue(channels) };
                if (parsed.GetValue(small) is { } isSmall) spec = spec with { SmallImages = isSmall };
                bool classifier = !parsed.GetValue(noClassifier);
                var built = Zoo.Create(spec, classifier ? Initializer.ForLoading(device) : new Initializer(device, parsed.GetValue(seed)));
                try
                {
                    ModelFile.LoadWeights(built, source, strict: true, classifier);
                    return built;
                }
                catch
                {
                    built.Dispose();
                    throw;
                }
            }
        });
        return command;
    }

    private static void Report(Output output, Model model, string source, string target)
    {
        int tensors = model.NamedParameters().Count();
        output.Line($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))}: {tensors} tensors, {model.ParameterCount():N0} parameters, from {source} to {target}.");
        output.Object(new JsonObject { ["in"] = source, ["out"] = target, ["model"] = model.Spec.Architecture, ["tensors"] = tensors, ["parameters"] = model.ParameterCount() });
    }
}
