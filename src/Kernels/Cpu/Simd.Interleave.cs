using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace RefConv.Kernels;

/// <remarks>
/// Lanes of two vectors in turn, and back. The runtime has no name for it that is the same everywhere. AVX-512 picks any lane of two vectors in one instruction; AVX works inside halves of
/// 128 bits, so the right halves are brought together first or last; SSE and NEON have the very instruction.
/// </remarks>
internal static unsafe partial class Simd
{
    /// <summary>a0 b0 a1 b1 …: the first vector of it, and the second.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (V First, V Second) Interleave<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            // Lane numbers: 0 to 15 are a's, 16 to 31 b's.
            var first = Vector512.Create(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            var second = Vector512.Create(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            return (Unsafe.BitCast<Vector512<float>, V>(Avx512F.PermuteVar16x32x2(V512(a), first, V512(b))), Unsafe.BitCast<Vector512<float>, V>(Avx512F.PermuteVar16x32x2(V512(a), second, V512(b))));
        }
        if (typeof(V) == typeof(Vector256<float>))
        {
            // a0 b0 a1 b1 | a4 b4 a5 b5 and a2 b2 a3 b3 | a6 b6 a7 b7: the left halves are the first vector.
            Vector256<float> low = Avx.UnpackLow(V256(a), V256(b)), high = Avx.UnpackHigh(V256(a), V256(b));
            return (Unsafe.BitCast<Vector256<float>, V>(Avx.Permute2x128(low, high, LeftHalves)), Unsafe.BitCast<Vector256<float>, V>(Avx.Permute2x128(low, high, RightHalves)));
        }
        if (typeof(V) == typeof(Vector128<float>))
        {
            var (low, high) = Interleave(V128(a), V128(b));
            return (Unsafe.BitCast<Vector128<float>, V>(low), Unsafe.BitCast<Vector128<float>, V>(high));
        }
        return (a, b);
    }

    /// <summary>The inverse, from two vectors that follow one another: lanes 0 2 4 … of both, and lanes 1 3 5 … of both.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (V Even, V Odd) Deinterleave<V>(V first, V second) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            var even = Vector512.Create(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            var odd = Vector512.Create(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            return (Unsafe.BitCast<Vector512<float>, V>(Avx512F.PermuteVar16x32x2(V512(first), even, V512(second))),
                Unsafe.BitCast<Vector512<float>, V>(Avx512F.PermuteVar16x32x2(V512(first), odd, V512(second))));
        }
        if (typeof(V) == typeof(Vector256<float>))
        {
            // With the left halves of both in one vector and the right ones in another, each half of 128 bits finds its lanes in the same half of the two.
            Vector256<float> left = Avx.Permute2x128(V256(first), V256(second), LeftHalves), right = Avx.Permute2x128(V256(first), V256(second), RightHalves);
            return (Unsafe.BitCast<Vector256<float>, V>(Avx.Shuffle(left, right, EvenLanes)), Unsafe.BitCast<Vector256<float>, V>(Avx.Shuffle(left, right, OddLanes)));
        }
        if (typeof(V) == typeof(Vector128<float>))
        {
            var (even, odd) = Deinterleave(V128(first), V128(second));
            return (Unsafe.BitCast<Vector128<float>, V>(even), Unsafe.BitCast<Vector128<float>, V>(odd));
        }
        return (first, second);
    }

    // As the instructions take them: which half of which vector, two lanes of either vector.
    private const byte LeftHalves = 0x20, RightHalves = 0x31, EvenLanes = 0b10_00_10_00, OddLanes = 0b11_01_11_01;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> First, Vector128<float> Second) Interleave(Vector128<float> a, Vector128<float> b)
    {
        if (Sse.IsSupported) return (Sse.UnpackLow(a, b), Sse.UnpackHigh(a, b));
        if (AdvSimd.Arm64.IsSupported) return (AdvSimd.Arm64.ZipLow(a, b), AdvSimd.Arm64.ZipHigh(a, b));
        // Elsewhere: each float is widened to 64 bits, b's moved up by 32 and joined to a's, which makes a pair (the lower half comes first in memory).
        var (a0, a1) = Vector128.Widen(a.AsUInt32());
        var (b0, b1) = Vector128.Widen(b.AsUInt32());
        return ((a0 | (b0 << 32)).AsSingle(), (a1 | (b1 << 32)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector128<float> Even, Vector128<float> Odd) Deinterleave(Vector128<float> first, Vector128<float> second)
    {
        if (Sse.IsSupported) return (Sse.Shuffle(first, second, EvenLanes), Sse.Shuffle(first, second, OddLanes));
        if (AdvSimd.Arm64.IsSupported) return (AdvSimd.Arm64.UnzipEven(first, second), AdvSimd.Arm64.UnzipOdd(first, second));
        Vector128<ulong> p0 = first.AsUInt64(), p1 = second.AsUInt64();
        return (Vector128.Narrow(p0, p1).AsSingle(), Vector128.Narrow(p0 >>> 32, p1 >>> 32).AsSingle());
    }
}
