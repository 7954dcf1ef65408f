using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1. Kernel channel d owns a row of L = g·k² map weights; the unfolded basis of its group has R·S rows of the same length, and
/// <c>result[d, pixel] = basis[d, pixel] + ⟨map row d, unfolded row of the pixel⟩</c>. The map streams past once; everything else is arranged
/// so that the unfolded rows need not come from further away than the first-level cache.
/// </summary>
/// <remarks>
/// Two map rows go together, so that each unfolded vector read serves two dot products, and nine pixels, all of a 3×3 kernel: 18 sums in registers.
/// Larger kernels repeat this for the next nine pixels. The rows are walked in stretches: nine stretches of the unfolded basis fit in the cache
/// and serve all the map rows of a piece of work before the next stretch is taken.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    private const int PixelBlock = 9;

    /// <summary>Floats of a stretch: nine of them are 18 KB.</summary>
    private const int Stretch = 512;

    /// <summary>
    /// Map rows between the pair being worked on and the one asked for from memory: with eleven rows in flight the hardware's own guesses fail.
    /// </summary>
    private const int MapRowsAhead = 4;

    /// <summary>Floats that one running sum takes in scratch: one vector of the widest kind.</summary>
    private const int SumSlot = 16;

    private void GroupedForward(in RefocusGeometry g, int first, int last, float* basis, float* unfolded, float* map, float* result)
    {
        int pixels = g.R * g.S;
        nint length = (nint)g.Groups * g.MapK * g.MapK;
        using var scratch = _device.Scratch((last - first) * (long)(pixels + PixelBlock) * SumSlot);
        float* sums = scratch.Pointer; // [pixels / 9, rows, 9, lanes]
        for (int d = first, end; d < last; d = end)
        {
            int group = d / g.Groups;
            end = Math.Min(last, (group + 1) * g.Groups);
            nint blockSums = (nint)(end - d) * PixelBlock * SumSlot;
            new Span<float>(sums, (int)blockSums * Pieces(pixels, PixelBlock)).Clear();
            for (nint l = 0; l < length; l += Stretch)
            {
                for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
                {
                    float* u = unfolded + ((((nint)group * pixels) + pixel) * length), to = sums + (pixel / PixelBlock * blockSums);
                    for (int row = d; row < end; row += 2, to += 2 * PixelBlock * SumSlot)
                    {
                        Dots(u, length, LastPixel(pixels, pixel), map + (row * length), l, Math.Min(length, l + Stretch), row + 1 < end, to);
                    }
                }
            }
            for (int row = d; row < end; row++)
            {
                for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
                {
                    float* from = sums + (pixel / PixelBlock * blockSums) + ((row - d) * PixelBlock * SumSlot);
                    WriteChanged(g, row, pixel, LastPixel(pixels, pixel), from, basis, result);
                }
            }
        }
    }

    /// <summary>Index of the last pixel in the block that starts at this one.</summary>
    private static int LastPixel(int pixels, int pixel) => Math.Min(PixelBlock, pixels - pixel) - 1;

    /// <summary>Adds up the lanes of the sums of kernel channel d and writes its pixels.</summary>
    private static void WriteChanged(in RefocusGeometry g, int d, int pixel, int lastPixel, float* sums, float* basis, float* result)
    {
        nint at = KernelOffset(g, d) + ((nint)pixel * g.D);
        for (int i = 0; i <= lastPixel; i++, at += g.D, sums += SumSlot)
        {
            float change = 0;
            for (int lane = 0; lane < SumSlot; lane++) change += sums[lane];
            result[at] = basis == null ? change : AddChange(basis[at], change);
        }
    }

    /// <summary>Elements [l, end) of two map rows or one: widest vectors first, then narrower ones for what is left at the end of the row.</summary>
    private static void Dots(float* u, nint length, int lastPixel, float* map, nint l, nint end, bool two, float* sums)
    {
        if (Simd.MaxWidth >= 16)
        {
            l = two
                ? Dots<Vector512<float>, TwoRows>(u, length, lastPixel, map, l, end, sums)
                : Dots<Vector512<float>, OneRow>(u, length, lastPixel, map, l, end, sums);
        }
        if (Simd.MaxWidth >= 8)
        {
            l = two
                ? Dots<Vector256<float>, TwoRows>(u, length, lastPixel, map, l, end, sums)
                : Dots<Vector256<float>, OneRow>(u, length, lastPixel, map, l, end, sums);
        }
        if (Simd.MaxWidth >= 4)
        {
            l = two
                ? Dots<Vector128<float>, TwoRows>(u, length, lastPixel, map, l, end, sums)
                : Dots<Vector128<float>, OneRow>(u, length, lastPixel, map, l, end, sums);
        }
        _ = two
            ? Dots<float, TwoRows>(u, length, lastPixel, map, l, end, sums)
            : Dots<float, OneRow>(u, length, lastPixel, map, l, end, sums);
    }

    /// <summary>
    /// sums[row, pixel] += Σ map[row, l] · u[pixel, l], lane by lane, from l on as far as whole vectors go; returns where it stopped.
    /// Pixels past the last point to the last: their sums are not looked at.
    /// </summary>
    private static nint Dots<V, TRows>(float* u, nint length, int lastPixel, float* map, nint l, nint end, float* sums) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>();
        if (l + n > end) return l;
        float* u0 = u, u1 = u + (Math.Min(1, lastPixel) * length), u2 = u + (Math.Min(2, lastPixel) * length);
        float* u3 = u + (Math.Min(3, lastPixel) * length), u4 = u + (Math.Min(4, lastPixel) * length), u5 = u + (Math.Min(5, lastPixel) * length);
        float* u6 = u + (Math.Min(6, lastPixel) * length), u7 = u + (Math.Min(7, lastPixel) * length), u8 = u + (Math.Min(8, lastPixel) * length);
        V a0 = Simd.Broadcast<V>(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0;
        V b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0, b8 = a0;
        for (; l + n <= end; l += n)
        {
            V m = Simd.Load<V>(map + l), k = two ? Simd.Load<V>(map + length + l) : m;
            Simd.Prefetch(map + (MapRowsAhead * length) + l);
            if (two) Simd.Prefetch(map + ((MapRowsAhead + 1) * length) + l);
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
        AddTo(sums, a0);
        AddTo(sums + SumSlot, a1);
        AddTo(sums + (2 * SumSlot), a2);
        AddTo(sums + (3 * SumSlot), a3);
        AddTo(sums + (4 * SumSlot), a4);
        AddTo(sums + (5 * SumSlot), a5);
        AddTo(sums + (6 * SumSlot), a6);
        AddTo(sums + (7 * SumSlot), a7);
        AddTo(sums + (8 * SumSlot), a8);
        if (!two) return l;
        AddTo(sums + (9 * SumSlot), b0);
        AddTo(sums + (10 * SumSlot), b1);
        AddTo(sums + (11 * SumSlot), b2);
        AddTo(sums + (12 * SumSlot), b3);
        AddTo(sums + (13 * SumSlot), b4);
        AddTo(sums + (14 * SumSlot), b5);
        AddTo(sums + (15 * SumSlot), b6);
        AddTo(sums + (16 * SumSlot), b7);
        AddTo(sums + (17 * SumSlot), b8);
        return l;
    }

    /// <summary>Map rows [first, last) of the gradient, to memory or, piece by piece and through the second-level cache, into a step of the optimiser.</summary>
    private void GroupedMapGradient(in RefocusGeometry g, int first, int last, float* unfolded, float* dw, float* dmap, bool accumulate, MapStep step)
    {
        int pixels = g.R * g.S;
        nint length = (nint)g.Groups * g.MapK * g.MapK;
        bool toStep = dmap == null;
        // A step waits for memory, not for the unfolded rows, which may come from the second-level cache: it prefers long runs of map and velocity.
        nint stretch = toStep ? 8 * Stretch : Stretch;
        using var scratch = _device.Scratch((last - first + 1) * (long)(pixels + PixelBlock));
        using var gradient = _device.Scratch(toStep ? 2 * stretch : 0); // two rows of a stretch
        float* factors = scratch.Pointer;                               // [pixels / 9, rows, 9]
        for (int d = first, end; d < last; d = end)
        {
            int group = d / g.Groups;
            end = Math.Min(last, (group + 1) * g.Groups);
            int blockFactors = (end - d) * PixelBlock;
            for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
            {
                GatherFactors(g, dw, d, end - d, pixel, LastPixel(pixels, pixel), factors + (pixel / PixelBlock * blockFactors));
            }
            for (nint l = 0; l < length; l += stretch)
            {
                nint count = Math.Min(stretch, length - l);
                for (int row = d; row < end; row += 2)
                {
                    bool two = row + 1 < end;
                    nint at = (row * length) + l;
                    var rows = toStep
                        ? new MapRows { First = gradient.Pointer, Distance = stretch, Soon = step.Map + at, AlsoSoon = (step.Velocity == null ? step.Map : step.Velocity) + at, SoonDistance = length }
                        : new MapRows { First = dmap + at, Distance = length, Soon = dmap + at + (MapRowsAhead * length), AlsoSoon = dmap + at, SoonDistance = length };
                    for (int pixel = 0; pixel < pixels; pixel += PixelBlock)
                    {
                        float* u = unfolded + ((((nint)group * pixels) + pixel) * length) + l, from = factors + (pixel / PixelBlock * blockFactors);
                        Outer(u, length, LastPixel(pixels, pixel), from + ((row - d) * PixelBlock), two, rows, count, accumulate || pixel > 0);
                    }
                    for (int r = 0; toStep && r < (two ? 2 : 1); r++, at += length)
                        SgdRange(step.Constants, step.Map + at, gradient.Pointer + (r * stretch), step.Velocity == null ? null : step.Velocity + at, count);
                }
            }
        }
    }

    /// <summary>Where two rows of a piece of gradient go, and what memory is needed soon.</summary>
    private struct MapRows
    {
        public float* First, Soon, AlsoSoon;
        public nint Distance, SoonDistance;
    }

    /// <summary>factors[row, pixel] = dw[d + row, pixel]; zero for pixels past the last.</summary>
    private static void GatherFactors(in RefocusGeometry g, float* dw, int d, int rows, int pixel, int lastPixel, float* factors)
    {
        new Span<float>(factors, rows * PixelBlock).Clear();
        for (int row = 0; row < rows; row++)
        {
            nint at = KernelOffset(g, d + row) + ((nint)pixel * g.D);
            for (int i = 0; i <= lastPixel; i++, at += g.D) factors[(row * PixelBlock) + i] = dw[at];
        }
    }

    private static void Outer(float* u, nint length, int lastPixel, float* factors, bool two, MapRows to, nint end, bool add)
    {
        nint l = 0;
        if (Simd.MaxWidth >= 16)
        {
            l = two
                ? Outer<Vector512<float>, TwoRows>(u, length, lastPixel, factors, to, l, end, add)
                : Outer<Vector512<float>, OneRow>(u, length, lastPixel, factors, to, l, end, add);
        }
        if (Simd.MaxWidth >= 8)
        {
            l = two
                ? Outer<Vector256<float>, TwoRows>(u, length, lastPixel, factors, to, l, end, add)
                : Outer<Vector256<float>, OneRow>(u, length, lastPixel, factors, to, l, end, add);
        }
        if (Simd.MaxWidth >= 4)
        {
            l = two
                ? Outer<Vector128<float>, TwoRows>(u, length, lastPixel, factors, to, l, end, add)
                : Outer<Vector128<float>, OneRow>(u, length, lastPixel, factors, to, l, end, add);
        }
        _ = two
            ? Outer<float, TwoRows>(u, length, lastPixel, factors, to, l, end, add)
            : Outer<float, OneRow>(u, length, lastPixel, factors, to, l, end, add);
    }

    /// <summary>to[row, l] (+)= Σ over nine pixels of factors[row, pixel] · u[pixel, l]: the factors are in registers, each output is written once.</summary>
    private static nint Outer<V, TRows>(float* u, nint length, int lastPixel, float* factors, MapRows rows, nint l, nint end, bool add) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>();
        if (l + n > end) return l;
        float* to = rows.First, to1 = to + rows.Distance, soon = rows.Soon, soon1 = soon + rows.SoonDistance, also = rows.AlsoSoon, also1 = also + rows.SoonDistance;
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
        for (; l + n <= end; l += n)
        {
            V a = add ? Simd.Load<V>(to + l) : Simd.Broadcast<V>(0), b = two && add ? Simd.Load<V>(to1 + l) : Simd.Broadcast<V>(0);
            Simd.Prefetch(soon + l);
            Simd.Prefetch(also + l);
            if (two) Simd.Prefetch(soon1 + l);
            if (two) Simd.Prefetch(also1 + l);
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
            if (two) Simd.Store(to1 + l, b);
        }
        return l;
    }
}
