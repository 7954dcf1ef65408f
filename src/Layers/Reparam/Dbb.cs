using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>How a Diverse Branch Block is made.</summary>
public sealed record DbbOptions
{
    /// <summary>Only the original branch counts at first: the last γ of all others starts at 0, so that the expanded model computes exactly what the plain one did.</summary>
    public bool SingleInit { get; init; }

    /// <summary>Channels between the 1×1 and the k×k convolution, as a multiple of the input's; 0: the code's choice, 2 for depthwise layers and 1 for others.</summary>
    public int InternalRatio { get; init; }
}

/// <summary>
/// Diverse Branch Blocks (arXiv 2103.13425): beside the k×k convolution a 1×1, a 1×1 followed by a k×k, and a 1×1 followed by an average, with norms behind
/// every one of them.
/// </summary>
public sealed class DbbMethod : IReparameterization
{
    /// <summary>Makes the method.</summary>
    /// <param name="options">The paper's, if not given.</param>
    /// <exception cref="ArgumentException">The internal ratio is negative.</exception>
    public DbbMethod(DbbOptions? options = null)
    {
        Settings = options ?? new DbbOptions();
        if (Settings.InternalRatio < 0) throw new ArgumentException($"The internal ratio must be at least 1, or 0 for the usual choice; it is {Settings.InternalRatio}.");
    }

    /// <inheritdoc/>
    public string Name => "dbb";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.ConvolutionAndNorm;

    /// <summary>Kernels larger than 1×1 and smaller than 7×7, as in the paper's code.</summary>
    public LayerPolicy DefaultPolicy { get; } = LayerPolicy.BySize("1 < k < 7", (h, w) => Math.Min(h, w) > 1 && Math.Max(h, w) < 7);

    /// <summary>How blocks are made.</summary>
    public DbbOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new() { ["singleInit"] = Settings.SingleInit, ["internalRatio"] = Settings.InternalRatio };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static DbbMethod FromOptions(JsonObject options) => new(new DbbOptions
    {
        SingleInit = options.Get("singleInit", false),
        InternalRatio = options.Get("internalRatio", 0),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (Branches.Refusal(site) is { } reason) return reason;
        var (conv, options) = (site.Conv!, site.Conv!.Options);
        var (h, w) = conv.KernelSize;
        if (h != w) return $"the average branch has square windows, the kernel is {h}×{w}. Use acb or repvgg.";
        if (h == 1) return "a 1×1 kernel has no room for other branches. Leave it as it is.";
        if (h % 2 == 0) return $"an even kernel ({h}×{w}) has no middle for the 1×1 branch, whose result would have another size. Use acb.";
        if (options is not { DilationH: 1, DilationW: 1 }) return $"the average branch has no dilation, the convolution has {options.DilationH}×{options.DilationW}. Use acb or repvgg.";
        if (options.StrideH != options.StrideW) return $"the average branch has one stride for both axes, the convolution has {options.StrideH}×{options.StrideW}. Use acb or repvgg.";
        int p = h / 2;
        if ((options.PadTop, options.PadBottom, options.PadLeft, options.PadRight) != (p, p, p, p))
            return $"the branches are aligned for a padding of {p} on every side, which the convolution does not have. Use acb or repvgg.";
        return options.Groups == conv.OutChannels && conv.InChannels != conv.OutChannels
            ? $"with a group for each of the {conv.OutChannels} output channels the average branch needs as many input channels, there are {conv.InChannels}. Use acb or repvgg."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"DBB cannot take over {site}: {reason}");
        return new DbbBlock(site, Settings, init).Train();
    }
}

/// <summary>
/// State: <c>dbb_origin.{conv,bn}</c>, <c>dbb_avg.{conv,bn.bn,avgbn}</c> (depthwise: <c>dbb_avg.avgbn</c>), <c>dbb_1x1.{conv,bn}</c> (not depthwise),
/// <c>dbb_1x1_kxk.{idconv1|conv1,bn1.bn,conv2,bn2}</c>.
/// </summary>
internal sealed class DbbBlock : BranchBlock
{
    public DbbBlock(ConvSite site, DbbOptions options, Initializer init)
        : base(site.Conv!)
    {
        var conv = site.Conv!;
        var (cin, cout, k, o) = (conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options);
        var pointwise = new Conv2dOptions(1, 0, 1, o.Groups);
        bool depthwise = o.Groups == cout;
        List<BatchNorm2d> others = []; // last norms of all branches but the original

        var (main, norm) = Branches.Inherit(site, init);
        Add("dbb_origin", new ConvNormBranch(main, norm));
        if (depthwise)
        {
            Add("dbb_avg", new AverageBranch(k.H, o, Last()));
        }
        else
        {
            Add("dbb_avg", new PointwiseAverageBranch(Branches.Conv(init, cin, cout, (1, 1), pointwise), Branches.Norm(site, init, cout), k.H, o, Last()));
            Add("dbb_1x1", new ConvNormBranch(Branches.Conv(init, cin, cout, (1, 1), Branches.Aligned(o, k, (1, 1))), Last()));
        }
        int inner = cin * (options.InternalRatio > 0 ? options.InternalRatio : depthwise ? 2 : 1);
        Module first = inner == cin ? new IdentityConv2d(init.Device, cin, o.Groups) : Branches.Conv(init, cin, inner, (1, 1), pointwise);
        Add("dbb_1x1_kxk", new PointwiseConvBranch(first, Branches.Norm(site, init, inner), Branches.Conv(init, inner, cout, k, o), Last(), o));

        if (!options.SingleInit) return;
        foreach (var last in others) init.Device.Kernels.Fill(last.Weight.Data, 0);

        BatchNorm2d Last()
        {
            var last = Branches.Norm(site, init, cout);
            others.Add(last);
            return last;
        }
    }

    private protected override IReadOnlyList<IBranch> Parts => [.. Children.Select(c => (IBranch)c.Value)];
}
