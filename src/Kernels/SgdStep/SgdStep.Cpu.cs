using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <remarks>Memory traffic alone: with momentum three streams are read and two written, in one pass.</remarks>
    public void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters)
    {
        var constants = g;
        // Items of about the grain: several small parameters, or a piece of a large one.
        List<(int Operand, long First, long Count)> pieces = [];
        List<int> items = [];
        long filled = ElementGrain;
        for (int i = 0; i < parameters.Length; i++)
        {
            for (long first = 0, length = parameters[i].Weight.Length; first < length; first += ElementGrain)
            {
                if (filled >= ElementGrain)
                {
                    items.Add(pieces.Count);
                    filled = 0;
                }
                long count = Math.Min(ElementGrain, length - first);
                pieces.Add((i, first, count));
                filled += count;
            }
        }
        items.Add(pieces.Count);
        ParallelIfWorth(items.Count - 1, parameters.Sum(p => p.Weight.Length), item =>
        {
            for (int i = items[item]; i < items[item + 1]; i++)
            {
                var (operand, first, count) = pieces[i];
                var (weight, gradient, velocity) = parameters[operand];
                SgdRange(constants, P(weight) + first, P(gradient) + first, velocity.IsEmpty ? null : P(velocity) + first, count);
            }
        });
    }

    private static void SgdRange(in SgdStepGeometry g, float* w, float* gradient, float* v, long count)
    {
        switch (Simd.MaxWidth)
        {
            case 16: SgdRange<Vector512<float>>(g, w, gradient, v, count); break;
            case 8: SgdRange<Vector256<float>>(g, w, gradient, v, count); break;
            case 4: SgdRange<Vector128<float>>(g, w, gradient, v, count); break;
            default: SgdRange<float>(g, w, gradient, v, count); break;
        }
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
