namespace RefConv.Kernels;

/// <summary>A block of channels copied between two maps of the same pixels: what concatenation and slicing are made of.</summary>
/// <param name="Rows">Pixels: N·H·W.</param>
/// <param name="Count">Channels copied.</param>
/// <param name="SourceC">Channels of the source map.</param>
/// <param name="SourceOffset">First channel read.</param>
/// <param name="TargetC">Channels of the target map.</param>
/// <param name="TargetOffset">First channel written.</param>
public readonly record struct ChannelsGeometry(long Rows, int Count, int SourceC, int SourceOffset, int TargetC, int TargetOffset)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Rows}×{Count} of {SourceC}@{SourceOffset} to {TargetC}@{TargetOffset}";
}

/// <summary>Two runs of as many channels, each in a map of its own, and the map in which they alternate: a0 b0 a1 b1 …</summary>
/// <param name="Rows">Pixels: N·H·W.</param>
/// <param name="Count">Channels of either run; y has twice as many.</param>
/// <param name="PitchA">Channels of the map in which a lies.</param>
/// <param name="OffsetA">The first of a's among them.</param>
/// <param name="PitchB">Channels of the map in which b lies; it may be the same map.</param>
/// <param name="OffsetB">The first of b's among them.</param>
public readonly record struct InterleaveGeometry(long Rows, int Count, int PitchA, int OffsetA, int PitchB, int OffsetB)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Rows}×{Count} of {PitchA}@{OffsetA} and {PitchB}@{OffsetB}";
}

public partial interface IKernels
{
    /// <summary><c>y[row, TargetOffset + i] (+)= x[row, SourceOffset + i]</c> for i &lt; Count; other channels of y are left alone.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[Rows, SourceC]</param>
    /// <param name="y">[Rows, TargetC]</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate);

    /// <summary>
    /// Channel shuffle as in ShuffleNetV2: channels seen as [groups, C/groups] are written as [C/groups, groups]:
    /// <c>y[row, i·groups + q] (+)= x[row, q·(C/groups) + i]</c>. Its gradient, and its inverse, is the shuffle with C/groups groups.
    /// </summary>
    /// <param name="rows">Pixels: N·H·W.</param>
    /// <param name="channels">C</param>
    /// <param name="groups">Divides C.</param>
    /// <param name="x">[rows, C]</param>
    /// <param name="y">[rows, C]</param>
    /// <param name="accumulate">Add to y instead of overwriting it.</param>
    void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate);

    /// <summary>
    /// <c>y[row, 2i] = a[row, OffsetA + i]</c>, <c>y[row, 2i + 1] = b[row, OffsetB + i]</c> for i &lt; Count: what a concatenation of two maps and a
    /// <see cref="ChannelShuffle"/> of two groups give (ShuffleNetV2), in one pass.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="a">[Rows, PitchA]</param>
    /// <param name="b">[Rows, PitchB]</param>
    /// <param name="y">[Rows, 2·Count]</param>
    void Interleave(in InterleaveGeometry g, BufferView a, BufferView b, BufferView y);

    /// <summary>The other way, which is also the gradient: <c>a[row, OffsetA + i] (+)= y[row, 2i]</c>, <c>b[row, OffsetB + i] (+)= y[row, 2i + 1]</c>; other channels are left alone.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="y">[Rows, 2·Count]</param>
    /// <param name="a">[Rows, PitchA]</param>
    /// <param name="b">[Rows, PitchB]; its channels are not a's.</param>
    /// <param name="accumulateA">Add to a instead of overwriting it.</param>
    /// <param name="accumulateB">Add to b instead of overwriting it.</param>
    void Deinterleave(in InterleaveGeometry g, BufferView y, BufferView a, BufferView b, bool accumulateA, bool accumulateB);
}
