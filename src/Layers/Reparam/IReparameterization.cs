using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>What the training form of a method takes the place of.</summary>
public enum ReparameterizationPlace
{
    /// <summary>A convolution. A batch norm behind it stays where it is.</summary>
    Convolution,

    /// <summary>A convolution together with the batch norm behind it, if there is one: the form has norms of its own.</summary>
    ConvolutionAndNorm,

    /// <summary>A norm; where a convolution has none behind it, the convolution, should the method accept that.</summary>
    Norm,
}

/// <summary>
/// A way to train a network in another form that can (where its parts say so) be merged back into the plain one.
/// One class and one file a method, and a row in <see cref="Reparameterizations"/>; nothing else has to know it.
/// </summary>
public interface IReparameterization
{
    /// <summary>Short name: <c>refconv</c>.</summary>
    string Name { get; }

    /// <summary>What a training form takes the place of.</summary>
    ReparameterizationPlace Place { get; }

    /// <summary>Layers taken when nobody says which: of those it selects, the ones that are not refused.</summary>
    LayerPolicy DefaultPolicy { get; }

    /// <summary>Everything that is needed to make the method again: kept in checkpoints.</summary>
    JsonObject Options { get; }

    /// <summary>Why this layer cannot be trained this way, in words that say what to do; null when it can.</summary>
    string? Refusal(ConvSite site);

    /// <summary>The training form. The layers it replaces are not changed.</summary>
    /// <param name="site">The layers to be replaced.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <exception cref="ArgumentException"><see cref="Refusal"/> says why.</exception>
    Module Expand(ConvSite site, Initializer init);

    /// <summary>As <see cref="Options"/>, for a model whose structure training has changed since it was expanded.</summary>
    JsonObject Describe(Module model) => Options;

    /// <summary>
    /// Names among <see cref="Options"/> of what training or merging has made of a model, such as the branches that grew: a checkpoint needs them, but they are
    /// nobody's to choose.
    /// </summary>
    IReadOnlyCollection<string> StateNames => [];

    /// <summary>It builds on trained kernels, so a plain model is to be trained before it.</summary>
    bool NeedsTrainedModel => false;

    /// <summary>What is left of the method in a model whose training forms were merged: null where that is the plain model.</summary>
    IReparameterization? Remainder => null;
}

/// <summary>The training form of a convolution.</summary>
public interface IReparameterized
{
    /// <summary>The plain convolution has a bias. Where it has none, the shift of <see cref="Merge"/> goes into the batch norm behind it.</summary>
    bool HasBias { get; }

    /// <summary>The plain convolution that computes the same in evaluation mode, with a bias wherever one is needed. This module is not changed.</summary>
    Conv2d Merge();
}

/// <summary>The training form of a norm.</summary>
public interface IReparameterizedNorm
{
    /// <summary>
    /// What computes the same in evaluation mode: the plain norm, or, where the method leaves something (see <see cref="IReparameterization.Remainder"/>),
    /// that norm with what is left. This module is not changed.
    /// </summary>
    Module Merge();
}

/// <summary>A layer that a method put in and that merging leaves as it is, because no plain layer computes the same.</summary>
public interface IUnmergeable
{
    /// <summary>Why, in words: "its kernels depend on the picture".</summary>
    string Reason { get; }
}

/// <summary>A place in a model where a method can act: a convolution and what stands behind it.</summary>
/// <param name="Name">Path of the convolution.</param>
/// <param name="Layer">What is there: a <see cref="Conv2d"/>, or the training form of one.</param>
public sealed record ConvSite(string Name, Module Layer)
{
    /// <summary>Path of the norm that reads the convolution, and nothing else does; null where there is none, or none was looked for.</summary>
    public string? NormName { get; init; }

    /// <summary>
    /// What is there: a <see cref="BatchNorm2d"/>, the <see cref="AbsorbedNorm"/> that another method left, or a <see cref="LayerNorm"/>, which no kernel can take up;
    /// null where there is none.
    /// </summary>
    public Module? Norm { get; init; }

    /// <summary>The norm is the last layer of a residual branch: what is added to the skip connection.</summary>
    public bool EndsBranch { get; init; }

    /// <summary>Rows and columns of what it gives for the input that the model was looked at with; null where the model was not, or does not run it.</summary>
    internal (int H, int W)? MapSize { get; init; }

    /// <summary>Paths of all places that are expanded together with this one; null where that is not known.</summary>
    internal IReadOnlySet<string>? Selected { get; init; }

    /// <summary>The convolution, where it is a plain one.</summary>
    public Conv2d? Conv => Layer as Conv2d;

    /// <inheritdoc/>
    public override string ToString() => Conv is { } c
        ? $"'{Name}' ({c.InChannels}→{c.OutChannels}, {c.KernelSize.H}×{c.KernelSize.W}, stride {c.Options.StrideH}, groups {c.Options.Groups})"
        : $"'{Name}' ({Layer.GetType().Name})";
}

/// <summary>Which places of a model <see cref="Reparameterization.Expand"/> acts on.</summary>
/// <param name="Description">In words.</param>
/// <param name="Selects">Takes the place.</param>
public sealed record LayerPolicy(string Description, Func<ConvSite, bool> Selects)
{
    /// <summary>Used instead in a model of which this one selects nothing; or null.</summary>
    public LayerPolicy? Otherwise { get; init; }

    /// <summary>Every convolution with a kernel larger than 1×1.</summary>
    public static LayerPolicy LargerThan1 { get; } = BySize("k > 1", (h, w) => Math.Max(h, w) > 1);

    /// <summary>Every convolution whose kernel is at least 3×3.</summary>
    public static LayerPolicy AtLeast3 { get; } = BySize("k ≥ 3", (h, w) => Math.Min(h, w) >= 3);

    /// <summary>Every convolution with an odd kernel larger than 1×1.</summary>
    public static LayerPolicy OddOnly { get; } = BySize("odd k > 1", (h, w) => h % 2 == 1 && w % 2 == 1 && Math.Max(h, w) > 1);

    /// <summary>Every convolution.</summary>
    public static LayerPolicy All { get; } = BySize("every convolution", (_, _) => true);

    /// <summary>Convolutions by the size of their kernels.</summary>
    /// <param name="description">In words.</param>
    /// <param name="selects">Takes rows and columns.</param>
    public static LayerPolicy BySize(string description, Func<int, int, bool> selects) =>
        new(description, site => site.Conv is { } conv && selects(conv.KernelSize.H, conv.KernelSize.W));

    /// <summary>The named layers and no others.</summary>
    public static LayerPolicy Named(params IReadOnlyCollection<string> names) =>
        new(string.Join(", ", names), site => names.Contains(site.Name)) { Names = names };

    /// <summary>Layers asked for by name, all of which must exist.</summary>
    internal IReadOnlyCollection<string> Names { get; private init; } = [];
}
