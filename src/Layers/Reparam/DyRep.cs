using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How DyRep judges a convolution, from its weights w and their gradient g.</summary>
public enum DyRepScore
{
    /// <summary>Σ g·w, signed.</summary>
    Synflow,

    /// <summary>Σ |g·w|</summary>
    Snip,

    /// <summary>√Σ g²</summary>
    GradNorm,

    /// <summary>A random number: the control.</summary>
    Random,
}

/// <summary>How DyRep works. The defaults are those of the paper's ImageNet ResNets.</summary>
public sealed record DyRepOptions
{
    /// <summary>T, epochs between two changes.</summary>
    public int Every { get; init; } = 5;

    /// <summary>No change after this epoch.</summary>
    public int LastEpoch { get; init; } = 100;

    /// <summary>What decides which convolution grows.</summary>
    public DyRepScore Score { get; init; } = DyRepScore.Synflow;

    /// <summary>Batches on which the running statistics of new branches are found before they join; 0 leaves them fresh.</summary>
    public int RecalibrationBatches { get; init; }

    /// <summary>Remove weak branches.</summary>
    public bool Cut { get; init; } = true;
}

/// <summary>
/// Dynamic re-parameterisation (arXiv 2203.12868): training starts with the plain network; every few epochs the convolution that matters most grows into a block of
/// branches without changing what it computes, and branches that have become unimportant are removed.
/// </summary>
public sealed class DyRepMethod : IReparameterization, IEvolving
{
    private const string ExtraBias = "bias"; // in the list of blocks: a convolution again, with the bias that its block left

    private readonly JsonObject _blocks, _scores;

    /// <summary>Makes the method.</summary>
    /// <param name="options">The paper's, if not given.</param>
    /// <exception cref="ArgumentException">A number makes no sense.</exception>
    public DyRepMethod(DyRepOptions? options = null)
        : this(options ?? new DyRepOptions(), [], [])
    {
    }

    private DyRepMethod(DyRepOptions options, JsonObject blocks, JsonObject scores)
    {
        (Settings, _blocks, _scores) = (options, blocks, scores);
        if (options.Every < 1) throw new ArgumentException($"DyRep needs at least one epoch between two changes; {options.Every} were asked for.");
        if (options.RecalibrationBatches < 0) throw new ArgumentException($"The number of batches for recalibration must be at least 0; it is {options.RecalibrationBatches}.");
    }

    /// <inheritdoc/>
    public string Name => "dyrep";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <summary>Convolutions with a square, odd kernel larger than 1×1.</summary>
    public LayerPolicy DefaultPolicy { get; } = LayerPolicy.BySize("square odd k > 1", (h, w) => h == w && h % 2 == 1 && h > 1);

    /// <summary>How it works.</summary>
    public DyRepOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => With(_blocks.DeepClone(), _scores.DeepClone());

    /// <inheritdoc/>
    public IReadOnlyCollection<string> StateNames { get; } = ["blocks", "scores"];

    /// <inheritdoc/>
    public string Progress(Module model)
    {
        int convolutions = 0, grown = 0;
        string block = "";
        foreach (var (name, module) in model.NamedModules())
        {
            // What is nested in a block is that block's.
            if (module is not (DyRepConv2d or DyRepBlock) || (block.Length > 0 && name.StartsWith(block, StringComparison.Ordinal))) continue;
            convolutions++;
            if (module is not DyRepBlock) continue;
            grown++;
            block = name + ".";
        }
        return $"{grown} of {convolutions} convolutions grew" + (grown > 0 ? "" : ", so what was trained is the plain network");
    }

    /// <summary>The options with the branches and the scores that the model has now.</summary>
    public JsonObject Describe(Module model)
    {
        JsonObject blocks = [], scores = [];
        foreach (var (name, module) in model.NamedModules())
        {
            if (module is DyRepBlock block) blocks[name] = string.Join(',', block.Branches);
            if (module is not DyRepConv2d conv) continue;
            if (conv.HasExtraBias) blocks[name] = ExtraBias;
            if (conv.Batches > 0) scores[name] = new JsonArray(conv.ScoreSum, conv.Batches);
        }
        return With(blocks, scores);
    }

    /// <summary>Makes the method from what <see cref="Options"/> or <see cref="Describe"/> gave.</summary>
    internal static DyRepMethod FromOptions(JsonObject options) => new(
        new DyRepOptions
        {
            Every = options.Get("every", 5),
            LastEpoch = options.Get("lastEpoch", 100),
            Score = options.GetEnum("score", DyRepScore.Synflow),
            RecalibrationBatches = options.Get("recalibrationBatches", 0),
            Cut = options.Get("cut", true),
        },
        options["blocks"]?.DeepClone() as JsonObject ?? [], options["scores"]?.DeepClone() as JsonObject ?? []);

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        var (h, w) = conv.KernelSize;
        if (h != w || h % 2 == 0 || h == 1) return $"its branches are made for square odd kernels larger than 1×1, this one is {h}×{w}. Use acb.";
        return site.Norm is not BatchNorm2d
            ? "there is no batch norm behind it. In training the branches' own norms change what the layer gives, and only a norm behind it takes that back (its absence may also mean that the shape of the model's input was not given). Use dbb."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"DyRep cannot take over {site}: {reason}");
        var conv = new DyRepConv2d(site.Conv!, depth: 0);
        try
        {
            return Build(site.Name, conv, init);
        }
        catch
        {
            conv.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void AfterBackward(Module model)
    {
        if (Settings.Score == DyRepScore.Random) return;
        foreach (var (_, module) in model.NamedModules())
        {
            if (module is DyRepConv2d conv) conv.Count(Settings.Score);
        }
    }

    /// <inheritdoc/>
    public bool AfterEpoch(Module model, int epoch, ulong seed, Action<int>? forward)
    {
        if ((epoch + 1) % Settings.Every != 0 || epoch >= Settings.LastEpoch) return false;
        // Weak branches first, so that those which grow now are judged after they have been trained.
        bool changed = Settings.Cut && DyRepEvolution.Cut(model);
        if (DyRepEvolution.Choose(model, Settings.Score, seed, epoch) is { } path)
        {
            DyRepEvolution.Grow(model, path, new Initializer(model.NamedParameters().First().Parameter.Device, seed + (ulong)epoch + 1), Settings.RecalibrationBatches, forward);
            changed = true;
        }
        foreach (var (_, module) in model.NamedModules())
        {
            if (module is DyRepConv2d conv) conv.ResetScore();
        }
        return changed;
    }

    /// <summary>A convolution, or the block that stands in its place according to the description, and what is nested in that.</summary>
    private Module Build(string path, DyRepConv2d conv, Initializer init)
    {
        string? branches = Branches(path);
        if (branches is null or ExtraBias)
        {
            if (branches == ExtraBias) conv.AddBias();
            if (Score(path) is { } score) conv.RestoreScore(score.Sum, score.Batches);
            return conv;
        }
        var block = new DyRepBlock(conv, branches.Split(','), init);
        conv.Dispose();
        foreach (string inside in block.Inner.ToArray())
        {
            var inner = (DyRepConv2d)block.Find(inside);
            var built = Build($"{path}.{inside}", inner, init);
            if (built != inner) block.Replace(inside, built).Dispose();
        }
        return block;
    }

    /// <summary>What the description says of a block; null where the layer is none. A description comes from a file, and a file may say anything.</summary>
    private string? Branches(string path) => !_blocks.TryGetPropertyValue(path, out var node) ? null
        : node is JsonValue value && value.TryGetValue(out string? branches) ? branches
        : throw new ArgumentException($"DyRep's list of blocks says of '{path}' {node?.ToJsonString() ?? "null"} where the names of branches must stand.");

    private (double Sum, long Batches)? Score(string path) => !_scores.TryGetPropertyValue(path, out var node) ? null
        : node is JsonArray { Count: 2 } pair && pair[0] is JsonValue first && first.TryGetValue(out double sum) && double.IsFinite(sum)
            && pair[1] is JsonValue second && second.TryGetValue(out long batches) && batches >= 0 ? (sum, batches)
        : throw new ArgumentException($"DyRep's list of scores says of '{path}' {node?.ToJsonString() ?? "null"} where a sum and a number of batches must stand.");

    private JsonObject With(JsonNode blocks, JsonNode scores) => new()
    {
        ["every"] = Settings.Every,
        ["lastEpoch"] = Settings.LastEpoch,
        ["score"] = Settings.Score.ToString(),
        ["recalibrationBatches"] = Settings.RecalibrationBatches,
        ["cut"] = Settings.Cut,
        ["blocks"] = blocks,
        ["scores"] = scores,
    };
}
