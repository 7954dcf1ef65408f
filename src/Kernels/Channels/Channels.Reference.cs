namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate) => throw new NotSupportedException();

    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate) => throw new NotSupportedException();
}
