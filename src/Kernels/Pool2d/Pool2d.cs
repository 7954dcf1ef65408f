namespace RefConv.Kernels;

/// <summary>Shape of a 2-d pooling.</summary>
/// <param name="N">Images.</param>
/// <param name="H">Input rows.</param>
/// <param name="W">Input columns.</param>
/// <param name="C">Channels.</param>
/// <param name="R">Window rows.</param>
/// <param name="S">Window columns.</param>
/// <param name="Stride">Step between windows, both axes.</param>
/// <param name="Padding">Border on every side: zeros for the average, −∞ for the maximum. At most half the window.</param>
/// <param name="CountIncludePad">The average divides by R·S always (PyTorch's default), not by the pixels inside the image.</param>
public readonly record struct Pool2dGeometry(int N, int H, int W, int C, int R, int S, int Stride, int Padding, bool CountIncludePad = true)
{
    /// <summary>Output rows.</summary>
    public int P => ((H + (2 * Padding) - R) / Stride) + 1;

    /// <summary>Output columns.</summary>
    public int Q => ((W + (2 * Padding) - S) / Stride) + 1;

    /// <summary>Elements of x.</summary>
    public long InputLength => (long)N * H * W * C;

    /// <summary>Elements of y.</summary>
    public long OutputLength => (long)N * P * Q * C;

    /// <inheritdoc/>
    public override string ToString() => $"N{N} {H}×{W}×{C} k{R}×{S} s{Stride} p{Padding}{(CountIncludePad ? "" : " inside")}";
}

public partial interface IKernels
{
    /// <summary><c>y[n,p,q,c] = mean of x over the window</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="y">[N, P, Q, C]</param>
    void AvgPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y);

    /// <summary>Spreads dy evenly over each window.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="dy">[N, P, Q, C]</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void AvgPool2dBackward(in Pool2dGeometry g, BufferView dy, BufferView dx, bool accumulate);

    /// <summary><c>y[n,p,q,c] = max of x over the window</c>; NaN wins.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="y">[N, P, Q, C]</param>
    void MaxPool2dForward(in Pool2dGeometry g, BufferView x, BufferView y);

    /// <summary>Sends dy to the first largest element of each window (row by row), found again from x.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="dy">[N, P, Q, C]</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void MaxPool2dBackward(in Pool2dGeometry g, BufferView x, BufferView dy, BufferView dx, bool accumulate);
}
