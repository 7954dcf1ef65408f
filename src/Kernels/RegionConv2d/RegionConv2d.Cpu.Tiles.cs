using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>Products of four pixels with one matrix, and what finds those pixels.</summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Rows of memory that stand for pixels that are not there: zeros to read, and one a thread to write to.</summary>
    private readonly struct RegionSpares : IDisposable
    {
        private readonly CpuScratch _memory;

        public RegionSpares(CpuDevice device, int read, int written)
        {
            // A line of 16 floats apart, so that threads do not write to one line.
            Length = (written + 31) / 16 * 16;
            long offset = (read + 31) / 16 * 16;
            _memory = device.Scratch(offset + ((long)Length * device.Threads));
            Zeros = _memory.Pointer;
            Unused = Zeros + offset;
            new Span<float>(Zeros, read).Clear();
        }

        public float* Zeros { get; }

        public float* Unused { get; }

        public int Length { get; }

        public void Dispose() => _memory.Dispose();
    }

    /// <summary>For each image its pixels, those of region 0 first; inside a region in their own order. As 32-bit integers.</summary>
    private CpuScratch SortByRegion(in RegionConv2dGeometry g, float* mask)
    {
        int pixels = g.Conv.P * g.Conv.Q, regions = g.Regions;
        var sorted = _device.Scratch(g.MaskLength);
        int* order = (int*)sorted.Pointer;
        ParallelRange(g.Conv.N, Math.Max(1, ElementGrain / pixels), (first, last) =>
        {
            int[] next = new int[regions + 1];
            for (long n = first; n < last; n++)
            {
                float* labels = mask + (n * pixels);
                Array.Clear(next);
                for (int i = 0; i < pixels; i++) next[(int)labels[i] + 1]++;
                for (int j = 1; j <= regions; j++) next[j] += next[j - 1];
                for (int i = 0; i < pixels; i++) order[(n * pixels) + next[(int)labels[i]]++] = i;
            }
        });
        return sorted;
    }

    /// <summary>Where the tile that starts at a place of the order ends: at another region, or full.</summary>
    private static int TileEnd(int* order, float* labels, int at, int last)
    {
        int end = at + 1;
        while (end < Math.Min(last, at + RegionTile) && labels[order[end]] == labels[order[at]]) end++;
        return end;
    }

    /// <summary>The channels that a tap of an output pixel's window lies on, or what stands for them outside the image.</summary>
    private static float* InputPixel(in Conv2dGeometry c, float* image, int pixel, int tap, float* outside)
    {
        int h = (pixel / c.Q * c.StrideH) + (tap / c.S * c.DilationH) - c.PadTop, w = (pixel % c.Q * c.StrideW) + (tap % c.S * c.DilationW) - c.PadLeft;
        return (uint)h < (uint)c.H && (uint)w < (uint)c.W ? image + ((((long)h * c.W) + w) * c.C) : outside;
    }

    /// <summary>Numbered pieces of work on all threads, or one after another where there is little of it.</summary>
    private void ForItems(int items, long macs, Action<int, int> body)
    {
        if (macs > ElementGrain) _device.Parallel(items, body);
        else for (int i = 0; i < items; i++) body(i, 0);
    }

    private static void TransposeMatrix(float* from, int rows, int columns, float* to)
    {
        for (int row = 0; row < rows; row++)
            for (int column = 0; column < columns; column++) to[((long)column * rows) + row] = from[((long)row * columns) + column];
    }

    /// <summary>y[t][k] += Σ_i x[t][i] · w[i,k] for four rows t, w being [depth, columns].</summary>
    private static void AddProduct(float** y, float** x, float* w, int depth, int columns)
    {
        int k = 0;
        if (Simd.MaxWidth >= 16) k = AddProduct<Vector512<float>>(y, x, w, depth, columns, k);
        if (Simd.MaxWidth >= 8) k = AddProduct<Vector256<float>>(y, x, w, depth, columns, k);
        if (Simd.MaxWidth >= 4) k = AddProduct<Vector128<float>>(y, x, w, depth, columns, k);
        AddProduct<float>(y, x, w, depth, columns, k);
    }

    private static int AddProduct<V>(float** y, float** x, float* w, int depth, int columns, int k) where V : unmanaged
    {
        int n = Simd.Width<V>();
        float* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], y0 = y[0], y1 = y[1], y2 = y[2], y3 = y[3];
        for (; k + (2 * n) <= columns; k += 2 * n)
        {
            V a0 = Simd.Load<V>(y0 + k), a1 = Simd.Load<V>(y1 + k), a2 = Simd.Load<V>(y2 + k), a3 = Simd.Load<V>(y3 + k);
            V b0 = Simd.Load<V>(y0 + k + n), b1 = Simd.Load<V>(y1 + k + n), b2 = Simd.Load<V>(y2 + k + n), b3 = Simd.Load<V>(y3 + k + n);
            float* row = w + k;
            for (int i = 0; i < depth; i++, row += columns)
            {
                V wa = Simd.Load<V>(row), wb = Simd.Load<V>(row + n), v = Simd.Broadcast<V>(x0[i]);
                a0 = Simd.Fma(v, wa, a0);
                b0 = Simd.Fma(v, wb, b0);
                v = Simd.Broadcast<V>(x1[i]);
                a1 = Simd.Fma(v, wa, a1);
                b1 = Simd.Fma(v, wb, b1);
                v = Simd.Broadcast<V>(x2[i]);
                a2 = Simd.Fma(v, wa, a2);
                b2 = Simd.Fma(v, wb, b2);
                v = Simd.Broadcast<V>(x3[i]);
                a3 = Simd.Fma(v, wa, a3);
                b3 = Simd.Fma(v, wb, b3);
            }
            Simd.Store(y0 + k, a0);
            Simd.Store(y1 + k, a1);
            Simd.Store(y2 + k, a2);
            Simd.Store(y3 + k, a3);
            Simd.Store(y0 + k + n, b0);
            Simd.Store(y1 + k + n, b1);
            Simd.Store(y2 + k + n, b2);
            Simd.Store(y3 + k + n, b3);
        }
        for (; k + n <= columns; k += n)
        {
            V a0 = Simd.Load<V>(y0 + k), a1 = Simd.Load<V>(y1 + k), a2 = Simd.Load<V>(y2 + k), a3 = Simd.Load<V>(y3 + k);
            float* row = w + k;
            for (int i = 0; i < depth; i++, row += columns)
            {
                V wa = Simd.Load<V>(row);
                a0 = Simd.Fma(Simd.Broadcast<V>(x0[i]), wa, a0);
                a1 = Simd.Fma(Simd.Broadcast<V>(x1[i]), wa, a1);
                a2 = Simd.Fma(Simd.Broadcast<V>(x2[i]), wa, a2);
                a3 = Simd.Fma(Simd.Broadcast<V>(x3[i]), wa, a3);
            }
            Simd.Store(y0 + k, a0);
            Simd.Store(y1 + k, a1);
            Simd.Store(y2 + k, a2);
            Simd.Store(y3 + k, a3);
        }
        return k;
    }

    /// <summary>w[i,k] += Σ_t x[t][i] · y[t][k] over four rows t, w being [depth, columns].</summary>
    private static void AddOuterProduct(float** x, float** y, float* w, int depth, int columns)
    {
        int k = 0;
        if (Simd.MaxWidth >= 16) k = AddOuterProduct<Vector512<float>>(x, y, w, depth, columns, k);
        if (Simd.MaxWidth >= 8) k = AddOuterProduct<Vector256<float>>(x, y, w, depth, columns, k);
        if (Simd.MaxWidth >= 4) k = AddOuterProduct<Vector128<float>>(x, y, w, depth, columns, k);
        AddOuterProduct<float>(x, y, w, depth, columns, k);
    }

    private static int AddOuterProduct<V>(float** x, float** y, float* w, int depth, int columns, int k) where V : unmanaged
    {
        float* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        for (; k + Simd.Width<V>() <= columns; k += Simd.Width<V>())
        {
            V y0 = Simd.Load<V>(y[0] + k), y1 = Simd.Load<V>(y[1] + k), y2 = Simd.Load<V>(y[2] + k), y3 = Simd.Load<V>(y[3] + k);
            float* row = w + k;
            for (int i = 0; i < depth; i++, row += columns)
            {
                V sum = Simd.Fma(Simd.Broadcast<V>(x0[i]), y0, Simd.Load<V>(row));
                sum = Simd.Fma(Simd.Broadcast<V>(x1[i]), y1, sum);
                sum = Simd.Fma(Simd.Broadcast<V>(x2[i]), y2, sum);
                Simd.Store(row, Simd.Fma(Simd.Broadcast<V>(x3[i]), y3, sum));
            }
        }
        return k;
    }

    /// <summary>Σ a·b</summary>
    private static float Dot(float* a, float* b, int count)
    {
        int k = 0;
        float sum = 0;
        if (Simd.MaxWidth >= 16) sum += Dot<Vector512<float>>(a, b, count, ref k);
        if (Simd.MaxWidth >= 8) sum += Dot<Vector256<float>>(a, b, count, ref k);
        if (Simd.MaxWidth >= 4) sum += Dot<Vector128<float>>(a, b, count, ref k);
        return sum + Dot<float>(a, b, count, ref k);
    }

    private static float Dot<V>(float* a, float* b, int count, ref int k) where V : unmanaged
    {
        V sums = Simd.Broadcast<V>(0);
        for (; k + Simd.Width<V>() <= count; k += Simd.Width<V>()) sums = Simd.Fma(Simd.Load<V>(a + k), Simd.Load<V>(b + k), sums);
        return Simd.Sum(sums);
    }
}
