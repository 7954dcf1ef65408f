namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate)
    {
        var from = S(x);
        var to = S(y);
        for (int row = 0; row < g.Rows; row++)
        {
            for (int i = 0; i < g.Count; i++)
            {
                Put(ref to[(row * g.TargetC) + g.TargetOffset + i], from[(row * g.SourceC) + g.SourceOffset + i], accumulate);
            }
        }
    }

    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate)
    {
        int each = channels / groups;
        var from = S(x);
        var to = S(y);
        for (int row = 0; row < rows; row++)
        {
            for (int q = 0; q < groups; q++)
            {
                for (int i = 0; i < each; i++)
                {
                    Put(ref to[(row * channels) + (i * groups) + q], from[(row * channels) + (q * each) + i], accumulate);
                }
            }
        }
    }

    public void Interleave(in InterleaveGeometry g, BufferView a, BufferView b, BufferView y)
    {
        var to = S(y);
        for (int row = 0; row < g.Rows; row++)
        {
            for (int i = 0; i < g.Count; i++)
            {
                to[(((row * g.Count) + i) * 2) + 0] = S(a)[(row * g.PitchA) + g.OffsetA + i];
                to[(((row * g.Count) + i) * 2) + 1] = S(b)[(row * g.PitchB) + g.OffsetB + i];
            }
        }
    }

    public void Deinterleave(in InterleaveGeometry g, BufferView y, BufferView a, BufferView b, bool accumulateA, bool accumulateB)
    {
        var from = S(y);
        for (int row = 0; row < g.Rows; row++)
        {
            for (int i = 0; i < g.Count; i++)
            {
                Put(ref S(a)[(row * g.PitchA) + g.OffsetA + i], from[(((row * g.Count) + i) * 2) + 0], accumulateA);
                Put(ref S(b)[(row * g.PitchB) + g.OffsetB + i], from[(((row * g.Count) + i) * 2) + 1], accumulateB);
            }
        }
    }
}
