using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise forward, stride 2, kernels 5 and 7 wide. A sweep walks the columns of the source once, two a step. Step k takes columns 2k and 2k + 1
/// (counted with the padding): the even one meets tap column 0 of output k, 2 of output k − 1, 4 of output k − 2 and so on, the odd one the tap
/// columns
/// between. So ⌈S/2⌉ outputs are under way at any time, one a register: a (the oldest) is then complete and written, and the others move up.
/// </summary>
/// <remarks>
/// Two rows of outputs go together. Row r of the kernel meets source row r for the first and r + 2 for the second; what they share is each load of
/// a tap.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    private static bool CanSweepStrided(in DepthwisePass t) => t is { StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1, S: 5 or 7 };

    /// <summary>Target rows [row, end) of one block of channels, one or two at a time.</summary>
    private static void StridedBlock<V, TTarget, TRows>(in DepthwisePass t, int image, int row, int end, int j)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int step = typeof(TRows) == typeof(TwoRows) ? 2 : 1;
        float* w = t.Weights + ((nint)j * t.Taps);
        V bias = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        float* target = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
        float** rows = stackalloc float*[t.R + 2];
        for (; row < end; row += step, target += step * t.TargetRow)
        {
            for (int r = 0; r < t.R + 2; r++) rows[r] = t.Row(image, row, r, j);
            if (t.S == 5) SweepStrided5<V, TTarget, TRows>(t, rows, w, bias, target);
            else SweepStrided7<V, TTarget, TRows>(t, rows, w, bias, target);
        }
    }

    /// <summary>Asks for the next block of channels of a column, in the four rows that a pair of outputs does not share with the pair
    /// before.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchColumn(float** rows, int height, nint at)
    {
        for (int r = Math.Max(0, height - 2); r < height + 2; r++) Simd.Prefetch(rows[r] + at);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SweepStrided5<V, TTarget, TRows>(in DepthwisePass t, float** rows, float* w, V bias, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), height = t.R, width = t.SourceW, steps = t.TargetW + 2, column = -t.PadLeft;
        nint c = t.C, at = column * c;
        float* e0 = target, e1 = target + t.TargetRow;
        V a0 = bias, b0 = bias, c0 = bias, a1 = bias, b1 = bias, c1 = bias;
        for (int k = 0; k < steps; k++, column += 2, at += 2 * c)
        {
            if ((uint)column < (uint)width)
            {
                PrefetchColumn(rows, height, at + n);
                float* q = w;
                for (int r = 0; r < height; r++, q += 5 * n)
                {
                    V x = Simd.Load<V>(rows[r] + at), u = two ? Simd.Load<V>(rows[r + 2] + at) : x;
                    V tap = Simd.Load<V>(q);
                    c0 = Simd.Fma(tap, x, c0);
                    if (two) c1 = Simd.Fma(tap, u, c1);
                    tap = Simd.Load<V>(q + (2 * n));
                    b0 = Simd.Fma(tap, x, b0);
                    if (two) b1 = Simd.Fma(tap, u, b1);
                    tap = Simd.Load<V>(q + (4 * n));
                    a0 = Simd.Fma(tap, x, a0);
                    if (two) a1 = Simd.Fma(tap, u, a1);
                }
            }
            if ((uint)(column + 1) < (uint)width)
            {
                PrefetchColumn(rows, height, at + c + n);
                float* q = w;
                for (int r = 0; r < height; r++, q += 5 * n)
                {
                    V x = Simd.Load<V>(rows[r] + at + c), u = two ? Simd.Load<V>(rows[r + 2] + at + c) : x;
                    V tap = Simd.Load<V>(q + n);
                    c0 = Simd.Fma(tap, x, c0);
                    if (two) c1 = Simd.Fma(tap, u, c1);
                    tap = Simd.Load<V>(q + (3 * n));
                    b0 = Simd.Fma(tap, x, b0);
                    if (two) b1 = Simd.Fma(tap, u, b1);
                }
            }
            if (k >= 2)
            {
                TTarget.Put(e0, a0);
                if (two) TTarget.Put(e1, a1);
                e0 += t.TargetColumn;
                e1 += t.TargetColumn;
            }
            (a0, b0, c0) = (b0, c0, bias);
            (a1, b1, c1) = (b1, c1, bias);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SweepStrided7<V, TTarget, TRows>(in DepthwisePass t, float** rows, float* w, V bias, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), height = t.R, width = t.SourceW, steps = t.TargetW + 3, column = -t.PadLeft;
        nint c = t.C, at = column * c;
        float* e0 = target, e1 = target + t.TargetRow;
        V a0 = bias, b0 = bias, c0 = bias, d0 = bias, a1 = bias, b1 = bias, c1 = bias, d1 = bias;
        for (int k = 0; k < steps; k++, column += 2, at += 2 * c)
        {
            if ((uint)column < (uint)width)
            {
                PrefetchColumn(rows, height, at + n);
                float* q = w;
                for (int r = 0; r < height; r++, q += 7 * n)
                {
                    V x = Simd.Load<V>(rows[r] + at), u = two ? Simd.Load<V>(rows[r + 2] + at) : x;
                    V tap = Simd.Load<V>(q);
                    d0 = Simd.Fma(tap, x, d0);
                    if (two) d1 = Simd.Fma(tap, u, d1);
                    tap = Simd.Load<V>(q + (2 * n));
                    c0 = Simd.Fma(tap, x, c0);
                    if (two) c1 = Simd.Fma(tap, u, c1);
                    tap = Simd.Load<V>(q + (4 * n));
                    b0 = Simd.Fma(tap, x, b0);
                    if (two) b1 = Simd.Fma(tap, u, b1);
                    tap = Simd.Load<V>(q + (6 * n));
                    a0 = Simd.Fma(tap, x, a0);
                    if (two) a1 = Simd.Fma(tap, u, a1);
                }
            }
            if ((uint)(column + 1) < (uint)width)
            {
                PrefetchColumn(rows, height, at + c + n);
                float* q = w;
                for (int r = 0; r < height; r++, q += 7 * n)
                {
                    V x = Simd.Load<V>(rows[r] + at + c), u = two ? Simd.Load<V>(rows[r + 2] + at + c) : x;
                    V tap = Simd.Load<V>(q + n);
                    d0 = Simd.Fma(tap, x, d0);
                    if (two) d1 = Simd.Fma(tap, u, d1);
                    tap = Simd.Load<V>(q + (3 * n));
                    c0 = Simd.Fma(tap, x, c0);
                    if (two) c1 = Simd.Fma(tap, u, c1);
                    tap = Simd.Load<V>(q + (5 * n));
                    b0 = Simd.Fma(tap, x, b0);
                    if (two) b1 = Simd.Fma(tap, u, b1);
                }
            }
            if (k >= 3)
            {
                TTarget.Put(e0, a0);
                if (two) TTarget.Put(e1, a1);
                e0 += t.TargetColumn;
                e1 += t.TargetColumn;
            }
            (a0, b0, c0, d0) = (b0, c0, d0, bias);
            (a1, b1, c1, d1) = (b1, c1, d1, bias);
        }
    }
}
