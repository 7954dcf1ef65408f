using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv summary</c>: what a model costs, layer by layer.</summary>
internal static class SummaryCommand
{
    public static Command Create()
    {
        var command = new Command("summary", "What a model costs, while training and deployed: parameters, multiply-adds (MACs) and bytes of every layer, and the time of a training step.");
        Argument<string?> file = new("FILE") { Description = "A model file. Left out: the architecture of --model, in the form of --method.", Arity = ArgumentArity.ZeroOrOne };
        Option<string> model = Options.ModelName(), method = Options.Method("refconv", "Training form of the architecture");
        Option<string[]> methodOptions = Options.MethodOptions();
        Option<string> layers = Options.Layers(null);
        Option<double> width = Options.Width();
        Option<int> classes = new("--classes") { Description = "Classes.", DefaultValueFactory = _ => 1000, HelpName = "N" };
        Option<int> size = new("--size") { Description = "Rows and columns of the image; up to 64 the variant for small images is taken.", DefaultValueFactory = _ => 224, HelpName = "PIXELS" };
        Option<int?> batch = new("--batch") { Description = "Measure the time of a training step with so many images; 0 for not at all. Default: 8 where --method is given, otherwise 0.", HelpName = "N" };
        Option<int> threads = DeviceOptions.Threads();
        Option<bool> json = Options.Json();
        command.Add(file);
        foreach (var option in (ReadOnlySpan<Option>)[model, method, methodOptions, layers, width, classes, size, batch, threads, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(batch) < 0) throw new ArgumentException($"--batch must be at least 0; it is {parsed.GetValue(batch)}.");
            // A file says all this of its model: ignoring it would let one believe that it counts.
            Option[] ofArchitectures = [model, method, methodOptions, layers, width, classes, size];
            if (parsed.GetValue(file) != null && ofArchitectures.FirstOrDefault(o => parsed.GetResult(o) is { Implicit: false }) is { } useless)
                throw new ArgumentException($"{useless.Name} is for an architecture of --model; the file says which model it holds, in which form. Leave one of them out.");
            using var device = new CpuDevice(parsed.GetValue(threads));
            using var net = parsed.GetValue(file) is { } path ? ModelFile.Load(path, device) : Build(device);
            bool asked = parsed.GetResult(method) is { Implicit: false };
            Print(new Output(parsed.GetValue(json)), net, parsed.GetValue(batch) ?? (asked ? 8 : 0));
            return 0;

            Model Build(Device where)
            {
                var spec = Options.SpecFor(parsed.GetValue(model)!, parsed.GetValue(width), parsed.GetValue(classes), parsed.GetValue(size));
                var how = Options.ReadMethod(parsed.GetValue(method)!, parsed.GetValue(methodOptions));
                var created = Zoo.Create(spec, new Initializer(where));
                var policy = Options.ReadLayers(parsed.GetValue(layers));
                if (how == null) return policy == null ? created : throw new ArgumentException("--layers says which layers a method takes, and the method is none. Give one with --method.");
                using (created) return created.Expand(how, policy);
            }
        });
        return command;
    }

    private static void Print(Output output, Model model, int batch)
    {
        var summary = ModelSummary.Of(model);
        output.Heading($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))}");
        List<IReadOnlyList<string>> rows = [.. summary.Layers.Select(l => (IReadOnlyList<string>)
            [l.Name, l.Kind, l.Output.Count == 0 ? "" : l.Output.ToString(), N(l.TrainParameters), N(l.DeployParameters), N(l.TrainMacs), N(l.TransformMacs), N(l.DeployMacs), N(l.TrainBytes), N(l.DeployBytes)])];
        rows.Add(["total", "", "", N(summary.TrainParameters), N(summary.DeployParameters), N(summary.TrainMacs), N(summary.TransformMacs), N(summary.DeployMacs), N(summary.TrainBytes), N(summary.DeployBytes)]);
        output.Table(["layer", "kind", "output [n, h, w, c]", "parameters training", "deployed", "MACs/image training", "transform MACs/step", "MACs/image deployed", "bytes/image training", "deployed"], rows);
        foreach (var l in summary.Layers) output.Object(ToJson(l.Name, l.TrainParameters, l.DeployParameters, l.TrainMacs, l.TransformMacs, l.DeployMacs, l.TrainBytes, l.DeployBytes));
        var total = ToJson("total", summary.TrainParameters, summary.DeployParameters, summary.TrainMacs, summary.TransformMacs, summary.DeployMacs, summary.TrainBytes, summary.DeployBytes);
        if (batch > 0)
        {
            using var plain = Zoo.Create(model.Spec, new Initializer(model.Device));
            double step = StepTime.Milliseconds(model, batch), plainStep = model.Forms.Count == 0 ? step : StepTime.Milliseconds(plain, batch);
            output.Line($"A training step of {batch} images takes {Output.Text(step, "0.0")} ms; the plain model's {Output.Text(plainStep, "0.0")} ms ({Output.Text(step / plainStep, "0.00")} times as long).");
            (total["batch"], total["stepMs"], total["plainStepMs"]) = (batch, step, plainStep);
        }
        output.Object(total);

        static string N(long value) => value == 0 ? "" : value.ToString("N0", CultureInfo.InvariantCulture);
    }

    private static JsonObject ToJson(string name, long trainParameters, long deployParameters, long trainMacs, long transformMacs, long deployMacs, long trainBytes, long deployBytes) => new()
    {
        ["name"] = name,
        ["trainParameters"] = trainParameters,
        ["deployParameters"] = deployParameters,
        ["trainMacs"] = trainMacs,
        ["transformMacs"] = transformMacs,
        ["deployMacs"] = deployMacs,
        ["trainBytes"] = trainBytes,
        ["deployBytes"] = deployBytes,
    };
}
