using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>When a RepVGG block has its identity branch.</summary>
public enum IdentityBranch
{
    /// <summary>Where input and output have one shape: as in the paper.</summary>
    WherePossible,

    /// <summary>Always; layers that cannot have it are refused.</summary>
    Required,

    /// <summary>Never.</summary>
    Never,
}

/// <summary>How a RepVGG block is made.</summary>
public sealed record RepVggOptions
{
    /// <summary>When there is an identity branch.</summary>
    public IdentityBranch Identity { get; init; } = IdentityBranch.WherePossible;
}

/// <summary>RepVGG blocks (arXiv 2101.03697): a k×k convolution, a 1×1 convolution and, where input and output have one shape, the input itself, each with a norm.</summary>
/// <param name="options">The paper's, if not given.</param>
public sealed class RepVggMethod(RepVggOptions? options = null) : IReparameterization
{
    /// <inheritdoc/>
    public string Name => "repvgg";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.ConvolutionAndNorm;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.LargerThan1;

    /// <summary>How blocks are made.</summary>
    public RepVggOptions Settings { get; } = options ?? new RepVggOptions();

    /// <inheritdoc/>
    public JsonObject Options => new() { ["identity"] = Settings.Identity.ToString() };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static RepVggMethod FromOptions(JsonObject options) => new(new RepVggOptions { Identity = options.GetEnum("identity", IdentityBranch.WherePossible) });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (Branches.Refusal(site) is { } reason) return reason;
        var conv = site.Conv!;
        if (conv.KernelSize == (1, 1)) return "beside a 1×1 convolution a second one adds nothing. Leave it as it is.";
        return Settings.Identity == IdentityBranch.Required && NoIdentity(conv) is { } why
            ? $"the identity branch was asked for, but {why}. Set identity to {nameof(IdentityBranch.WherePossible)}."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"RepVGG cannot take over {site}: {reason}");
        return new RepVggBlock(site, Settings.Identity != IdentityBranch.Never && NoIdentity(site.Conv!) == null, init).Train();
    }

    /// <summary>Why the input cannot be added to this convolution's result; null if it can.</summary>
    private static string? NoIdentity(Conv2d conv)
    {
        if (conv.InChannels != conv.OutChannels) return $"{conv.InChannels} input channels become {conv.OutChannels}";
        if (conv.Options is not { StrideH: 1, StrideW: 1 }) return $"the stride is {conv.Options.StrideH}×{conv.Options.StrideW}, so the result is smaller than the input";
        // The middle tap reads the pixel that it writes exactly if a 1×1 convolution in its place needs no padding.
        var middle = Branches.Aligned(conv.Options, conv.KernelSize, (1, 1));
        return middle is { PadTop: 0, PadBottom: 0, PadLeft: 0, PadRight: 0 } ? null : "its padding is not dilation·(k/2) on every side, so the result has another size than the input";
    }
}

/// <summary>norm(k×k) + norm(1×1) + norm(x). State: <c>rbr_dense.{conv,bn}.*</c>, <c>rbr_1x1.{conv,bn}.*</c>, <c>rbr_identity.*</c>.</summary>
/// <remarks>Dilation is the k×k branch's own affair: the 1×1 branch sits at its middle tap, whose place does not depend on it once the padding is right.</remarks>
internal sealed class RepVggBlock : BranchBlock
{
    private readonly int _groups;
    private readonly bool _identity;

    public RepVggBlock(ConvSite site, bool identity, Initializer init)
        : base(site.Conv!)
    {
        var conv = site.Conv!;
        (_groups, _identity) = (conv.Options.Groups, identity);
        var (dense, norm) = Branches.Inherit(site, init);
        if (identity) Add("rbr_identity", Branches.Norm(site, init, conv.InChannels));
        Add("rbr_dense", new ConvNormBranch(dense, norm));
        Add("rbr_1x1", new ConvNormBranch(
            Branches.Conv(init, conv.InChannels, conv.OutChannels, (1, 1), Branches.Aligned(conv.Options, conv.KernelSize, (1, 1))), Branches.Norm(site, init, conv.OutChannels)));
    }

    private protected override IReadOnlyList<IBranch> Parts
    {
        get
        {
            List<IBranch> parts = [(IBranch)Child("rbr_dense"), (IBranch)Child("rbr_1x1")];
            if (_identity) parts.Add(new NormBranch((BatchNorm2d)Child("rbr_identity"), _groups));
            return parts;
        }
    }
}
