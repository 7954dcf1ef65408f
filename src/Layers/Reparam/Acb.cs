using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How an ACB is made.</summary>
public sealed record AcbOptions
{
    /// <summary>What γ of all three norms starts at: 1/3 in the paper's CIFAR runs. Null: the main branch inherits its γ, the others start at 1, as in the ImageNet runs.</summary>
    public double? GammaInit { get; init; }
}

/// <summary>Asymmetric convolution blocks (ACNet, arXiv 1908.03930): a k×k, a 1×k and a k×1 convolution in parallel, each with a norm.</summary>
/// <param name="options">The ImageNet runs', if not given.</param>
public sealed class AcbMethod(AcbOptions? options = null) : IReparameterization
{
    /// <inheritdoc/>
    public string Name => "acb";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.ConvolutionAndNorm;

    /// <summary>Kernels larger than 1×1 and smaller than 7×7, as in the paper's code.</summary>
    public LayerPolicy DefaultPolicy { get; } = LayerPolicy.BySize("1 < k < 7", (h, w) => Math.Min(h, w) > 1 && Math.Max(h, w) < 7);

    /// <summary>How blocks are made.</summary>
    public AcbOptions Settings { get; } = options ?? new AcbOptions();

    /// <inheritdoc/>
    public JsonObject Options => new() { ["gammaInit"] = Settings.GammaInit };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static AcbMethod FromOptions(JsonObject options) =>
        new(new AcbOptions { GammaInit = options["gammaInit"] == null ? null : options.Get("gammaInit", 1.0) });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (Branches.Refusal(site) is { } reason) return reason;
        var (h, w) = site.Conv!.KernelSize;
        return Math.Min(h, w) == 1
            ? $"of a {h}×{w} kernel the 1×k or k×1 branch would be the kernel itself or a single factor. Leave it as it is{(Math.Max(h, w) > 1 ? ", or use repvgg" : "")}."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"ACB cannot take over {site}: {reason}");
        return new AcbBlock(site, Settings, init).Train();
    }
}

/// <summary>norm(k×k) + norm(1×k) + norm(k×1). State: <c>{square,hor,ver}_conv.weight</c>, <c>{square,hor,ver}_bn.*</c>.</summary>
internal sealed class AcbBlock : BranchBlock
{
    private static readonly string[] s_branches = ["square", "hor", "ver"];

    public AcbBlock(ConvSite site, AcbOptions options, Initializer init)
        : base(site.Conv!)
    {
        var conv = site.Conv!;
        var (square, norm) = Branches.Inherit(site, init);
        Add("square_conv", square);
        Add("square_bn", norm);
        Line("hor", (1, conv.KernelSize.W));
        Line("ver", (conv.KernelSize.H, 1));
        if (options.GammaInit is not { } gamma) return;
        foreach (string branch in s_branches) init.Device.Kernels.Fill(((BatchNorm2d)Child(branch + "_bn")).Weight.Data, gamma);

        void Line(string name, (int H, int W) size)
        {
            // The line through the tap k/2: its own padding is the block's less what the square has above and below (left and right of) that tap.
            Add(name + "_conv", Branches.Conv(init, conv.InChannels, conv.OutChannels, size, Branches.Aligned(conv.Options, conv.KernelSize, size)));
            Add(name + "_bn", Branches.Norm(site, init, conv.OutChannels));
        }
    }

    private protected override IReadOnlyList<IBranch> Parts => [.. s_branches.Select(b => new ConvNormPair(Child(b + "_conv"), Child(b + "_bn")))];
}
