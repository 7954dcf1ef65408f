using System.CommandLine;
using System.Globalization;
using RefConv.Models.Analysis;

namespace RefConv.Cli.Commands;

/// <summary><c>refconv analyze</c>: measures by which one can judge what refocusing does to a model.</summary>
internal static class AnalyzeCommand
{
    private const string All = "all";
    private static readonly string[] s_kernels = ["connection", "redundancy", "skeleton", "rank", "kernels"], s_pictures = ["landscape", "attack"];

    public static Command Create(CancellationToken cancellation)
    {
        var command = new Command("analyze", "Measure what refocusing does to a model, and write the numbers as JSON files: kernels (connection, redundancy, skeleton, rank, kernels), loss landscape, attacks, cost of training.");
        Argument<string> kind = new("KIND") { Description = $"{string.Join(" | ", AnalysisFile.Kinds)} | {All}." };
        Argument<string[]> models = new("MODEL") { Description = "Model files: of a refocused model, its checkpoint, which holds the kernels before and after. Landscapes and attacks take several.", Arity = ArgumentArity.OneOrMore };
        Option<string?> against = new("--against") { Description = "The plain model to compare with. A refocused checkpoint brings its basis along, so kernels need none.", HelpName = "PLAIN" };
        Option<string> data = Options.Data(), layers = Options.Layers("k1"), dimensions = Text("--dimensions", "2", "1 | 2 | both: of the landscape.", "D"),
            epsilons = Text("--epsilon", "1,2,4,8", "Largest changes of attacked pictures, in 255ths of a channel's range.", "LIST");
        Option<int?> limit = new("--limit") { Description = "Use at most so many images, classes in balance. Default: 2000 training images for landscapes, 1000 test images for attacks.", HelpName = "IMAGES" };
        Option<int> points = Whole("--points", 25, "Points along an axis of the landscape: odd."), steps = Whole("--steps", 10, "Steps of PGD."),
            batch = Whole("--batch", 64, "Images a step, for cost and attacks.");
        Option<double> range = new("--range") { Description = "The landscape goes from −range to range.", DefaultValueFactory = _ => 1, HelpName = "X" };
        Option<ulong> seed = Options.Seed();
        Option<string?> path = new("--path") { Description = "Principal directions of this run's epochs (train --keep-epochs) instead of random ones; with `all`, as well as random ones.", HelpName = "RUN" };
        Option<bool> asTrained = new("--as-trained") { Description = "Move the weights of the training form (refocus weights) instead of the merged model's." };
        Option<bool> json = Options.Json();
        Option<string?> outFolder = Options.Out("Folder for KIND.json. A landscape that was stopped goes on there. Default: a new folder runs/analyze-N.");
        command.Add(kind);
        command.Add(models);
        var device = new DeviceOptions(command);
        foreach (var option in (ReadOnlySpan<Option>)[against, data, limit, layers, dimensions, points, range, seed, path, asTrained, epsilons, steps, batch, outFolder, json]) command.Add(option);
        (Option Option, string[] Kinds)[] uses =
        [
            (against, [.. s_kernels[1..], .. s_pictures]), (data, s_pictures), (limit, s_pictures), (layers, [.. s_kernels, "cost"]), (dimensions, ["landscape"]), (points, ["landscape"]),
            (range, ["landscape"]), (seed, s_pictures), (path, ["landscape"]), (asTrained, ["landscape"]), (epsilons, ["attack"]), (steps, ["attack"]), (batch, ["attack", "cost"]),
        ];
        command.SetAction(parsed =>
        {
            string what = parsed.GetValue(kind)!;
            if (what != All && !AnalysisFile.Kinds.Contains(what))
                throw new ArgumentException($"There is no analysis '{what}'.{Models.Suggest.Offer(what, [.. AnalysisFile.Kinds, All])} Known are {string.Join(", ", AnalysisFile.Kinds)}, {All}.");
            // What plays no part would be believed to.
            if (what != All && uses.FirstOrDefault(u => !u.Kinds.Contains(what) && parsed.GetResult(u.Option) is { Implicit: false }) is { Option: { } useless })
                throw new ArgumentException($"{useless.Name} means nothing for {what}. Leave it out.");
            string[] files = parsed.GetValue(models)!;
            if (files.Length > 1 && !s_pictures.Contains(what)) throw new ArgumentException($"{what} looks at one model, and {files.Length} were given. Give one, and with --against the plain one.");
            var run = new AnalysisRun(new Output(parsed.GetValue(json)), parsed.GetValue(outFolder) ?? Options.NewFolder("analyze"), $"refconv {string.Join(' ', parsed.Tokens.Select(t => Quote(t.Value)))}", cancellation)
            {
                Files = files,
                Against = parsed.GetValue(against),
                Data = parsed.GetValue(data)!,
                Limit = parsed.GetValue(limit),
                Layers = parsed.GetResult(layers) is { Implicit: false } ? Options.ReadLayers(parsed.GetValue(layers)) : null,
                Dimensions = ReadDimensions(parsed.GetValue(dimensions)!),
                Points = parsed.GetValue(points),
                Range = parsed.GetValue(range),
                Seed = parsed.GetValue(seed),
                Path = parsed.GetValue(path),
                AsTrained = parsed.GetValue(asTrained),
                Epsilons = ReadEpsilons(parsed.GetValue(epsilons)!),
                Steps = AtLeast1(steps.Name, parsed.GetValue(steps)),
                Batch = AtLeast1(batch.Name, parsed.GetValue(batch)),
                OpenDevice = () => device.Open(parsed),
            };
            return run.Go(what == All ? AnalysisFile.Kinds : [what], everything: what == All);
        });
        return command;
    }

    private static IReadOnlyList<int> ReadDimensions(string text) => text switch
    {
        "1" => [1],
        "2" => [2],
        "both" => [1, 2],
        _ => throw new ArgumentException($"--dimensions takes 1, 2 or both, not '{text}'."),
    };

    private static IReadOnlyList<double> ReadEpsilons(string text)
    {
        string[] words = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0) throw new ArgumentException("--epsilon names no change of the pictures. Give at least one number between 0 and 255.");
        return [.. words.Select(word => double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value is >= 0 and <= 255 ? value / 255
            : throw new ArgumentException($"--epsilon takes numbers between 0 and 255, separated by commas, not '{word}'."))];
    }

    private static int AtLeast1(string option, int value) => value >= 1 ? value : throw new ArgumentException($"{option} must be at least 1; it is {value}.");

    private static string Quote(string word) => word.AsSpan().ContainsAny(" \"'$&|;<>()*?") ? $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'" : word;

    private static Option<string> Text(string name, string fallback, string description, string helpName) =>
        new(name) { Description = description, DefaultValueFactory = _ => fallback, HelpName = helpName };

    private static Option<int> Whole(string name, int fallback, string description) => new(name) { Description = description, DefaultValueFactory = _ => fallback, HelpName = "N" };
}
