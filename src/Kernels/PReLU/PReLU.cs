namespace RefConv.Kernels;

/// <summary>Shape of a PReLU with a slope of its own for every channel.</summary>
/// <param name="Rows">Pixels of all images: N·H·W.</param>
/// <param name="C">Channels.</param>
public readonly record struct PReLUGeometry(long Rows, int C)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Rows}×{C}";
}

public partial interface IKernels
{
    /// <summary><c>y[r,c] = x &gt; 0 ? x : α[c]·x</c>. In place allowed.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="alpha">[C]: the slope left of zero.</param>
    /// <param name="y">[Rows, C]</param>
    void PReLUForward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView y);

    /// <summary>
    /// Gradients of <see cref="PReLUForward"/>: <c>dx = x &gt; 0 ? dy : α·dy</c>, <c>dα[c] = Σ_r min(x, 0)·dy</c>. At 0 the slope is α, as in PyTorch.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, C]</param>
    /// <param name="alpha">[C]</param>
    /// <param name="dy">[Rows, C]</param>
    /// <param name="dx">[Rows, C]; empty if not wanted</param>
    /// <param name="dalpha">[C]; empty if not wanted</param>
    /// <param name="accumulateInput">Add to dx instead of overwriting it.</param>
    /// <param name="accumulateAlpha">Add to dα instead of overwriting it.</param>
    void PReLUBackward(in PReLUGeometry g, BufferView x, BufferView alpha, BufferView dy, BufferView dx, BufferView dalpha, bool accumulateInput, bool accumulateAlpha);
}
