using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void Lerp(BufferView x, BufferView y, double weight) => MapElements2(new LerpFunction((float)weight), P(x), P(y), P(y), y.Length, accumulate: false);

    /// <summary>f(x, y) = y + weight·(x − y)</summary>
    private readonly struct LerpFunction(float weight) : IElementFunction2
    {
        private readonly float _weight = weight;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V y) where V : unmanaged => Simd.Fma(Simd.Broadcast<V>(_weight), Simd.Subtract(x, y), y);
    }
}
