using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>What becomes of a vector of results: a type parameter of the loops that make them, so that nothing is decided inside of these.</summary>
internal unsafe interface ITarget
{
    /// <summary>Writes or adds results.</summary>
    static abstract void Put<V>(float* p, V v) where V : unmanaged;
}

/// <summary>Write it.</summary>
internal readonly unsafe struct Overwrite : ITarget
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<V>(float* p, V v) where V : unmanaged => Simd.Store(p, v);
}

/// <summary>Write it past the caches, see <see cref="Simd.StoreStreamed{V}"/>.</summary>
internal readonly unsafe struct Streamed : ITarget
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<V>(float* p, V v) where V : unmanaged => Simd.StoreStreamed(p, v);
}

/// <summary>Add it to what is there.</summary>
internal readonly unsafe struct AddTo : ITarget
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<V>(float* p, V v) where V : unmanaged => Simd.Store(p, Simd.Add(Simd.Load<V>(p), v));
}

/// <summary>Puts F of the sums where TTarget says.</summary>
internal readonly unsafe struct Activated<TTarget, F> : ITarget
    where TTarget : struct, ITarget
    where F : struct, IElementFunction
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<V>(float* p, V v) where V : unmanaged => TTarget.Put(p, default(F).Apply(v));
}
