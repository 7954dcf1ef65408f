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
            SumRuns(g, P(x), P(y), scale, accumulate);
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

    /// <summary>Inner = 1: each sum runs over neighbours in memory, [outer, length]. Long runs are cut into pieces, whose sums are added in order.</summary>
    private void SumRuns(in ReduceGeometry g, float* x, float* y, double scale, bool accumulate)
    {
        long length = g.Length;
        int pieces = Pieces(length, ElementGrain);
        if (pieces == 1)
        {
            ParallelRange(g.Outer, Math.Max(1, ElementGrain / length), (first, last) =>
            {
                for (long o = first; o < last; o++) Write(o, SumRun(x + (o * length), length));
            });
            return;
        }
        using var scratch = _device.Scratch(2 * g.Outer * pieces);
        double* sums = (double*)scratch.Pointer; // [outer, pieces]
        _device.Parallel(checked((int)(g.Outer * pieces)), (item, _) =>
        {
            long o = item / pieces, first = item % pieces * (long)ElementGrain;
            sums[item] = SumRun(x + (o * length) + first, Math.Min(ElementGrain, length - first));
        });
        for (long o = 0; o < g.Outer; o++)
        {
            double sum = 0;
            for (int p = 0; p < pieces; p++) sum += sums[(o * pieces) + p];
            Write(o, sum);
        }

        void Write(long o, double sum) => y[o] = (float)((accumulate ? y[o] : 0) + (scale * sum));
    }

    private static double SumRun(float* x, long count) => Simd.MaxWidth switch
    {
        16 => SumRun<Vector512<float>>(x, count),
        8 => SumRun<Vector256<float>>(x, count),
        4 => SumRun<Vector128<float>>(x, count),
        _ => SumRun<float>(x, count),
    };

    /// <summary>Lane sums in float over sixteen vectors at a time, four apart so that additions overlap; then in double, lane by lane.</summary>
    private static double SumRun<V>(float* x, long count) where V : unmanaged
    {
        int width = Simd.Width<V>();
        double* lanes = stackalloc double[width];
        new Span<double>(lanes, width).Clear();
        long i = 0;
        for (; i <= count - (16 * width); i += 16 * width)
        {
            V a = Simd.Load<V>(x + i), b = Simd.Load<V>(x + i + width), c = Simd.Load<V>(x + i + (2 * width)), d = Simd.Load<V>(x + i + (3 * width));
            for (int j = 4; j < 16; j += 4)
            {
                float* p = x + i + (j * width);
                a = Simd.Add(a, Simd.Load<V>(p));
                b = Simd.Add(b, Simd.Load<V>(p + width));
                c = Simd.Add(c, Simd.Load<V>(p + (2 * width)));
                d = Simd.Add(d, Simd.Load<V>(p + (3 * width)));
            }
            Simd.AddToDoubles(lanes, Simd.Add(Simd.Add(a, b), Simd.Add(c, d)));
        }
        for (; i <= count - width; i += width) Simd.AddToDoubles(lanes, Simd.Load<V>(x + i));
        double sum = 0;
        for (int lane = 0; lane < width; lane++) sum += lanes[lane];
        for (; i < count; i++) sum += x[i];
        return sum;
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
