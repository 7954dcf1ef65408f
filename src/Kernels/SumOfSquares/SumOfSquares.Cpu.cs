using System.Runtime.CompilerServices;

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
            sums[item] = SumRun<SquareTerm>(xs + first, Math.Min(ElementGrain, length - first));
        });
        double sum = 0;
        for (int i = 0; i < pieces; i++) sum += sums[i];
        return sum;
    }

    /// <summary>Its square.</summary>
    private readonly struct SquareTerm : ITerm
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Of<V>(float* x) where V : unmanaged
        {
            V v = Simd.Load<V>(x);
            return Simd.Multiply(v, v);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static V Add<V>(V sum, float* x) where V : unmanaged
        {
            V v = Simd.Load<V>(x);
            return Simd.Fma(v, v, sum);
        }

        public static double Of(double x) => x * x;
    }
}
