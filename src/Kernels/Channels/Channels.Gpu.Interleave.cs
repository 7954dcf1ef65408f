using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void Interleave(in InterleaveGeometry g, BufferView a, BufferView b, BufferView y)
    {
        if (g.Rows * g.Count == 0) return;
        bool wide = IsWide(g.Count | g.PitchA | g.OffsetA | g.PitchB | g.OffsetB, a, b, y);
        foreach (var (first, count) in Pieces(g.Rows, PitchOf(g)))
        {
            var arguments = Arguments(g, first, count, a, b, y, wide);
            if (wide) LaunchElements(InterleaveKernel<Float4>, arguments.Count, arguments);
            else LaunchElements(InterleaveKernel<Float1>, arguments.Count, arguments);
        }
    }

    public void Deinterleave(in InterleaveGeometry g, BufferView y, BufferView a, BufferView b, bool accumulateA, bool accumulateB)
    {
        if (g.Rows * g.Count == 0) return;
        bool wide = IsWide(g.Count | g.PitchA | g.OffsetA | g.PitchB | g.OffsetB, a, b, y);
        foreach (var (first, count) in Pieces(g.Rows, PitchOf(g)))
        {
            var arguments = Arguments(g, first, count, a, b, y, wide);
            (arguments.AccumulateA, arguments.AccumulateB) = (accumulateA ? 1 : 0, accumulateB ? 1 : 0);
            if (wide) LaunchElements(DeinterleaveKernel<Float4>, arguments.Count, arguments);
            else LaunchElements(DeinterleaveKernel<Float1>, arguments.Count, arguments);
        }
    }

    /// <summary>The widest of the three maps: positions in it must fit into 32 bits.</summary>
    private static int PitchOf(in InterleaveGeometry g) => Math.Max(2 * g.Count, Math.Max(g.PitchA, g.PitchB));

    private InterleaveArguments Arguments(in InterleaveGeometry g, long first, long rows, BufferView a, BufferView b, BufferView y, bool wide)
    {
        int width = wide ? 4 : 1;
        return new InterleaveArguments
        {
            A = V(Rows(a, first, rows, g.PitchA)), B = V(Rows(b, first, rows, g.PitchB)), Y = V(Rows(y, first, rows, 2 * g.Count)), Count = (int)(rows * g.Count / width),
            Channels = new(g.Count / width), PitchA = g.PitchA / width, OffsetA = g.OffsetA / width, PitchB = g.PitchB / width, OffsetB = g.OffsetB / width,
        };
    }

    /// <summary>Counted in lanes.</summary>
    internal struct InterleaveArguments
    {
        public ArrayView<float> A, B, Y;
        public int Count, AccumulateA, AccumulateB;
        public Divisor Channels;
        public int PitchA, OffsetA, PitchB, OffsetB;

        public readonly int IndexA(int row, int i) => (row * PitchA) + OffsetA + i;

        public readonly int IndexB(int row, int i) => (row * PitchB) + OffsetB + i;
    }

    /// <remarks>Bytes: each element read and written once. Bound by memory: a thread has two loads under way, and its two stores are neighbours, so lines of y are written whole (expected: above 85 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void InterleaveKernel<L>(InterleaveArguments arguments) where L : unmanaged, ILanes<L>
    {
        ArrayView<L> a = arguments.A.Cast<L>(), b = arguments.B.Cast<L>(), y = arguments.Y.Cast<L>();
        for (int i = GpuThread.First; i < arguments.Count; i += GpuThread.Step)
        {
            int row = arguments.Channels.Divide(i), channel = arguments.Channels.Rest(i, row);
            L fromA = a[arguments.IndexA(row, channel)], fromB = b[arguments.IndexB(row, channel)];
            y[2 * i] = L.InterleaveFirst(fromA, fromB);
            y[(2 * i) + 1] = L.InterleaveSecond(fromA, fromB);
        }
    }

    /// <remarks>As <see cref="InterleaveKernel{L}"/>, the other way.</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void DeinterleaveKernel<L>(InterleaveArguments arguments) where L : unmanaged, ILanes<L>
    {
        ArrayView<L> a = arguments.A.Cast<L>(), b = arguments.B.Cast<L>(), y = arguments.Y.Cast<L>();
        for (int i = GpuThread.First; i < arguments.Count; i += GpuThread.Step)
        {
            int row = arguments.Channels.Divide(i), channel = arguments.Channels.Rest(i, row);
            int toA = arguments.IndexA(row, channel), toB = arguments.IndexB(row, channel);
            L first = y[2 * i], second = y[(2 * i) + 1];
            L even = L.Even(first, second), odd = L.Odd(first, second);
            if (arguments.AccumulateA != 0) even = a[toA] + even;
            if (arguments.AccumulateB != 0) odd = b[toB] + odd;
            a[toA] = even;
            b[toB] = odd;
        }
    }
}
