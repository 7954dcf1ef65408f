using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1, gradient of the basis (needed only where the basis is trained too). The gradient of the unfolded basis is a sum of outer
/// products, <c>du[pixel, l] = Σ_d dw[d, pixel] · map[d, l]</c>, which reads the map once; folding it adds what the unfolding had copied apart.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Length of the stretch of l whose nine sums stay in the first-level cache while all d of the group pass.</summary>
    private const int SpreadChunk = 256;

    private void GroupedBasisGradient(in RefocusGeometry g, float* map, float* dw, bool shortcut, float* dbasis, bool accumulate)
    {
        var shape = g;
        int pixels = g.R * g.S, blocks = Pieces(pixels, PixelBlock), groups = g.D / g.Groups;
        int length = g.Groups * g.MapK * g.MapK, chunks = Pieces(length, SpreadChunk);
        using var du = _device.Scratch((long)groups * pixels * length); // [D/g, R·S, L]
        float* spread = du.Pointer;
        int pieces = groups * blocks * chunks;
        long each = (long)g.Groups * PixelBlock * Math.Min(length, SpreadChunk);
        ParallelRange(pieces, Math.Max(1, RefocusGrain / each), (first, last) =>
        {
            for (int piece = (int)first; piece < last; piece++)
            {
                int chunk = piece % chunks, pixel = piece / chunks % blocks * PixelBlock, group = piece / chunks / blocks;
                SpreadPiece(shape, group, pixel, chunk * SpreadChunk, Math.Min(SpreadChunk, length - (chunk * SpreadChunk)), map, dw, spread);
            }
        });
        ParallelRange(g.D, Math.Max(16, (1 << 16) / (pixels * g.MapK * g.MapK)), (first, last) =>
        {
            for (int d = (int)first; d < last; d++) FoldOne(shape, d, spread, shortcut ? dw : null, dbasis, accumulate);
        });
    }

    /// <summary>du[group, pixel … pixel + 8, l0 … l0 + count) summed over the d of the group, two at a time.</summary>
    private static void SpreadPiece(in RefocusGeometry g, int group, int pixel, int l0, int count, float* map, float* dw, float* spread)
    {
        int pixels = g.R * g.S, lastPixel = Math.Min(PixelBlock, pixels - pixel) - 1;
        nint length = (nint)g.Groups * g.MapK * g.MapK;
        float* sums = stackalloc float[PixelBlock * SpreadChunk];
        float* factors = stackalloc float[2 * PixelBlock];
        new Span<float>(sums, PixelBlock * SpreadChunk).Clear();
        new Span<float>(factors, 2 * PixelBlock).Clear();
        for (int j = 0; j < g.Groups; j += 2)
        {
            int d = (group * g.Groups) + j, rows = Math.Min(2, g.Groups - j);
            GatherFactors(g, dw, d, rows, pixel, lastPixel, factors);
            float* row = map + (d * length) + l0;
            float* second = row + length;
            if (rows == 1)
            {
                second = row; // read, and multiplied by zero
                new Span<float>(factors + PixelBlock, PixelBlock).Clear();
            }
            int l = 0;
            if (Simd.MaxWidth >= 16) l = Spread<Vector512<float>>(sums, row, second, factors, l, count);
            if (Simd.MaxWidth >= 8) l = Spread<Vector256<float>>(sums, row, second, factors, l, count);
            if (Simd.MaxWidth >= 4) l = Spread<Vector128<float>>(sums, row, second, factors, l, count);
            Spread<float>(sums, row, second, factors, l, count);
        }
        float* to = spread + (((((nint)group * pixels) + pixel) * length) + l0);
        for (int i = 0; i <= lastPixel; i++) new Span<float>(sums + (i * SpreadChunk), count).CopyTo(new Span<float>(to + (i * length), count));
    }

    private static int Spread<V>(float* sums, float* row, float* second, float* factors, int l, int count) where V : unmanaged
    {
        int n = Simd.Width<V>();
        for (; l + n <= count; l += n)
        {
            V m = Simd.Load<V>(row + l), k = Simd.Load<V>(second + l);
            float* to = sums + l;
            for (int i = 0; i < PixelBlock; i++, to += SpreadChunk)
            {
                V sum = Simd.Fma(Simd.Broadcast<V>(factors[i]), m, Simd.Load<V>(to));
                Simd.Store(to, Simd.Fma(Simd.Broadcast<V>(factors[PixelBlock + i]), k, sum));
            }
        }
        return l;
    }

    /// <summary>dbasis of kernel channel d: pixel (y, x) was copied to tap (u, v) of pixel (y − u + k/2, x − v + k/2).</summary>
    private static void FoldOne(in RefocusGeometry g, int d, float* spread, float* dw, float* dbasis, bool accumulate)
    {
        int k = g.MapK, k2 = k * k, group = d / g.Groups;
        nint length = (nint)g.Groups * k2, at = KernelOffset(g, d);
        float* from = spread + (group * g.R * g.S * length) + (d % g.Groups * k2);
        for (int y = 0; y < g.R; y++)
        {
            for (int x = 0; x < g.S; x++, at += g.D)
            {
                float sum = dw == null ? 0 : dw[at];
                for (int tap = 0; tap < k2; tap++)
                {
                    int row = y - (tap / k) + (k / 2), column = x - (tap % k) + (k / 2);
                    if ((uint)row < (uint)g.R && (uint)column < (uint)g.S) sum += from[(((row * g.S) + column) * length) + tap];
                }
                dbasis[at] = accumulate ? dbasis[at] + sum : sum;
            }
        }
    }
}
