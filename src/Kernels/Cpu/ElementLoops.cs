using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>A function of one vector, applied lane by lane.</summary>
internal interface IElementFunction
{
    /// <summary>f(a)</summary>
    V Apply<V>(V a) where V : unmanaged;
}

/// <summary>A function of two vectors, applied lane by lane.</summary>
internal interface IElementFunction2
{
    /// <summary>f(a, b)</summary>
    V Apply<V>(V a, V b) where V : unmanaged;
}

/// <summary>
/// The loops of all kernels that treat every element alike. The function is a struct given as a type parameter, so the just-in-time compiler
/// builds one loop for each function and vector width, with the function's instructions inlined in it.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Elements in one piece of work of a memory-bound kernel: 128 KB a stream. Long enough that taking a piece costs nothing beside it, short enough
    /// that threads finish together. Anything smaller is done by the caller alone.
    /// </summary>
    private const int ElementGrain = 32 * 1024;

    /// <summary>y[i] (+)= f(x[i]) for i in [0, count). x and y may be the same memory.</summary>
    private void MapElements<F>(F f, float* x, float* y, long count, bool accumulate) where F : struct, IElementFunction =>
        ParallelRange(count, ElementGrain, (first, last) =>
        {
            switch (Simd.MaxWidth)
            {
                case 16: MapRange<Vector512<float>, F>(f, x + first, y + first, last - first, accumulate); break;
                case 8: MapRange<Vector256<float>, F>(f, x + first, y + first, last - first, accumulate); break;
                case 4: MapRange<Vector128<float>, F>(f, x + first, y + first, last - first, accumulate); break;
                default: MapRange<float, F>(f, x + first, y + first, last - first, accumulate); break;
            }
        });

    /// <summary>y[i] (+)= f(a[i], b[i]) for i in [0, count). Any of the three may be the same memory.</summary>
    private void MapElements2<F>(F f, float* a, float* b, float* y, long count, bool accumulate) where F : struct, IElementFunction2 =>
        ParallelRange(count, ElementGrain, (first, last) =>
        {
            switch (Simd.MaxWidth)
            {
                case 16: MapRange2<Vector512<float>, F>(f, a + first, b + first, y + first, last - first, accumulate); break;
                case 8: MapRange2<Vector256<float>, F>(f, a + first, b + first, y + first, last - first, accumulate); break;
                case 4: MapRange2<Vector128<float>, F>(f, a + first, b + first, y + first, last - first, accumulate); break;
                default: MapRange2<float, F>(f, a + first, b + first, y + first, last - first, accumulate); break;
            }
        });

    private static void MapRange<V, F>(F f, float* x, float* y, long count, bool accumulate) where V : unmanaged where F : struct, IElementFunction
    {
        long i = 0;
        for (; i <= count - Simd.Width<V>(); i += Simd.Width<V>())
        {
            V v = f.Apply(Simd.Load<V>(x + i));
            if (accumulate) v = Simd.Add(Simd.Load<V>(y + i), v);
            Simd.Store(y + i, v);
        }
        if (i < count) MapTail<V, F>(f, x + i, y + i, (int)(count - i), accumulate);
    }

    /// <summary>
    /// The last few elements: a whole vector in a buffer of its own, through the same loop, so that an element's result does not depend on where it
    /// stands. (A call, not a copy of the loop's body: the compiler inlines only so much in one method.)
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapTail<V, F>(F f, float* x, float* y, int rest, bool accumulate) where V : unmanaged where F : struct, IElementFunction
    {
        V a = Simd.LoadPartial<V>(x, rest, 0), b = Simd.LoadPartial<V>(y, rest, 0);
        MapRange<V, F>(f, (float*)&a, (float*)&b, Simd.Width<V>(), accumulate);
        Simd.StorePartial(y, b, rest);
    }

    private static void MapRange2<V, F>(F f, float* a, float* b, float* y, long count, bool accumulate)
        where V : unmanaged where F : struct, IElementFunction2
    {
        long i = 0;
        for (; i <= count - Simd.Width<V>(); i += Simd.Width<V>())
        {
            V v = f.Apply(Simd.Load<V>(a + i), Simd.Load<V>(b + i));
            if (accumulate) v = Simd.Add(Simd.Load<V>(y + i), v);
            Simd.Store(y + i, v);
        }
        if (i < count) MapTail2<V, F>(f, a + i, b + i, y + i, (int)(count - i), accumulate);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void MapTail2<V, F>(F f, float* a, float* b, float* y, int rest, bool accumulate) where V : unmanaged where F : struct, IElementFunction2
    {
        V va = Simd.LoadPartial<V>(a, rest, 0), vb = Simd.LoadPartial<V>(b, rest, 0), vy = Simd.LoadPartial<V>(y, rest, 0);
        MapRange2<V, F>(f, (float*)&va, (float*)&vb, (float*)&vy, Simd.Width<V>(), accumulate);
        Simd.StorePartial(y, vy, rest);
    }

    /// <summary>f(a, b) = a + b</summary>
    private readonly struct SumFunction : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a, V b) where V : unmanaged => Simd.Add(a, b);
    }

    /// <summary>f(a, b) = a · b</summary>
    private readonly struct ProductFunction : IElementFunction2
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a, V b) where V : unmanaged => Simd.Multiply(a, b);
    }

    /// <summary>f(a) = a + amount</summary>
    private readonly struct ShiftFunction(float amount) : IElementFunction
    {
        private readonly float _amount = amount;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a) where V : unmanaged => Simd.Add(a, Simd.Broadcast<V>(_amount));
    }

    /// <summary>f(a) = a · factor</summary>
    private readonly struct ScaleFunction(float factor) : IElementFunction
    {
        private readonly float _factor = factor;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public V Apply<V>(V a) where V : unmanaged => Simd.Multiply(a, Simd.Broadcast<V>(_factor));
    }
}
