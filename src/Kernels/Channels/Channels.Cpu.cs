using System.Numerics;
using System.Runtime.CompilerServices;
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
        float* from = P(x), to = P(y);
        ParallelRange(rows, Math.Max(1, ChannelsGrain / Math.Max(1, channels)), (first, last) =>
        {
            for (long row = first; row < last; row++)
            {
                float* source = from + (row * channels), target = to + (row * channels);
                if (accumulate) Shuffle(source, target, each, groups, accumulate: true);
                else if (groups == 2) Interleave(source, source + each, target, each);
                else if (each == 2) Deinterleave(source, target, target + groups, groups);
                else Shuffle(source, target, each, groups, accumulate: false);
            }
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

    /// <summary>
    /// a0 b0 a1 b1 …: two groups, the case of ShuffleNetV2. Each float is widened to 64 bits; b's half is moved up by 32 and joined to a's, which makes a pair
    /// (the lower half comes first in memory).
    /// </summary>
    private static void Interleave(float* a, float* b, float* target, int count)
    {
        int i = 0, n = Vector<uint>.Count;
        for (; i + n <= count; i += n)
        {
            Vector.Widen(Unsafe.ReadUnaligned<Vector<uint>>(a + i), out var a0, out var a1);
            Vector.Widen(Unsafe.ReadUnaligned<Vector<uint>>(b + i), out var b0, out var b1);
            Unsafe.WriteUnaligned(target + (2 * i), a0 | (b0 << 32));
            Unsafe.WriteUnaligned(target + (2 * i) + n, a1 | (b1 << 32));
        }
        for (; i < count; i++)
        {
            target[2 * i] = a[i];
            target[(2 * i) + 1] = b[i];
        }
    }

    /// <summary>The inverse: even elements to a, odd ones to b.</summary>
    private static void Deinterleave(float* source, float* a, float* b, int count)
    {
        int i = 0, n = Vector<uint>.Count;
        for (; i + n <= count; i += n)
        {
            var p0 = Unsafe.ReadUnaligned<Vector<ulong>>(source + (2 * i));
            var p1 = Unsafe.ReadUnaligned<Vector<ulong>>(source + (2 * i) + n);
            Unsafe.WriteUnaligned(a + i, Vector.Narrow(p0, p1));
            Unsafe.WriteUnaligned(b + i, Vector.Narrow(p0 >>> 32, p1 >>> 32));
        }
        for (; i < count; i++)
        {
            a[i] = source[2 * i];
            b[i] = source[(2 * i) + 1];
        }
    }
}
