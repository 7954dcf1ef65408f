using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Cli;

/// <summary>Options that several commands share, each made in one place with its default and unit.</summary>
internal static class Options
{
    public static Option<string> Data(string fallback = "shapes") => new("--data")
    {
        Description = $"Pictures: {string.Join(" | ", DataSource.KnownSpecs)}. shapes are drawn and need no files.",
        DefaultValueFactory = _ => fallback,
        HelpName = "DATA",
    };

    public static Option<string> ModelName() => new("--model")
    {
        Description = $"Architecture: {string.Join(" | ", Zoo.Names)}.",
        DefaultValueFactory = _ => "mobilenet_v1",
        HelpName = "NAME",
    };

    public static Option<double> Width(double fallback = 1) => Number("--width", fallback, "Width multiplier of the architecture's channels.");

    public static Option<int?> Limit() => new("--limit") { Description = "Use at most so many training images, classes in balance. Default: all.", HelpName = "IMAGES" };

    public static Option<int?> TestLimit() => new("--test-limit") { Description = "Use at most so many test images. Default: all.", HelpName = "IMAGES" };

    public static Option<int> Batch(int fallback = 128) => Integer("--batch", fallback, "Images a step.");

    public static Option<ulong> Seed() => new("--seed")
    {
        Description = "Seed of everything random.",
        DefaultValueFactory = _ => 1,
        HelpName = "N",
    };

    public static Option<int> Seeds() => new("--seeds")
    {
        Description = "Repeat with so many seeds, counting up from --seed, and show mean ± deviation.",
        DefaultValueFactory = _ => 1,
        HelpName = "N",
    };

    public static Option<string> Method(string fallback, string what) => new("--method")
    {
        Description = $"{what}: {string.Join(" | ", Reparameterizations.Names)} | none.",
        DefaultValueFactory = _ => fallback,
        HelpName = "NAME",
    };

    public static Option<string[]> MethodOptions() => new("--set")
    {
        Description = "An option of the method, as NAME=VALUE; may be given several times (docs/methods says which there are). Default: the method's own.",
        HelpName = "NAME=VALUE",
    };

    /// <summary>The method of <see cref="Method"/> with the options of <see cref="MethodOptions"/>, over those of a recipe file; null for none.</summary>
    public static IReparameterization? ReadMethod(string name, string[]? settings, JsonObject? fromFile = null)
    {
        settings ??= [];
        if (name == "none")
            return settings.Length == 0 ? null : throw new ArgumentException("--set sets an option of a method, and the method is none. Give one with --method.");
        if (!Reparameterizations.Names.Contains(name))
            throw new ArgumentException($"There is no method '{name}'.{Suggest.Offer(name, [.. Reparameterizations.Names, "none"])} Known are {string.Join(", ", Reparameterizations.Names)}, none.");
        var options = KnownOptions(name, fromFile);
        foreach (var (key, value) in ReadMethodOptions(name, settings)) options[key] = value?.DeepClone();
        return Reparameterizations.Create(name, options);
    }

    /// <summary>A copy of the options that a recipe file gives a method, all of which it has.</summary>
    public static JsonObject KnownOptions(string name, JsonObject? fromFile)
    {
        var options = fromFile?.DeepClone().AsObject() ?? [];
        if (options.FirstOrDefault(o => !OptionsOf(name).ContainsKey(o.Key)) is { Key: { } unknown })
            throw new ArgumentException($"The recipe sets '{unknown}': {name} has no such option.{Suggest.Offer(unknown, OptionsOf(name).Keys)}");
        return options;
    }

    private static Dictionary<string, JsonNode?> OptionsOf(string name)
    {
        var method = Reparameterizations.Create(name);
        return method.Options.Where(o => !method.StateNames.Contains(o.Key)).ToDictionary();
    }

    /// <summary>What --set says of a method: NAME=VALUE each.</summary>
    public static JsonObject ReadMethodOptions(string name, IEnumerable<string> settings)
    {
        var defaults = OptionsOf(name);
        var options = new JsonObject();
        foreach (string setting in settings)
        {
            int equals = setting.IndexOf('=');
            string key = equals < 0 ? setting : setting[..equals];
            if (equals < 1 || !defaults.ContainsKey(key))
                throw new ArgumentException($"--set {setting}: {name} has no such option.{Suggest.Offer(key, defaults.Keys)} It takes {(defaults.Count == 0 ? "none" : string.Join(", ", defaults.Select(d => $"{d.Key}={d.Value?.ToJsonString()}")))}.");
            options[key] = ReadValue(setting, setting[(equals + 1)..]);
        }
        return options;
    }

    /// <summary>A word is a word; numbers, true and false are what they look like.</summary>
    private static JsonNode ReadValue(string setting, string value)
    {
        if (value is "true" or "false") return JsonValue.Create(value == "true");
        if (!double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)) return JsonValue.Create(value);
        if (!double.IsFinite(number)) throw new ArgumentException($"--set {setting}: the value must be a finite number, or a word.");
        // People write numbers in more ways than JSON does (.5, +1, 01), and a parsed one can be read as whole or as broken, whichever the method asks for.
        return JsonNode.Parse(number.ToString("R", CultureInfo.InvariantCulture))!;
    }

    public static Option<string> Layers(string? fallback) => new("--layers")
    {
        Description = $"Which convolutions: k3 (at least 3×3) | k1 (larger than 1×1) | odd (odd and larger than 1×1) | names, separated by commas.{(fallback == null ? " Default: the method's own choice." : "")}",
        DefaultValueFactory = fallback == null ? null : _ => fallback,
        HelpName = "LAYERS",
    };

    public static Option<bool> KeepEpochs() => new("--keep-epochs") { Description = "Keep the weights of every epoch (epoch-NNN.safetensors): the path of training, for `analyze landscape --path`." };

    /// <summary>The policy that <see cref="Layers"/> names; null for the method's own.</summary>
    public static LayerPolicy? ReadLayers(string? text) => text switch
    {
        null => null,
        "k3" => LayerPolicy.AtLeast3,
        "k1" => LayerPolicy.LargerThan1,
        "odd" => LayerPolicy.OddOnly,
        _ => LayerPolicy.Named(text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)),
    };

    /// <summary>A folder that is not there yet: runs/KIND-1, runs/KIND-2 …</summary>
    public static string NewFolder(string kind) => Enumerable.Range(1, int.MaxValue).Select(i => Path.Combine("runs", $"{kind}-{i}")).First(p => !Path.Exists(p));

    public static Option<bool> Json() => new("--json") { Description = "Print JSON lines for machines instead of text; the last line is the result." };

    public static Option<string?> Out(string what) => new("--out") { Description = what, HelpName = "PATH" };

    public static Option<string?> TensorBoard() => new("--tensorboard") { Description = "Write event files for TensorBoard into this folder: loss, accuracy, learning rate. Default: none.", HelpName = "DIR" };

    public static Option<int> MapK() => Integer("--map-k", 3, "Size of the refocusing kernel: odd.");

    public static Option<string> RefocusInitialisation() => new("--init")
    {
        Description = "Initial refocus weights: xavier | zero | torch (PyTorch's default).",
        DefaultValueFactory = _ => "xavier",
        HelpName = "INIT",
    };

    public static RefocusInit ParseInit(string text) => text switch
    {
        "xavier" => RefocusInit.XavierUniform,
        "zero" => RefocusInit.Zero,
        "torch" => RefocusInit.TorchDefault,
        _ => throw new ArgumentException($"There is no initialisation '{text}'.{Suggest.Offer(text, ["xavier", "zero", "torch"])} Known are xavier, zero, torch."),
    };

    /// <summary>The small-image variant of an architecture for a data set of small images, the ImageNet form otherwise.</summary>
    public static ModelSpec SpecFor(string architecture, double width, IImageDataset data) => SpecFor(architecture, width, data.ClassNames.Count, data.Height) with { InChannels = data.Channels };

    /// <summary>The variant for small images up to 64 pixels, the ImageNet form above.</summary>
    public static ModelSpec SpecFor(string architecture, double width, int classes, int pixels) =>
        new(architecture) { Classes = classes, Width = width, ImageSize = pixels, SmallImages = pixels <= 64 };

    internal static Option<int> Integer(string name, int fallback, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => fallback,
        HelpName = "N",
        CustomParser = result =>
        {
            if (int.TryParse(result.Tokens[0].Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value)) return value;
            result.AddError($"{name} takes a whole number, not '{result.Tokens[0].Value}'.");
            return 0;
        },
    };

    internal static Option<double> Number(string name, double fallback, string description) => new(name)
    {
        Description = description,
        DefaultValueFactory = _ => fallback,
        HelpName = "X",
        CustomParser = result =>
        {
            if (double.TryParse(result.Tokens[0].Value, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)) return value;
            result.AddError($"{name} takes a number, not '{result.Tokens[0].Value}'.");
            return 0;
        },
    };
}
