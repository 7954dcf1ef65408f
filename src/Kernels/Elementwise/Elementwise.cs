namespace RefConv.Kernels;

/// <summary>Shape of an operation between a feature map and one value per image and channel.</summary>
/// <param name="N">Images; 1 when the same values serve every image.</param>
/// <param name="Pixels">Pixels an image: H·W.</param>
/// <param name="C">Channels.</param>
public readonly record struct BroadcastGeometry(int N, long Pixels, int C)
{
    /// <inheritdoc/>
    public override string ToString() => $"{N}×{Pixels}×{C}";
}

public partial interface IKernels
{
    /// <summary><c>y[i] (+)= value</c></summary>
    /// <param name="y">Output.</param>
    /// <param name="value">The value.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void Fill(BufferView y, double value, bool accumulate = false);

    /// <summary><c>y[i] (+)= scale · x[i]</c>; a plain copy with scale 1. In place allowed.</summary>
    /// <param name="x">Input.</param>
    /// <param name="y">Output, as long as x.</param>
    /// <param name="scale">Factor.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void Scale(BufferView x, BufferView y, double scale, bool accumulate);

    /// <summary><c>y[i] = a[i] + b[i]</c>. In place allowed.</summary>
    /// <param name="a">Input.</param>
    /// <param name="b">Input, as long as a.</param>
    /// <param name="y">Output, as long as a.</param>
    void Add(BufferView a, BufferView b, BufferView y);

    /// <summary><c>y[i] (+)= a[i] · b[i]</c>. In place allowed.</summary>
    /// <param name="a">Input.</param>
    /// <param name="b">Input, as long as a.</param>
    /// <param name="y">Output, as long as a.</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate);

    /// <summary><c>y[n,p,c] = x[n,p,c] + b[n,c]</c>. In place allowed.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, Pixels, C]</param>
    /// <param name="b">[N, C]</param>
    /// <param name="y">[N, Pixels, C]</param>
    void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y);

    /// <summary><c>y[n,p,c] (+)= x[n,p,c] · s[n,c]</c>. In place allowed.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, Pixels, C]</param>
    /// <param name="s">[N, C]</param>
    /// <param name="y">[N, Pixels, C]</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate);

    /// <summary><c>ds[n,c] (+)= Σ_p x[n,p,c] · dy[n,p,c]</c>: the gradient of s in <see cref="MultiplyChannels"/>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, Pixels, C]</param>
    /// <param name="dy">[N, Pixels, C]</param>
    /// <param name="ds">[N, C]</param>
    /// <param name="accumulate">Add to ds instead of overwriting it.</param>
    void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate);
}
