using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How the two kernels of a collapsible block start.</summary>
public enum ClbInit
{
    /// <summary>So that the collapsed kernel is the one of the convolution that is replaced.</summary>
    Inherit,

    /// <summary>Xavier uniform, as the authors' code (Keras) does: from scratch.</summary>
    Glorot,
}

/// <summary>How collapsible linear blocks are made. The defaults are the authors' code's.</summary>
public sealed record ClbOptions
{
    /// <summary>Channels in the middle, p. A layer with more output channels has as many as those: fewer could not make every kernel.</summary>
    public int Width { get; init; } = 256;

    /// <summary>Add the identity to the collapsed kernel where the layer's shape allows it.</summary>
    public bool Residual { get; init; } = true;

    /// <summary>One more 1×1 convolution before the k×k one.</summary>
    public bool LeadingPointwise { get; init; }

    /// <summary>Run the block as it is drawn, k×k then 1×1, over wide maps. For comparison: the same function and gradients, many times the work.</summary>
    public bool Expanded { get; init; }

    /// <summary>How the kernels start.</summary>
    public ClbInit Init { get; init; } = ClbInit.Inherit;
}

/// <summary>
/// The method: collapsible linear blocks (SESR, arXiv 2103.09404). A convolution is trained as k×k to many channels and 1×1 back, without anything
/// between, but computed as the one convolution that the two are.
/// </summary>
public sealed class ClbMethod : IReparameterization
{
    /// <summary>Makes the method.</summary>
    /// <param name="options">The authors' code's, if not given.</param>
    /// <exception cref="ArgumentException">The width is below 1.</exception>
    public ClbMethod(ClbOptions? options = null)
    {
        Settings = options ?? new ClbOptions();
        if (Settings.Width < 1) throw new ArgumentException($"A collapsible block needs at least 1 channel in the middle; {Settings.Width} were asked for. The paper's code has 256.");
    }

    /// <inheritdoc/>
    public string Name => "clb";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.LargerThan1;

    /// <summary>How blocks are made.</summary>
    public ClbOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new()
    {
        ["width"] = Settings.Width,
        ["residual"] = Settings.Residual,
        ["leadingPointwise"] = Settings.LeadingPointwise,
        ["expanded"] = Settings.Expanded,
        ["init"] = Settings.Init.ToString(),
    };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static ClbMethod FromOptions(JsonObject options) => new(new ClbOptions
    {
        Width = options.Get("width", 256),
        Residual = options.Get("residual", true),
        LeadingPointwise = options.Get("leadingPointwise", false),
        Expanded = options.Get("expanded", false),
        Init = options.GetEnum("init", ClbInit.Inherit),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        return Settings.LeadingPointwise && conv.Options.Groups > 1
            ? "a leading 1×1 convolution is for dense layers, and this one has groups. Leave it out (leadingPointwise: false)."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"CLB cannot take over {site}: {reason}");
        return new CollapsibleConv2d(site.Conv!, Settings, init);
    }
}
