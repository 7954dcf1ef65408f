using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1. Kernel channel d owns a row of L = g·k² map weights; the unfolded basis of its group has R·S rows of the same length, and
/// <c>result[d, pixel] = basis[d, pixel] + ⟨map row d, unfolded row of the pixel⟩</c>. The unfolded rows (166 KB for 512 depthwise 3×3 filters) stay in the
/// second-level cache, the map streams past. Two map rows go together so that each unfolded vector read serves two dot products, and nine pixels, all
/// of a 3×3 kernel, so that the map is read once: 18 sums in registers. Larger kernels repeat this for the next nine pixels.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    private const int PixelBlock = 9;

    private static void GroupedForward(in RefocusGeometry g, int first, int last, float* basis, float* unfolded, float* map, float* result)
    {
        int pixels = g.R * g.S;
        nint length = (nint)g.Groups * g.MapK * g.MapK;
        float* sums = stackalloc float[2 * PixelBlock];
        for (int d = first, rows; d < last; d += rows)
        {
            int group = d / g.Groups;
            rows = d + 1 < last && (d + 1) / g.Groups == group ? 2 : 1;
            for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
            {
                new Span<float>(sums, 2 * PixelBlock).Clear();
                float* u = unfolded + (((nint)group * pixels) + pixel) * length;
                int lastPixel = Math.Min(PixelBlock, pixels - pixel) - 1;
                Dots(u, length, lastPixel, map + (d * length), rows, sums);
                for (int row = 0; row < rows; row++)
                {
                    nint at = KernelOffset(g, d + row) + ((nint)pixel * g.D);
                    for (int i = 0; i <= lastPixel; i++, at += g.D)
                    {
                        float change = sums[(row * PixelBlock) + i];
                        result[at] = basis == null ? change : AddChange(basis[at], change);
                    }
                }
            }
        }
    }

    /// <summary>Widest vectors first, then narrower ones for what is left of the rows.</summary>
    private static void Dots(float* u, nint length, int lastPixel, float* map, int rows, float* sums)
    {
        nint l = 0;
        if (Simd.MaxWidth >= 16) l = rows == 2 ? Dots<Vector512<float>, TwoRows>(u, length, lastPixel, map, l, sums) : Dots<Vector512<float>, OneRow>(u, length, lastPixel, map, l, sums);
        if (Simd.MaxWidth >= 8) l = rows == 2 ? Dots<Vector256<float>, TwoRows>(u, length, lastPixel, map, l, sums) : Dots<Vector256<float>, OneRow>(u, length, lastPixel, map, l, sums);
        if (Simd.MaxWidth >= 4) l = rows == 2 ? Dots<Vector128<float>, TwoRows>(u, length, lastPixel, map, l, sums) : Dots<Vector128<float>, OneRow>(u, length, lastPixel, map, l, sums);
        _ = rows == 2 ? Dots<float, TwoRows>(u, length, lastPixel, map, l, sums) : Dots<float, OneRow>(u, length, lastPixel, map, l, sums);
    }

    /// <summary>
    /// sums[row, pixel] += Σ map[row, l] · u[pixel, l] from l on, as far as whole vectors go; returns where it stopped.
    /// Pixels past the last point to the last: their sums are not looked at.
    /// </summary>
    private static nint Dots<V, TRows>(float* u, nint length, int lastPixel, float* map, nint l, float* sums) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>();
        if (l + n > length) return l;
        float* u0 = u, u1 = u + (Math.Min(1, lastPixel) * length), u2 = u + (Math.Min(2, lastPixel) * length);
        float* u3 = u + (Math.Min(3, lastPixel) * length), u4 = u + (Math.Min(4, lastPixel) * length), u5 = u + (Math.Min(5, lastPixel) * length);
        float* u6 = u + (Math.Min(6, lastPixel) * length), u7 = u + (Math.Min(7, lastPixel) * length), u8 = u + (Math.Min(8, lastPixel) * length);
        V a0 = Simd.Broadcast<V>(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0;
        V b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0, b8 = a0;
        for (; l + n <= length; l += n)
        {
            V m = Simd.Load<V>(map + l), k = two ? Simd.Load<V>(map + length + l) : m;
            V x = Simd.Load<V>(u0 + l);
            a0 = Simd.Fma(m, x, a0);
            if (two) b0 = Simd.Fma(k, x, b0);
            x = Simd.Load<V>(u1 + l);
            a1 = Simd.Fma(m, x, a1);
            if (two) b1 = Simd.Fma(k, x, b1);
            x = Simd.Load<V>(u2 + l);
            a2 = Simd.Fma(m, x, a2);
            if (two) b2 = Simd.Fma(k, x, b2);
            x = Simd.Load<V>(u3 + l);
            a3 = Simd.Fma(m, x, a3);
            if (two) b3 = Simd.Fma(k, x, b3);
            x = Simd.Load<V>(u4 + l);
            a4 = Simd.Fma(m, x, a4);
            if (two) b4 = Simd.Fma(k, x, b4);
            x = Simd.Load<V>(u5 + l);
            a5 = Simd.Fma(m, x, a5);
            if (two) b5 = Simd.Fma(k, x, b5);
            x = Simd.Load<V>(u6 + l);
            a6 = Simd.Fma(m, x, a6);
            if (two) b6 = Simd.Fma(k, x, b6);
            x = Simd.Load<V>(u7 + l);
            a7 = Simd.Fma(m, x, a7);
            if (two) b7 = Simd.Fma(k, x, b7);
            x = Simd.Load<V>(u8 + l);
            a8 = Simd.Fma(m, x, a8);
            if (two) b8 = Simd.Fma(k, x, b8);
        }
        // One at a time and by name: an array of them would keep all 18 in memory throughout the loop.
        sums[0] += Simd.Sum(a0);
        sums[1] += Simd.Sum(a1);
        sums[2] += Simd.Sum(a2);
        sums[3] += Simd.Sum(a3);
        sums[4] += Simd.Sum(a4);
        sums[5] += Simd.Sum(a5);
        sums[6] += Simd.Sum(a6);
        sums[7] += Simd.Sum(a7);
        sums[8] += Simd.Sum(a8);
        if (!two) return l;
        sums[9] += Simd.Sum(b0);
        sums[10] += Simd.Sum(b1);
        sums[11] += Simd.Sum(b2);
        sums[12] += Simd.Sum(b3);
        sums[13] += Simd.Sum(b4);
        sums[14] += Simd.Sum(b5);
        sums[15] += Simd.Sum(b6);
        sums[16] += Simd.Sum(b7);
        sums[17] += Simd.Sum(b8);
        return l;
    }

    private static void GroupedMapGradient(in RefocusGeometry g, int first, int last, float* unfolded, float* dw, float* dmap, bool accumulate)
    {
        int pixels = g.R * g.S;
        nint length = (nint)g.Groups * g.MapK * g.MapK;
        float* factors = stackalloc float[2 * PixelBlock];
        for (int d = first, rows; d < last; d += rows)
        {
            int group = d / g.Groups;
            rows = d + 1 < last && (d + 1) / g.Groups == group ? 2 : 1;
            for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
            {
                int lastPixel = Math.Min(PixelBlock, pixels - pixel) - 1;
                GatherFactors(g, dw, d, rows, pixel, lastPixel, factors);
                float* u = unfolded + (((nint)group * pixels) + pixel) * length;
                Outer(u, length, lastPixel, factors, rows, dmap + (d * length), accumulate || pixel > 0);
            }
        }
    }

    /// <summary>factors[row, pixel] = dw[d + row, pixel]; zero for pixels past the last.</summary>
    private static void GatherFactors(in RefocusGeometry g, float* dw, int d, int rows, int pixel, int lastPixel, float* factors)
    {
        new Span<float>(factors, 2 * PixelBlock).Clear();
        for (int row = 0; row < rows; row++)
        {
            nint at = KernelOffset(g, d + row) + ((nint)pixel * g.D);
            for (int i = 0; i <= lastPixel; i++, at += g.D) factors[(row * PixelBlock) + i] = dw[at];
        }
    }

    private static void Outer(float* u, nint length, int lastPixel, float* factors, int rows, float* to, bool add)
    {
        nint l = 0;
        if (Simd.MaxWidth >= 16) l = rows == 2 ? Outer<Vector512<float>, TwoRows>(u, length, lastPixel, factors, to, l, add) : Outer<Vector512<float>, OneRow>(u, length, lastPixel, factors, to, l, add);
        if (Simd.MaxWidth >= 8) l = rows == 2 ? Outer<Vector256<float>, TwoRows>(u, length, lastPixel, factors, to, l, add) : Outer<Vector256<float>, OneRow>(u, length, lastPixel, factors, to, l, add);
        if (Simd.MaxWidth >= 4) l = rows == 2 ? Outer<Vector128<float>, TwoRows>(u, length, lastPixel, factors, to, l, add) : Outer<Vector128<float>, OneRow>(u, length, lastPixel, factors, to, l, add);
        _ = rows == 2 ? Outer<float, TwoRows>(u, length, lastPixel, factors, to, l, add) : Outer<float, OneRow>(u, length, lastPixel, factors, to, l, add);
    }

    /// <summary>to[row, l] (+)= Σ over nine pixels of factors[row, pixel] · u[pixel, l]: the factors are in registers, each output is written once.</summary>
    private static nint Outer<V, TRows>(float* u, nint length, int lastPixel, float* factors, float* to, nint l, bool add) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>();
        if (l + n > length) return l;
        float* u0 = u, u1 = u + (Math.Min(1, lastPixel) * length), u2 = u + (Math.Min(2, lastPixel) * length);
        float* u3 = u + (Math.Min(3, lastPixel) * length), u4 = u + (Math.Min(4, lastPixel) * length), u5 = u + (Math.Min(5, lastPixel) * length);
        float* u6 = u + (Math.Min(6, lastPixel) * length), u7 = u + (Math.Min(7, lastPixel) * length), u8 = u + (Math.Min(8, lastPixel) * length);
        V f0 = Simd.Broadcast<V>(factors[0]), f1 = Simd.Broadcast<V>(factors[1]), f2 = Simd.Broadcast<V>(factors[2]);
        V f3 = Simd.Broadcast<V>(factors[3]), f4 = Simd.Broadcast<V>(factors[4]), f5 = Simd.Broadcast<V>(factors[5]);
        V f6 = Simd.Broadcast<V>(factors[6]), f7 = Simd.Broadcast<V>(factors[7]), f8 = Simd.Broadcast<V>(factors[8]);
        factors += PixelBlock;
        V h0 = Simd.Broadcast<V>(factors[0]), h1 = Simd.Broadcast<V>(factors[1]), h2 = Simd.Broadcast<V>(factors[2]);
        V h3 = Simd.Broadcast<V>(factors[3]), h4 = Simd.Broadcast<V>(factors[4]), h5 = Simd.Broadcast<V>(factors[5]);
        V h6 = Simd.Broadcast<V>(factors[6]), h7 = Simd.Broadcast<V>(factors[7]), h8 = Simd.Broadcast<V>(factors[8]);
        for (; l + n <= length; l += n)
        {
            V a = add ? Simd.Load<V>(to + l) : Simd.Broadcast<V>(0), b = two && add ? Simd.Load<V>(to + length + l) : Simd.Broadcast<V>(0);
            V x = Simd.Load<V>(u0 + l);
            a = Simd.Fma(f0, x, a);
            if (two) b = Simd.Fma(h0, x, b);
            x = Simd.Load<V>(u1 + l);
            a = Simd.Fma(f1, x, a);
            if (two) b = Simd.Fma(h1, x, b);
            x = Simd.Load<V>(u2 + l);
            a = Simd.Fma(f2, x, a);
            if (two) b = Simd.Fma(h2, x, b);
            x = Simd.Load<V>(u3 + l);
            a = Simd.Fma(f3, x, a);
            if (two) b = Simd.Fma(h3, x, b);
            x = Simd.Load<V>(u4 + l);
            a = Simd.Fma(f4, x, a);
            if (two) b = Simd.Fma(h4, x, b);
            x = Simd.Load<V>(u5 + l);
            a = Simd.Fma(f5, x, a);
            if (two) b = Simd.Fma(h5, x, b);
            x = Simd.Load<V>(u6 + l);
            a = Simd.Fma(f6, x, a);
            if (two) b = Simd.Fma(h6, x, b);
            x = Simd.Load<V>(u7 + l);
            a = Simd.Fma(f7, x, a);
            if (two) b = Simd.Fma(h7, x, b);
            x = Simd.Load<V>(u8 + l);
            a = Simd.Fma(f8, x, a);
            if (two) b = Simd.Fma(h8, x, b);
            Simd.Store(to + l, a);
            if (two) Simd.Store(to + length + l, b);
        }
        return l;
    }
}
