using System.Text.Json.Nodes;
using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>How the refocus weights start.</summary>
public enum RefocusInit
{
    /// <summary>Uniform in ±√(6/((g + D)·k²)): the paper's text.</summary>
    XavierUniform,

    /// <summary>All zero: the model starts exactly at the pretrained one.</summary>
    Zero,

    /// <summary>Uniform in ±1/√(g·k²): what the paper's code does (PyTorch's default for a convolution).</summary>
    TorchDefault,
}

/// <summary>How a <see cref="RefConv2d"/> is made from a trained convolution. The defaults are the paper's; the rest serves its ablations.</summary>
public sealed record RefConvOptions
{
    /// <summary>Size of the refocusing kernel: odd. Layers with a smaller kernel take the largest odd size that fits.</summary>
    public int MapK { get; init; } = 3;

    /// <summary>How the refocus weights start.</summary>
    public RefocusInit Init { get; init; } = RefocusInit.XavierUniform;

    /// <summary>The kernel used is W + refocus(W); without, refocus(W) alone.</summary>
    public bool Shortcut { get; init; } = true;

    /// <summary>Ablation: train the basis as well.</summary>
    public bool BaseTrainable { get; init; }

    /// <summary>Ablation: start from a random basis instead of the trained kernel.</summary>
    public bool BaseRandom { get; init; }
}

/// <summary>The method: replaces trained convolutions by <see cref="RefConv2d"/>.</summary>
public sealed class RefConvMethod : IReparameterization
{
    /// <summary>Makes the method.</summary>
    /// <param name="options">The paper's, if not given.</param>
    /// <exception cref="ArgumentException">map_k is even or below 1, or zero initial weights without the shortcut.</exception>
    public RefConvMethod(RefConvOptions? options = null)
    {
        Settings = options ?? new RefConvOptions();
        if (Settings.MapK < 1 || Settings.MapK % 2 == 0)
            throw new ArgumentException($"map_k must be odd (an even one would enlarge the kernel); it is {Settings.MapK}. Use {Math.Max(1, Settings.MapK - 1)} or {Settings.MapK + 1}.");
        if (Settings is { Init: RefocusInit.Zero, Shortcut: false })
            throw new ArgumentException("Zero initial refocus weights without the shortcut make every kernel zero, and training cannot leave that point. Use another initialisation, or the shortcut.");
    }

    /// <inheritdoc/>
    public string Name => "refconv";

    /// <inheritdoc/>
    public ReparameterizationPlace Place => ReparameterizationPlace.Convolution;

    /// <inheritdoc/>
    public LayerPolicy DefaultPolicy => LayerPolicy.AtLeast3;

    /// <summary>Its basis is a trained kernel.</summary>
    public bool NeedsTrainedModel => true;

    /// <summary>How layers are made.</summary>
    public RefConvOptions Settings { get; }

    /// <inheritdoc/>
    public JsonObject Options => new()
    {
        ["mapK"] = Settings.MapK,
        ["init"] = Settings.Init.ToString(),
        ["shortcut"] = Settings.Shortcut,
        ["baseTrainable"] = Settings.BaseTrainable,
        ["baseRandom"] = Settings.BaseRandom,
    };

    /// <summary>Makes the method from what <see cref="Options"/> gave.</summary>
    internal static RefConvMethod FromOptions(JsonObject options) => new(new RefConvOptions
    {
        MapK = options.Get("mapK", 3),
        Init = options.GetEnum("init", RefocusInit.XavierUniform),
        Shortcut = options.Get("shortcut", true),
        BaseTrainable = options.Get("baseTrainable", false),
        BaseRandom = options.Get("baseRandom", false),
    });

    /// <inheritdoc/>
    public string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        if (Math.Max(conv.KernelSize.H, conv.KernelSize.W) == 1)
            return "a 1×1 convolution has no spatial pattern to refocus; leave it as it is.";
        return conv.Weight.ToArray().All(w => w == 0)
            ? "its kernel is zero: RefConv learns from a trained kernel, and from nothing it stays at nothing. Train the plain model first, or load its weights."
            : null;
    }

    /// <inheritdoc/>
    public Module Expand(ConvSite site, Initializer init)
    {
        if (Refusal(site) is { } reason) throw new ArgumentException($"RefConv cannot take over {site}: {reason}");
        return new RefConv2d(site.Conv!, Settings, init);
    }
}

/// <summary>
/// Re-parameterised refocusing convolution (arXiv 2310.10563). The kernel W of a trained convolution is frozen; a small trainable
/// convolution runs over it, seen as a picture of D = out·in/g channels; the kernel used is W + refocus(W). After training only the
/// resulting kernel is kept: <see cref="Merge"/>.
/// </summary>
/// <remarks>
/// State: <c>weight [out, in/g, kh, kw]</c> (the basis, under the key of the convolution it replaces, so that a baseline's state dict fits),
/// <c>convmap.weight [D, g, k, k]</c>, and <c>bias</c> if the convolution had one, which keeps training.
/// Stride, padding, dilation and groups are the convolution's.
/// </remarks>
public sealed class RefConv2d : Module, IReparameterized, IConvolution
{
    private readonly Conv2dOptions _options;
    private readonly bool _shortcut;
    private DeviceBuffer? _unfolded;
    private int _unfoldedVersion = -1;

    /// <summary>Use <see cref="RefConvMethod.Expand"/>: the layer can only be made from a trained convolution.</summary>
    internal RefConv2d(Conv2d conv, RefConvOptions options, Initializer init)
    {
        _options = conv.Options;
        _shortcut = options.Shortcut;
        Geometry = new RefocusGeometry(conv.OutChannels, conv.InChannels, conv.Options.Groups, conv.KernelSize.H, conv.KernelSize.W,
            FittingMapK(options.MapK, conv.KernelSize));
        var random = init.NextStream();

        var basis = Add("weight", conv.Weight.Clone());
        basis.Trainable = options.BaseTrainable;
        if (conv.Bias is { } bias) Add("bias", bias.Clone()).Trainable = true;

        var map = Add("convmap.weight", new Parameter(init.Device, ParameterLayout.RefocusMap(Geometry)));
        if (options.Init == RefocusInit.XavierUniform) Initializer.XavierUniform(map, random);
        else if (options.Init == RefocusInit.TorchDefault) Initializer.TorchDefault(map, (long)Geometry.Groups * Geometry.MapK * Geometry.MapK, random);
        // After the refocus weights, which are then the same whether the basis is random or not: two forms to be compared differ in one thing.
        if (options.BaseRandom) Initializer.TorchDefault(basis, conv.FanIn, random);
    }

    /// <summary>Shape of the transform.</summary>
    public RefocusGeometry Geometry { get; }

    /// <summary>The basis W: frozen (outside every optimiser, never decayed) unless the ablation trains it.</summary>
    public Parameter Basis => Parameter("weight");

    /// <summary>The refocus weights.</summary>
    public Parameter Map => Parameter("convmap.weight");

    /// <summary>The largest odd size of at most <paramref name="mapK"/> that fits the kernel.</summary>
    public static int FittingMapK(int mapK, (int H, int W) kernelSize)
    {
        int limit = Math.Min(kernelSize.H, kernelSize.W);
        return Math.Min(mapK, limit % 2 == 1 ? limit : limit - 1);
    }

    /// <summary>The kernel that is used, W + refocus(W), under the current tape.</summary>
    public Tensor EffectiveKernel() => Basis.Refocus(Map, Geometry, UnfoldedBasis(), _shortcut, Name);

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, moments: false);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, bool moments)
    {
        var kernel = EffectiveKernel();
        var y = x.Conv2d(kernel, Optional("bias"), _options, moments, Name);
        Tape.Current.Release(kernel);
        return y;
    }

    /// <inheritdoc/>
    public bool HasBias => Optional("bias") != null;

    /// <summary>A plain convolution with the resulting kernel: the very bits the forward pass uses.</summary>
    public Conv2d Merge()
    {
        var conv = new Conv2d(Basis.Device, Geometry.Cin, Geometry.Cout, (Geometry.R, Geometry.S), _options, Optional("bias") != null);
        using var tape = Tape.Inference();
        Basis.Device.Kernels.Scale(EffectiveKernel().Data, conv.Weight.Data, 1, accumulate: false);
        if (Optional("bias") is { } bias) Basis.Device.Kernels.Scale(bias.Data, conv.Bias!.Data, 1, accumulate: false);
        return conv;
    }

    /// <inheritdoc/>
    protected override bool IsBuffer(string name) => false;

    /// <inheritdoc/>
    protected override void OnCloned()
    {
        _unfolded = null;
        _unfoldedVersion = -1;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _unfolded?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>The frozen basis unfolded, once for as long as it does not change. A basis in training is unfolded by the operation, every step.</summary>
    private BufferView UnfoldedBasis()
    {
        if (Basis.Trainable || Geometry.UnfoldedLength == 0) return default;
        if (_unfoldedVersion != Basis.Version)
        {
            _unfolded ??= Basis.Device.Rent(Geometry.UnfoldedLength);
            Basis.Device.Kernels.RefocusUnfold(Geometry, Basis.Data, _unfolded.View);
            _unfoldedVersion = Basis.Version;
        }
        return _unfolded!.View;
    }
}
