using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>The method: weight normalisation (arXiv 1602.07868), every filter as a trained length times a trained direction.</summary>
public sealed class WnMethod : IReparameterization
{
    /// <inheritdoc/>
    public string Name => "wn";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.All;

    /// <inheritdoc/>
    public JsonObject Options => [];

    /// <inheritdoc/>
    public string? Refusal(ConvSite site) => ComputedKernelConv2d.Refusal(site);

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"WN cannot take over {site}: {reason}");
        return new WeightNormConv2d(site.Conv!);
    }
}

/// <summary>
/// <c>w[o] = weight_g[o]·weight_v[o]/‖weight_v[o]‖</c>. It starts at the kernel it is made from: weight_v is that kernel, weight_g its norms.
/// </summary>
/// <remarks>State: <c>bias, weight_g [out, 1, 1, 1], weight_v [out, in/g, kh, kw]</c>, the keys of <c>torch.nn.utils.weight_norm</c>.</remarks>
internal sealed class WeightNormConv2d : ComputedKernelConv2d
{
    public WeightNormConv2d(Conv2d conv)
        : base(conv)
    {
        AddBias(conv);
        var g = Add("weight_g", new Parameter(conv.Weight.Device, ParameterLayout.Plain(new Shape(conv.OutChannels, 1, 1, 1))));
        Add("weight_v", conv.Weight.Clone()).Trainable = true;
        int n = (int)conv.FanIn;
        g.FromTorch([.. conv.Weight.ToTorchDouble().Chunk(n).Select(filter => Math.Sqrt(filter.Sum(w => w * w)))]);
    }

    public override Tensor EffectiveKernel() => Parameter("weight_v").WeightNorm(Parameter("weight_g"), center: false, eps: 0, Name);
}
