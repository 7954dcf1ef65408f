using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <remarks>Pieces of a fixed length, whose sums are added in order: the same bits for any number of threads.</remarks>
    public void SumOfSquares(BufferView x, BufferView y) => *P(y) = (float)SumOfSquares(x);

    private double SumOfSquares(BufferView x)
    {
        long length = x.Length;
        float* xs = P(x);
        int pieces = Pieces(length, ElementGrain);
        using var scratch = _device.Scratch(2L * pieces);
        double* sums = (double*)scratch.Pointer; // [pieces]
        ParallelIfWorth(pieces, length, item =>
        {
            long first = item * (long)ElementGrain;
            sums[item] = SumSquares(xs + first, Math.Min(ElementGrain, length - first));
        });
        double sum = 0;
        for (int i = 0; i < pieces; i++) sum += sums[i];
        return sum;
    }

    private static double SumSquares(float* x, long count) => Simd.MaxWidth switch
    {
        16 => SumSquares<Vector512<float>>(x, count),
        8 => SumSquares<Vector256<float>>(x, count),
        4 => SumSquares<Vector128<float>>(x, count),
        _ => SumSquares<float>(x, count),
    };

    /// <summary>Lane sums in float over sixteen vectors at a time, four apart so that additions overlap; then in double, lane by lane.</summary>
    private static double SumSquares<V>(float* x, long count) where V : unmanaged
    {
        int width = Simd.Width<V>();
        double* lanes = stackalloc double[width];
        new Span<double>(lanes, width).Clear();
        long i = 0;
        for (; i <= count - (16 * width); i += 16 * width)
        {
            V a = Square<V>(x + i), b = Square<V>(x + i + width), c = Square<V>(x + i + (2 * width)), d = Square<V>(x + i + (3 * width));
            for (int j = 4; j < 16; j += 4)
            {
                float* p = x + i + (j * width);
                a = AddSquare(a, p);
                b = AddSquare(b, p + width);
                c = AddSquare(c, p + (2 * width));
                d = AddSquare(d, p + (3 * width));
            }
            Simd.AddToDoubles(lanes, Simd.Add(Simd.Add(a, b), Simd.Add(c, d)));
        }
        for (; i <= count - width; i += width) Simd.AddToDoubles(lanes, Square<V>(x + i));
        double sum = 0;
        for (int lane = 0; lane < width; lane++) sum += lanes[lane];
        for (; i < count; i++) sum += (double)x[i] * x[i];
        return sum;
    }

    private static V Square<V>(float* x) where V : unmanaged
    {
        V v = Simd.Load<V>(x);
        return Simd.Multiply(v, v);
    }

    private static V AddSquare<V>(V sum, float* x) where V : unmanaged
    {
        V v = Simd.Load<V>(x);
        return Simd.Fma(v, v, sum);
    }
}
