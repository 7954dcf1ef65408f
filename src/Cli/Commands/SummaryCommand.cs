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
        var command = new Command("summary", "Shape, parameters and multiply-adds (MACs) of every layer, while training and deployed.");
        Argument<string?> file = new("FILE") { Description = "A model file. Left out: the architecture of --model, refocused.", Arity = ArgumentArity.ZeroOrOne };
        Option<string> model = Options.ModelName();
        Option<double> width = Options.Width();
        Option<int> classes = new("--classes") { Description = "Classes.", DefaultValueFactory = _ => 1000, HelpName = "N" };
        Option<int> size = new("--size") { Description = "Rows and columns of the image; up to 64 the variant for small images is taken.", DefaultValueFactory = _ => 224, HelpName = "PIXELS" };
        Option<int> mapK = Options.MapK();
        Option<bool> plain = new("--plain") { Description = "Do not refocus the architecture." };
        Option<bool> json = Options.Json();
        command.Add(file);
        foreach (var option in (ReadOnlySpan<Option>)[model, width, classes, size, mapK, plain, json]) command.Add(option);
        command.SetAction(parsed =>
        {
            using var device = new CpuDevice();
            using var net = parsed.GetValue(file) is { } path ? ModelFile.Load(path, device) : Build(device);
            Print(new Output(parsed.GetValue(json)), net);
            return 0;

            Model Build(Device where)
            {
                int pixels = parsed.GetValue(size);
                var spec = new ModelSpec(parsed.GetValue(model)!) { Classes = parsed.GetValue(classes), Width = parsed.GetValue(width), ImageSize = pixels, SmallImages = pixels <= 64 };
                var created = Zoo.Create(spec, new Initializer(where));
                if (parsed.GetValue(plain)) return created;
                using (created) return created.Expand(new RefConvMethod(new RefConvOptions { MapK = parsed.GetValue(mapK), Init = RefocusInit.Zero }), LayerPolicy.LargerThan1);
            }
        });
        return command;
    }

    private static void Print(Output output, Model model)
    {
        var summary = ModelSummary.Of(model);
        output.Heading($"{model.Spec}{string.Concat(model.Forms.Select(f => $", {f}"))}");
        List<IReadOnlyList<string>> rows = [.. summary.Layers.Select(l => (IReadOnlyList<string>)
            [l.Name, l.Kind, l.Output.ToString(), N(l.TrainParameters), N(l.DeployParameters), N(l.TrainMacs), N(l.TransformMacs), N(l.DeployMacs)])];
        rows.Add(["total", "", "", N(summary.TrainParameters), N(summary.DeployParameters), N(summary.TrainMacs), N(summary.TransformMacs), N(summary.DeployMacs)]);
        output.Table(["layer", "kind", "output [n, h, w, c]", "parameters training", "deployed", "MACs/image training", "transform MACs/step", "MACs/image deployed"], rows);
        foreach (var l in summary.Layers) output.Object(ToJson(l.Name, l.TrainParameters, l.DeployParameters, l.TrainMacs, l.TransformMacs, l.DeployMacs));
        output.Object(ToJson("total", summary.TrainParameters, summary.DeployParameters, summary.TrainMacs, summary.TransformMacs, summary.DeployMacs));

        static string N(long value) => value == 0 ? "" : value.ToString("N0", CultureInfo.InvariantCulture);
    }

    private static JsonObject ToJson(string name, long trainParameters, long deployParameters, long trainMacs, long transformMacs, long deployMacs) => new()
    {
        ["name"] = name,
        ["trainParameters"] = trainParameters,
        ["deployParameters"] = deployParameters,
        ["trainMacs"] = trainMacs,
        ["transformMacs"] = transformMacs,
        ["deployMacs"] = deployMacs,
    };
}
