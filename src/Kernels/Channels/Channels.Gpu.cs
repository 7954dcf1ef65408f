namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate)
    {
        if (g.Rows * g.Count == 0) return;
        bool wide = IsWide(g.Count | g.SourceC | g.SourceOffset | g.TargetC | g.TargetOffset, x, y);
        int width = wide ? 4 : 1;
        var move = new ChannelBlock
        {
            Count = new(g.Count / width), SourceC = g.SourceC / width, SourceOffset = g.SourceOffset / width, TargetC = g.TargetC / width, TargetOffset = g.TargetOffset / width,
        };
        foreach (var (first, count) in Pieces(g.Rows, Math.Max(g.SourceC, g.TargetC)))
        {
            Move(move, Rows(x, first, count, g.SourceC), Rows(y, first, count, g.TargetC), count * g.Count, wide, accumulate);
        }
    }

    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate)
    {
        if (rows * channels == 0) return;
        var move = new Shuffle { Channels = new(channels), Groups = new(groups), Each = channels / groups };
        foreach (var (first, count) in Pieces(rows, channels))
        {
            MoveOrGather(move, Rows(x, first, count, channels), Rows(y, first, count, channels), count * channels, accumulate);
        }
    }

    /// <summary>Channels Offset … Offset + Count − 1 of one map to those of another; counted in lanes.</summary>
    internal struct ChannelBlock : IGpuMove
    {
        public Divisor Count;
        public int SourceC, SourceOffset, TargetC, TargetOffset;

        public readonly int Source(int i)
        {
            int row = Count.Divide(i);
            return (row * SourceC) + SourceOffset + Count.Rest(i, row);
        }

        public readonly int Target(int i)
        {
            int row = Count.Divide(i);
            return (row * TargetC) + TargetOffset + Count.Rest(i, row);
        }
    }

    /// <summary>Channel i·groups + q of a pixel comes from q·each + i.</summary>
    internal struct Shuffle : IGpuMove
    {
        public Divisor Channels, Groups;
        public int Each;

        public readonly int Source(int i)
        {
            int row = Channels.Divide(i), channel = Channels.Rest(i, row), inGroup = Groups.Divide(channel);
            return (row * Channels.Value) + (Groups.Rest(channel, inGroup) * Each) + inGroup;
        }

        public readonly int Target(int i) => i;
    }
}
