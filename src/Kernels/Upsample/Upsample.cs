namespace RefConv.Kernels;

/// <summary>Shape of an enlargement by repeating every pixel.</summary>
/// <param name="N">Images.</param>
/// <param name="H">Rows of the small map.</param>
/// <param name="W">Columns of the small map.</param>
/// <param name="C">Channels.</param>
/// <param name="Scale">How many times as many rows and columns the large map has.</param>
public readonly record struct UpsampleGeometry(int N, int H, int W, int C, int Scale)
{
    /// <inheritdoc/>
    public override string ToString() => $"{N}×{H}×{W}×{C} by {Scale}";
}

public partial interface IKernels
{
    /// <summary>Nearest neighbour: <c>y[n, h·s + i, w·s + j, c] = x[n, h, w, c]</c> for i, j &lt; s.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="y">[N, H·s, W·s, C]</param>
    void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y);

    /// <summary>Gradient of <see cref="UpsampleNearestForward"/>: <c>dx[n, h, w, c] (+)= Σ_ij dy[n, h·s + i, w·s + j, c]</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="dy">[N, H·s, W·s, C]</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate);
}
