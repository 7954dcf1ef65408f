namespace RefConv.Kernels;

/// <summary>Shape of a sum over the middle axis of [Outer, Length, Inner].</summary>
/// <param name="Outer">Sums that stay apart, outside.</param>
/// <param name="Length">Values added up.</param>
/// <param name="Inner">Sums that stay apart, inside (neighbours in memory).</param>
public readonly record struct ReduceGeometry(long Outer, long Length, long Inner)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Outer}×Σ{Length}×{Inner}";
}

public partial interface IKernels
{
    /// <summary><c>y[o,i] (+)= scale · Σ_l x[o,l,i]</c>. Global average pooling is (N, H·W, C) with scale 1/(H·W); a bias gradient is (1, rows, C).</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Outer, Length, Inner]</param>
    /// <param name="y">[Outer, Inner]</param>
    /// <param name="scale">Factor.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate);

    /// <summary><c>y[o,l,i] (+)= scale · x[o,i]</c>: the gradient of <see cref="ReduceSum"/>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Outer, Inner]</param>
    /// <param name="y">[Outer, Length, Inner]</param>
    /// <param name="scale">Factor.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate);
}
