using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How filters are made orthonormal by <see cref="OwnMethod"/>.</summary>
public sealed record OwnOptions
{
    /// <summary>
    /// Groups that the filters of every layer are cut into; those of a group become orthogonal to each other. 0: as few as the rank condition and
    /// <see cref="MaxGroupSize"/> allow.
    /// </summary>
    public int NormGroups { get; init; }

    /// <summary>The most filters of a group when <see cref="NormGroups"/> does not say: the cost of a step grows with it.</summary>
    public int MaxGroupSize { get; init; } = 32;

    /// <summary>The length that every filter gets: the authors' code's 1.414.</summary>
    public double Scale { get; init; } = 1.414;

    /// <summary>Train the lengths, one a filter.</summary>
    public bool AdjustScale { get; init; }
}

/// <summary>The method: orthogonal weight normalisation (AAAI 2018). Filters of a group have mean 0, one length, and are orthogonal to each other.</summary>
public sealed class OwnMethod : IReparameterization
{
    /// <summary>Makes the method.</summary>
    /// <param name="options">The defaults, if not given.</param>
    /// <exception cref="ArgumentException">A number that makes no sense.</exception>
    public OwnMethod(OwnOptions? options = null)
    {
        Settings = options ?? new OwnOptions();
        if (Settings.NormGroups < 0) throw new ArgumentException($"The number of groups must be at least 1, or 0 for as few as possible; it is {Settings.NormGroups}.");
        if (Settings.MaxGroupSize < 1) throw new ArgumentException($"A group has at least 1 filter; {Settings.MaxGroupSize} were given as the most.");
        if (!(Settings.Scale > 0 && double.IsFinite(Settings.Scale))) throw new ArgumentException($"The length of filters must be above 0; it is {Settings.Scale}. The paper's code has 1.414.");
    }

    /// <inheritdoc/>
    public string Name => "own";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.All;

    /// <summary>How filters are made orthonormal.</summary>
    public OwnOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new()
    {
        ["normGroups"] = Settings.NormGroups,
        ["maxGroupSize"] = Settings.MaxGroupSize,
        ["scale"] = Settings.Scale,
        ["adjustScale"] = Settings.AdjustScale,
    };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static OwnMethod FromOptions(JsonObject options) => new(new OwnOptions
    {
        NormGroups = options.Get("normGroups", 0),
        MaxGroupSize = options.Get("maxGroupSize", 32),
        Scale = options.Get("scale", 1.414),
        AdjustScale = options.Get("adjustScale", false),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (ComputedKernelConv2d.Refusal(site) is { } reason) return reason;
        var conv = site.Conv!;
        long n = conv.FanIn;
        if (n == 1) return "its filters have one element each, which is zero when the filter's mean is taken away. Leave this layer as it is, or use WN for it.";
        if (Settings.NormGroups == 0) return null;
        if (conv.OutChannels % Settings.NormGroups != 0) return $"{Settings.NormGroups} groups do not divide its {conv.OutChannels} filters. Leave the number of groups at 0, and every layer gets one that fits.";
        int size = conv.OutChannels / Settings.NormGroups;
        return size >= n
            ? $"groups of {size} filters of {n} elements cannot be orthogonal: centring leaves {n - 1} dimensions. Use at least {conv.OutChannels / LargestGroup(conv.OutChannels, n, int.MaxValue)} groups, or leave their number at 0."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"OWN cannot take over {site}: {reason}");
        var conv = site.Conv!;
        int size = Settings.NormGroups == 0 ? LargestGroup(conv.OutChannels, conv.FanIn, Settings.MaxGroupSize) : conv.OutChannels / Settings.NormGroups;
        return new OrthogonalConv2d(conv, Settings, size);
    }

    /// <summary>The largest divisor of the filters that is at most their elements less 1, and at most a limit.</summary>
    internal static int LargestGroup(int filters, long elements, int limit)
    {
        int size = (int)Math.Min(Math.Min(filters, elements - 1), limit);
        while (filters % size != 0) size--;
        return size;
    }
}

/// <summary><c>W = WNScale·(Z·Zᵀ)^(−½)·Z</c> in every group, Z being the centred filters of <c>weight</c> as rows.</summary>
/// <remarks>
/// State: <c>weight [out, in/g, kh, kw]</c> (under the key of the convolution it replaces), <c>bias</c>, and <c>WNScale [out, 1, 1, 1]</c>, a
/// buffer unless it is trained. The authors' keys.
/// </remarks>
internal sealed class OrthogonalConv2d : ComputedKernelConv2d
{
    public OrthogonalConv2d(Conv2d conv, OwnOptions options, int groupSize)
        : base(conv)
    {
        GroupSize = groupSize;
        Add("weight", conv.Weight.Clone()).Trainable = true;
        AddBias(conv);
        Add(FilterScale.Key, FilterScale.Make(conv, options.Scale, options.AdjustScale));
    }

    /// <summary>Filters of a group.</summary>
    public int GroupSize { get; }

    public override Tensor EffectiveKernel() => Parameter("weight").Orthogonalize(Parameter(FilterScale.Key), GroupSize, Name);

    protected override bool IsBuffer(string name) => name == FilterScale.Key && !Parameter(name).Trainable;
}
