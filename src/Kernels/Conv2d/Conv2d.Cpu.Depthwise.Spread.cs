using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise input gradient, stride 2, kernels 3, 5 and 7 wide. A sweep walks the columns of dy once, left to right. Column q spreads over the S
/// columns
/// of dx from 2q − pad on, tap column s to the s-th of them; so S sums are under way at any time, one a register: a (the leftmost) and on.
/// After each column the two leftmost are complete and written, and the others move up by two places.
/// </summary>
/// <remarks>
/// Two rows of dx, h and h + 1 with h + pad = 2m, go together: row m − i of dy reaches the first through tap row 2i and the second through
/// tap row 2i + 1. So each vector of dy read is used for 2·S products, and dx is written once, whole rows at a time. (Phase by phase, every second
/// pixel of every second row at a time, the lines of dx came four times from memory: three times slower.)
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>As type arguments: which rows of a pair lie inside dx. Only the first pair may lack the even one, and the last the odd one.</summary>
    private readonly struct EvenRow;

    private readonly struct OddRow;

    private readonly struct BothRows;

    /// <summary>What every block of a strided input gradient needs. Its rows are pairs, m from <see cref="FirstPair"/> on.</summary>
    private struct DepthwiseSpread : IDepthwiseBand
    {
        public float* Dy;       // [N, P, Q, C]
        public float* Dx;       // [N, H, W, C]
        public float* Weights;  // packed: block of channels from j at Weights + j·R·S, as [tap][lane]
        public float* ZeroRow;  // [Q, C] of zeros: rows outside dy
        public int H, W, C, P, Q, R, S, PadTop, PadLeft;
        public bool Accumulate;

        /// <summary>m of the pair with row 0 of dx. (A shift rounds down, also below zero.)</summary>
        public readonly int FirstPair => PadTop >> 1;

        public readonly int Pairs => ((H - 1 + PadTop) >> 1) + 1 - FirstPair;

        public readonly void Block<V>(int image, int row, int end, int j) where V : unmanaged
        {
            nint dyRow = (nint)Q * C, dxRow = (nint)W * C;
            float** rows = stackalloc float*[(R + 1) / 2];
            for (int m = FirstPair + row; m < FirstPair + end; m++)
            {
                for (int i = 0; i < (R + 1) / 2; i++)
                {
                    rows[i] = (uint)(m - i) < (uint)P ? Dy + ((((nint)image * P) + m - i) * dyRow) + j : ZeroRow + j;
                }
                int h = (2 * m) - PadTop;
                float* even = Dx + ((((nint)image * H) + h) * dxRow) + j;
                if (h < 0) SpreadPair<V, OddRow>(this, rows, j, even);
                else if (h + 1 < H) SpreadPair<V, BothRows>(this, rows, j, even);
                else SpreadPair<V, EvenRow>(this, rows, j, even);
            }
        }
    }

    private static bool CanSpread(in Conv2dGeometry g) =>
        g is { StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1 } and ({ R: 3, S: 3 } or { S: 5 or 7 });

    private static void SpreadPair<V, TRows>(in DepthwiseSpread t, float** rows, int j, float* even) where V : unmanaged
    {
        float* w = t.Weights + ((nint)j * t.R * t.S);
        switch (t.S)
        {
            case 3: Spread3<V, TRows>(t, rows, w, even); break;
            case 5: Spread5<V, TRows>(t, rows, w, even); break;
            default: Spread7<V, TRows>(t, rows, w, even); break;
        }
    }

    /// <summary>Two columns of a row of dx, x and x + 1, as far as they lie inside.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void EmitColumns<V>(float* target, nint c, int x, int width, V left, V right, bool accumulate) where V : unmanaged
    {
        if ((uint)x < (uint)width) Emit(target, left, accumulate);
        if ((uint)(x + 1) < (uint)width) Emit(target + c, right, accumulate);
    }

    /// <summary>3×3, all nine taps in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Spread3<V, TRows>(in DepthwiseSpread t, float** rows, float* w, float* even) where V : unmanaged
    {
        bool hasEven = typeof(TRows) != typeof(OddRow), hasOdd = typeof(TRows) != typeof(EvenRow), accumulate = t.Accumulate;
        int n = Simd.Width<V>(), width = t.W, columns = t.Q;
        V w00 = Simd.Load<V>(w), w01 = Simd.Load<V>(w + n), w02 = Simd.Load<V>(w + (2 * n));
        V w10 = Simd.Load<V>(w + (3 * n)), w11 = Simd.Load<V>(w + (4 * n)), w12 = Simd.Load<V>(w + (5 * n));
        V w20 = Simd.Load<V>(w + (6 * n)), w21 = Simd.Load<V>(w + (7 * n)), w22 = Simd.Load<V>(w + (8 * n));
        nint c = t.C;
        // Columns of dy that lie outside, left or right, add nothing; but the columns of dx that they stand for are to be written.
        int q = Math.Min(0, t.PadLeft >> 1), end = ((width - 1 + t.PadLeft) >> 1) + 1, x = (2 * q) - t.PadLeft;
        float* p0 = rows[0] + (q * c), p1 = rows[1] + (q * c), e = even + (x * c), o = e + (width * c);
        V zero = Simd.Broadcast<V>(0), a0 = zero, b0 = zero, c0 = zero, a1 = zero, b1 = zero, c1 = zero;
        for (; q < end; q++, x += 2)
        {
            if ((uint)q < (uint)columns)
            {
                V d0 = Simd.Load<V>(p0), d1 = Simd.Load<V>(p1);
                Simd.Prefetch(p0 + n);
                a0 = Simd.Fma(w20, d1, Simd.Fma(w00, d0, a0));
                b0 = Simd.Fma(w21, d1, Simd.Fma(w01, d0, b0));
                c0 = Simd.Fma(w22, d1, Simd.Fma(w02, d0, c0));
                a1 = Simd.Fma(w10, d0, a1);
                b1 = Simd.Fma(w11, d0, b1);
                c1 = Simd.Fma(w12, d0, c1);
            }
            if (hasEven) EmitColumns(e, c, x, width, a0, b0, accumulate);
            if (hasOdd) EmitColumns(o, c, x, width, a1, b1, accumulate);
            p0 += c;
            p1 += c;
            e += 2 * c;
            o += 2 * c;
            (a0, b0, c0) = (c0, zero, zero);
            (a1, b1, c1) = (c1, zero, zero);
        }
    }

    /// <summary>5 wide, any height: taps come from the packed block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Spread5<V, TRows>(in DepthwiseSpread t, float** rows, float* w, float* even) where V : unmanaged
    {
        bool hasEven = typeof(TRows) != typeof(OddRow), hasOdd = typeof(TRows) != typeof(EvenRow), accumulate = t.Accumulate;
        int n = Simd.Width<V>(), width = t.W, columns = t.Q, height = t.R;
        nint c = t.C;
        int q = Math.Min(0, t.PadLeft >> 1), end = ((width - 1 + t.PadLeft) >> 1) + 1, x = (2 * q) - t.PadLeft;
        nint column = q * c;
        float* e = even + (x * c), o = e + (width * c);
        V zero = Simd.Broadcast<V>(0);
        V a0 = zero, b0 = zero, c0 = zero, d0 = zero, f0 = zero;
        V a1 = zero, b1 = zero, c1 = zero, d1 = zero, f1 = zero;
        for (; q < end; q++, x += 2, column += c)
        {
            if ((uint)q < (uint)columns)
            {
                Simd.Prefetch(rows[0] + column + n);
                float* k = w;
                for (int r = 0; r < height; r += 2, k += 10 * n)
                {
                    V d = Simd.Load<V>(rows[r >> 1] + column);
                    if (hasEven)
                    {
                        a0 = Simd.Fma(Simd.Load<V>(k), d, a0);
                        b0 = Simd.Fma(Simd.Load<V>(k + n), d, b0);
                        c0 = Simd.Fma(Simd.Load<V>(k + (2 * n)), d, c0);
                        d0 = Simd.Fma(Simd.Load<V>(k + (3 * n)), d, d0);
                        f0 = Simd.Fma(Simd.Load<V>(k + (4 * n)), d, f0);
                    }
                    if (hasOdd && r + 1 < height)
                    {
                        a1 = Simd.Fma(Simd.Load<V>(k + (5 * n)), d, a1);
                        b1 = Simd.Fma(Simd.Load<V>(k + (6 * n)), d, b1);
                        c1 = Simd.Fma(Simd.Load<V>(k + (7 * n)), d, c1);
                        d1 = Simd.Fma(Simd.Load<V>(k + (8 * n)), d, d1);
                        f1 = Simd.Fma(Simd.Load<V>(k + (9 * n)), d, f1);
                    }
                }
            }
            if (hasEven) EmitColumns(e, c, x, width, a0, b0, accumulate);
            if (hasOdd) EmitColumns(o, c, x, width, a1, b1, accumulate);
            e += 2 * c;
            o += 2 * c;
            (a0, b0, c0, d0, f0) = (c0, d0, f0, zero, zero);
            (a1, b1, c1, d1, f1) = (c1, d1, f1, zero, zero);
        }
    }

    /// <summary>7 wide, any height.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Spread7<V, TRows>(in DepthwiseSpread t, float** rows, float* w, float* even) where V : unmanaged
    {
        bool hasEven = typeof(TRows) != typeof(OddRow), hasOdd = typeof(TRows) != typeof(EvenRow), accumulate = t.Accumulate;
        int n = Simd.Width<V>(), width = t.W, columns = t.Q, height = t.R;
        nint c = t.C;
        int q = Math.Min(0, t.PadLeft >> 1), end = ((width - 1 + t.PadLeft) >> 1) + 1, x = (2 * q) - t.PadLeft;
        nint column = q * c;
        float* e = even + (x * c), o = e + (width * c);
        V zero = Simd.Broadcast<V>(0);
        V a0 = zero, b0 = zero, c0 = zero, d0 = zero, f0 = zero, g0 = zero, h0 = zero;
        V a1 = zero, b1 = zero, c1 = zero, d1 = zero, f1 = zero, g1 = zero, h1 = zero;
        for (; q < end; q++, x += 2, column += c)
        {
            if ((uint)q < (uint)columns)
            {
                Simd.Prefetch(rows[0] + column + n);
                float* k = w;
                for (int r = 0; r < height; r += 2, k += 14 * n)
                {
                    V d = Simd.Load<V>(rows[r >> 1] + column);
                    if (hasEven)
                    {
                        a0 = Simd.Fma(Simd.Load<V>(k), d, a0);
                        b0 = Simd.Fma(Simd.Load<V>(k + n), d, b0);
                        c0 = Simd.Fma(Simd.Load<V>(k + (2 * n)), d, c0);
                        d0 = Simd.Fma(Simd.Load<V>(k + (3 * n)), d, d0);
                        f0 = Simd.Fma(Simd.Load<V>(k + (4 * n)), d, f0);
                        g0 = Simd.Fma(Simd.Load<V>(k + (5 * n)), d, g0);
                        h0 = Simd.Fma(Simd.Load<V>(k + (6 * n)), d, h0);
                    }
                    if (hasOdd && r + 1 < height)
                    {
                        a1 = Simd.Fma(Simd.Load<V>(k + (7 * n)), d, a1);
                        b1 = Simd.Fma(Simd.Load<V>(k + (8 * n)), d, b1);
                        c1 = Simd.Fma(Simd.Load<V>(k + (9 * n)), d, c1);
                        d1 = Simd.Fma(Simd.Load<V>(k + (10 * n)), d, d1);
                        f1 = Simd.Fma(Simd.Load<V>(k + (11 * n)), d, f1);
                        g1 = Simd.Fma(Simd.Load<V>(k + (12 * n)), d, g1);
                        h1 = Simd.Fma(Simd.Load<V>(k + (13 * n)), d, h1);
                    }
                }
            }
            if (hasEven) EmitColumns(e, c, x, width, a0, b0, accumulate);
            if (hasOdd) EmitColumns(o, c, x, width, a1, b1, accumulate);
            e += 2 * c;
            o += 2 * c;
            (a0, b0, c0, d0, f0, g0, h0) = (c0, d0, f0, g0, h0, zero, zero);
            (a1, b1, c1, d1, f1, g1, h1) = (c1, d1, f1, g1, h1, zero, zero);
        }
    }
}
