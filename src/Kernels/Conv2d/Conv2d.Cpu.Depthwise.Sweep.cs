using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise, stride 1, kernels 3, 5 and 7 wide. A sweep walks the columns of the source once, left to right. Column v (counted with the
/// padding) contributes through tap column s to output v − s, so S outputs are under way at any time, one a register: a (the oldest, it gets
/// the last tap column and is then written) to the newest, which starts as the bias. After each column they move up by one place.
/// </summary>
/// <remarks>
/// Two rows of outputs, y and y+1, go together: source row y + r is row r of the first and row r − 1 of the second, so each vector read
/// is used twice. Columns outside the picture contribute nothing and are skipped; rows outside point to a row of zeros.
/// The wide kernels ask for the two source rows that the next pair of outputs adds; a row of 3×3 is soon done, so there it is the next block of
/// channels.
/// Requires PadLeft &lt; S: then no output is complete before the first column inside the picture.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>As a type argument the number of rows is a constant to the compiler, and the second row's code disappears.</summary>
    private readonly struct OneRow;

    private readonly struct TwoRows;

    /// <summary>Writes or adds one vector of the target.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Emit<V>(float* target, V value, bool accumulate) where V : unmanaged =>
        Simd.Store(target, accumulate ? Simd.Add(Simd.Load<V>(target), value) : value);

    /// <summary>Target rows [row, end) of one block of channels, one or two at a time.</summary>
    private static void SweepBlock<V, TTarget, TRows>(in DepthwisePass t, int image, int row, int end, int j)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        float* w = t.Weights + ((nint)j * t.Taps);
        V bias = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        float* target = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
        if (t.S == 3)
        {
            Sweep3<V, TTarget, TRows>(t, image, row, end, j, w, bias, target);
            return;
        }
        int step = typeof(TRows) == typeof(TwoRows) ? 2 : 1;
        float** rows = stackalloc float*[t.R + 1];
        for (; row < end; row += step, target += step * t.TargetRow)
        {
            for (int r = 0; r <= t.R; r++) rows[r] = t.Row(image, row, r, j);
            if (t.S == 5) Sweep5<V, TTarget, TRows>(t, rows, w, bias, target);
            else Sweep7<V, TTarget, TRows>(t, rows, w, bias, target);
        }
    }

    /// <summary>3×3, all nine taps in registers from the first row to the last: on small maps a row is soon done.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Sweep3<V, TTarget, TRows>(in DepthwisePass t, int image, int row, int end, int j, float* w, V bias, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), height = t.SourceH, top = row - t.PadTop;
        V w00 = Simd.Load<V>(w), w01 = Simd.Load<V>(w + n), w02 = Simd.Load<V>(w + (2 * n));
        V w10 = Simd.Load<V>(w + (3 * n)), w11 = Simd.Load<V>(w + (4 * n)), w12 = Simd.Load<V>(w + (5 * n));
        V w20 = Simd.Load<V>(w + (6 * n)), w21 = Simd.Load<V>(w + (7 * n)), w22 = Simd.Load<V>(w + (8 * n));
        nint c = t.C, step = t.TargetColumn, line = (nint)t.SourceW * c;
        int first = Math.Max(0, t.PadLeft), last = t.TargetW + 2, inside = Math.Min(last, t.PadLeft + t.SourceW);
        nint at = ((nint)(first - t.PadLeft) * c) + j;
        float* zeros = t.ZeroRow + at, source = t.Source + ((((nint)image * height) + top) * line) + at;
        for (; row < end; row += 2, top += 2, source += 2 * line, target += 2 * t.TargetRow)
        {
            float* p0 = (uint)top < (uint)height ? source : zeros, p1 = (uint)(top + 1) < (uint)height ? source + line : zeros;
            float* p2 = (uint)(top + 2) < (uint)height ? source + (2 * line) : zeros;
            float* p3 = (uint)(top + 3) < (uint)height ? source + (3 * line) : zeros;
            float* e0 = target, e1 = target + t.TargetRow;
            V a0 = bias, b0 = bias, a1 = bias, b1 = bias;
            int v = first;
            for (; v < inside; v++)
            {
                V x0 = Simd.Load<V>(p0), x1 = Simd.Load<V>(p1), x2 = Simd.Load<V>(p2);
                Simd.Prefetch(p2 + n);
                V c0 = Simd.Fma(w20, x2, Simd.Fma(w10, x1, Simd.Fma(w00, x0, bias)));
                b0 = Simd.Fma(w21, x2, Simd.Fma(w11, x1, Simd.Fma(w01, x0, b0)));
                a0 = Simd.Fma(w22, x2, Simd.Fma(w12, x1, Simd.Fma(w02, x0, a0)));
                V c1 = bias;
                if (two)
                {
                    V x3 = Simd.Load<V>(p3);
                    Simd.Prefetch(p3 + n);
                    c1 = Simd.Fma(w20, x3, Simd.Fma(w10, x2, Simd.Fma(w00, x1, c1)));
                    b1 = Simd.Fma(w21, x3, Simd.Fma(w11, x2, Simd.Fma(w01, x1, b1)));
                    a1 = Simd.Fma(w22, x3, Simd.Fma(w12, x2, Simd.Fma(w02, x1, a1)));
                }
                p0 += c;
                p1 += c;
                p2 += c;
                p3 += c;
                if (v >= 2)
                {
                    TTarget.Put(e0, a0);
                    if (two) TTarget.Put(e1, a1);
                    e0 += step;
                    e1 += step;
                }
                (a0, b0) = (b0, c0);
                (a1, b1) = (b1, c1);
            }
            for (; v < last; v++)
            {
                if (v >= 2)
                {
                    TTarget.Put(e0, a0);
                    if (two) TTarget.Put(e1, a1);
                    e0 += step;
                    e1 += step;
                }
                (a0, b0) = (b0, bias);
                (a1, b1) = (b1, bias);
            }
        }
    }

    /// <summary>5 wide, any height: taps come from the packed block, each load serving both rows.</summary>
    private static void Sweep5<V, TTarget, TRows>(in DepthwisePass t, float** rows, float* w, V bias, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), height = t.R;
        nint step = t.TargetColumn, ahead = (nint)t.SourceW * t.C;
        int v = Math.Max(0, t.PadLeft), last = t.TargetW + 4, inside = t.PadLeft + t.SourceW;
        nint column = (nint)(v - t.PadLeft) * t.C;
        float* e0 = target, e1 = target + t.TargetRow;
        V a0 = bias, b0 = bias, c0 = bias, d0 = bias, f0 = bias;
        V a1 = bias, b1 = bias, c1 = bias, d1 = bias, f1 = bias;
        for (; v < last; v++, column += t.C)
        {
            if (v < inside)
            {
                Simd.Prefetch(rows[height] + column + ahead);
                if (two) Simd.Prefetch(rows[height] + column + (2 * ahead));
                float* q = w;
                V x = Simd.Load<V>(rows[0] + column);
                for (int r = 0; r < height; r++, q += 5 * n)
                {
                    V u = two ? Simd.Load<V>(rows[r + 1] + column) : x;
                    V k = Simd.Load<V>(q);
                    f0 = Simd.Fma(k, x, f0);
                    if (two) f1 = Simd.Fma(k, u, f1);
                    k = Simd.Load<V>(q + n);
                    d0 = Simd.Fma(k, x, d0);
                    if (two) d1 = Simd.Fma(k, u, d1);
                    k = Simd.Load<V>(q + (2 * n));
                    c0 = Simd.Fma(k, x, c0);
                    if (two) c1 = Simd.Fma(k, u, c1);
                    k = Simd.Load<V>(q + (3 * n));
                    b0 = Simd.Fma(k, x, b0);
                    if (two) b1 = Simd.Fma(k, u, b1);
                    k = Simd.Load<V>(q + (4 * n));
                    a0 = Simd.Fma(k, x, a0);
                    if (two) a1 = Simd.Fma(k, u, a1);
                    x = two ? u : Simd.Load<V>(rows[r + 1] + column);
                }
            }
            if (v >= 4)
            {
                TTarget.Put(e0, a0);
                if (two) TTarget.Put(e1, a1);
                e0 += step;
                e1 += step;
            }
            (a0, b0, c0, d0, f0) = (b0, c0, d0, f0, bias);
            (a1, b1, c1, d1, f1) = (b1, c1, d1, f1, bias);
        }
    }

    /// <summary>7 wide, any height.</summary>
    private static void Sweep7<V, TTarget, TRows>(in DepthwisePass t, float** rows, float* w, V bias, float* target)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), height = t.R;
        nint step = t.TargetColumn, ahead = (nint)t.SourceW * t.C;
        int v = Math.Max(0, t.PadLeft), last = t.TargetW + 6, inside = t.PadLeft + t.SourceW;
        nint column = (nint)(v - t.PadLeft) * t.C;
        float* e0 = target, e1 = target + t.TargetRow;
        V a0 = bias, b0 = bias, c0 = bias, d0 = bias, f0 = bias, g0 = bias, h0 = bias;
        V a1 = bias, b1 = bias, c1 = bias, d1 = bias, f1 = bias, g1 = bias, h1 = bias;
        for (; v < last; v++, column += t.C)
        {
            if (v < inside)
            {
                Simd.Prefetch(rows[height] + column + ahead);
                if (two) Simd.Prefetch(rows[height] + column + (2 * ahead));
                float* q = w;
                V x = Simd.Load<V>(rows[0] + column);
                for (int r = 0; r < height; r++, q += 7 * n)
                {
                    V u = two ? Simd.Load<V>(rows[r + 1] + column) : x;
                    V k = Simd.Load<V>(q);
                    h0 = Simd.Fma(k, x, h0);
                    if (two) h1 = Simd.Fma(k, u, h1);
                    k = Simd.Load<V>(q + n);
                    g0 = Simd.Fma(k, x, g0);
                    if (two) g1 = Simd.Fma(k, u, g1);
                    k = Simd.Load<V>(q + (2 * n));
                    f0 = Simd.Fma(k, x, f0);
                    if (two) f1 = Simd.Fma(k, u, f1);
                    k = Simd.Load<V>(q + (3 * n));
                    d0 = Simd.Fma(k, x, d0);
                    if (two) d1 = Simd.Fma(k, u, d1);
                    k = Simd.Load<V>(q + (4 * n));
                    c0 = Simd.Fma(k, x, c0);
                    if (two) c1 = Simd.Fma(k, u, c1);
                    k = Simd.Load<V>(q + (5 * n));
                    b0 = Simd.Fma(k, x, b0);
                    if (two) b1 = Simd.Fma(k, u, b1);
                    k = Simd.Load<V>(q + (6 * n));
                    a0 = Simd.Fma(k, x, a0);
                    if (two) a1 = Simd.Fma(k, u, a1);
                    x = two ? u : Simd.Load<V>(rows[r + 1] + column);
                }
            }
            if (v >= 6)
            {
                TTarget.Put(e0, a0);
                if (two) TTarget.Put(e1, a1);
                e0 += step;
                e1 += step;
            }
            (a0, b0, c0, d0, f0, g0, h0) = (b0, c0, d0, f0, g0, h0, bias);
            (a1, b1, c1, d1, f1, g1, h1) = (b1, c1, d1, f1, g1, h1, bias);
        }
    }
}
