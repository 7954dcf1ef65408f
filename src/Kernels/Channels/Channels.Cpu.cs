using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    private const long ChannelsGrain = 32 * 1024; // floats a piece: a few microseconds of copying

    public void CopyChannels(in ChannelsGeometry g, BufferView x, BufferView y, bool accumulate)
    {
        if (g.Count == 0) return;
        var shape = g;
        float* from = P(x), to = P(y);
        ParallelRange(g.Rows, Math.Max(1, ChannelsGrain / g.Count), (first, last) =>
        {
            float* source = from + (first * shape.SourceC) + shape.SourceOffset, target = to + (first * shape.TargetC) + shape.TargetOffset;
            if (shape.Count == shape.SourceC && shape.Count == shape.TargetC)
            {
                CopyRun(source, target, (last - first) * shape.Count, accumulate); // whole pixels: one run
                return;
            }
            for (long row = first; row < last; row++, source += shape.SourceC, target += shape.TargetC) CopyRun(source, target, shape.Count, accumulate);
        });
    }

    public void ChannelShuffle(long rows, int channels, int groups, BufferView x, BufferView y, bool accumulate)
    {
        int each = channels / groups;
        // Of two groups, or groups of two, the halves of x or of y alternate: that is done with vectors.
        if (groups == 2 && !accumulate)
        {
            Interleave(new InterleaveGeometry(rows, each, channels, 0, channels, each), x, x, y);
            return;
        }
        if (each == 2)
        {
            Deinterleave(new InterleaveGeometry(rows, groups, channels, 0, channels, groups), x, y, y, accumulate, accumulate);
            return;
        }
        float* from = P(x), to = P(y);
        ParallelRange(rows, Math.Max(1, ChannelsGrain / Math.Max(1, channels)), (first, last) =>
        {
            for (long row = first; row < last; row++) Shuffle(from + (row * channels), to + (row * channels), each, groups, accumulate);
        });
    }

    /// <summary>target[i] (+)= source[i] for one run, widest vectors first.</summary>
    private static void CopyRun(float* source, float* target, long count, bool accumulate)
    {
        long i = 0;
        if (Simd.MaxWidth >= 16) i = CopyRun<Vector512<float>>(source, target, i, count, accumulate);
        if (Simd.MaxWidth >= 8) i = CopyRun<Vector256<float>>(source, target, i, count, accumulate);
        if (Simd.MaxWidth >= 4) i = CopyRun<Vector128<float>>(source, target, i, count, accumulate);
        CopyRun<float>(source, target, i, count, accumulate);
    }

    private static long CopyRun<V>(float* source, float* target, long i, long count, bool accumulate) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (; i + n <= count; i += n) Emit(target + i, Simd.Load<V>(source + i), accumulate);
        return i;
    }

    /// <summary>Any number of groups: a transposition of [groups, each], element by element.</summary>
    private static void Shuffle(float* source, float* target, int each, int groups, bool accumulate)
    {
        for (int q = 0; q < groups; q++, target++)
        {
            float* to = target;
            for (int i = 0; i < each; i++, source++, to += groups) *to = accumulate ? *to + *source : *source;
        }
    }
}
