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
}
