using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Fill(BufferView y, double value, bool accumulate = false)
    {
        float* ys = P(y);
        float v = (float)value;
        if (accumulate)
        {
            MapElements(new ShiftFunction(v), ys, ys, y.Length, accumulate: false);
            return;
        }
        // Spans count in int, a piece always fits.
        ParallelRange(y.Length, ElementGrain, (first, last) => new Span<float>(ys + first, (int)(last - first)).Fill(v));
    }

    public void Scale(BufferView x, BufferView y, double scale, bool accumulate) =>
        MapElements(new ScaleFunction((float)scale), P(x), P(y), y.Length, accumulate);

    public void Add(BufferView a, BufferView b, BufferView y) => MapElements2(default(SumFunction), P(a), P(b), P(y), y.Length, accumulate: false);

    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate) =>
        MapElements2(default(ProductFunction), P(a), P(b), P(y), y.Length, accumulate);

    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y)
    {
        if (g.Pixels == 1) Add(x, b, y);
        else ForRows(new ChannelMap<SumFunction>(P(x), P(b), P(y), g.C, accumulate: false), g.N, g.Pixels, g.C);
    }

    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate)
    {
        if (g.Pixels == 1) Multiply(x, s, y, accumulate);
        else ForRows(new ChannelMap<ProductFunction>(P(x), P(s), P(y), g.C, accumulate), g.N, g.Pixels, g.C);
    }

    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate)
    {
        if (g.Pixels == 1)
        {
            Multiply(x, dy, ds, accumulate);
            return;
        }
        using var totals = SumColumns(new ProductSum(P(x), P(dy)), g.N, g.Pixels, g.C);
        WriteTotals(totals, g.N, g.C, P(ds), 1, accumulate);
    }

    /// <summary>y[o,c] (+)= scale · (column sum 0)[o,c].</summary>
    private void WriteTotals(ColumnTotals totals, long outer, int channels, float* y, double scale, bool accumulate) =>
        ParallelRange(outer * channels, ElementGrain / 4, (first, last) =>
        {
            for (long i = first; i < last; i++)
            {
                double value = scale * totals.Sum(0, i / channels)[i % channels];
                y[i] = (float)(accumulate ? y[i] + value : value);
            }
        });

    /// <summary>y[n,p,c] (+)= f(x[n,p,c], s[n,c])</summary>
    private readonly struct ChannelMap<F>(float* x, float* s, float* y, int channels, bool accumulate) : IRowKernel where F : struct, IElementFunction2
    {
        private readonly float* _x = x, _s = s, _y = y;
        private readonly int _channels = channels;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            V v = default(F).Apply(Simd.Load<V>(_x + at), Simd.Load<V>(_s + (image * _channels) + c));
            if (_accumulate) v = Simd.Add(Simd.Load<V>(_y + at), v);
            Simd.Store(_y + at, v);
        }
    }

    /// <summary>Σ a · b</summary>
    private readonly struct ProductSum(float* a, float* b) : IColumnSum
    {
        private readonly float* _a = a, _b = b;

        public int Sums => 1;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged =>
            Simd.Store(sums + c, Simd.Fma(Simd.Load<V>(_a + at), Simd.Load<V>(_b + at), Simd.Load<V>(sums + c)));
    }
}
