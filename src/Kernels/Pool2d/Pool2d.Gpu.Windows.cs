namespace RefConv.Kernels;

/// <summary>Windows of a large map (H × W), one for every place of a small one (P × Q).</summary>
internal struct WindowShape
{
    public int H, W, P, Q, R, S, Padding;
    public Divisor Stride;

    /// <summary>What the sum of a window is multiplied by; 0: 1 / the number of its pixels inside the map.</summary>
    public float Factor;
}

/// <summary>Rows or columns <see cref="First"/> … <see cref="End"/> − 1.</summary>
internal struct PixelRange
{
    public int First, End;
}

/// <summary>Along one axis: which places of one map belong to a place of the other.</summary>
internal interface IWindows
{
    /// <param name="shape">The windows.</param>
    /// <param name="at">The place.</param>
    /// <param name="size">Rows (or columns) of a window.</param>
    /// <param name="own">Extent of the map that the place is on.</param>
    /// <param name="other">Extent of the other map.</param>
    static abstract PixelRange Over(WindowShape shape, int at, int size, int own, int other);
}

/// <summary>Pooling: the pixels of a window.</summary>
internal struct PoolWindows : IWindows
{
    public static PixelRange Over(WindowShape shape, int at, int size, int own, int other)
    {
        int first = (at * shape.Stride.Value) - shape.Padding;
        return new() { First = Math.Max(0, first), End = Math.Min(other, first + size) };
    }
}

/// <summary>Pooling: the windows over a pixel, from the smallest p with p·stride − padding + size &gt; at to the largest with p·stride − padding ≤ at.</summary>
internal struct PoolCovers : IWindows
{
    public static PixelRange Over(WindowShape shape, int at, int size, int own, int other)
    {
        int last = at + shape.Padding, over = last - size + shape.Stride.Value; // ⌈(last − size + 1) / stride⌉
        return new() { First = shape.Stride.Divide(Math.Max(0, over)), End = Math.Min(other, shape.Stride.Divide(last) + 1) };
    }
}

/// <summary>Adaptive pooling: bin i of K over a length L is [⌊i·L/K⌋, ⌈(i+1)·L/K⌉).</summary>
internal struct BinWindows : IWindows
{
    public static PixelRange Over(WindowShape shape, int at, int size, int own, int other) =>
        new() { First = at * other / own, End = (((at + 1) * other) + own - 1) / own };
}

/// <summary>
/// Adaptive pooling: the bins over pixel i are [⌊i·K/L⌋, ⌈(i+1)·K/L⌉), the same rule the other way round: a bin p ends above i where (p+1)·L/K &gt; i, that is
/// p ≥ ⌊i·K/L⌋, and begins at or below it where p·L/K &lt; i + 1.
/// </summary>
internal struct BinCovers : IWindows
{
    public static PixelRange Over(WindowShape shape, int at, int size, int own, int other) => BinWindows.Over(shape, at, size, own, other);
}
