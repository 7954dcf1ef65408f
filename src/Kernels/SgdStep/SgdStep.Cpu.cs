using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <remarks>Memory traffic alone: with momentum three streams are read and two written, in one pass.</remarks>
    public void SgdStep(in SgdStepGeometry g, BufferView weight, BufferView gradient, BufferView velocity)
    {
        var constants = g;
        float* w = P(weight), d = P(gradient), v = P(velocity);
        ParallelRange(weight.Length, ElementGrain, (first, last) =>
        {
            float* vs = v == null ? null : v + first;
            switch (Simd.MaxWidth)
            {
                case 16: SgdRange<Vector512<float>>(constants, w + first, d + first, vs, last - first); break;
                case 8: SgdRange<Vector256<float>>(constants, w + first, d + first, vs, last - first); break;
                case 4: SgdRange<Vector128<float>>(constants, w + first, d + first, vs, last - first); break;
                default: SgdRange<float>(constants, w + first, d + first, vs, last - first); break;
            }
        });
    }

    private static void SgdRange<V>(in SgdStepGeometry g, float* w, float* gradient, float* v, long count) where V : unmanaged
    {
        long i = 0;
        for (; i <= count - Simd.Width<V>(); i += Simd.Width<V>()) SgdVector<V>(g, w + i, gradient + i, v == null ? null : v + i);
        for (; i < count; i++) SgdVector<float>(g, w + i, gradient + i, v == null ? null : v + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SgdVector<V>(in SgdStepGeometry g, float* w, float* gradient, float* v) where V : unmanaged
    {
        V weight = Simd.Load<V>(w);
        V d = Simd.Fma(Simd.Broadcast<V>((float)g.WeightDecay), weight, Simd.Load<V>(gradient)); // d = g + λ·w
        if (g.Momentum != 0)
        {
            V mu = Simd.Broadcast<V>((float)g.Momentum);
            // The first step must not read v: nothing was ever written there.
            V velocity = g.First ? d : Simd.Fma(mu, Simd.Load<V>(v), d);
            Simd.Store(v, velocity);
            d = g.Nesterov ? Simd.Fma(mu, velocity, d) : velocity;
        }
        Simd.Store(w, Simd.Fma(Simd.Broadcast<V>((float)-g.LearningRate), d, weight)); // w −= η·d
    }
}
