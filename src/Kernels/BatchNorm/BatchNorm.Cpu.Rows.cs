using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>The inner loops of batch norm: a few rows, one vector of channels.</summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Per channel y = (x − centre)·scale + shift. The centre is the mean as a float: subtracting it first is exact where x is near the mean, so a
    /// mean of 1000 costs no digits; what the float left of the mean goes into the shift.
    /// </summary>
    private readonly struct ChannelAffine(float* memory, int channels)
    {
        public float* Centre { get; } = memory;

        public float* Scale { get; } = memory + channels;

        public float* Shift { get; } = memory + (2L * channels);

        public void Set(int c, double mean, double scale, double beta)
        {
            Centre[c] = (float)mean;
            Scale[c] = (float)scale;
            Shift[c] = (float)(beta - ((mean - Centre[c]) * scale));
        }
    }

    /// <summary>Σ x and Σ x², taken around the first of the few rows, so that a large mean costs no digits.</summary>
    private readonly struct Moments(float* x) : IColumnSum
    {
        private readonly float* _x = x;

        public int Sums => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long row, int rows, int c, double* sums, int stride) where V : unmanaged
        {
            float* x = _x + (row * stride) + c;
            V pivot = Simd.Load<V>(x), sum = Simd.Broadcast<V>(0), squares = sum;
            for (int r = 1; r < rows; r++)
            {
                x += stride;
                V d = Simd.Subtract(Simd.Load<V>(x), pivot);
                sum = Simd.Add(sum, d);
                squares = Simd.Fma(d, d, squares);
            }
            Simd.AddMoments(sums + c, sums + stride + c, rows, pivot, sum, squares);
        }
    }

    private readonly struct NormaliseRows<F>(float* x, ChannelAffine affine, float* y, int channels) : IRowKernel where F : struct, IElementFunction
    {
        private readonly float* _x = x, _centre = affine.Centre, _scale = affine.Scale, _shift = affine.Shift, _y = y;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int rows, int c) where V : unmanaged
        {
            V centre = Simd.Load<V>(_centre + c), scale = Simd.Load<V>(_scale + c), shift = Simd.Load<V>(_shift + c);
            float* x = _x + (row * _channels) + c, y = _y + (row * _channels) + c;
            for (int r = 0; r < rows; r++)
            {
                V v = Simd.Fma(Simd.Subtract(Simd.Load<V>(x), centre), scale, shift);
                Simd.Store(y, default(F).Apply(v));
                x += _channels;
                y += _channels;
            }
        }
    }

    /// <summary>z = dy: no activation.</summary>
    private readonly struct KeepGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V y, V dy) where V : unmanaged => dy;
    }

    /// <summary>Σ z and Σ z·(x − mean), z = F(y, dy). ReLU's slope is the same asked of its result as of its input: 1 where positive.</summary>
    private readonly struct BatchNormGradientSum<F>(float* x, float* y, float* dy, float* mean) : IColumnSum where F : struct, IElementFunction2
    {
        private readonly float* _x = x, _y = y, _dy = dy, _mean = mean;

        public int Sums => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long row, int rows, int c, double* sums, int stride) where V : unmanaged
        {
            V mean = Simd.Load<V>(_mean + c), sum = Simd.Broadcast<V>(0), products = sum;
            long at = (row * stride) + c;
            for (int r = 0; r < rows; r++, at += stride)
            {
                V z = default(F).Apply(Simd.Load<V>(_y + at), Simd.Load<V>(_dy + at));
                sum = Simd.Add(sum, z);
                products = Simd.Fma(z, Simd.Subtract(Simd.Load<V>(_x + at), mean), products);
            }
            Simd.AddToDoubles(sums + c, sum);
            Simd.AddToDoubles(sums + stride + c, products);
        }
    }

    /// <summary>dx (+)= z·scale + (x − mean)·slope + shift; with constant statistics (evaluation) there is no slope and no shift, and x is not read.</summary>
    private readonly struct BatchNormInputGradient<F>(
        float* x, float* y, float* dy, float* mean, float* scale, float* slope, float* shift, float* dx, int channels, bool accumulate)
        : IRowKernel where F : struct, IElementFunction2
    {
        private readonly float* _x = x, _y = y, _dy = dy, _mean = mean, _scale = scale, _slope = slope, _shift = shift, _dx = dx;
        private readonly int _channels = channels;
        private readonly bool _accumulate = accumulate;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int rows, int c) where V : unmanaged
        {
            bool statistics = _slope != null;
            V scale = Simd.Load<V>(_scale + c), mean = default, slope = default, shift = default;
            if (statistics)
            {
                mean = Simd.Load<V>(_mean + c);
                slope = Simd.Load<V>(_slope + c);
                shift = Simd.Load<V>(_shift + c);
            }
            long at = (row * _channels) + c;
            for (int r = 0; r < rows; r++, at += _channels)
            {
                V d = Simd.Multiply(default(F).Apply(Simd.Load<V>(_y + at), Simd.Load<V>(_dy + at)), scale);
                if (statistics) d = Simd.Add(d, Simd.Fma(Simd.Subtract(Simd.Load<V>(_x + at), mean), slope, shift));
                if (_accumulate) d = Simd.Add(Simd.Load<V>(_dx + at), d);
                Simd.Store(_dx + at, d);
            }
        }
    }
}
