using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>The activations on one vector: f(x), and f′(x)·dy for the gradients.</summary>
internal sealed unsafe partial class CpuKernels
{
    internal readonly struct IdentityFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => x;
    }

    internal readonly struct ReLUFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => Simd.Max(x, Simd.Broadcast<V>(0));
    }

    internal readonly struct ReLU6Function : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => Simd.Min(Simd.Max(x, Simd.Broadcast<V>(0)), Simd.Broadcast<V>(6));
    }

    internal readonly struct HardsigmoidFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged =>
            Simd.Multiply(default(ReLU6Function).Apply(Simd.Add(x, Simd.Broadcast<V>(3))), Simd.Broadcast<V>(1f / 6));
    }

    internal readonly struct HardswishFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => Simd.Multiply(x, default(HardsigmoidFunction).Apply(x));
    }

    /// <summary>1 / (1 + e⁻ˣ). For very negative x the exponential is ∞ and the quotient 0, for very positive x it is 0 and the quotient 1.</summary>
    internal readonly struct SigmoidFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged
        {
            V one = Simd.Broadcast<V>(1);
            return Simd.Divide(one, Simd.Add(one, Simd.Exp(Simd.Subtract(Simd.Broadcast<V>(0), x))));
        }
    }

    internal readonly struct SiLUFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => Simd.Multiply(x, default(SigmoidFunction).Apply(x));
    }

    internal readonly struct GELUFunction : IElementFunction
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x) where V : unmanaged => Simd.Multiply(x, NormalDistribution(x));
    }

    private readonly struct ReLUGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V zero = Simd.Broadcast<V>(0);
            return Simd.SelectGreater(x, zero, dy, zero);
        }
    }

    private readonly struct ReLU6Gradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V zero = Simd.Broadcast<V>(0);
            return Simd.SelectGreater(x, zero, Simd.SelectGreater(Simd.Broadcast<V>(6), x, dy, zero), zero);
        }
    }

    private readonly struct HardsigmoidGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V zero = Simd.Broadcast<V>(0), inside = Simd.Multiply(dy, Simd.Broadcast<V>(1f / 6));
            return Simd.SelectGreater(x, Simd.Broadcast<V>(-3), Simd.SelectGreater(Simd.Broadcast<V>(3), x, inside, zero), zero);
        }
    }

    private readonly struct HardswishGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V inside = Simd.Multiply(dy, Simd.Fma(x, Simd.Broadcast<V>(1f / 3), Simd.Broadcast<V>(0.5f)));
            return Simd.SelectGreater(x, Simd.Broadcast<V>(-3), Simd.SelectGreater(Simd.Broadcast<V>(3), x, inside, dy), Simd.Broadcast<V>(0));
        }
    }

    private readonly struct SigmoidGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V s = default(SigmoidFunction).Apply(x);
            return Simd.Multiply(dy, Simd.Multiply(s, Simd.Subtract(Simd.Broadcast<V>(1), s)));
        }
    }

    /// <summary>s·(1 + x·(1 − s)) with s = sigmoid(x)</summary>
    private readonly struct SiLUGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V one = Simd.Broadcast<V>(1), s = default(SigmoidFunction).Apply(x);
            return Simd.Multiply(dy, Simd.Multiply(s, Simd.Fma(x, Simd.Subtract(one, s), one)));
        }
    }

    /// <summary>Φ(x) + x·φ(x), φ(x) = e^(−x²/2)/√(2π)</summary>
    private readonly struct GELUGradient : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V x, V dy) where V : unmanaged
        {
            V density = Simd.Multiply(Simd.Broadcast<V>(0.398942280401f), Simd.Exp(Simd.Multiply(Simd.Multiply(x, x), Simd.Broadcast<V>(-0.5f))));
            return Simd.Multiply(dy, Simd.Fma(x, density, NormalDistribution(x)));
        }
    }

    /// <summary>
    /// Φ(x), the standard normal distribution function: ½·erfc(|x|/√2) for negative x, one minus that for positive. erfc(z) = t·e^(−z² + p(t)) with
    /// t = 1/(1 + z/2) and p of degree 9 (the Chebyshev fit of Press et al., Numerical Recipes, "erfcc"), relative error 1.2e-7 for every z:
    /// unlike an approximation of erf itself it keeps its digits in the tail, where 1 + erf would cancel.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V NormalDistribution<V>(V x) where V : unmanaged
    {
        V zero = Simd.Broadcast<V>(0), one = Simd.Broadcast<V>(1);
        V halfZ = Simd.Multiply(Simd.Max(x, Simd.Subtract(zero, x)), Simd.Broadcast<V>(0.353553390593f)); // |x|/√2/2
        V t = Simd.Divide(one, Simd.Add(one, halfZ));
        V p = Simd.Broadcast<V>(0.17087277f);
        p = Simd.Fma(p, t, Simd.Broadcast<V>(-0.82215223f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(1.48851587f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(-1.13520398f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(0.27886807f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(-0.18628806f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(0.09678418f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(0.37409196f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(1.00002368f));
        p = Simd.Fma(p, t, Simd.Broadcast<V>(-1.26551223f));
        V exponent = Simd.Fma(Simd.Multiply(x, Simd.Broadcast<V>(-0.5f)), x, p); // −z² + p = −x²/2 + p
        V half = Simd.Multiply(Simd.Multiply(t, Simd.Broadcast<V>(0.5f)), Simd.Exp(exponent));
        return Simd.SelectGreater(x, zero, Simd.Subtract(one, half), half);
    }
}
