namespace RefConv.Kernels;

/// <summary>What a device may trade for speed in convolutions.</summary>
public enum Conv2dAccuracy
{
    /// <summary>Every result is the sum of its products, rounded like one: an error of some 1e-7 of Σ|terms|.</summary>
    Exact,

    /// <summary>
    /// 3×3 convolutions of stride 1 may use Winograd's algorithm where it is faster: a quarter of the multiplications, an error of some 1e-6 of the
    /// largest Σ|terms| among 4×4 neighbouring results, which are computed together. The same bits for any number of threads as ever.
    /// </summary>
    Fast,
}

/// <summary>
/// A convolution made ready to be run many times with the same weights: they lie in the order the device's algorithm wants,
/// packed once. Made by <see cref="IKernels.Conv2dPack"/>; disposing gives the memory back.
/// </summary>
public abstract class PackedConv2d(Conv2dGeometry geometry) : IDisposable
{
    /// <summary>The shape it was made for.</summary>
    public Conv2dGeometry Geometry { get; } = geometry;

    /// <summary>How the device will compute it, for people.</summary>
    public abstract string Algorithm { get; }

    /// <summary>Bytes of the packed weights.</summary>
    public abstract long Bytes { get; }

    /// <inheritdoc/>
    public abstract void Dispose();
}

public partial interface IKernels
{
    /// <summary>Chooses an algorithm for a shape and packs the weights for it. The weights themselves are not needed afterwards.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="w">[R, S, C/g, K]</param>
    /// <param name="accuracy">What may be traded for speed.</param>
    PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy);

    /// <summary>Convolution with everything that follows it in a network for inference, in one pass: <c>y = act(conv(x) + b + residual)</c>.</summary>
    /// <param name="w">The packed weights, and the shape.</param>
    /// <param name="activation">act</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="b">[K], or empty</param>
    /// <param name="residual">[N, P, Q, K], or empty; may be the memory of y</param>
    /// <param name="y">[N, P, Q, K]</param>
    void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y);
}
