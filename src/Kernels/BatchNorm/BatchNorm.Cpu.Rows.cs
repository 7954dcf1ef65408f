using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>The inner loops of batch norm: one row, one vector of channels.</summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Per channel y = (x − centre)·scale + shift. The centre is the mean as a float: subtracting it first is exact where x is near the mean, so a
    /// mean of 1000 costs no digits; what the float left of the mean goes into the shift.
    /// </summary>
    private readonly struct ChannelAffine(float* centre, float* scale, float* shift)
    {
        public ChannelAffine(float* memory, int channels)
            : this(memory, memory + channels, memory + (2L * channels))
        {
        }

        public float* Centre { get; } = centre;

        public float* Scale { get; } = scale;

        public float* Shift { get; } = shift;

        public void Set(int c, double mean, double scale, double beta)
        {
            Centre[c] = (float)mean;
            Scale[c] = (float)scale;
            Shift[c] = (float)(beta - ((mean - Centre[c]) * scale));
        }
    }

    /// <summary>Σ(x − p) and Σ(x − p)², taken around a pivot p, the first of a group of rows, so that a large mean costs no digits.</summary>
    private readonly struct Moments(float* x) : IColumnSum
    {
        private readonly float* _x = x;

        public int Sums => 2;

        public float* Pivots => _x;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged
        {
            V d = Simd.Subtract(Simd.Load<V>(_x + at), Simd.Load<V>(sums + (2 * stride) + c));
            Simd.Store(sums + c, Simd.Add(Simd.Load<V>(sums + c), d));
            Simd.Store(sums + stride + c, Simd.Fma(d, d, Simd.Load<V>(sums + stride + c)));
        }
    }

    /// <summary>y = f((x − centre)·scale + shift + residual)</summary>
    private readonly struct NormaliseRows<F>(float* x, ChannelAffine affine, float* residual, float* y, int channels, bool stream) : IRowKernel
        where F : struct, IElementFunction
    {
        private readonly float* _x = x, _centre = affine.Centre, _scale = affine.Scale, _shift = affine.Shift, _residual = residual, _y = y;
        private readonly int _channels = channels;
        private readonly bool _stream = stream;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            V v = Simd.Fma(Simd.Subtract(Simd.Load<V>(_x + at), Simd.Load<V>(_centre + c)), Simd.Load<V>(_scale + c), Simd.Load<V>(_shift + c));
            if (_residual != null) v = Simd.Add(v, Simd.Load<V>(_residual + at));
            v = default(F).Apply(v);
            if (_stream) Simd.StoreStreamed(_y + at, v);
            else Simd.Store(_y + at, v);
        }
    }

    /// <summary>z = dy: no activation.</summary>
    private readonly struct KeepGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V y, V dy) where V : unmanaged => dy;
    }

    /// <summary>
    /// Σ z and Σ z·(x − mean), z = F(result before F, dy). ReLU's slope is the same asked of its result as of its input: 1 where positive. The result before
    /// F is computed again from x, which costs less than reading it; with a residual it cannot be, and is read from y: then z replaces dy, for it
    /// is the residual's gradient, and the second pass need not ask again.
    /// </summary>
    private readonly struct BatchNormGradientSum<F>(float* x, float* y, float* dy, ChannelAffine affine) : IColumnSum where F : struct, IElementFunction2
    {
        private readonly float* _x = x, _y = y, _dy = dy, _mean = affine.Centre, _scale = affine.Scale, _shift = affine.Shift;

        public int Sums => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged
        {
            V centred = Simd.Subtract(Simd.Load<V>(_x + at), Simd.Load<V>(_mean + c)), z = Simd.Load<V>(_dy + at);
            if (_y == null)
            {
                z = default(F).Apply(Simd.Fma(centred, Simd.Load<V>(_scale + c), Simd.Load<V>(_shift + c)), z);
            }
            else
            {
                z = default(F).Apply(Simd.Load<V>(_y + at), z);
                Simd.Store(_dy + at, z);
            }
            Simd.Store(sums + c, Simd.Add(Simd.Load<V>(sums + c), z));
            Simd.Store(sums + stride + c, Simd.Fma(z, centred, Simd.Load<V>(sums + stride + c)));
        }
    }

    /// <summary>The constants of dx (+)= z·scale + (x − mean)·slope + offset; with constant statistics (evaluation) there is no slope and no offset.</summary>
    private struct InputGradientLine
    {
        public ChannelAffine Affine;
        public float* Slope, Offset;
        public bool Accumulate, Stream;
    }

    private readonly struct BatchNormInputGradient<F>(float* x, float* dy, InputGradientLine line, float* dx, int channels)
        : IRowKernel where F : struct, IElementFunction2
    {
        private readonly float* _x = x, _dy = dy, _dx = dx;
        private readonly InputGradientLine _line = line;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _channels) + c;
            V centred = Simd.Subtract(Simd.Load<V>(_x + at), Simd.Load<V>(_line.Affine.Centre + c)), scale = Simd.Load<V>(_line.Affine.Scale + c);
            V z = default(F).Apply(Simd.Fma(centred, scale, Simd.Load<V>(_line.Affine.Shift + c)), Simd.Load<V>(_dy + at));
            V d = Simd.Multiply(z, scale);
            if (_line.Slope != null) d = Simd.Add(d, Simd.Fma(centred, Simd.Load<V>(_line.Slope + c), Simd.Load<V>(_line.Offset + c)));
            if (_line.Accumulate) d = Simd.Add(Simd.Load<V>(_dx + at), d);
            if (_line.Stream) Simd.StoreStreamed(_dx + at, d);
            else Simd.Store(_dx + at, d);
        }
    }
}
