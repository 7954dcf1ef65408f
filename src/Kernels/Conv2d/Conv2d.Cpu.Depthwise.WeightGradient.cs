using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise weight gradient: for every channel R·S sums over all pixels of all images. The sums stay in registers while a band of rows is
/// walked, one block of channels after the other.
/// </summary>
/// <remarks>
/// The images are cut into a number of splits that depends on the shape alone; each split has sums of its own, and they are added in the order of the
/// splits at the end, so any number of threads gives the same bits. Sums lie as the packed weights do: block of channels, [tap][lane].
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>What every block of a weight gradient needs.</summary>
    private struct DepthwiseSums : IDepthwiseBand
    {
        public float* X;        // [N, H, W, C]
        public float* Dy;       // [N, P, Q, C]
        public float* ZeroRow;  // [max(W, Q), C] of zeros: rows outside the picture
        public float* Sums;     // as the packed weights lie
        public Conv2dGeometry G;
        public int P, Q;

        public readonly void Block<V>(int image, int row, int end, int j) where V : unmanaged =>
            WeightGradientBlock<V>(this, image, row, end, j, Sums + ((nint)j * G.R * G.S));

        /// <summary>The row of x that tap row r of output row p reads, or zeros.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* XRow(long image, int p, int r, int j)
        {
            int row = (p * G.StrideH) + (r * G.DilationH) - G.PadTop;
            return (uint)row < (uint)G.H ? X + ((((image * G.H) + row) * G.W * G.C) + j) : ZeroRow + j;
        }

        /// <summary>Row p of dy, or zeros below the last.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* DyRow(long image, int p, int j) => p < P ? Dy + ((((image * P) + p) * Q * G.C) + j) : ZeroRow + j;
    }

    private void DepthwiseWeightGradient(in Conv2dGeometry g, float* x, float* dy, float* dw, bool accumulate)
    {
        int c = g.C, images = g.N, rows = g.P, taps = g.R * g.S;
        int band = WeightGradientRows(g);
        int bands = Pieces(rows, band), units = images * bands;
        long work = Math.Min(DepthwisePieces(g.Macs), 32); // more would mean more sums to add
        int channelPieces = (int)Math.Clamp(work, 1, Math.Max(1, c / 64));
        int channels = (Pieces(c, channelPieces) + 15) & ~15;
        channelPieces = Pieces(c, channels);
        int splits = (int)Math.Clamp(work / channelPieces, 1, units);
        using var memory = DepthwiseScratch((long)splits * taps * c, (long)Math.Max(g.W, g.Q) * c, out float* partial, out float* zeros);
        var sums = new DepthwiseSums { X = x, Dy = dy, ZeroRow = zeros, G = g, P = g.P, Q = g.Q };
        _device.Parallel(splits * channelPieces, (item, _) =>
        {
            int split = item / channelPieces, c0 = item % channelPieces * channels, c1 = Math.Min(c, c0 + channels);
            var mine = sums;
            mine.Sums = partial + ((nint)split * taps * c);
            new Span<float>(mine.Sums + ((nint)c0 * taps), (c1 - c0) * taps).Clear();
            int first = (int)((long)units * split / splits), end = (int)((long)units * (split + 1) / splits);
            for (int unit = first; unit < end; unit++)
            {
                int row = unit % bands * band;
                DepthwiseBand(mine, unit / bands, row, Math.Min(rows, row + band), c0, c1);
            }
        });
        AddDepthwiseSplits(partial, splits, c, taps, dw, accumulate);
    }

    /// <summary>
    /// Rows of dy in a band. Kernels of more than nine taps walk the band several times, so its vectors (rows of dy, and of x with those above and
    /// below) should fit in the first-level cache together: 512 of them are 32 KB. An even number where 3×3 takes rows in pairs.
    /// </summary>
    private static int WeightGradientRows(in Conv2dGeometry g)
    {
        int each = Math.Max(1, g.Q + (g.W * g.StrideH));
        if (g.R * g.S <= 9) return Math.Max(2, 512 / each & ~1);
        return Math.Max(1, (512 - ((g.R - 1) * g.DilationH * g.W)) / each);
    }

    /// <summary>dw[tap, c] (+)= Σ over the splits, in order.</summary>
    private static void AddDepthwiseSplits(float* partial, int splits, int c, int taps, float* dw, bool accumulate)
    {
        for (int j = 0, width; j < c; j += width, partial += taps * width)
        {
            width = BlockWidth(c - j);
            for (int tap = 0; tap < taps; tap++)
            {
                float* from = partial + (tap * width), to = dw + ((nint)tap * c) + j;
                switch (width)
                {
                    case 16: AddSplits<Vector512<float>>(from, splits, (nint)taps * c, to, accumulate); break;
                    case 8: AddSplits<Vector256<float>>(from, splits, (nint)taps * c, to, accumulate); break;
                    case 4: AddSplits<Vector128<float>>(from, splits, (nint)taps * c, to, accumulate); break;
                    default: AddSplits<float>(from, splits, (nint)taps * c, to, accumulate); break;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddSplits<V>(float* from, int splits, nint next, float* to, bool accumulate) where V : unmanaged
    {
        V sum = Simd.Load<V>(from);
        for (int split = 1; split < splits; split++) sum = Simd.Add(sum, Simd.Load<V>(from + (split * next)));
        Emit(to, sum, accumulate);
    }

    /// <summary>Adds the products of dy rows [row, end) to the sums of one block of channels.</summary>
    private static void WeightGradientBlock<V>(in DepthwiseSums t, int image, int row, int end, int j, float* sums) where V : unmanaged
    {
        bool sweep = t.G is { StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1 };
        if (t.G is { R: 3, S: 3 })
        {
            if (sweep) WeightGradient3<V>(t, image, row, end, j, sums);
            else WeightGradient3Strided<V>(t, image, row, end, j, sums);
            return;
        }
        if (sweep && t.G.S is 5 or 7)
        {
            nint line = (nint)t.G.S * Simd.Width<V>();
            int r = 0;
            for (; r + 1 < t.G.R; r += 2)
            {
                if (t.G.S == 5) WeightGradient5<V, TwoRows>(t, image, row, end, r, j, sums + (r * line));
                else WeightGradient7<V, TwoRows>(t, image, row, end, r, j, sums + (r * line));
            }
            if (r < t.G.R)
            {
                if (t.G.S == 5) WeightGradient5<V, OneRow>(t, image, row, end, r, j, sums + (r * line));
                else WeightGradient7<V, OneRow>(t, image, row, end, r, j, sums + (r * line));
            }
            return;
        }
        for (int tap = 0; tap < t.G.R * t.G.S; tap += 9) WeightGradientTaps<V>(t, image, row, end, tap, j, sums);
    }

    /// <summary>Column q of a row, or zeros outside it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V ColumnOrZero<V>(float* row, int q, int columns, nint c) where V : unmanaged =>
        (uint)q < (uint)columns ? Simd.Load<V>(row + (q * c)) : Simd.Broadcast<V>(0);

    /// <summary>
    /// Any stride, dilation and kernel: nine taps [tap, tap + 9) at a time, each with its own pointer into x. One vector of dy serves nine products.
    /// Taps past the last read zeros. Columns where some tap leaves the picture go one by one.
    /// </summary>
    private static void WeightGradientTaps<V>(in DepthwiseSums t, int image, int row, int end, int tap, int j, float* sums) where V : unmanaged
    {
        int n = Simd.Width<V>(), count = Math.Min(9, (t.G.R * t.G.S) - tap);
        int spread = (t.G.S - 1) * t.G.DilationW;
        int q0 = FirstInside(-t.G.PadLeft, t.G.StrideW, t.Q);
        int q1 = Math.Max(q0, EndInside(spread - t.G.PadLeft, t.G.StrideW, t.G.W, t.Q));
        nint c = t.G.C;
        float** from = stackalloc float*[9]; // column of tap i for q = 0; only read where it lies inside
        sums += (nint)tap * n;
        for (int p = row; p < end; p++)
        {
            for (int i = 0; i < 9; i++)
            {
                int r = (tap + i) / t.G.S, s = (tap + i) % t.G.S;
                from[i] = (i < count ? t.XRow(image, p, r, j) : t.ZeroRow + j) + (((s * t.G.DilationW) - t.G.PadLeft) * c);
            }
            float* dy = t.DyRow(image, p, j);
            if (q1 > q0) NineTaps<V>(from, q0 * t.G.StrideW * c, t.G.StrideW * c, dy + (q0 * c), c, q1 - q0, count, sums);
            for (int q = 0; q < t.Q; q++)
            {
                if (q == q0) q = q1;
                if (q >= t.Q) break;
                V d = Simd.Load<V>(dy + (q * c));
                for (int i = 0; i < count; i++)
                {
                    int column = (q * t.G.StrideW) + ((tap + i) % t.G.S * t.G.DilationW) - t.G.PadLeft;
                    if ((uint)column >= (uint)t.G.W) continue;
                    V x = Simd.Load<V>(from[i] + (q * t.G.StrideW * c));
                    Simd.Store(sums + (i * n), Simd.Fma(x, d, Simd.Load<V>(sums + (i * n))));
                }
            }
        }
    }

    private static void NineTaps<V>(float** from, nint at, nint step, float* dy, nint dyStep, int columns, int count, float* sums) where V : unmanaged
    {
        int n = Simd.Width<V>();
        float* p0 = from[0], p1 = from[1], p2 = from[2], p3 = from[3], p4 = from[4], p5 = from[5], p6 = from[6], p7 = from[7], p8 = from[8];
        V a0 = Simd.Broadcast<V>(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0, a8 = a0;
        for (; columns > 0; columns--, at += step, dy += dyStep)
        {
            Simd.Prefetch(dy + n);
            Simd.Prefetch(p4 + at + n);
            Simd.Prefetch(p5 + at + n);
            Simd.Prefetch(p7 + at + n);
            Simd.Prefetch(p8 + at + n);
            V d = Simd.Load<V>(dy);
            a0 = Simd.Fma(d, Simd.Load<V>(p0 + at), a0);
            a1 = Simd.Fma(d, Simd.Load<V>(p1 + at), a1);
            a2 = Simd.Fma(d, Simd.Load<V>(p2 + at), a2);
            a3 = Simd.Fma(d, Simd.Load<V>(p3 + at), a3);
            a4 = Simd.Fma(d, Simd.Load<V>(p4 + at), a4);
            a5 = Simd.Fma(d, Simd.Load<V>(p5 + at), a5);
            a6 = Simd.Fma(d, Simd.Load<V>(p6 + at), a6);
            a7 = Simd.Fma(d, Simd.Load<V>(p7 + at), a7);
            a8 = Simd.Fma(d, Simd.Load<V>(p8 + at), a8);
        }
        // The last chunk of taps may have fewer; sums past the last tap are dropped.
        AddTo(sums, a0);
        if (count > 1) AddTo(sums + n, a1);
        if (count > 2) AddTo(sums + (2 * n), a2);
        if (count > 3) AddTo(sums + (3 * n), a3);
        if (count > 4) AddTo(sums + (4 * n), a4);
        if (count > 5) AddTo(sums + (5 * n), a5);
        if (count > 6) AddTo(sums + (6 * n), a6);
        if (count > 7) AddTo(sums + (7 * n), a7);
        if (count > 8) AddTo(sums + (8 * n), a8);
    }
}
