using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>Where the kernels of a <see cref="DRConv2d"/> come from.</summary>
public enum DRConvGenerator
{
    /// <summary>Mixtures of a few learned kernels, the proportions following from the picture's mean: the authors' own code.</summary>
    ExpertRouting,

    /// <summary>Two 1×1 convolutions over the picture made as small as the kernel: the paper's text.</summary>
    PoolGenerator,
}

/// <summary>How a <see cref="DRConv2d"/> is made.</summary>
public sealed record DRConvOptions
{
    /// <summary>m, regions, and kernels a picture.</summary>
    public int Regions { get; init; } = 8;

    /// <summary>
    /// Where kernels come from. The mixtures are the default: they have E times the weights of the plain layer, where the paper's text has m²/k² times, and they can start
    /// at the plain layer's kernel whatever its size.
    /// </summary>
    public DRConvGenerator Generator { get; init; } = DRConvGenerator.ExpertRouting;

    /// <summary>E, kernels that are mixed, with <see cref="DRConvGenerator.ExpertRouting"/>.</summary>
    public int Experts { get; init; } = 8;

    /// <summary>Start at the plain layer's kernel. The pool generator makes kernels that are alike at every tap before it has learned, so there only 1×1 layers do.</summary>
    public bool Inherit { get; init; } = true;

    /// <summary>1×1 layers of one part of the model (a branch of a ShuffleNetV2 unit) share the mask of the first, taken at the pixels that a stride leaves.</summary>
    public bool SharedMask { get; init; }

    /// <summary>
    /// The kernels' gradients too are those of a softmax in the place of the choice (<c>use_alpha</c> of the authors' code): a region's kernel learns from every pixel, by the
    /// pixel's share in it, and not from its own pixels only. m times the work.
    /// </summary>
    public bool UseAlpha { get; init; }
}

/// <summary>
/// Dynamic region-aware convolution (arXiv 2003.12243): a guide divides the picture into regions, every region has a kernel of its own, and the kernels are made from
/// the picture. So no plain convolution computes the same: a model in this form stays in it.
/// </summary>
public sealed class DRConvMethod : IReparameterization
{
    // Kernels of one picture at the default policy: 2 MB. A batch has as many times that in training, and the gradient as much again.
    private const long MostKernelElements = 1 << 19;

    /// <summary>Makes the method.</summary>
    /// <param name="options">The usual, if not given.</param>
    /// <exception cref="ArgumentException">No region, or no expert.</exception>
    public DRConvMethod(DRConvOptions? options = null)
    {
        Settings = options ?? new DRConvOptions();
        if (Settings.Regions is < 1 or > 1024) throw new ArgumentException($"DRConv needs between 1 and 1024 regions; {Settings.Regions} were asked for.");
        if (Settings.Experts is < 1 or > 1024) throw new ArgumentException($"DRConv needs between 1 and 1024 experts; {Settings.Experts} were asked for.");
        DefaultPolicy = new("dense convolutions of at least 8 channels, on maps of more than a pixel, whose kernels for one picture stay below 2 MB", site =>
            site.MapSize is not (1, 1) && site.Conv is { Options.Groups: 1, InChannels: >= 8 } conv && conv.FanIn * conv.OutChannels * Settings.Regions <= MostKernelElements);
    }

    /// <inheritdoc/>
    public string Name => "drconv";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <summary>
    /// Dense convolutions, 1×1 and k×k, strides included, but not the stem (few channels say little about a picture's content), not the widest (every picture has
    /// m kernels of its own in memory), and not those of a squeeze-excitation, which see one pixel and so one region.
    /// </summary>
    public LayerPolicy DefaultPolicy { get; }

    /// <summary>How layers are made.</summary>
    public DRConvOptions Settings { get; }

    /// <summary>The layers stay as they are.</summary>
    public IReparameterization Remainder => this;

    /// <inheritdoc/>
    public JsonObject Options => new()
    {
        ["regions"] = Settings.Regions,
        ["generator"] = Settings.Generator.ToString(),
        ["experts"] = Settings.Experts,
        ["inherit"] = Settings.Inherit,
        ["sharedMask"] = Settings.SharedMask,
        ["useAlpha"] = Settings.UseAlpha,
    };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static DRConvMethod FromOptions(JsonObject options) => new(new DRConvOptions
    {
        Regions = options.Get("regions", 8),
        Generator = options.GetEnum("generator", DRConvGenerator.ExpertRouting),
        Experts = options.Get("experts", 8),
        Inherit = options.Get("inherit", true),
        SharedMask = options.Get("sharedMask", false),
        UseAlpha = options.Get("useAlpha", false),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        return conv.Options.Groups != 1
            ? $"it has {conv.Options.Groups} groups, and neither the paper nor its code says which channels a region's kernel would then read. Choose dense convolutions, such as the 1×1 ones beside a depthwise one."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"DRConv cannot take over {site}: {reason}");
        return new DRConv2d(site.Conv!, Settings, MaskOf(site), init);
    }

    /// <summary>
    /// The layer beside this one (by its local name) whose mask it takes: itself for the first of several, null where nothing is shared. Only layers that are expanded
    /// with it count: one that stays plain has no mask.
    /// </summary>
    private string? MaskOf(ConvSite site)
    {
        if (!Settings.SharedMask || !IsPointwise(site.Layer) || site.Layer.Parent is not { } part) return null;
        string prefix = site.Name[..(site.Name.LastIndexOf('.') + 1)];
        var group = part.Children.Where(c => IsPointwise(c.Value) && site.Selected?.Contains(prefix + c.Key) != false).Select(c => c.Key).ToArray();
        return group.Length > 1 ? group[0] : null;

        static bool IsPointwise(Module m) => m is Conv2d { KernelSize: (1, 1), Options.Groups: 1 };
    }
}
