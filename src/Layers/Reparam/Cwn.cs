using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How filters are normalised by <see cref="CwnMethod"/>. The defaults are the authors' code's.</summary>
public sealed record CwnOptions
{
    /// <summary>The length that every filter gets: the code's <c>WNScale</c>, √2 for ReLU.</summary>
    public double Scale { get; init; } = 1.414;

    /// <summary>Train the lengths, one a filter.</summary>
    public bool AdjustScale { get; init; }

    /// <summary>ε, added to a filter's norm.</summary>
    public double Epsilon { get; init; } = 1e-5;
}

/// <summary>The method: centred weight normalisation (ICCV 2017). Every filter has mean 0 and one length.</summary>
public sealed class CwnMethod : IReparameterization
{
    /// <summary>Makes the method.</summary>
    /// <param name="options">The authors' code's, if not given.</param>
    /// <exception cref="ArgumentException">A length or ε that makes no sense.</exception>
    public CwnMethod(CwnOptions? options = null)
    {
        Settings = options ?? new CwnOptions();
        if (!(Settings.Scale > 0 && double.IsFinite(Settings.Scale))) throw new ArgumentException($"The length of filters must be above 0; it is {Settings.Scale}. The paper's code has 1.414.");
        if (!(Settings.Epsilon >= 0 && double.IsFinite(Settings.Epsilon))) throw new ArgumentException($"ε must be at least 0; it is {Settings.Epsilon}. The paper's code has 1e-5.");
    }

    /// <inheritdoc/>
    public string Name => "cwn";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.All;

    /// <summary>How filters are normalised.</summary>
    public CwnOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new() { ["scale"] = Settings.Scale, ["adjustScale"] = Settings.AdjustScale, ["epsilon"] = Settings.Epsilon };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static CwnMethod FromOptions(JsonObject options) => new(new CwnOptions
    {
        Scale = options.Get("scale", 1.414),
        AdjustScale = options.Get("adjustScale", false),
        Epsilon = options.Get("epsilon", 1e-5),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (ComputedKernelConv2d.Refusal(site) is { } reason) return reason;
        return site.Conv!.FanIn == 1
            ? "its filters have one element each, which is zero when the filter's mean is taken away. Leave this layer as it is, or use WN for it."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"CWN cannot take over {site}: {reason}");
        return new CenteredWeightNormConv2d(site.Conv!, Settings);
    }
}

/// <summary><c>w[o] = WNScale[o]·c/(‖c‖ + ε)</c> with <c>c = weight[o] − mean(weight[o])</c>.</summary>
/// <remarks>
/// State: <c>weight [out, in/g, kh, kw]</c> (under the key of the convolution it replaces), <c>bias</c>, and <c>WNScale [out, 1, 1, 1]</c>, a
/// buffer unless it is trained. The authors' keys.
/// </remarks>
internal sealed class CenteredWeightNormConv2d : ComputedKernelConv2d
{
    private readonly double _epsilon;

    public CenteredWeightNormConv2d(Conv2d conv, CwnOptions options)
        : base(conv)
    {
        _epsilon = options.Epsilon;
        Add("weight", conv.Weight.Clone()).Trainable = true;
        AddBias(conv);
        Add(FilterScale.Key, FilterScale.Make(conv, options.Scale, options.AdjustScale));
    }

    public override Tensor EffectiveKernel() => Parameter("weight").WeightNorm(Parameter(FilterScale.Key), center: true, _epsilon, Name);

    protected override bool IsBuffer(string name) => name == FilterScale.Key && !Parameter(name).Trainable;
}

/// <summary>The lengths of filters that CWN and OWN have in common.</summary>
internal static class FilterScale
{
    public const string Key = "WNScale";

    public static Parameter Make(Conv2d conv, double scale, bool trainable)
    {
        var parameter = new Parameter(conv.Weight.Device, ParameterLayout.Plain(new Shape(conv.OutChannels, 1, 1, 1)), trainable);
        parameter.Device.Kernels.Fill(parameter.Data, scale);
        return parameter;
    }
}
