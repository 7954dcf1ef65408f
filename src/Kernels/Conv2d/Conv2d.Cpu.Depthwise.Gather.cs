using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>Depthwise with any stride, dilation, padding and kernel: every output collects its own taps.</summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// Target row y, channels j on. Outputs whose columns all lie inside the picture go four together, so that they share the loads of the taps.
    /// </summary>
    private static void DepthwiseGather<V, TTarget>(in DepthwisePass t, int image, int y, int j)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        // Tap rows inside the picture: 0 ≤ top + r·dilation < SourceH.
        int top = (y * t.StrideH) - t.PadTop;
        int r0 = FirstInside(top, t.DilationH, t.R), r1 = EndInside(top, t.DilationH, t.SourceH, t.R);
        // Outputs x with all tap columns inside: 0 ≤ x·stride − pad and x·stride − pad + (S−1)·dilation < SourceW.
        int x0 = FirstInside(-t.PadLeft, t.StrideW, t.TargetW);
        int x1 = Math.Max(x0, EndInside(((t.S - 1) * t.DilationW) - t.PadLeft, t.StrideW, t.SourceW, t.TargetW));
        float* target = t.Target + (image * t.TargetImage) + (y * t.TargetRow) + j;
        int x = 0;
        for (; x < x0; x++) GatherOne<V, TTarget>(t, image, y, x, r0, r1, j, target + (x * t.TargetColumn));
        for (; x + 4 <= x1; x += 4) GatherFour<V, TTarget>(t, image, y, x, r0, r1, j, target + (x * t.TargetColumn));
        for (; x < t.TargetW; x++) GatherOne<V, TTarget>(t, image, y, x, r0, r1, j, target + (x * t.TargetColumn));
    }

    /// <summary>The first i in [0, count] with start + i·step ≥ 0.</summary>
    private static int FirstInside(int start, int step, int count) => start >= 0 ? 0 : Math.Min(count, (step - 1 - start) / step);

    /// <summary>One past the last i in [0, count) with start + i·step &lt; size.</summary>
    private static int EndInside(int start, int step, int size, int count) => start >= size ? 0 : Math.Min(count, ((size - 1 - start) / step) + 1);

    private static void GatherOne<V, TTarget>(in DepthwisePass t, int image, int y, int x, int r0, int r1, int j, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int n = Simd.Width<V>(), left = (x * t.StrideW) - t.PadLeft;
        int s0 = FirstInside(left, t.DilationW, t.S), s1 = EndInside(left, t.DilationW, t.SourceW, t.S);
        V sum = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        float* w = t.Weights + ((nint)j * t.Taps);
        for (int r = r0; r < r1; r++)
        {
            float* p = t.Row(image, y, r, j) + ((nint)left * t.C);
            for (int s = s0; s < s1; s++)
            {
                sum = Simd.Fma(Simd.Load<V>(w + (((nint)(r * t.S) + s) * n)), Simd.Load<V>(p + ((nint)(s * t.DilationW) * t.C)), sum);
            }
        }
        TTarget.Put(target, sum);
    }

    /// <summary>Asks for the next block of channels of so many columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchBlock<V>(float* p, int columns, nint c) where V : unmanaged
    {
        p += Simd.Width<V>();
        for (int i = 0; i < columns; i++, p += c) Simd.Prefetch(p);
    }

    private static void GatherFour<V, TTarget>(in DepthwisePass t, int image, int y, int x, int r0, int r1, int j, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int n = Simd.Width<V>(), columns = t.S;
        nint next = (nint)t.StrideW * t.C, tap = (nint)t.DilationW * t.C, left = ((nint)(x * t.StrideW) - t.PadLeft) * t.C;
        V sum0 = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        for (int r = Math.Max(r0, r1 - t.StrideH); r < r1; r++) PrefetchBlock<V>(t.Row(image, y, r, j) + left, 4 * t.StrideW, t.C);
        V sum1 = sum0, sum2 = sum0, sum3 = sum0;
        float* w = t.Weights + ((nint)j * t.Taps) + ((nint)r0 * columns * n);
        for (int r = r0; r < r1; r++)
        {
            float* p = t.Row(image, y, r, j) + left;
            for (int s = 0; s < columns; s++, w += n, p += tap)
            {
                V k = Simd.Load<V>(w);
                sum0 = Simd.Fma(k, Simd.Load<V>(p), sum0);
                sum1 = Simd.Fma(k, Simd.Load<V>(p + next), sum1);
                sum2 = Simd.Fma(k, Simd.Load<V>(p + (2 * next)), sum2);
                sum3 = Simd.Fma(k, Simd.Load<V>(p + (3 * next)), sum3);
            }
        }
        nint column = t.TargetColumn;
        TTarget.Put(target, sum0);
        TTarget.Put(target + column, sum1);
        TTarget.Put(target + (2 * column), sum2);
        TTarget.Put(target + (3 * column), sum3);
    }
}
