using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise weight gradient, stride 1. A sweep walks the columns of x; column i meets output column i + pad − s through tap column s. The last S
/// vectors of dy are kept in registers (d0 the newest, it belongs to tap column 0) and move on by one place after each column, so each vector of x
/// and
/// of dy is read once a sweep.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>3×3: nine sums in registers over the whole band, two rows of dy at a time against four rows of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WeightGradient3<V>(in DepthwiseSums t, int image, int row, int end, int j, float* sums) where V : unmanaged
    {
        int n = Simd.Width<V>(), pad = t.G.PadLeft, columns = t.Q, height = t.G.H, top = row - t.G.PadTop;
        nint c = t.G.C, line = t.G.W * c, dyLine = columns * c;
        // What to ask for ahead of time: the next two rows, or, where rows are too short for that to be early, the next block of channels.
        nint ahead = columns >= 24 ? 2 * line : n, dyAhead = columns >= 24 ? 2 * dyLine : n;
        int first = Math.Max(0, -pad), last = Math.Min(t.G.W, columns + 2 - pad);
        V s00 = Simd.Load<V>(sums), s01 = Simd.Load<V>(sums + n), s02 = Simd.Load<V>(sums + (2 * n));
        V s10 = Simd.Load<V>(sums + (3 * n)), s11 = Simd.Load<V>(sums + (4 * n)), s12 = Simd.Load<V>(sums + (5 * n));
        V s20 = Simd.Load<V>(sums + (6 * n)), s21 = Simd.Load<V>(sums + (7 * n)), s22 = Simd.Load<V>(sums + (8 * n));
        float* zeros = t.ZeroRow + j, source = t.X + ((((nint)image * height) + top) * line) + j;
        float* dy = t.Dy + ((((nint)image * t.P) + row) * dyLine) + j;
        for (; row < end; row += 2, top += 2, source += 2 * line, dy += 2 * dyLine)
        {
            float* x0 = (uint)top < (uint)height ? source : zeros, x1 = (uint)(top + 1) < (uint)height ? source + line : zeros;
            float* x2 = (uint)(top + 2) < (uint)height ? source + (2 * line) : zeros;
            float* x3 = (uint)(top + 3) < (uint)height ? source + (3 * line) : zeros;
            float* dz = row + 1 < end ? dy + dyLine : zeros;
            V d1 = ColumnOrZero<V>(dy, first + pad - 1, columns, c), d2 = ColumnOrZero<V>(dy, first + pad - 2, columns, c);
            V e1 = ColumnOrZero<V>(dz, first + pad - 1, columns, c), e2 = ColumnOrZero<V>(dz, first + pad - 2, columns, c);
            nint at = first * c, atDy = (first + pad) * c;
            for (int i = first; i < last; i++, at += c, atDy += c)
            {
                V d0 = Simd.Broadcast<V>(0), e0 = d0;
                if (i + pad < columns)
                {
                    d0 = Simd.Load<V>(dy + atDy);
                    e0 = Simd.Load<V>(dz + atDy);
                    Simd.Prefetch(dy + atDy + dyAhead);
                    Simd.Prefetch(dz + atDy + dyAhead);
                }
                V x = Simd.Load<V>(x0 + at);
                s00 = Simd.Fma(x, d0, s00);
                s01 = Simd.Fma(x, d1, s01);
                s02 = Simd.Fma(x, d2, s02);
                x = Simd.Load<V>(x1 + at);
                s10 = Simd.Fma(x, d0, s10);
                s11 = Simd.Fma(x, d1, s11);
                s12 = Simd.Fma(x, d2, s12);
                s00 = Simd.Fma(x, e0, s00);
                s01 = Simd.Fma(x, e1, s01);
                s02 = Simd.Fma(x, e2, s02);
                x = Simd.Load<V>(x2 + at);
                Simd.Prefetch(x2 + at + ahead);
                s20 = Simd.Fma(x, d0, s20);
                s21 = Simd.Fma(x, d1, s21);
                s22 = Simd.Fma(x, d2, s22);
                s10 = Simd.Fma(x, e0, s10);
                s11 = Simd.Fma(x, e1, s11);
                s12 = Simd.Fma(x, e2, s12);
                x = Simd.Load<V>(x3 + at);
                Simd.Prefetch(x3 + at + ahead);
                s20 = Simd.Fma(x, e0, s20);
                s21 = Simd.Fma(x, e1, s21);
                s22 = Simd.Fma(x, e2, s22);
                (d1, d2) = (d0, d1);
                (e1, e2) = (e0, e1);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTo<V>(float* sum, V value) where V : unmanaged => Simd.Store(sum, Simd.Add(Simd.Load<V>(sum), value));

    /// <summary>5 wide: kernel rows r and (with <see cref="TwoRows"/>) r + 1, which share the window of dy.</summary>
    private static void WeightGradient5<V, TRows>(in DepthwiseSums t, int image, int row, int end, int r, int j, float* sums) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), pad = t.G.PadLeft, columns = t.Q;
        nint c = t.G.C;
        int first = Math.Max(0, -pad), last = Math.Min(t.G.W, columns + 4 - pad);
        V s0 = Simd.Broadcast<V>(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0;
        V u0 = s0, u1 = s0, u2 = s0, u3 = s0, u4 = s0;
        for (int p = row; p < end; p++)
        {
            float* x0 = t.XRow(image, p, r, j), x1 = t.XRow(image, p, r + 1, j);
            if (x0 == t.ZeroRow + j && (!two || x1 == x0)) continue;
            float* dy = t.DyRow(image, p, j);
            V d1 = ColumnOrZero<V>(dy, first + pad - 1, columns, c), d2 = ColumnOrZero<V>(dy, first + pad - 2, columns, c);
            V d3 = ColumnOrZero<V>(dy, first + pad - 3, columns, c), d4 = ColumnOrZero<V>(dy, first + pad - 4, columns, c);
            nint at = first * c;
            for (int i = first; i < last; i++, at += c)
            {
                V d0 = ColumnOrZero<V>(dy, i + pad, columns, c);
                V x = Simd.Load<V>(x0 + at);
                s0 = Simd.Fma(x, d0, s0);
                s1 = Simd.Fma(x, d1, s1);
                s2 = Simd.Fma(x, d2, s2);
                s3 = Simd.Fma(x, d3, s3);
                s4 = Simd.Fma(x, d4, s4);
                if (two)
                {
                    x = Simd.Load<V>(x1 + at);
                    u0 = Simd.Fma(x, d0, u0);
                    u1 = Simd.Fma(x, d1, u1);
                    u2 = Simd.Fma(x, d2, u2);
                    u3 = Simd.Fma(x, d3, u3);
                    u4 = Simd.Fma(x, d4, u4);
                }
                (d1, d2, d3, d4) = (d0, d1, d2, d3);
            }
        }
        AddTo(sums, s0);
        AddTo(sums + n, s1);
        AddTo(sums + (2 * n), s2);
        AddTo(sums + (3 * n), s3);
        AddTo(sums + (4 * n), s4);
        if (!two) return;
        AddTo(sums + (5 * n), u0);
        AddTo(sums + (6 * n), u1);
        AddTo(sums + (7 * n), u2);
        AddTo(sums + (8 * n), u3);
        AddTo(sums + (9 * n), u4);
    }

    /// <summary>7 wide.</summary>
    private static void WeightGradient7<V, TRows>(in DepthwiseSums t, int image, int row, int end, int r, int j, float* sums) where V : unmanaged
    {
        bool two = typeof(TRows) == typeof(TwoRows);
        int n = Simd.Width<V>(), pad = t.G.PadLeft, columns = t.Q;
        nint c = t.G.C;
        int first = Math.Max(0, -pad), last = Math.Min(t.G.W, columns + 6 - pad);
        V s0 = Simd.Broadcast<V>(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0;
        V u0 = s0, u1 = s0, u2 = s0, u3 = s0, u4 = s0, u5 = s0, u6 = s0;
        for (int p = row; p < end; p++)
        {
            float* x0 = t.XRow(image, p, r, j), x1 = t.XRow(image, p, r + 1, j);
            if (x0 == t.ZeroRow + j && (!two || x1 == x0)) continue;
            float* dy = t.DyRow(image, p, j);
            V d1 = ColumnOrZero<V>(dy, first + pad - 1, columns, c), d2 = ColumnOrZero<V>(dy, first + pad - 2, columns, c);
            V d3 = ColumnOrZero<V>(dy, first + pad - 3, columns, c), d4 = ColumnOrZero<V>(dy, first + pad - 4, columns, c);
            V d5 = ColumnOrZero<V>(dy, first + pad - 5, columns, c), d6 = ColumnOrZero<V>(dy, first + pad - 6, columns, c);
            nint at = first * c;
            for (int i = first; i < last; i++, at += c)
            {
                V d0 = ColumnOrZero<V>(dy, i + pad, columns, c);
                V x = Simd.Load<V>(x0 + at);
                s0 = Simd.Fma(x, d0, s0);
                s1 = Simd.Fma(x, d1, s1);
                s2 = Simd.Fma(x, d2, s2);
                s3 = Simd.Fma(x, d3, s3);
                s4 = Simd.Fma(x, d4, s4);
                s5 = Simd.Fma(x, d5, s5);
                s6 = Simd.Fma(x, d6, s6);
                if (two)
                {
                    x = Simd.Load<V>(x1 + at);
                    u0 = Simd.Fma(x, d0, u0);
                    u1 = Simd.Fma(x, d1, u1);
                    u2 = Simd.Fma(x, d2, u2);
                    u3 = Simd.Fma(x, d3, u3);
                    u4 = Simd.Fma(x, d4, u4);
                    u5 = Simd.Fma(x, d5, u5);
                    u6 = Simd.Fma(x, d6, u6);
                }
                (d1, d2, d3, d4, d5, d6) = (d0, d1, d2, d3, d4, d5);
            }
        }
        AddTo(sums, s0);
        AddTo(sums + n, s1);
        AddTo(sums + (2 * n), s2);
        AddTo(sums + (3 * n), s3);
        AddTo(sums + (4 * n), s4);
        AddTo(sums + (5 * n), s5);
        AddTo(sums + (6 * n), s6);
        if (!two) return;
        AddTo(sums + (7 * n), u0);
        AddTo(sums + (8 * n), u1);
        AddTo(sums + (9 * n), u2);
        AddTo(sums + (10 * n), u3);
        AddTo(sums + (11 * n), u4);
        AddTo(sums + (12 * n), u5);
        AddTo(sums + (13 * n), u6);
    }
}
