using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate)
    {
        if (g.Length == 1)
        {
            Scale(x, y, scale, accumulate);
        }
        else if (g.Inner == 1)
        {
            SumRuns<PlainTerm>(g, P(x), P(y), scale, accumulate);
        }
        else
        {
            int channels = checked((int)g.Inner);
            using var totals = SumColumns(new PlainSum(P(x)), g.Outer, g.Length, channels);
            WriteTotals(totals, g.Outer, channels, P(y), scale, accumulate);
        }
    }

    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate)
    {
        int channels = checked((int)g.Inner);
        if (g.Inner == 1) SpreadRuns(g, P(x), P(y), (float)scale, accumulate);
        else ForRows(new SpreadRows(P(x), P(y), channels, (float)scale, accumulate), g.Outer, g.Length, channels);
    }

    /// <summary>
    /// Inner = 1: each sum runs over neighbours in memory, [outer, length]. Long runs are cut into pieces, whose sums are added in order: the same bits for any number
    /// of threads.
    /// </summary>
    /// <typeparam name="F">What is summed of the elements.</typeparam>
    private void SumRuns<F>(in ReduceGeometry g, float* x, float* y, double scale, bool accumulate) where F : struct, ITerm
    {
        long length = g.Length;
        int pieces = Pieces(length, ElementGrain);
        if (pieces == 1)
        {
            ParallelRange(g.Outer, Math.Max(1, ElementGrain / length), (first, last) =>
            {
                for (long o = first; o < last; o++) Write(o, SumRun<F>(x + (o * length), length));
            });
            return;
        }
        using var scratch = _device.Scratch(2 * g.Outer * pieces);
        double* sums = (double*)scratch.Pointer; // [outer, pieces]
        _device.Parallel(checked((int)(g.Outer * pieces)), (item, _) =>
        {
            long o = item / pieces, first = item % pieces * (long)ElementGrain;
            sums[item] = SumRun<F>(x + (o * length) + first, Math.Min(ElementGrain, length - first));
        });
        for (long o = 0; o < g.Outer; o++)
        {
            double sum = 0;
            for (int p = 0; p < pieces; p++) sum += sums[(o * pieces) + p];
            Write(o, sum);
        }

        void Write(long o, double sum) => y[o] = (float)((accumulate ? y[o] : 0) + (scale * sum));
    }

    private static double SumRun<F>(float* x, long count) where F : struct, ITerm => Simd.MaxWidth switch
    {
        16 => SumRun<F, Vector512<float>>(x, count),
        8 => SumRun<F, Vector256<float>>(x, count),
        4 => SumRun<F, Vector128<float>>(x, count),
        _ => SumRun<F, float>(x, count),
    };

    /// <summary>Lane sums in float over sixteen vectors at a time, four apart so that additions overlap; then in double, lane by lane.</summary>
    private static double SumRun<F, V>(float* x, long count) where F : struct, ITerm where V : unmanaged
    {
        int width = Simd.Width<V>();
        double* lanes = stackalloc double[width];
        new Span<double>(lanes, width).Clear();
        long i = 0;
        for (; i <= count - (16 * width); i += 16 * width)
        {
            V a = F.Of<V>(x + i), b = F.Of<V>(x + i + width), c = F.Of<V>(x + i + (2 * width)), d = F.Of<V>(x + i + (3 * width));
            for (int j = 4; j < 16; j += 4)
            {
                float* p = x + i + (j * width);
                a = F.Add(a, p);
                b = F.Add(b, p + width);
                c = F.Add(c, p + (2 * width));
                d = F.Add(d, p + (3 * width));
            }
            Simd.AddToDoubles(lanes, Simd.Add(Simd.Add(a, b), Simd.Add(c, d)));
        }
        for (; i <= count - width; i += width) Simd.AddToDoubles(lanes, F.Of<V>(x + i));
        double sum = 0;
        for (int lane = 0; lane < width; lane++) sum += lanes[lane];
        for (; i < count; i++) sum += F.Of(x[i]);
        return sum;
    }

    /// <summary>What a sum adds up of every element of memory. Structs, so that every sum is compiled with its own in it.</summary>
    private interface ITerm
    {
        static abstract V Of<V>(float* x) where V : unmanaged;

        static abstract V Add<V>(V sum, float* x) where V : unmanaged;

        static abstract double Of(double x);
    }

    /// <summary>The element itself.</summary>
    private readonly struct PlainTerm : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<V>(float* x) where V : unmanaged => Simd.Load<V>(x);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Add<V>(V sum, float* x) where V : unmanaged => Simd.Add(sum, Simd.Load<V>(x));

        public static double Of(double x) => x;
    }

    /// <summary>Inner = 1: y[o, ·] (+)= scale · x[o].</summary>
    private void SpreadRuns(in ReduceGeometry g, float* x, float* y, float scale, bool accumulate)
    {
        long length = g.Length, outer = g.Outer;
        int pieces = Pieces(length, ElementGrain);
        // Items of about the grain: several short runs, or a piece of a long one.
        long runs = Math.Max(1, ElementGrain / length);
        ParallelIfWorth(checked(Pieces(outer, runs) * pieces), outer * length, Item);

        void Item(int item)
        {
            long first = item % pieces * (long)ElementGrain, count = Math.Min(ElementGrain, length - first);
            long o = item / pieces * runs, end = Math.Min(outer, o + runs);
            for (; o < end; o++)
            {
                float v = x[o] * scale;
                float* to = y + (o * length) + first;
                if (accumulate) for (long i = 0; i < count; i++) to[i] += v;
                else new Span<float>(to, (int)count).Fill(v);
            }
        }
    }

    /// <summary>Σ x</summary>
    private readonly struct PlainSum(float* x) : IColumnSum
    {
        private readonly float* _x = x;

        public int Sums => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged =>
            Simd.Store(sums + c, Simd.Add(Simd.Load<V>(sums + c), Simd.Load<V>(_x + at)));
    }

    /// <summary>y[o,l,c] (+)= scale · x[o,c]</summary>
    private readonly struct SpreadRows(float* x, float* y, int channels, float scale, bool accumulate) : IRowKernel
    {
        private readonly float* _x = x, _y = y;
        private readonly int _channels = channels;
        private readonly float _scale = scale;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V v = Simd.Multiply(Simd.Load<V>(_x + (image * _channels) + c), Simd.Broadcast<V>(_scale));
            float* to = _y + (row * _channels) + c;
            Simd.Store(to, _accumulate ? Simd.Add(Simd.Load<V>(to), v) : v);
        }
    }
}
