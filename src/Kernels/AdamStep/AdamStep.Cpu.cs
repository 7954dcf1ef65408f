using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    public void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters)
    {
        var constants = new AdamConstants(g);
        foreach (var p in parameters)
        {
            float* w = P(p.Weight), gradient = P(p.Gradient), m = P(p.Mean), v = P(p.Square), largest = P(p.LargestSquare);
            ParallelRange(p.Weight.Length, ElementGrain, (first, last) =>
            {
                long i = first;
                if (Simd.MaxWidth >= 16) for (; i <= last - 16; i += 16) Vector<Vector512<float>>(i);
                if (Simd.MaxWidth >= 8) for (; i <= last - 8; i += 8) Vector<Vector256<float>>(i);
                if (Simd.MaxWidth >= 4) for (; i <= last - 4; i += 4) Vector<Vector128<float>>(i);
                for (; i < last; i++) Vector<float>(i);
            });

            void Vector<V>(long i) where V : unmanaged => AdamVector<V>(constants, w + i, gradient + i, m + i, v + i, largest == null ? null : largest + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AdamVector<V>(in AdamConstants c, float* w, float* gradient, float* m, float* v, float* largest) where V : unmanaged
    {
        V weight = Simd.Load<V>(w), d = Simd.Load<V>(gradient);
        if (c.Decoupled) weight = Simd.Multiply(Simd.Broadcast<V>(c.Keep), weight);
        else d = Simd.Fma(Simd.Broadcast<V>(c.Decay), weight, d);
        V mean = Simd.Fma(Simd.Broadcast<V>(c.Beta1), Simd.Load<V>(m), Simd.Multiply(Simd.Broadcast<V>(c.OneMinusBeta1), d));
        V square = Simd.Fma(Simd.Broadcast<V>(c.Beta2), Simd.Load<V>(v), Simd.Multiply(Simd.Multiply(Simd.Broadcast<V>(c.OneMinusBeta2), d), d));
        Simd.Store(m, mean);
        Simd.Store(v, square);
        if (largest != null)
        {
            square = Simd.Max(Simd.Load<V>(largest), square);
            Simd.Store(largest, square);
        }
        V root = Simd.Fma(Simd.Sqrt(square), Simd.Broadcast<V>(c.InverseRootCorrection), Simd.Broadcast<V>(c.Epsilon));
        Simd.Store(w, Simd.Subtract(weight, Simd.Divide(Simd.Multiply(Simd.Broadcast<V>(c.StepSize), mean), root)));
    }

    /// <summary>The constants of a step as the loops want them.</summary>
    private readonly struct AdamConstants(in AdamStepGeometry g)
    {
        public readonly float Beta1 = (float)g.Beta1, OneMinusBeta1 = (float)(1 - g.Beta1), Beta2 = (float)g.Beta2, OneMinusBeta2 = (float)(1 - g.Beta2);
        public readonly float Decay = (float)g.WeightDecay, Keep = (float)(1 - (g.LearningRate * g.WeightDecay)), Epsilon = (float)g.Epsilon;
        public readonly float StepSize = (float)g.StepSize, InverseRootCorrection = (float)(1 / g.RootCorrection);
        public readonly bool Decoupled = g.Decoupled;
    }
}
