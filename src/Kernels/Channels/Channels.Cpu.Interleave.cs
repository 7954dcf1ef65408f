using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Interleave(in InterleaveGeometry g, BufferView a, BufferView b, BufferView y)
    {
        if (g.Count == 0) return;
        var shape = g;
        float* fromA = P(a) + g.OffsetA, fromB = P(b) + g.OffsetB, to = P(y);
        ParallelRange(g.Rows, Math.Max(1, ChannelsGrain / (2 * g.Count)), (first, last) =>
        {
            for (long row = first; row < last; row++)
                InterleaveRow(fromA + (row * shape.PitchA), fromB + (row * shape.PitchB), to + (row * 2 * shape.Count), shape.Count);
        });
    }

    public void Deinterleave(in InterleaveGeometry g, BufferView y, BufferView a, BufferView b, bool accumulateA, bool accumulateB)
    {
        if (g.Count == 0) return;
        var shape = g;
        float* from = P(y), toA = P(a) + g.OffsetA, toB = P(b) + g.OffsetB;
        ParallelRange(g.Rows, Math.Max(1, ChannelsGrain / (2 * g.Count)), (first, last) =>
        {
            for (long row = first; row < last; row++)
                DeinterleaveRow(from + (row * 2 * shape.Count), toA + (row * shape.PitchA), toB + (row * shape.PitchB), shape.Count, accumulateA, accumulateB);
        });
    }

    /// <summary>One pixel, widest vectors first.</summary>
    private static void InterleaveRow(float* a, float* b, float* y, int count)
    {
        int i = 0;
        if (Simd.MaxWidth >= 16) i = InterleaveRow<Vector512<float>>(a, b, y, i, count);
        if (Simd.MaxWidth >= 8) i = InterleaveRow<Vector256<float>>(a, b, y, i, count);
        if (Simd.MaxWidth >= 4) i = InterleaveRow<Vector128<float>>(a, b, y, i, count);
        InterleaveRow<float>(a, b, y, i, count);
    }

    /// <summary>From channel i on, as many as whole vectors hold; the first one left.</summary>
    private static int InterleaveRow<V>(float* a, float* b, float* y, int i, int count) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (; i + n <= count; i += n)
        {
            var (first, second) = Simd.Interleave(Simd.Load<V>(a + i), Simd.Load<V>(b + i));
            Simd.Store(y + (2 * i), first);
            Simd.Store(y + (2 * i) + n, second);
        }
        return i;
    }

    private static void DeinterleaveRow(float* y, float* a, float* b, int count, bool accumulateA, bool accumulateB)
    {
        int i = 0;
        if (Simd.MaxWidth >= 16) i = DeinterleaveRow<Vector512<float>>(y, a, b, i, count, accumulateA, accumulateB);
        if (Simd.MaxWidth >= 8) i = DeinterleaveRow<Vector256<float>>(y, a, b, i, count, accumulateA, accumulateB);
        if (Simd.MaxWidth >= 4) i = DeinterleaveRow<Vector128<float>>(y, a, b, i, count, accumulateA, accumulateB);
        DeinterleaveRow<float>(y, a, b, i, count, accumulateA, accumulateB);
    }

    private static int DeinterleaveRow<V>(float* y, float* a, float* b, int i, int count, bool accumulateA, bool accumulateB) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (; i + n <= count; i += n)
        {
            var (even, odd) = Simd.Deinterleave(Simd.Load<V>(y + (2 * i)), Simd.Load<V>(y + (2 * i) + n));
            Emit(a + i, even, accumulateA);
            Emit(b + i, odd, accumulateB);
        }
        return i;
    }
}
