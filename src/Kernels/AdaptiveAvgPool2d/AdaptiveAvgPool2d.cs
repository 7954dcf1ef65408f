namespace RefConv.Kernels;

/// <summary>Shape of an average over a fixed number of bins. Bin i of K over a length L is [⌊i·L/K⌋, ⌈(i+1)·L/K⌉): PyTorch's rule, by which bins may overlap.</summary>
/// <param name="N">Images.</param>
/// <param name="H">Input rows.</param>
/// <param name="W">Input columns.</param>
/// <param name="C">Channels.</param>
/// <param name="P">Rows of bins.</param>
/// <param name="Q">Columns of bins.</param>
public readonly record struct AdaptiveAvgPool2dGeometry(int N, int H, int W, int C, int P, int Q)
{
    /// <summary>Elements of x.</summary>
    public long InputLength => (long)N * H * W * C;

    /// <summary>Elements of y.</summary>
    public long OutputLength => (long)N * P * Q * C;

    /// <summary>First row or column of a bin.</summary>
    internal static int First(int bin, int bins, int length) => (int)((long)bin * length / bins);

    /// <summary>One past its last.</summary>
    internal static int End(int bin, int bins, int length) => (int)((((bin + 1L) * length) + bins - 1) / bins);

    /// <inheritdoc/>
    public override string ToString() => $"N{N} {H}×{W}×{C} to {P}×{Q}";
}

public partial interface IKernels
{
    /// <summary><c>y[n,p,q,c] = mean of x over bin (p, q)</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="y">[N, P, Q, C]</param>
    void AdaptiveAvgPool2dForward(in AdaptiveAvgPool2dGeometry g, BufferView x, BufferView y);

    /// <summary>Spreads dy evenly over each bin.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="dy">[N, P, Q, C]</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void AdaptiveAvgPool2dBackward(in AdaptiveAvgPool2dGeometry g, BufferView dy, BufferView dx, bool accumulate);
}
