using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <remarks>Filters are columns, so their means and norms are column sums, as those of a batch norm's channels are.</remarks>
    public void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w)
    {
        float* means = P(mean), norms = P(norm), scales = P(scale);
        if (g.Center)
        {
            using var sums = SumColumns(new PlainSum(P(v)), 1, g.FanIn, g.Filters);
            for (int o = 0; o < g.Filters; o++) means[o] = (float)(sums.Sum(0)[o] / g.FanIn);
        }
        else
        {
            new Span<float>(means, g.Filters).Clear();
        }
        // Around the mean, in a second pass: Σv² − n·μ² would lose all digits of a filter that is nearly constant.
        using var squares = SumColumns(new CentredSum(null, P(v), means), 1, g.FanIn, g.Filters);
        using var factors = _device.Scratch(g.Filters);
        for (int o = 0; o < g.Filters; o++)
        {
            double r = Math.Sqrt(squares.Sum(1)[o]);
            norms[o] = (float)r;
            factors.Pointer[o] = (float)(scales[o] * new WeightNormFilter(g, r).Inverse);
        }
        ForRows(new NormalizeRows(P(v), means, factors.Pointer, P(w), g.Filters), 1, g.FanIn, g.Filters);
    }

    public void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        float* means = P(mean), norms = P(norm), scales = P(scale), ds = P(dscale);
        using var sums = SumColumns(new CentredSum(P(dw), P(v), means), 1, g.FanIn, g.Filters);
        using var constants = _device.Scratch(3L * g.Filters);
        float* factor = constants.Pointer, shift = factor + g.Filters, along = shift + g.Filters;
        for (int o = 0; o < g.Filters; o++)
        {
            var filter = new WeightNormFilter(g, norms[o]);
            double dot = sums.Sum(1)[o];
            if (ds != null) ds[o] = (float)((accumulateScale ? ds[o] : 0) + (dot * filter.Inverse));
            factor[o] = (float)(scales[o] * filter.Inverse);
            shift[o] = g.Center ? (float)(sums.Sum(0)[o] / g.FanIn) : 0;
            along[o] = (float)(scales[o] * filter.InverseCubed * dot);
        }
        if (dv.IsEmpty) return;
        ForRows(new NormGradientRows(P(v), P(dw), means, factor, shift, along, P(dv), g.Filters, accumulateV), 1, g.FanIn, g.Filters);
    }

    /// <summary>Σ a and Σ a·(v − mean); without a, v − mean takes its place.</summary>
    private readonly struct CentredSum(float* a, float* v, float* mean) : IColumnSum
    {
        private readonly float* _a = a, _v = v, _mean = mean;

        public int Sums => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged
        {
            V z = Simd.Subtract(Simd.Load<V>(_v + at), Simd.Load<V>(_mean + c)), a = _a == null ? z : Simd.Load<V>(_a + at);
            Simd.Store(sums + c, Simd.Add(Simd.Load<V>(sums + c), a));
            Simd.Store(sums + stride + c, Simd.Fma(a, z, Simd.Load<V>(sums + stride + c)));
        }
    }

    /// <summary>w = (v − mean)·factor</summary>
    private readonly struct NormalizeRows(float* v, float* mean, float* factor, float* w, int channels) : IRowKernel
    {
        private readonly float* _v = v, _mean = mean, _factor = factor, _w = w;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            Simd.Store(_w + at, Simd.Multiply(Simd.Subtract(Simd.Load<V>(_v + at), Simd.Load<V>(_mean + c)), Simd.Load<V>(_factor + c)));
        }
    }

    /// <summary>dv (+)= factor·(dw − shift) − along·(v − mean)</summary>
    private readonly struct NormGradientRows(float* v, float* dw, float* mean, float* factor, float* shift, float* along, float* dv, int channels, bool accumulate) : IRowKernel
    {
        private readonly float* _v = v, _dw = dw, _mean = mean, _factor = factor, _shift = shift, _along = along, _dv = dv;
        private readonly int _channels = channels;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            V straight = Simd.Multiply(Simd.Load<V>(_factor + c), Simd.Subtract(Simd.Load<V>(_dw + at), Simd.Load<V>(_shift + c)));
            V back = Simd.Multiply(Simd.Load<V>(_along + c), Simd.Subtract(Simd.Load<V>(_v + at), Simd.Load<V>(_mean + c)));
            V d = Simd.Subtract(straight, back);
            Simd.Store(_dv + at, _accumulate ? Simd.Add(Simd.Load<V>(_dv + at), d) : d);
        }
    }
}
