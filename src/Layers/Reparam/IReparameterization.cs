namespace RefConv.Layers;

/// <summary>
/// A way to train a convolution in another form that can (where <see cref="IReparameterized"/> says so) be merged back into a plain one.
/// One class and one file a method; nothing else has to know it.
/// </summary>
public interface IReparameterization
{
    /// <summary>Short name: <c>refconv</c>.</summary>
    string Name { get; }

    /// <summary>Why this convolution cannot be trained this way, in words that say what to do; null when it can.</summary>
    string? Refusal(Conv2d conv);

    /// <summary>The training form of a convolution. The convolution itself is not changed.</summary>
    /// <param name="conv">The layer to be replaced.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <exception cref="ArgumentException"><see cref="Refusal"/> says why.</exception>
    Module Expand(Conv2d conv, Initializer init);
}

/// <summary>The training form of a convolution.</summary>
public interface IReparameterized
{
    /// <summary>The plain convolution that computes the same in evaluation mode. This module is not changed.</summary>
    Conv2d Merge();
}

/// <summary>Which convolutions of a model <see cref="Reparameterization.Expand"/> replaces.</summary>
/// <param name="Description">In words.</param>
/// <param name="Selects">Takes the layer's path and the layer.</param>
public sealed record LayerPolicy(string Description, Func<string, Conv2d, bool> Selects)
{
    /// <summary>Every convolution with a kernel larger than 1×1.</summary>
    public static LayerPolicy LargerThan1 { get; } = new("k > 1", (_, conv) => Math.Max(conv.KernelSize.H, conv.KernelSize.W) > 1);

    /// <summary>Every convolution whose kernel is at least 3×3: the default.</summary>
    public static LayerPolicy AtLeast3 { get; } = new("k ≥ 3", (_, conv) => Math.Min(conv.KernelSize.H, conv.KernelSize.W) >= 3);

    /// <summary>Every convolution with an odd kernel larger than 1×1.</summary>
    public static LayerPolicy OddOnly { get; } = new("odd k > 1", (_, conv) =>
        conv.KernelSize.H % 2 == 1 && conv.KernelSize.W % 2 == 1 && Math.Max(conv.KernelSize.H, conv.KernelSize.W) > 1);

    /// <summary>The named layers and no others.</summary>
    public static LayerPolicy Named(params IReadOnlyCollection<string> names) =>
        new(string.Join(", ", names), (name, _) => names.Contains(name)) { Names = names };

    /// <summary>Layers asked for by name, all of which must exist.</summary>
    internal IReadOnlyCollection<string> Names { get; private init; } = [];
}
