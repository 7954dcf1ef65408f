using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RefConv.Kernels;

/// <summary>
/// One source for every vector width. A kernel is written once over a type <c>V</c> that is <see cref="Vector512{T}"/>, <see cref="Vector256{T}"/>
/// or <see cref="Vector128{T}"/> of floats, or a plain <c>float</c> (a vector of one lane). The just-in-time compiler builds each
/// instantiation apart, knows <c>typeof(V)</c> as a constant, and leaves exactly one instruction of each helper below.
/// </summary>
internal static unsafe partial class Simd
{
    /// <summary>Floats in the widest vector this machine computes with: 16, 8, 4, or 1 where there are no vectors.</summary>
    public static int MaxWidth { get; } =
        Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : Vector128.IsHardwareAccelerated ? 4 : 1;

    /// <summary>Name of the level for people and results.</summary>
    public static string LevelName => MaxWidth switch { 16 => "AVX-512", 8 => "AVX2", 4 => "128-bit", _ => "scalar" };

    /// <summary>The processor multiplies and adds in one instruction; a constant to the just-in-time compiler.</summary>
    private static bool HasFma => System.Runtime.Intrinsics.X86.Fma.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported;

    /// <summary>Lanes of V.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Width<V>() where V : unmanaged => sizeof(V) / sizeof(float);

    /// <summary>Reads consecutive floats; p need not be aligned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Load<V>(float* p) where V : unmanaged => Unsafe.ReadUnaligned<V>(p);

    /// <summary>Writes consecutive floats; p need not be aligned.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store<V>(float* p, V v) where V : unmanaged => Unsafe.WriteUnaligned(p, v);

    /// <summary>
    /// Writes past the caches: a plain store first reads the line that it will overwrite, which is a third of the traffic of a large result.
    /// p must be aligned to the vector.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreStreamed<V>(float* p, V v) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) V512(v).StoreAlignedNonTemporal(p);
        else if (typeof(V) == typeof(Vector256<float>)) V256(v).StoreAlignedNonTemporal(p);
        else if (typeof(V) == typeof(Vector128<float>)) V128(v).StoreAlignedNonTemporal(p);
        else *p = V1(v);
    }

    /// <summary>
    /// Asks for the cache line at p to be fetched to the second-level cache, without waiting for it; p may point anywhere. Does nothing
    /// where there is no such instruction.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p)
    {
        if (Sse.IsSupported) Sse.Prefetch1(p);
    }

    /// <summary>The same for the lines of [p, p + count).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(float* p, long count)
    {
        for (long i = 0; i < count; i += 16) Prefetch(p + i);
    }

    /// <summary>The same value in every lane.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Broadcast<V>(float a) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Vector512.Create(a));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(Vector256.Create(a));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(Vector128.Create(a));
        return Unsafe.BitCast<float, V>(a);
    }

    /// <summary>
    /// a·b + c, rounded once where the processor has the instruction. Where it has not, the runtime would compute the single rounding in software,
    /// a hundred times slower: two roundings then.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Fma<V>(V a, V b, V c) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
            return Unsafe.BitCast<Vector512<float>, V>(Vector512.FusedMultiplyAdd(V512(a), V512(b), V512(c)));
        if (!HasFma) return Add(Multiply(a, b), c);
        if (typeof(V) == typeof(Vector256<float>))
            return Unsafe.BitCast<Vector256<float>, V>(Vector256.FusedMultiplyAdd(V256(a), V256(b), V256(c)));
        if (typeof(V) == typeof(Vector128<float>))
            return Unsafe.BitCast<Vector128<float>, V>(Vector128.FusedMultiplyAdd(V128(a), V128(b), V128(c)));
        return Unsafe.BitCast<float, V>(MathF.FusedMultiplyAdd(V1(a), V1(b), V1(c)));
    }

    /// <summary>a + b</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Add<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(V512(a) + V512(b));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(V256(a) + V256(b));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(V128(a) + V128(b));
        return Unsafe.BitCast<float, V>(V1(a) + V1(b));
    }

    /// <summary>a − b</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Subtract<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(V512(a) - V512(b));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(V256(a) - V256(b));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(V128(a) - V128(b));
        return Unsafe.BitCast<float, V>(V1(a) - V1(b));
    }

    /// <summary>a · b</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Multiply<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(V512(a) * V512(b));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(V256(a) * V256(b));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(V128(a) * V128(b));
        return Unsafe.BitCast<float, V>(V1(a) * V1(b));
    }

    /// <summary>a / b</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Divide<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(V512(a) / V512(b));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(V256(a) / V256(b));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(V128(a) / V128(b));
        return Unsafe.BitCast<float, V>(V1(a) / V1(b));
    }

    /// <summary>√a</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Sqrt<V>(V a) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Vector512.Sqrt(V512(a)));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(Vector256.Sqrt(V256(a)));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(Vector128.Sqrt(V128(a)));
        return Unsafe.BitCast<float, V>(MathF.Sqrt(V1(a)));
    }

    /// <summary>The larger of each pair; NaN if either is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Max<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Vector512.Max(V512(a), V512(b)));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(Vector256.Max(V256(a), V256(b)));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(Vector128.Max(V128(a), V128(b)));
        return Unsafe.BitCast<float, V>(MathF.Max(V1(a), V1(b)));
    }

    /// <summary>The smaller of each pair; NaN if either is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Min<V>(V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Vector512.Min(V512(a), V512(b)));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(Vector256.Min(V256(a), V256(b)));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(Vector128.Min(V128(a), V128(b)));
        return Unsafe.BitCast<float, V>(MathF.Min(V1(a), V1(b)));
    }

    /// <summary>Lane by lane: a where test &gt; bound, else b (also where test is NaN).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V SelectGreater<V>(V test, V bound, V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
            return Unsafe.BitCast<Vector512<float>, V>(Vector512.ConditionalSelect(Vector512.GreaterThan(V512(test), V512(bound)), V512(a), V512(b)));
        if (typeof(V) == typeof(Vector256<float>))
            return Unsafe.BitCast<Vector256<float>, V>(Vector256.ConditionalSelect(Vector256.GreaterThan(V256(test), V256(bound)), V256(a), V256(b)));
        if (typeof(V) == typeof(Vector128<float>))
            return Unsafe.BitCast<Vector128<float>, V>(Vector128.ConditionalSelect(Vector128.GreaterThan(V128(test), V128(bound)), V128(a), V128(b)));
        return V1(test) > V1(bound) ? a : b;
    }

    /// <summary>Lane i of the result is lane index[i] of v; the bits of the index's lanes are integers, all less than the width.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V Permute<V>(V v, V index) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Unsafe.BitCast<Vector512<float>, V>(Vector512.ShuffleNative(V512(v), V512(index).AsInt32()));
        if (typeof(V) == typeof(Vector256<float>)) return Unsafe.BitCast<Vector256<float>, V>(Vector256.ShuffleNative(V256(v), V256(index).AsInt32()));
        if (typeof(V) == typeof(Vector128<float>)) return Unsafe.BitCast<Vector128<float>, V>(Vector128.ShuffleNative(V128(v), V128(index).AsInt32()));
        return v;
    }

    /// <summary>The sum of the lanes, in a fixed order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum<V>(V a) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>)) return Vector512.Sum(V512(a));
        if (typeof(V) == typeof(Vector256<float>)) return Vector256.Sum(V256(a));
        if (typeof(V) == typeof(Vector128<float>)) return Vector128.Sum(V128(a));
        return V1(a);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> V512<V>(V v) where V : unmanaged => Unsafe.BitCast<V, Vector512<float>>(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> V256<V>(V v) where V : unmanaged => Unsafe.BitCast<V, Vector256<float>>(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> V128<V>(V v) where V : unmanaged => Unsafe.BitCast<V, Vector128<float>>(v);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float V1<V>(V v) where V : unmanaged => Unsafe.BitCast<V, float>(v);

    /// <summary>Lane by lane: a where test = bound, else b (also where either is NaN).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static V SelectEqual<V>(V test, V bound, V a, V b) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
            return Unsafe.BitCast<Vector512<float>, V>(Vector512.ConditionalSelect(Vector512.Equals(V512(test), V512(bound)), V512(a), V512(b)));
        if (typeof(V) == typeof(Vector256<float>))
            return Unsafe.BitCast<Vector256<float>, V>(Vector256.ConditionalSelect(Vector256.Equals(V256(test), V256(bound)), V256(a), V256(b)));
        if (typeof(V) == typeof(Vector128<float>))
            return Unsafe.BitCast<Vector128<float>, V>(Vector128.ConditionalSelect(Vector128.Equals(V128(test), V128(bound)), V128(a), V128(b)));
        return V1(test) == V1(bound) ? a : b;
    }

    /// <summary>target[lane] += v[lane], in double.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddToDoubles<V>(double* target, V v) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            var (low, high) = Vector512.Widen(V512(v));
            (Vector512.Load(target) + low).Store(target);
            (Vector512.Load(target + 8) + high).Store(target + 8);
        }
        else if (typeof(V) == typeof(Vector256<float>))
        {
            var (low, high) = Vector256.Widen(V256(v));
            (Vector256.Load(target) + low).Store(target);
            (Vector256.Load(target + 4) + high).Store(target + 4);
        }
        else if (typeof(V) == typeof(Vector128<float>))
        {
            var (low, high) = Vector128.Widen(V128(v));
            (Vector128.Load(target) + low).Store(target);
            (Vector128.Load(target + 2) + high).Store(target + 2);
        }
        else
        {
            *target += V1(v);
        }
    }

    /// <summary>
    /// Reads <paramref name="count"/> floats, fewer than there are lanes; the other lanes are <paramref name="rest"/>. For the tail of a long run:
    /// it then goes through the same instructions as the rest, so an element's result does not depend on where it stands.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static V LoadPartial<V>(float* p, int count, float rest) where V : unmanaged
    {
        V v = Broadcast<V>(rest);
        for (int i = 0; i < count; i++) ((float*)&v)[i] = p[i];
        return v;
    }

    /// <summary>Writes the first <paramref name="count"/> lanes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void StorePartial<V>(float* p, V v, int count) where V : unmanaged
    {
        for (int i = 0; i < count; i++) p[i] = ((float*)&v)[i];
    }

    /// <summary>The largest lane; NaN if any is.</summary>
    public static float LargestLane<V>(V v) where V : unmanaged
    {
        float largest = ((float*)&v)[0];
        for (int i = 1; i < Width<V>(); i++) largest = MathF.Max(largest, ((float*)&v)[i]);
        return largest;
    }

    /// <summary>
    /// Lane by lane, in double: adds Σx and Σx² of n values of which Σ(x − p) and Σ(x − p)² are known. Taken around a p among the values these are
    /// small numbers that float holds well, whatever the mean.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void AddMoments<V>(double* sums, double* squares, int n, V p, V aroundP, V squaresAroundP) where V : unmanaged
    {
        if (typeof(V) == typeof(Vector512<float>))
        {
            var (p0, p1) = Vector512.Widen(V512(p));
            var (s0, s1) = Vector512.Widen(V512(aroundP));
            var (q0, q1) = Vector512.Widen(V512(squaresAroundP));
            (Vector512.Load(sums) + s0 + (p0 * n)).Store(sums);
            (Vector512.Load(sums + 8) + s1 + (p1 * n)).Store(sums + 8);
            (Vector512.Load(squares) + q0 + (p0 * (s0 + s0 + (p0 * n)))).Store(squares);
            (Vector512.Load(squares + 8) + q1 + (p1 * (s1 + s1 + (p1 * n)))).Store(squares + 8);
        }
        else if (typeof(V) == typeof(Vector256<float>))
        {
            var (p0, p1) = Vector256.Widen(V256(p));
            var (s0, s1) = Vector256.Widen(V256(aroundP));
            var (q0, q1) = Vector256.Widen(V256(squaresAroundP));
            (Vector256.Load(sums) + s0 + (p0 * n)).Store(sums);
            (Vector256.Load(sums + 4) + s1 + (p1 * n)).Store(sums + 4);
            (Vector256.Load(squares) + q0 + (p0 * (s0 + s0 + (p0 * n)))).Store(squares);
            (Vector256.Load(squares + 4) + q1 + (p1 * (s1 + s1 + (p1 * n)))).Store(squares + 4);
        }
        else
        {
            for (int lane = 0; lane < Width<V>(); lane++)
            {
                double a = ((float*)&p)[lane], s = ((float*)&aroundP)[lane], q = ((float*)&squaresAroundP)[lane];
                sums[lane] += s + (n * a);
                squares[lane] += q + (a * (s + s + (n * a)));
            }
        }
    }
}
