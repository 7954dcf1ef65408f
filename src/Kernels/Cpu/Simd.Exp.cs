using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RefConv.Kernels;

/// <summary>
/// The exponential function, in single precision throughout: .NET's goes through doubles, and with vectors of 512 bits takes many times as long. The same operations at every width, so that a tail
/// of a row is what it would be elsewhere in it.
/// </summary>
internal static unsafe partial class Simd
{
    /// <summary>Beyond it eᵃ rounds to 0.</summary>
    private const float LowestExponent = -104;

    /// <summary>Beyond it eᵃ is infinite.</summary>
    private const float HighestExponent = 89;

    /// <summary>1.5·2²³: added to a number far smaller than that, and taken away again, it leaves the nearest integer.</summary>
    private const float ToInteger = 12582912;

    /// <summary>ln 2 in two parts, of which the first has so few digits that its product with an exponent is exact.</summary>
    private const float Ln2High = 0.693359375f, Ln2Low = -2.12194440e-4f;

    /// <summary>eᵃ, at most 1.1 units in the last place off; 0, infinite and NaN where it should be.</summary>
    /// <remarks>
    /// eᵃ = 2ⁿ·eʳ with n = round(a/ln 2), so |r| ≤ ½ ln 2, where a polynomial is enough (coefficients of expf in Moshier's Cephes library).
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Exp<V>(V a) where V : unmanaged
    {
        V magic = Broadcast<V>(ToInteger);
        V x = Clamp(a, LowestExponent, HighestExponent);
        V n = Subtract(Fma(x, Broadcast<V>(1.44269504088896341f), magic), magic);
        V r = Fma(n, Broadcast<V>(-Ln2Low), Fma(n, Broadcast<V>(-Ln2High), x));
        V p = Broadcast<V>(1.9875691500e-4f);
        p = Fma(p, r, Broadcast<V>(1.3981999507e-3f));
        p = Fma(p, r, Broadcast<V>(8.3334519073e-3f));
        p = Fma(p, r, Broadcast<V>(4.1665795894e-2f));
        p = Fma(p, r, Broadcast<V>(1.6666665459e-1f));
        p = Fma(p, r, Broadcast<V>(5.0000001201e-1f));
        p = Add(Fma(p, Multiply(r, r), r), Broadcast<V>(1));
        return TimesPowerOfTwo(p, n);
    }

    /// <summary>low where v is less, high where it is more; NaN stays (of a pair with a NaN the processor's instructions return the second).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Clamp<V>(V v, float low, float high) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
            return Unsafe.BitCast<Vector512<float>, V>(Vector512.MinNative(Vector512.Create(high), Vector512.MaxNative(Vector512.Create(low), V512(v))));
        if (typeof(V) == typeof(Vector256<float>))
            return Unsafe.BitCast<Vector256<float>, V>(Vector256.MinNative(Vector256.Create(high), Vector256.MaxNative(Vector256.Create(low), V256(v))));
        if (typeof(V) == typeof(Vector128<float>))
            return Unsafe.BitCast<Vector128<float>, V>(Vector128.MinNative(Vector128.Create(high), Vector128.MaxNative(Vector128.Create(low), V128(v))));
        return Unsafe.BitCast<float, V>(V1(v) < low ? low : V1(v) > high ? high : V1(v));
    }

    /// <summary>p·2ⁿ for integers n of −150 to 129: 2ⁿ itself may be no float, so it is multiplied in two parts.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V TimesPowerOfTwo<V>(V p, V n) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Avx512F.Scale(V512(p), V512(n)));
        if (typeof(V) == typeof(Vector256<float>))
        {
            var k = Vector256.ConvertToInt32Native(V256(n));
            var half = k >> 1;
            return Unsafe.BitCast<Vector256<float>, V>(V256(p) * PowerOfTwo(half) * PowerOfTwo(k - half));
        }
        if (typeof(V) == typeof(Vector128<float>))
        {
            var k = Vector128.ConvertToInt32Native(V128(n));
            var half = k >> 1;
            return Unsafe.BitCast<Vector128<float>, V>(V128(p) * PowerOfTwo(half) * PowerOfTwo(k - half));
        }
        int exponent = (int)V1(n), part = exponent >> 1;
        return Unsafe.BitCast<float, V>(V1(p) * PowerOfTwo(part) * PowerOfTwo(exponent - part));
    }

    /// <summary>2ᵏ from the bits of a float: the biased exponent stands above the 23 digits of the fraction.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> PowerOfTwo(Vector256<int> k) => ((k + Vector256.Create(127)) << 23).AsSingle();

    /// <inheritdoc cref="PowerOfTwo(Vector256{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> PowerOfTwo(Vector128<int> k) => ((k + Vector128.Create(127)) << 23).AsSingle();

    /// <inheritdoc cref="PowerOfTwo(Vector256{int})"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float PowerOfTwo(int k) => BitConverter.Int32BitsToSingle((k + 127) << 23);
}
