namespace RefConv.Kernels;

/// <summary>
/// Which channel goes to which place of an r×r block: frameworks disagree, and weights made for one order give a scrambled picture with the other. The
/// names are ONNX's: the order, outermost first, in which the channels of the small map count depth (channel of the result), column and row.
/// With one channel in the result the two are the same.
/// </summary>
public enum DepthToSpaceMode
{
    /// <summary>Channel c·r² + i·r + j goes to row i, column j of channel c: PyTorch's <c>pixel_shuffle</c>.</summary>
    CRD,

    /// <summary>Channel (i·r + j)·C + c goes there: TensorFlow's <c>depth_to_space</c> (SESR).</summary>
    DCR,
}

/// <summary>Shape of an exchange of channels for pixels.</summary>
/// <param name="N">Images.</param>
/// <param name="H">Rows of the deep map.</param>
/// <param name="W">Columns of the deep map.</param>
/// <param name="C">Channels of the wide map; the deep one has C·Block².</param>
/// <param name="Block">r: the wide map has r times as many rows and columns.</param>
/// <param name="Mode">The order of channels.</param>
public readonly record struct DepthToSpaceGeometry(int N, int H, int W, int C, int Block, DepthToSpaceMode Mode)
{
    /// <inheritdoc/>
    public override string ToString() => $"{N}×{H}×{W}×{C * Block * Block} by {Block} {Mode}";
}

public partial interface IKernels
{
    /// <summary>
    /// <c>y[n, h·r + i, w·r + j, c] (+)= x[n, h, w, k]</c>, k = c·r² + i·r + j (CRD) or (i·r + j)·C + c (DCR). A permutation: its gradient, and its
    /// inverse, is <see cref="SpaceToDepth"/>.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C·r²]</param>
    /// <param name="y">[N, H·r, W·r, C]</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate);

    /// <summary>The inverse of <see cref="DepthToSpace"/>, and its gradient.</summary>
    /// <param name="g">Shape, the same as of the forward direction.</param>
    /// <param name="y">[N, H·r, W·r, C]</param>
    /// <param name="x">[N, H, W, C·r²]</param>
    /// <param name="accumulate">Add to x instead of overwriting it.</param>
    void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate);
}
