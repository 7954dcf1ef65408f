using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using RefConv.Models;
using RefConv.Models.Train;

namespace RefConv.Cli;

/// <summary>Options of everything that trains, and the recipe they make: alone, or over that of a file (--recipe).</summary>
internal sealed class RecipeOptions
{
    private readonly List<Setting> _settings = [];
    private readonly Recipe _defaults;
    private readonly Option<int> _epochs, _batch;
    private readonly Option<double> _rate;
    private readonly Option<ulong> _seed = Options.Seed();

    /// <param name="command">Gets the options.</param>
    /// <param name="epochs">Default of --epochs.</param>
    /// <param name="batch">Default of --batch.</param>
    /// <param name="rate">Default of --lr.</param>
    public RecipeOptions(Command command, int epochs, int batch = 128, double rate = 0.1)
    {
        _defaults = new Recipe { Epochs = epochs, BatchSize = batch, LearningRate = rate };
        _epochs = Options.Integer("--epochs", epochs, "Passes over the training images.");
        _batch = Options.Integer("--batch", batch, "Images a step.");
        _rate = Options.Number("--lr", rate, "Learning rate after the warm-up (`refconv lr-find` suggests one).");
        Add(_epochs, r => r.Epochs, (r, v) => r with { Epochs = v });
        Add(_batch, r => r.BatchSize, (r, v) => r with { BatchSize = v });
        Add(_rate, r => r.LearningRate, (r, v) => r with { LearningRate = v });
        Add(Options.Number("--warmup", _defaults.WarmupEpochs, "Epochs of linear warm-up."), r => r.WarmupEpochs, (r, v) => r with { WarmupEpochs = v });
        Add(Word<ScheduleKind>("--schedule", "How the learning rate falls after the warm-up"), r => r.Schedule, (r, v) => r with { Schedule = v });
        Add(Milestones(), r => string.Join(",", r.Milestones), (r, v) => r with { Milestones = ReadMilestones(v) });
        Add(Word<OptimizerKind>("--optimizer", "What moves the weights"), r => r.Optimizer, (r, v) => r with { Optimizer = v });
        Add(Options.Number("--weight-decay", _defaults.WeightDecay, "Weight decay, of all trained parameters."), r => r.WeightDecay, (r, v) => r with { WeightDecay = v, NormWeightDecay = v });
        Add(Options.Number("--clip", 0, "Scale gradients down to this norm, of all together; 0: never."), r => r.ClipNorm, (r, v) => r with { ClipNorm = v });
        Add(Options.Number("--ema", 0, "Evaluate and keep a running average of the weights that keeps this share of itself at every step (0.999); 0: none."), r => r.EmaDecay, (r, v) => r with { EmaDecay = v });
        Add(Options.Number("--label-smoothing", 0, "Share of each target spread over all classes."), r => r.LabelSmoothing, (r, v) => r with { LabelSmoothing = v });
        Add(Options.Number("--mixup", 0, "Mix images and labels in pairs, by shares from Beta(X, X) (0.2); 0: never."), r => r.Mixup, (r, v) => r with { Mixup = v });
        Add(Pixels("--cutout", 0, "Paint a square of so many pixels over at a random place; 0: none."), r => r.Cutout, (r, v) => r with { Cutout = v });
        Add(Pixels("--crop-padding", _defaults.CropPadding, "Pixels around an image before a random crop."), r => r.CropPadding, (r, v) => r with { CropPadding = v });
        Add(new Option<bool>("--no-flip") { Description = "Do not mirror images (digits, shoes)." }, r => !r.HorizontalFlip, (r, v) => r with { HorizontalFlip = !v });
        Add(Options.Integer("--patience", 0, "Stop when so many epochs in a row were no better than the best; 0: never."), r => r.Patience, (r, v) => r with { Patience = v });
        Add(new Option<bool>("--save-memory") { Description = "Keep less for the backward pass: a half to three quarters of the memory, 5 to 10 % more time, the same result." }, r => r.SaveMemory, (r, v) => r with { SaveMemory = v });
        Add(_seed, r => r.Seed, (r, v) => r with { Seed = v });
        foreach (var setting in _settings) command.Add(setting.Option);
    }

    /// <summary>The option --recipe.</summary>
    public static Option<string?> File() => new("--recipe")
    {
        Description = "Take model, images and all settings from this file (docs/recipes); options given beside it count before it. Default: the defaults shown here.",
        HelpName = "FILE",
    };

    /// <summary>Options that a super-resolution run does not know.</summary>
    public IEnumerable<Option> ClassifierOnly => _settings.Select(s => s.Option).Except([_epochs, _batch, _rate, _seed]);

    /// <summary>What was given of the recipe for super-resolution; the rest is SESR's.</summary>
    public SuperResolutionRecipe ReadSuperResolution(ParseResult parsed, int scale, int? patch, int? patches)
    {
        var defaults = new SuperResolutionRecipe();
        return defaults with
        {
            Epochs = Given(_epochs, defaults.Epochs),
            BatchSize = Given(_batch, defaults.BatchSize),
            LearningRate = Given(_rate, defaults.LearningRate),
            PatchSize = patch ?? (scale == 2 ? 64 : 50),
            PatchesPerImage = patches ?? defaults.PatchesPerImage,
            Seed = parsed.GetValue(_seed),
        };

        T Given<T>(Option<T> option, T fallback) => IsGiven(parsed, option) ? parsed.GetValue(option)! : fallback;
    }

    /// <summary>The recipe of a command line without a file.</summary>
    public Recipe Read(ParseResult parsed) => new RecipeReading(parsed, null).Read(this);

    /// <summary>The recipe of a command line, over that of a file.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="file">The file's; null for the defaults.</param>
    /// <param name="onOverride">Told what was given otherwise than the file says.</param>
    internal Recipe Read(ParseResult parsed, Recipe? file, Action<string, string, string> onOverride)
    {
        var recipe = file ?? _defaults;
        foreach (var setting in _settings.Where(s => IsGiven(parsed, s.Option)))
        {
            string before = setting.Get(recipe);
            recipe = setting.Set(recipe, parsed);
            if (file != null && setting.Get(recipe) != before) onOverride(setting.Option.Name, setting.Get(recipe), before);
        }
        // A short run has a short warm-up without being told so.
        return recipe with { WarmupEpochs = Math.Min(recipe.WarmupEpochs, Math.Max(0, recipe.Epochs)) };
    }

    public static bool IsGiven(ParseResult parsed, Option option) => parsed.GetResult(option) is { Implicit: false };

    private void Add<T>(Option<T> option, Func<Recipe, object> get, Func<Recipe, T, Recipe> set) =>
        _settings.Add(new Setting(option, r => RecipeReading.Text(get(r)), (r, parsed) => set(r, parsed.GetValue(option)!)));

    private static Option<int> Pixels(string name, int fallback, string description)
    {
        var option = Options.Integer(name, fallback, description);
        option.HelpName = "PIXELS";
        return option;
    }

    private static Option<string> Milestones() => new("--milestones")
    {
        Description = "Schedule step: epochs after which the learning rate is divided by ten, separated by commas (30,60,90). Default: none.",
        DefaultValueFactory = _ => "",
        HelpName = "EPOCHS",
    };

    private static int[] ReadMilestones(string text)
    {
        string[] parts = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return [.. parts.Select(p => int.TryParse(p, NumberStyles.None, CultureInfo.InvariantCulture, out int epoch)
            ? epoch
            : throw new ArgumentException($"--milestones takes whole numbers of epochs, separated by commas; '{p}' is none."))];
    }

    /// <summary>One of the words of an enumeration, as they stand in recipe files.</summary>
    private static Option<T> Word<T>(string name, string description) where T : struct, Enum
    {
        string[] words = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        return new Option<T>(name)
        {
            Description = $"{description}: {string.Join(" | ", words)}. Default: {words[0]}.",
            HelpName = "NAME",
            CustomParser = result =>
            {
                string word = result.Tokens[0].Value;
                if (words.Contains(word)) return Enum.Parse<T>(word, ignoreCase: true);
                result.AddError($"{name} cannot be '{word}'.{Suggest.Offer(word, words)} Known are {string.Join(", ", words)}.");
                return default;
            },
        };
    }

    private sealed record Setting(Option Option, Func<Recipe, string> Get, Func<Recipe, ParseResult, Recipe> Set);
}

/// <summary>One command line with the recipe file that it names, if any: what is given counts, then the file, then the default. What was given against the file is kept for saying so.</summary>
internal sealed class RecipeReading
{
    private readonly ParseResult _parsed;
    private readonly List<string> _overrides = [];
    private readonly string? _path;

    /// <param name="parsed">The command line.</param>
    /// <param name="path">The recipe file; null for none.</param>
    public RecipeReading(ParseResult parsed, string? path)
    {
        (_parsed, _path) = (parsed, path);
        if (path != null && !System.IO.File.Exists(path)) throw new FileNotFoundException($"There is no recipe file '{path}'. Give the path of one; docs/recipes has some.");
        File = path == null ? null : RecipeFile.Load(path);
    }

    /// <summary>The file's content.</summary>
    public RecipeFile? File { get; }

    /// <summary>The recipe.</summary>
    public Recipe Read(RecipeOptions options) => options.Read(_parsed, File?.Recipe, Note);

    /// <summary>The value of an option that has a default.</summary>
    public string Pick(Option<string> option, Func<RecipeFile, string?> inFile) => Choose(option, File == null ? null : inFile(File), out string? value) ? value! : _parsed.GetValue(option)!;

    /// <inheritdoc cref="Pick(Option{string}, Func{RecipeFile, string?})"/>
    public int Pick(Option<int> option, Func<RecipeFile, int?> inFile) => Choose(option, File == null ? null : inFile(File), out int? value) ? value!.Value : _parsed.GetValue(option);

    /// <inheritdoc cref="Pick(Option{string}, Func{RecipeFile, string?})"/>
    public double Pick(Option<double> option, Func<RecipeFile, double?> inFile) => Choose(option, File == null ? null : inFile(File), out double? value) ? value!.Value : _parsed.GetValue(option);

    /// <summary>The value of an option without a default.</summary>
    public int? Pick(Option<int?> option, Func<RecipeFile, int?> inFile) => Choose(option, File == null ? null : inFile(File), out int? value) ? value : _parsed.GetValue(option);

    /// <inheritdoc cref="Pick(Option{int?}, Func{RecipeFile, int?})"/>
    public double? Pick(Option<double?> option, Func<RecipeFile, double?> inFile) => Choose(option, File == null ? null : inFile(File), out double? value) ? value : _parsed.GetValue(option);

    /// <inheritdoc cref="Pick(Option{int?}, Func{RecipeFile, int?})"/>
    public string? PickOptional(Option<string?> option, Func<RecipeFile, string?> inFile) => Choose(option, File == null ? null : inFile(File), out string? value) ? value : _parsed.GetValue(option);

    /// <summary>The pictures. A recipe names the kind; where they are on this machine only its user knows.</summary>
    public string PickData(Option<string> option)
    {
        string data = Pick(option, f => f.Data);
        return File != null && data == File.Data && data.EndsWith(":DIR", StringComparison.Ordinal)
            ? throw new ArgumentException($"{_path} is for pictures in a folder of yours, {data}. Say where they are: --data {data[..^3]}FOLDER.")
            : data;
    }

    /// <summary>Refuses the recipe of a table: a command that trains one model would leave out most of what it says.</summary>
    public void RefuseTables(string? except = null)
    {
        string? table = File switch { { Ablation: not null } => "ablate", { Comparison: not null } => "compare", _ => null };
        if (table != null && table != except) throw new ArgumentException($"The recipe {_path} is that of a table. Give it to that command: refconv {table} --recipe {_path}.");
    }

    /// <summary>Says which recipe counts, and what does not count of it.</summary>
    public void Tell(Output output)
    {
        if (File == null) return;
        output.Line($"Recipe {_path}{(File.Description == null ? "" : $": {File.Description}")}");
        if (_overrides.Count > 0) output.Line($"Given otherwise: {string.Join(", ", _overrides)}.");
        if (_overrides.Count == 0 && File is { Ablation: null, Comparison: null, Expected: { Accuracy: { } accuracy, Tolerance: { } tolerance } })
            output.Line($"Expected: top-1 {Output.Text(100 * accuracy, "0.0")} ± {Output.Text(100 * tolerance, "0.0")} % at the end.");
    }

    /// <summary>A value as people write it.</summary>
    public static string Text(object value) => value switch
    {
        Enum or bool => value.ToString()!.ToLowerInvariant(),
        string { Length: 0 } => "none",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    /// <summary>Whether the file says something that no option was given against.</summary>
    private bool Choose<T>(Option option, T? inFile, out T? value)
    {
        value = inFile;
        if (inFile == null) return false;
        if (!RecipeOptions.IsGiven(_parsed, option)) return true;
        string given = _parsed.GetResult(option)!.Tokens is [var token, ..] ? token.Value : "";
        if (Text(inFile) != given) Note(option.Name, given, Text(inFile));
        return false;
    }

    private void Note(string option, string given, string inFile) => _overrides.Add($"{option} {given} (the recipe says {inFile})");
}
