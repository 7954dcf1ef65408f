using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void L1LossForward(BufferView x, BufferView target, BufferView loss)
    {
        using var differences = _device.Scratch(x.Length);
        MapElements2(default(DistanceFunction), P(x), P(target), differences.Pointer, x.Length, accumulate: false);
        SumRuns<PlainTerm>(new ReduceGeometry(1, x.Length, 1), differences.Pointer, P(loss), 1.0 / x.Length, accumulate: false);
    }

    public void L1LossBackward(BufferView x, BufferView target, BufferView dloss, BufferView dx, bool accumulate) =>
        MapElements2(new DirectionFunction((float)(*P(dloss) / (double)x.Length)), P(x), P(target), P(dx), x.Length, accumulate);

    /// <summary>f(a, b) = |a − b|</summary>
    private readonly struct DistanceFunction : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a, V b) where V : unmanaged => Simd.Max(Simd.Subtract(a, b), Simd.Subtract(b, a));
    }

    /// <summary>f(a, b) = size · sign(a − b)</summary>
    private readonly struct DirectionFunction(float size) : IElementFunction2
    {
        private readonly float _size = size;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a, V b) where V : unmanaged =>
            Simd.SelectGreater(a, b, Simd.Broadcast<V>(_size), Simd.SelectGreater(b, a, Simd.Broadcast<V>(-_size), Simd.Broadcast<V>(0)));
    }
}
