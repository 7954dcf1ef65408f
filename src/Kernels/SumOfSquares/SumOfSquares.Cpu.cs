using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void SumOfSquares(BufferView x, BufferView y) => SumRuns<SquareTerm>(new ReduceGeometry(1, x.Length, 1), P(x), P(y), 1, accumulate: false);

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
