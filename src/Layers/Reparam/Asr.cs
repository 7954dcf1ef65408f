using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How ASR is put on. The defaults are the paper's.</summary>
public sealed record AsrOptions
{
    /// <summary>δ, units at one place: each has a constant and an attention module of its own, and their results are multiplied.</summary>
    public int Insertions { get; init; } = 1;

    /// <summary>What every element of the learnable constant ψ starts at.</summary>
    public double Initial { get; init; } = 0.1;

    /// <summary>The module's middle layer has C/16 features, at least 1.</summary>
    public int Reduction { get; init; } = 16;

    /// <summary>Put an ordinary attention module, which looks at the picture, behind the norm as well. It cannot be merged and stays in the deployed model.</summary>
    public bool Both { get; init; }
}

/// <summary>
/// Attention-alike structural re-parameterisation (arXiv 2304.06345): the channel attention of a trained network is nearly the same for all pictures, so
/// the attention module gets a learnable constant to look at instead of the picture. What it then gives is a factor a channel, and a norm has those already.
/// </summary>
public sealed class AsrMethod : IReparameterization
{
    private readonly bool _merged;

    /// <summary>Makes the method.</summary>
    /// <param name="options">The paper's, if not given.</param>
    /// <exception cref="ArgumentException">No insertion, or no reduction.</exception>
    public AsrMethod(AsrOptions? options = null)
        : this(options ?? new AsrOptions(), merged: false)
    {
    }

    private AsrMethod(AsrOptions options, bool merged)
    {
        (Settings, _merged) = (options, merged);
        if (options.Insertions is < 1 or > 100) throw new ArgumentException($"ASR needs between 1 and 100 insertions; {options.Insertions} were asked for.");
        if (options.Reduction < 1) throw new ArgumentException($"The reduction of the attention module must be at least 1; it is {options.Reduction}.");
        if (!double.IsFinite(options.Initial)) throw new ArgumentException("The initial value of ASR's constant must be a finite number.");
    }

    /// <inheritdoc/>
    public string Name => "asr";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Norm;

    /// <summary>
    /// The last norm of every residual branch, as in the paper; where no branch ends in one, every k×k convolution, in another method's form or not: the norm behind
    /// it or, where there is none, the convolution itself.
    /// </summary>
    public LayerPolicy DefaultPolicy { get; } = new("the last norm of every residual branch", site => site.EndsBranch)
    {
        Otherwise = new("k > 1", site => site.Conv == null || LayerPolicy.LargerThan1.Selects(site)),
    };

    /// <summary>How it is put on.</summary>
    public AsrOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new()
    {
        ["insertions"] = Settings.Insertions,
        ["initial"] = Settings.Initial,
        ["reduction"] = Settings.Reduction,
        ["both"] = Settings.Both,
        ["merged"] = _merged,
    };

    /// <inheritdoc/>
    public IReadOnlyCollection<string> StateNames { get; } = ["merged"];

    /// <summary>With <see cref="AsrOptions.Both"/> the ordinary attention modules stay; otherwise nothing does.</summary>
    public IReparameterization? Remainder => Settings.Both ? new AsrMethod(Settings, merged: true) : null;

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static AsrMethod FromOptions(JsonObject options) => new(
        new AsrOptions
        {
            Insertions = options.Get("insertions", 1),
            Initial = options.Get("initial", 0.1),
            Reduction = options.Get("reduction", 16),
            Both = options.Get("both", false),
        },
        options.Get("merged", false));

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (site.Norm == null)
        {
            if (site.Layer is AsrConv2d) return "ASR acts on it already. For several units at one place use the option insertions.";
            if (site.Conv == null) return "it is in a training form, and there is no norm behind it that could take the factors up. Put ASR on first.";
            return Settings.Both ? "there is no norm behind it for the attention that looks at the picture to follow. Leave the option both out." : null;
        }
        return site.Norm.Parent is AsrNorm or AttentiveNorm ? "ASR acts on its norm already. For several units at one place use the option insertions." : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"ASR cannot act behind {site}: {reason}");
        if (site.Norm == null) return new AsrConv2d(site.Conv!, Settings, init);
        var norm = site.Norm.Clone();
        int channels = norm switch
        {
            BatchNorm2d batch => batch.Channels,
            LayerNorm layer => layer.Weight.Shape[0],
            _ => ((AbsorbedNorm)norm).Channels,
        };
        return _merged
            ? new AttentiveNorm(norm, new ChannelAttention(init, channels, Settings.Reduction))
            : new AsrNorm(norm, channels, Settings, init);
    }
}
