using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>The inner loops of layer norm: one row, one vector of channels.</summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Vectors that are added in float before their lanes go to double sums.</summary>
    private const int RowGroup = 16;

    /// <summary>Σ(x − centre) and Σ(x − centre)² of a row.</summary>
    private static (double Sum, double Squares) CentredSums(float* x, int count, float centre) => Simd.MaxWidth switch
    {
        16 => CentredSums<Vector512<float>>(x, count, centre),
        8 => CentredSums<Vector256<float>>(x, count, centre),
        4 => CentredSums<Vector128<float>>(x, count, centre),
        _ => CentredSums<float>(x, count, centre),
    };

    private static (double Sum, double Squares) CentredSums<V>(float* x, int count, float centre) where V : unmanaged
    {
        int width = Simd.Width<V>(), i = 0;
        double* lanes = stackalloc double[2 * width];
        new Span<double>(lanes, 2 * width).Clear();
        V c = Simd.Broadcast<V>(centre);
        while (i <= count - width)
        {
            V s = Simd.Broadcast<V>(0), q = s;
            for (int end = Math.Min(count - width, i + ((RowGroup - 1) * width)); i <= end; i += width)
            {
                V d = Simd.Subtract(Simd.Load<V>(x + i), c);
                s = Simd.Add(s, d);
                q = Simd.Fma(d, d, q);
            }
            Simd.AddToDoubles(lanes, s);
            Simd.AddToDoubles(lanes + width, q);
        }
        var (sum, squares) = AddLanes(lanes, width);
        for (; i < count; i++)
        {
            double d = x[i] - centre;
            sum += d;
            squares += d * d;
        }
        return (sum, squares);
    }

    /// <summary>Σ z and Σ z·(x − mean) of a row, z = dy·γ.</summary>
    private static (double Z, double ZX) LayerNormSums(float* x, float* dy, float* gamma, int count, float mean) => Simd.MaxWidth switch
    {
        16 => LayerNormSums<Vector512<float>>(x, dy, gamma, count, mean),
        8 => LayerNormSums<Vector256<float>>(x, dy, gamma, count, mean),
        4 => LayerNormSums<Vector128<float>>(x, dy, gamma, count, mean),
        _ => LayerNormSums<float>(x, dy, gamma, count, mean),
    };

    private static (double Z, double ZX) LayerNormSums<V>(float* x, float* dy, float* gamma, int count, float mean) where V : unmanaged
    {
        int width = Simd.Width<V>(), i = 0;
        double* lanes = stackalloc double[2 * width];
        new Span<double>(lanes, 2 * width).Clear();
        V c = Simd.Broadcast<V>(mean);
        while (i <= count - width)
        {
            V s = Simd.Broadcast<V>(0), q = s;
            for (int end = Math.Min(count - width, i + ((RowGroup - 1) * width)); i <= end; i += width)
            {
                V z = Simd.Multiply(Simd.Load<V>(dy + i), Simd.Load<V>(gamma + i));
                s = Simd.Add(s, z);
                q = Simd.Fma(z, Simd.Subtract(Simd.Load<V>(x + i), c), q);
            }
            Simd.AddToDoubles(lanes, s);
            Simd.AddToDoubles(lanes + width, q);
        }
        var (sum, products) = AddLanes(lanes, width);
        for (; i < count; i++)
        {
            double z = (double)dy[i] * gamma[i];
            sum += z;
            products += z * ((double)x[i] - mean);
        }
        return (sum, products);
    }

    /// <summary>Two sets of lane sums, each added up in order.</summary>
    private static (double First, double Second) AddLanes(double* lanes, int width)
    {
        double first = 0, second = 0;
        for (int lane = 0; lane < width; lane++)
        {
            first += lanes[lane];
            second += lanes[width + lane];
        }
        return (first, second);
    }

    /// <summary>y = ((x − centre)·inverse + rest)·γ + β for one row.</summary>
    private readonly struct NormaliseRow(float* x, float* gamma, float* beta, float* y, float centre, float inverse, float rest) : IRowKernel
    {
        private readonly float* _x = x, _gamma = gamma, _beta = beta, _y = y;
        private readonly float _centre = centre, _inverse = inverse, _rest = rest;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V centred = Simd.Subtract(Simd.Load<V>(_x + c), Simd.Broadcast<V>(_centre));
            V xhat = Simd.Fma(centred, Simd.Broadcast<V>(_inverse), Simd.Broadcast<V>(_rest));
            Simd.Store(_y + c, Simd.Fma(xhat, Simd.Load<V>(_gamma + c), Simd.Load<V>(_beta + c)));
        }
    }

    /// <summary>The constants of a row's dx (+)= z·InvStd + (x − Mean)·Slope + Offset.</summary>
    private readonly record struct LayerNormLine(float Mean, float InvStd, float Slope, float Offset, bool Accumulate);

    /// <summary>A row's dx, where wanted, and its part of dγ and dβ, added to group [2, channels], where wanted.</summary>
    private readonly struct LayerNormGradientRow(float* x, float* dy, float* gamma, LayerNormLine line, float* dx, float* group, int channels) : IRowKernel
    {
        private readonly float* _x = x, _dy = dy, _gamma = gamma, _dx = dx, _group = group;
        private readonly LayerNormLine _line = line;
        private readonly int _channels = channels;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            V centred = Simd.Subtract(Simd.Load<V>(_x + c), Simd.Broadcast<V>(_line.Mean)), dy = Simd.Load<V>(_dy + c), inverse = Simd.Broadcast<V>(_line.InvStd);
            if (_dx != null)
            {
                V z = Simd.Multiply(dy, Simd.Load<V>(_gamma + c));
                V d = Simd.Fma(z, inverse, Simd.Fma(centred, Simd.Broadcast<V>(_line.Slope), Simd.Broadcast<V>(_line.Offset)));
                Simd.Store(_dx + c, _line.Accumulate ? Simd.Add(Simd.Load<V>(_dx + c), d) : d);
            }
            if (_group != null)
            {
                float* dgamma = _group + c, dbeta = _group + _channels + c;
                Simd.Store(dgamma, Simd.Fma(dy, Simd.Multiply(centred, inverse), Simd.Load<V>(dgamma)));
                Simd.Store(dbeta, Simd.Add(Simd.Load<V>(dbeta), dy));
            }
        }
    }

    /// <summary>sum += group, in double.</summary>
    private readonly struct AddToDoublesKernel(float* group, double* sum) : IRowKernel
    {
        private readonly float* _group = group;
        private readonly double* _sum = sum;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged => Simd.AddToDoubles(_sum + c, Simd.Load<V>(_group + c));
    }
}
