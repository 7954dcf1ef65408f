namespace RefConv.Layers;

/// <summary>
/// Random zeros while training (<c>torch.nn.Dropout</c>). The mask depends on the seed (<see cref="Tape.Seed"/>, or else the layer's own),
/// the layer's place in the model and the training step only.
/// </summary>
public sealed class Dropout : Module
{
    private readonly Mask _mask;

    /// <summary>Makes the layer.</summary>
    /// <param name="init">Random numbers.</param>
    /// <param name="p">Probability that an element becomes 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">p is not in [0, 1).</exception>
    public Dropout(Initializer init, double p = 0.5) => (P, _mask) = (Mask.Checked(p, nameof(Dropout)), new Mask(init));

    /// <summary>Probability that an element becomes 0.</summary>
    public double P { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Training && P > 0 ? x.Dropout(P, _mask.Seed, _mask.Stream, Name) : x;
}

/// <summary>
/// Stochastic depth (Huang et al., arXiv 1603.09382; torchvision's <c>StochasticDepth</c> in mode "row"): while training, the branch of a
/// residual block is left out for every image with probability p, and scaled by 1/(1 − p) where it stays. Deterministic as <see cref="Dropout"/> is.
/// </summary>
public sealed class StochasticDepth : Module
{
    private readonly Mask _mask;

    /// <summary>Makes the layer.</summary>
    /// <param name="init">Random numbers.</param>
    /// <param name="p">Probability that an image goes without the branch.</param>
    /// <exception cref="ArgumentOutOfRangeException">p is not in [0, 1).</exception>
    public StochasticDepth(Initializer init, double p) => (P, _mask) = (Mask.Checked(p, nameof(StochasticDepth)), new Mask(init));

    /// <summary>Probability that an image goes without the branch.</summary>
    public double P { get; }

    /// <summary>Now and then the layer does something: it is in training mode and p is above 0.</summary>
    public bool IsActive => Training && P > 0;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => IsActive ? x.StochasticDepth(P, _mask.Seed, _mask.Stream, Name) : x;
}

/// <summary>Where a layer's random decisions come from.</summary>
/// <param name="init">Gives every layer a number of its own.</param>
internal readonly struct Mask(Initializer init)
{
    // Streams of one seed are told apart by their highest byte; this one belongs to random decisions while training.
    private const ulong Streams = 0xD3UL << 56;

    private readonly ulong _seed = init.Seed, _layer = init.NextLayer();

    /// <summary>The run's seed, if it has one: a model that was read from a file has none of its own.</summary>
    public ulong Seed => Tape.Current.Seed ?? _seed;

    /// <summary>Another one for every layer and step.</summary>
    public ulong Stream => Streams | ((_layer & 0xFFFF) << 40) | ((ulong)Tape.Current.Step & 0xFF_FFFF_FFFF);

    public static double Checked(double p, string layer) =>
        p >= 0 && p < 1 ? p : throw new ArgumentOutOfRangeException(nameof(p), p, $"{layer}: p must be at least 0 and below 1.");
}
