using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise 3×3 with any stride and dilation: the nine taps (forward) or the nine sums (weight gradient) stay in registers from the first row of
/// a band to the last. With a stride above 1 neighbouring windows share few columns or none, so nothing is kept from window to window; each reads
/// its nine
/// pixels, and asks for the same pixels of the next block of channels, whose turn comes when the band is done.
/// </summary>
/// <remarks>
/// Rows outside the picture point to zeros. Columns outside are left out: only the first and the last windows of a row look at their columns one by
/// one.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>Forward: target rows [row, end) of one block of channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gather3<V, TTarget>(in DepthwisePass t, int image, int row, int end, int j)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int n = Simd.Width<V>(), width = t.SourceW, dilation = t.DilationW, inner = Math.Max(0, width - (2 * dilation));
        float* w = t.Weights + ((nint)j * 9);
        V w00 = Simd.Load<V>(w), w01 = Simd.Load<V>(w + n), w02 = Simd.Load<V>(w + (2 * n));
        V w10 = Simd.Load<V>(w + (3 * n)), w11 = Simd.Load<V>(w + (4 * n)), w12 = Simd.Load<V>(w + (5 * n));
        V w20 = Simd.Load<V>(w + (6 * n)), w21 = Simd.Load<V>(w + (7 * n)), w22 = Simd.Load<V>(w + (8 * n));
        V bias = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        nint c = t.C, tap = dilation * c, twice = 2 * tap, step = t.StrideW * c;
        for (; row < end; row++)
        {
            nint left = -t.PadLeft * c;
            float* p0 = t.Row(image, row, 0, j) + left, p1 = t.Row(image, row, 1, j) + left, p2 = t.Row(image, row, 2, j) + left;
            float* target = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
            int column = -t.PadLeft;
            for (int x = 0; x < t.TargetW; x++, column += t.StrideW, p0 += step, p1 += step, p2 += step, target += t.TargetColumn)
            {
                V even = bias, odd = Simd.Broadcast<V>(0); // two sums: half the chain of dependent additions
                if ((uint)column < (uint)inner) // all three columns inside
                {
                    Simd.Prefetch(p1 + n);
                    Simd.Prefetch(p1 + tap + n);
                    Simd.Prefetch(p2 + n);
                    Simd.Prefetch(p2 + tap + n);
                    even = Simd.Fma(w00, Simd.Load<V>(p0), even);
                    odd = Simd.Fma(w01, Simd.Load<V>(p0 + tap), odd);
                    even = Simd.Fma(w02, Simd.Load<V>(p0 + twice), even);
                    odd = Simd.Fma(w10, Simd.Load<V>(p1), odd);
                    even = Simd.Fma(w11, Simd.Load<V>(p1 + tap), even);
                    odd = Simd.Fma(w12, Simd.Load<V>(p1 + twice), odd);
                    even = Simd.Fma(w20, Simd.Load<V>(p2), even);
                    odd = Simd.Fma(w21, Simd.Load<V>(p2 + tap), odd);
                    even = Simd.Fma(w22, Simd.Load<V>(p2 + twice), even);
                }
                else
                {
                    if ((uint)column < (uint)width)
                        even = Column3(w00, w10, w20, p0, p1, p2, even);
                    if ((uint)(column + dilation) < (uint)width)
                        odd = Column3(w01, w11, w21, p0 + tap, p1 + tap, p2 + tap, odd);
                    if ((uint)(column + (2 * dilation)) < (uint)width)
                        even = Column3(w02, w12, w22, p0 + twice, p1 + twice, p2 + twice, even);
                }
                TTarget.Put(target, Simd.Add(even, odd));
            }
        }
    }

    /// <summary>sum + one column of three taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Column3<V>(V w0, V w1, V w2, float* p0, float* p1, float* p2, V sum) where V : unmanaged =>
        Simd.Fma(w2, Simd.Load<V>(p2), Simd.Fma(w1, Simd.Load<V>(p1), Simd.Fma(w0, Simd.Load<V>(p0), sum)));

    /// <summary>Weight gradient: rows [row, end) of dy, one block of channels.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WeightGradient3Strided<V>(in DepthwiseSums t, int image, int row, int end, int j, float* sums) where V : unmanaged
    {
        int n = Simd.Width<V>(), width = t.G.W, dilation = t.G.DilationW, inner = Math.Max(0, width - (2 * dilation)), columns = t.Q;
        int stride = t.G.StrideW, pad = t.G.PadLeft;
        nint c = t.G.C, tap = dilation * c, twice = 2 * tap, step = stride * c;
        V s00 = Simd.Load<V>(sums), s01 = Simd.Load<V>(sums + n), s02 = Simd.Load<V>(sums + (2 * n));
        V s10 = Simd.Load<V>(sums + (3 * n)), s11 = Simd.Load<V>(sums + (4 * n)), s12 = Simd.Load<V>(sums + (5 * n));
        V s20 = Simd.Load<V>(sums + (6 * n)), s21 = Simd.Load<V>(sums + (7 * n)), s22 = Simd.Load<V>(sums + (8 * n));
        for (; row < end; row++)
        {
            nint left = -pad * c;
            float* p0 = t.XRow(image, row, 0, j) + left, p1 = t.XRow(image, row, 1, j) + left, p2 = t.XRow(image, row, 2, j) + left;
            float* dy = t.DyRow(image, row, j);
            int column = -pad;
            for (int q = 0; q < columns; q++, column += stride, p0 += step, p1 += step, p2 += step, dy += c)
            {
                V d = Simd.Load<V>(dy);
                Simd.Prefetch(dy + n);
                if ((uint)column < (uint)inner) // all three columns inside
                {
                    Simd.Prefetch(p1 + n);
                    Simd.Prefetch(p1 + tap + n);
                    Simd.Prefetch(p2 + n);
                    Simd.Prefetch(p2 + tap + n);
                    s00 = Simd.Fma(d, Simd.Load<V>(p0), s00);
                    s01 = Simd.Fma(d, Simd.Load<V>(p0 + tap), s01);
                    s02 = Simd.Fma(d, Simd.Load<V>(p0 + twice), s02);
                    s10 = Simd.Fma(d, Simd.Load<V>(p1), s10);
                    s11 = Simd.Fma(d, Simd.Load<V>(p1 + tap), s11);
                    s12 = Simd.Fma(d, Simd.Load<V>(p1 + twice), s12);
                    s20 = Simd.Fma(d, Simd.Load<V>(p2), s20);
                    s21 = Simd.Fma(d, Simd.Load<V>(p2 + tap), s21);
                    s22 = Simd.Fma(d, Simd.Load<V>(p2 + twice), s22);
                    continue;
                }
                if ((uint)column < (uint)width)
                {
                    s00 = Simd.Fma(d, Simd.Load<V>(p0), s00);
                    s10 = Simd.Fma(d, Simd.Load<V>(p1), s10);
                    s20 = Simd.Fma(d, Simd.Load<V>(p2), s20);
                }
                if ((uint)(column + dilation) < (uint)width)
                {
                    s01 = Simd.Fma(d, Simd.Load<V>(p0 + tap), s01);
                    s11 = Simd.Fma(d, Simd.Load<V>(p1 + tap), s11);
                    s21 = Simd.Fma(d, Simd.Load<V>(p2 + tap), s21);
                }
                if ((uint)(column + (2 * dilation)) < (uint)width)
                {
                    s02 = Simd.Fma(d, Simd.Load<V>(p0 + twice), s02);
                    s12 = Simd.Fma(d, Simd.Load<V>(p1 + twice), s12);
                    s22 = Simd.Fma(d, Simd.Load<V>(p2 + twice), s22);
                }
            }
        }
        Simd.Store(sums, s00);
        Simd.Store(sums + n, s01);
        Simd.Store(sums + (2 * n), s02);
        Simd.Store(sums + (3 * n), s10);
        Simd.Store(sums + (4 * n), s11);
        Simd.Store(sums + (5 * n), s12);
        Simd.Store(sums + (6 * n), s20);
        Simd.Store(sums + (7 * n), s21);
        Simd.Store(sums + (8 * n), s22);
    }
}
