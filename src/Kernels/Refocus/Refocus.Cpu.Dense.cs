using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// g = 1: each of the D = Cin·Cout kernels is filtered by its own k×k map. Kernels and maps are stored with [i, o] innermost, so D runs
/// along the lanes and every term is an element-wise product of planes of D floats. Forward, map gradient and basis gradient differ only in which planes
/// are multiplied: a list of products for each output plane.
/// </summary>
/// <remarks>
/// Planes lie D floats apart, often a large power of two, and there are up to 27 of them (3×3): read side by side they would all fall into the same few
/// cache sets. So a chunk of every plane is first copied to dense scratch, one plane after the other.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Floats of a plane worked on at a time; a multiple of four of the widest vectors.</summary>
    private const int DenseChunk = 256;

    /// <summary>Which planes are multiplied: output o is Σ a[First[t]] · b[Second[t]] for t in [Start[o], Start[o + 1]).</summary>
    private sealed record DenseProducts(int FirstPlanes, int SecondPlanes, int[] Start, int[] First, int[] Second)
    {
        public int Outputs => Start.Length - 1;

        private enum Kind
        {
            Forward,
            MapGradient,
            BasisGradient,
        }

        /// <summary>One list for each kernel size met; they are small and few.</summary>
        private static readonly ConcurrentDictionary<(int R, int S, int MapK, Kind Kind), DenseProducts> Known = new();

        /// <summary>result[y, x] = Σ map[u, v] · basis[y + u − k/2, x + v − k/2]</summary>
        public static DenseProducts Forward(in RefocusGeometry g) => Get(g, Kind.Forward);

        /// <summary>dmap[u, v] = Σ dw[y, x] · basis[y + u − k/2, x + v − k/2]</summary>
        public static DenseProducts MapGradient(in RefocusGeometry g) => Get(g, Kind.MapGradient);

        /// <summary>dbasis[y + u − k/2, x + v − k/2] = Σ map[u, v] · dw[y, x]</summary>
        public static DenseProducts BasisGradient(in RefocusGeometry g) => Get(g, Kind.BasisGradient);

        private static DenseProducts Get(in RefocusGeometry g, Kind kind) =>
            Known.GetOrAdd((g.R, g.S, g.MapK, kind), static key => Make(key.R, key.S, key.MapK, key.Kind));

        /// <summary>Every (pixel, tap) whose neighbour lies inside the kernel gives one product.</summary>
        private static DenseProducts Make(int r, int s, int k, Kind kind)
        {
            int taps = k * k, pixels = r * s, outputs = kind == Kind.MapGradient ? taps : pixels;
            var products = new List<(int First, int Second)>[outputs];
            for (int o = 0; o < outputs; o++) products[o] = [];
            for (int pixel = 0; pixel < pixels; pixel++)
            {
                for (int tap = 0; tap < taps; tap++)
                {
                    int row = (pixel / s) + (tap / k) - (k / 2), column = (pixel % s) + (tap % k) - (k / 2), neighbour = (row * s) + column;
                    if ((uint)row >= (uint)r || (uint)column >= (uint)s) continue;
                    if (kind == Kind.Forward) products[pixel].Add((tap, neighbour));
                    else if (kind == Kind.MapGradient) products[tap].Add((pixel, neighbour));
                    else products[neighbour].Add((tap, pixel));
                }
            }
            int[] start = new int[outputs + 1];
            for (int o = 0; o < outputs; o++) start[o + 1] = start[o] + products[o].Count;
            var all = products.SelectMany(p => p).ToArray();
            return new(kind == Kind.MapGradient ? pixels : taps, pixels, start, [.. all.Select(p => p.First)], [.. all.Select(p => p.Second)]);
        }
    }

    /// <summary>target[o] (+)= init[o] + Σ a · b over the products of o; planes of D floats each. Without init nothing is added.</summary>
    private void RunDense(in RefocusGeometry g, DenseProducts products, float* a, float* b, float* init, float* target, bool accumulate)
    {
        int d = g.D;
        ParallelRange(Pieces(d, DenseChunk), Math.Max(1, RefocusGrain / ((long)products.First.Length * DenseChunk)), (firstChunk, lastChunk) =>
        {
            int planes = products.FirstPlanes + products.SecondPlanes;
            using var scratch = _device.Scratch((planes + 1) * (long)DenseChunk);
            float* packedA = scratch.Pointer, packedB = packedA + (products.FirstPlanes * DenseChunk), sums = packedB + (products.SecondPlanes * DenseChunk);
            for (long chunk = firstChunk; chunk < lastChunk; chunk++)
            {
                int from = (int)chunk * DenseChunk, count = Math.Min(DenseChunk, d - from);
                PackPlanes(a + from, d, products.FirstPlanes, count, packedA);
                PackPlanes(b + from, d, products.SecondPlanes, count, packedB);
                for (int o = 0; o < products.Outputs; o++)
                {
                    var first = products.First.AsSpan(products.Start[o]..products.Start[o + 1]);
                    var second = products.Second.AsSpan(products.Start[o]..products.Start[o + 1]);
                    switch (Simd.MaxWidth)
                    {
                        case 16: SumProducts<Vector512<float>>(first, second, packedA, packedB, count, sums); break;
                        case 8: SumProducts<Vector256<float>>(first, second, packedA, packedB, count, sums); break;
                        case 4: SumProducts<Vector128<float>>(first, second, packedA, packedB, count, sums); break;
                        default: SumProducts<float>(first, second, packedA, packedB, count, sums); break;
                    }
                    nint at = ((nint)o * d) + from;
                    WritePlane(sums, init == null ? null : init + at, target + at, count, accumulate);
                }
            }
        });
    }

    /// <summary>One chunk of each plane, side by side; the last chunk is filled up with zeros.</summary>
    private static void PackPlanes(float* from, nint distance, int planes, int count, float* to)
    {
        for (int i = 0; i < planes; i++, from += distance, to += DenseChunk)
        {
            CopyRun(from, to, count, accumulate: false);
            if (count < DenseChunk) new Span<float>(to + count, DenseChunk - count).Clear();
        }
    }

    /// <summary>sums[lane] = Σ_t a[first[t], lane] · b[second[t], lane], four vectors of lanes at a time.</summary>
    private static void SumProducts<V>(ReadOnlySpan<int> first, ReadOnlySpan<int> second, float* a, float* b, int count, float* sums) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (int l = 0; l < count; l += 4 * n)
        {
            V s0 = Simd.Broadcast<V>(0), s1 = s0, s2 = s0, s3 = s0;
            for (int t = 0; t < first.Length; t++)
            {
                float* p = a + (first[t] * DenseChunk) + l, q = b + (second[t] * DenseChunk) + l;
                s0 = Simd.Fma(Simd.Load<V>(p), Simd.Load<V>(q), s0);
                s1 = Simd.Fma(Simd.Load<V>(p + n), Simd.Load<V>(q + n), s1);
                s2 = Simd.Fma(Simd.Load<V>(p + (2 * n)), Simd.Load<V>(q + (2 * n)), s2);
                s3 = Simd.Fma(Simd.Load<V>(p + (3 * n)), Simd.Load<V>(q + (3 * n)), s3);
            }
            Simd.Store(sums + l, s0);
            Simd.Store(sums + l + n, s1);
            Simd.Store(sums + l + (2 * n), s2);
            Simd.Store(sums + l + (3 * n), s3);
        }
    }

    private static void WritePlane(float* sums, float* init, float* target, int count, bool accumulate)
    {
        int i = 0;
        if (Simd.MaxWidth >= 16) i = WritePlane<Vector512<float>>(sums, init, target, i, count, accumulate);
        if (Simd.MaxWidth >= 8) i = WritePlane<Vector256<float>>(sums, init, target, i, count, accumulate);
        if (Simd.MaxWidth >= 4) i = WritePlane<Vector128<float>>(sums, init, target, i, count, accumulate);
        WritePlane<float>(sums, init, target, i, count, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int WritePlane<V>(float* sums, float* init, float* target, int i, int count, bool accumulate) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (; i + n <= count; i += n)
        {
            V sum = Simd.Load<V>(sums + i);
            Emit(target + i, init == null ? sum : AddChange(Simd.Load<V>(init + i), sum), accumulate);
        }
        return i;
    }
}
