using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>The sum that all points of a tile share: they differ in the column they begin at.</summary>
internal readonly unsafe struct GroupedTile(float** taps, int tapCount, int depth, nint plane, nint column, float* weights, float* start)
{
    /// <summary>For each tap the spread row it reads, at the row's first point.</summary>
    public readonly float** Taps = taps;

    /// <summary>Taps, and source channels of a group.</summary>
    public readonly int TapCount = tapCount, Depth = depth;

    /// <summary>Floats from one i to the next in a spread row, and from the row's first point to the tile's.</summary>
    public readonly nint Plane = plane, Column = column;

    /// <summary>Weights [tap][i][lane], and what every sum starts from, [lane].</summary>
    public readonly float* Weights = weights, Start = start;
}

/// <summary>The innermost loops of convolutions of many small groups, see <c>Conv2d.Cpu.Grouped.cs</c>. The lanes are channels.</summary>
internal static unsafe class GroupedTiles
{
    /// <summary>Most points of a tile: their sums, a vector of weights, and one more are the 16 registers of AVX2.</summary>
    public const int MaxPoints = 14;

    /// <summary>
    /// Points of the next tile when <paramref name="left"/> are still to be done in the row. At least 8 sums must be under way to keep two multipliers
    /// of 4 cycles busy, so 15 to 27 are shared between two tiles.
    /// </summary>
    public static int NextPoints(int left)
    {
        if (left > MaxPoints) return left >= 2 * MaxPoints ? MaxPoints : ((left / 2) + 1) / 2 * 2;
        return left is 13 or 11 or 9 ? left - 1 : left == 5 ? 3 : left;
    }

    /// <summary>
    /// target[point] (+)= start + Σ over taps and i of taps[tap][i][column + point] · weights[tap][i]: lane by lane, nothing is shared between
    /// channels here.
    /// </summary>
    /// <param name="tile">The sum.</param>
    /// <param name="target">The first point's result.</param>
    /// <param name="step">Floats from one point's result to the next.</param>
    /// <param name="points">Points of the tile, as <see cref="NextPoints"/> says.</param>
    /// <param name="lanes">Channels of the block: fewer than lanes in the last one.</param>
    public static void Sum<V, TTarget>(in GroupedTile tile, float* target, nint step, int points, int lanes)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>();
        if (lanes == w)
        {
            SumFull<V, TTarget>(tile, target, step, points);
            return;
        }
        // The last block: whole vectors would write into the next pixel. Compute on the stack and move only the valid channels.
        float* result = stackalloc float[MaxPoints * 16];
        SumFull<V, Overwrite>(tile, result, w, points);
        for (int p = 0; p < points; p++)
        for (int n = 0; n < lanes; n++)
        {
            TTarget.Put(target + (p * step) + n, result[(p * w) + n]);
        }
    }

    /// <summary>Pixels of one line, spread out: to[pixel][lane] = from[pixel][index[lane]].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SpreadPixels<V>(float* from, nint step, int pixels, float* index, float* to) where V : unmanaged
    {
        V lanes = Simd.Load<V>(index);
        for (; pixels > 0; pixels--, from += step, to += Simd.Width<V>()) Simd.Store(to, Simd.Permute(Simd.Load<V>(from), lanes));
    }

    /// <summary>The same where what a pixel's lanes want lies in two vectors: both are permuted, and each lane takes the one it means.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SpreadPixelsWide<V>(float* from, nint step, int pixels, float* index, float* to) where V : unmanaged
    {
        int w = Simd.Width<V>();
        float* inVector = stackalloc float[16], second = stackalloc float[16];
        for (int n = 0; n < w; n++)
        {
            ((int*)inVector)[n] = ((int*)index)[n] % w;
            second[n] = ((int*)index)[n] / w;
        }
        V lanes = Simd.Load<V>(inVector), which = Simd.Load<V>(second), zero = Simd.Broadcast<V>(0);
        for (; pixels > 0; pixels--, from += step, to += w)
            Simd.Store(to, Simd.SelectGreater(which, zero, Simd.Permute(Simd.Load<V>(from + w), lanes), Simd.Permute(Simd.Load<V>(from), lanes)));
    }

    private static void SumFull<V, TTarget>(in GroupedTile tile, float* target, nint step, int points)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        switch (points)
        {
            case 14: SumTile<V, TTarget, Fourteen>(tile, target, step); break;
            case 12: SumTile<V, TTarget, Twelve>(tile, target, step); break;
            case 10: SumTile<V, TTarget, Ten>(tile, target, step); break;
            case 8: SumTile<V, TTarget, Eight>(tile, target, step); break;
            case 7: SumTile<V, TTarget, Seven>(tile, target, step); break;
            case 6: SumTile<V, TTarget, Six>(tile, target, step); break;
            case 4: SumTile<V, TTarget, Four>(tile, target, step); break;
            case 3: SumTile<V, TTarget, Three>(tile, target, step); break;
            case 2: SumTile<V, TTarget, Two>(tile, target, step); break;
            default: SumTile<V, TTarget, One>(tile, target, step); break;
        }
    }

    // The number of points is a type, and the sums are variables of their own: so they all stay in registers, see Gemm.Cpu.Tiles.cs.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SumTile<V, TTarget, TPoints>(in GroupedTile tile, float* target, nint step)
        where V : unmanaged
        where TTarget : struct, ITarget
        where TPoints : struct, IPoints
    {
        int w = Simd.Width<V>(), depth = tile.Depth;
        nint plane = tile.Plane;
        float* weights = tile.Weights;
        V c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13;
        c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = c10 = c11 = c12 = c13 = Simd.Load<V>(tile.Start);
        for (int t = 0; t < tile.TapCount; t++)
        {
            float* x = tile.Taps[t] + tile.Column;
            for (int i = 0; i < depth; i++)
            {
                V b = Simd.Load<V>(weights);
                c0 = Simd.Fma(Simd.Load<V>(x), b, c0);
                if (TPoints.Value > 1) c1 = Simd.Fma(Simd.Load<V>(x + w), b, c1);
                if (TPoints.Value > 2) c2 = Simd.Fma(Simd.Load<V>(x + (2 * w)), b, c2);
                if (TPoints.Value > 3) c3 = Simd.Fma(Simd.Load<V>(x + (3 * w)), b, c3);
                if (TPoints.Value > 4) c4 = Simd.Fma(Simd.Load<V>(x + (4 * w)), b, c4);
                if (TPoints.Value > 5) c5 = Simd.Fma(Simd.Load<V>(x + (5 * w)), b, c5);
                if (TPoints.Value > 6) c6 = Simd.Fma(Simd.Load<V>(x + (6 * w)), b, c6);
                if (TPoints.Value > 7) c7 = Simd.Fma(Simd.Load<V>(x + (7 * w)), b, c7);
                if (TPoints.Value > 8) c8 = Simd.Fma(Simd.Load<V>(x + (8 * w)), b, c8);
                if (TPoints.Value > 9) c9 = Simd.Fma(Simd.Load<V>(x + (9 * w)), b, c9);
                if (TPoints.Value > 10) c10 = Simd.Fma(Simd.Load<V>(x + (10 * w)), b, c10);
                if (TPoints.Value > 11) c11 = Simd.Fma(Simd.Load<V>(x + (11 * w)), b, c11);
                if (TPoints.Value > 12) c12 = Simd.Fma(Simd.Load<V>(x + (12 * w)), b, c12);
                if (TPoints.Value > 13) c13 = Simd.Fma(Simd.Load<V>(x + (13 * w)), b, c13);
                weights += w;
                x += plane;
            }
        }
        TTarget.Put(target, c0);
        if (TPoints.Value > 1) TTarget.Put(target + step, c1);
        if (TPoints.Value > 2) TTarget.Put(target + (2 * step), c2);
        if (TPoints.Value > 3) TTarget.Put(target + (3 * step), c3);
        if (TPoints.Value > 4) TTarget.Put(target + (4 * step), c4);
        if (TPoints.Value > 5) TTarget.Put(target + (5 * step), c5);
        if (TPoints.Value > 6) TTarget.Put(target + (6 * step), c6);
        if (TPoints.Value > 7) TTarget.Put(target + (7 * step), c7);
        if (TPoints.Value > 8) TTarget.Put(target + (8 * step), c8);
        if (TPoints.Value > 9) TTarget.Put(target + (9 * step), c9);
        if (TPoints.Value > 10) TTarget.Put(target + (10 * step), c10);
        if (TPoints.Value > 11) TTarget.Put(target + (11 * step), c11);
        if (TPoints.Value > 12) TTarget.Put(target + (12 * step), c12);
        if (TPoints.Value > 13) TTarget.Put(target + (13 * step), c13);
    }

    /// <summary>
    /// sums[stream] += Σ over points of x[stream][point] · dy[point], lane by lane, for all of <paramref name="streams"/>.
    /// </summary>
    /// <param name="x">Spread rows, each at the first point.</param>
    /// <param name="streams">How many.</param>
    /// <param name="dy">The first point's gradient.</param>
    /// <param name="step">Floats from one point's gradient to the next.</param>
    /// <param name="points">Points.</param>
    /// <param name="sums">[stream][lane]</param>
    public static void Correlate<V>(float** x, int streams, float* dy, nint step, int points, float* sums) where V : unmanaged
    {
        for (int done = 0, count; done < streams; done += count, x += count, sums += count * Simd.Width<V>())
        {
            // Nine at a time, a kernel of 3×3: at least 8 sums keep two multipliers busy, and more pointers would not stay in registers.
            int left = streams - done;
            count = left >= 9 ? 9 : left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            switch (count)
            {
                case 9: CorrelateTile<V, Nine>(x, dy, step, points, sums); break;
                case 6: CorrelateTile<V, Six>(x, dy, step, points, sums); break;
                case 4: CorrelateTile<V, Four>(x, dy, step, points, sums); break;
                case 2: CorrelateTile<V, Two>(x, dy, step, points, sums); break;
                default: CorrelateTile<V, One>(x, dy, step, points, sums); break;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CorrelateTile<V, TStreams>(float** x, float* dy, nint step, int points, float* sums)
        where V : unmanaged
        where TStreams : struct, IPoints
    {
        int w = Simd.Width<V>();
        float* x0 = x[0];
        float* x1 = TStreams.Value > 1 ? x[1] : x0;
        float* x2 = TStreams.Value > 2 ? x[2] : x0;
        float* x3 = TStreams.Value > 3 ? x[3] : x0;
        float* x4 = TStreams.Value > 4 ? x[4] : x0;
        float* x5 = TStreams.Value > 5 ? x[5] : x0;
        float* x6 = TStreams.Value > 6 ? x[6] : x0;
        float* x7 = TStreams.Value > 7 ? x[7] : x0;
        float* x8 = TStreams.Value > 8 ? x[8] : x0;
        V c0, c1, c2, c3, c4, c5, c6, c7, c8;
        c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = default;
        c0 = Simd.Load<V>(sums);
        if (TStreams.Value > 1) c1 = Simd.Load<V>(sums + w);
        if (TStreams.Value > 2) c2 = Simd.Load<V>(sums + (2 * w));
        if (TStreams.Value > 3) c3 = Simd.Load<V>(sums + (3 * w));
        if (TStreams.Value > 4) c4 = Simd.Load<V>(sums + (4 * w));
        if (TStreams.Value > 5) c5 = Simd.Load<V>(sums + (5 * w));
        if (TStreams.Value > 6) c6 = Simd.Load<V>(sums + (6 * w));
        if (TStreams.Value > 7) c7 = Simd.Load<V>(sums + (7 * w));
        if (TStreams.Value > 8) c8 = Simd.Load<V>(sums + (8 * w));
        nint end = (nint)points * w;
        for (nint i = 0; i < end; i += w, dy += step)
        {
            V d = Simd.Load<V>(dy);
            c0 = Simd.Fma(Simd.Load<V>(x0 + i), d, c0);
            if (TStreams.Value > 1) c1 = Simd.Fma(Simd.Load<V>(x1 + i), d, c1);
            if (TStreams.Value > 2) c2 = Simd.Fma(Simd.Load<V>(x2 + i), d, c2);
            if (TStreams.Value > 3) c3 = Simd.Fma(Simd.Load<V>(x3 + i), d, c3);
            if (TStreams.Value > 4) c4 = Simd.Fma(Simd.Load<V>(x4 + i), d, c4);
            if (TStreams.Value > 5) c5 = Simd.Fma(Simd.Load<V>(x5 + i), d, c5);
            if (TStreams.Value > 6) c6 = Simd.Fma(Simd.Load<V>(x6 + i), d, c6);
            if (TStreams.Value > 7) c7 = Simd.Fma(Simd.Load<V>(x7 + i), d, c7);
            if (TStreams.Value > 8) c8 = Simd.Fma(Simd.Load<V>(x8 + i), d, c8);
        }
        Simd.Store(sums, c0);
        if (TStreams.Value > 1) Simd.Store(sums + w, c1);
        if (TStreams.Value > 2) Simd.Store(sums + (2 * w), c2);
        if (TStreams.Value > 3) Simd.Store(sums + (3 * w), c3);
        if (TStreams.Value > 4) Simd.Store(sums + (4 * w), c4);
        if (TStreams.Value > 5) Simd.Store(sums + (5 * w), c5);
        if (TStreams.Value > 6) Simd.Store(sums + (6 * w), c6);
        if (TStreams.Value > 7) Simd.Store(sums + (7 * w), c7);
        if (TStreams.Value > 8) Simd.Store(sums + (8 * w), c8);
    }

    private interface IPoints
    {
        static abstract int Value { get; }
    }

    private readonly struct One : IPoints { public static int Value => 1; }

    private readonly struct Two : IPoints { public static int Value => 2; }

    private readonly struct Three : IPoints { public static int Value => 3; }

    private readonly struct Four : IPoints { public static int Value => 4; }

    private readonly struct Six : IPoints { public static int Value => 6; }

    private readonly struct Seven : IPoints { public static int Value => 7; }

    private readonly struct Eight : IPoints { public static int Value => 8; }

    private readonly struct Nine : IPoints { public static int Value => 9; }

    private readonly struct Ten : IPoints { public static int Value => 10; }

    private readonly struct Twelve : IPoints { public static int Value => 12; }

    private readonly struct Fourteen : IPoints { public static int Value => 14; }
}
