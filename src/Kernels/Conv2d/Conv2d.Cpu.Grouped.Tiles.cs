using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>The innermost loops of convolutions of many small groups, see <c>Conv2d.Cpu.Grouped.cs</c>. The lanes are channels.</summary>
internal static unsafe class GroupedTiles
{
    /// <summary>Most points of a tile: their sums, a vector of weights, and one more are the 16 registers of AVX2.</summary>
    private const int MaxPoints = 14;

    /// <summary>
    /// Points of the next tile when <paramref name="left"/> are still to be done in the row. At least 8 sums must be under way to keep two multipliers
    /// of 4 cycles busy, so 15 to 27 are shared between two tiles.
    /// </summary>
    public static int NextPoints(int left)
    {
        if (left > MaxPoints) return left >= 2 * MaxPoints ? MaxPoints : (left / 2 + 1) / 2 * 2;
        return left is 13 or 11 or 9 ? left - 1 : left == 5 ? 3 : left;
    }

    /// <summary>
    /// target[point] = start (or target[point]) + Σ over taps and i of taps[tap][i][column + point] · weights[tap][i]: lane by lane, nothing is shared
    /// between channels here.
    /// </summary>
    /// <param name="taps">For each tap the spread row it reads, at the row's first point.</param>
    /// <param name="tapCount">Taps.</param>
    /// <param name="depth">Source channels of a group.</param>
    /// <param name="plane">Floats from one i to the next in a spread row.</param>
    /// <param name="column">Floats from the row's first point to the tile's.</param>
    /// <param name="weights">[tap][i][lane]</param>
    /// <param name="start">[lane]; null: from what the target holds.</param>
    /// <param name="target">The first point's result.</param>
    /// <param name="step">Floats from one point's result to the next.</param>
    /// <param name="points">Points of the tile, as <see cref="NextPoints"/> says.</param>
    /// <param name="lanes">Channels of the block: fewer than lanes in the last one.</param>
    public static void Sum<V>(
        float** taps, int tapCount, int depth, nint plane, nint column, float* weights, float* start, float* target, nint step, int points, int lanes)
        where V : unmanaged
    {
        int w = Simd.Width<V>();
        if (lanes == w)
        {
            SumFull<V>(taps, tapCount, depth, plane, column, weights, start, target, step, points);
            return;
        }
        // The last block: whole vectors would write into the next pixel. Compute on the stack and move only the valid channels.
        float* tile = stackalloc float[MaxPoints * 16];
        for (int p = 0; start == null && p < points; p++) new Span<float>(target + (p * step), lanes).CopyTo(new Span<float>(tile + (p * w), lanes));
        SumFull<V>(taps, tapCount, depth, plane, column, weights, start, tile, w, points);
        for (int p = 0; p < points; p++) new Span<float>(tile + (p * w), lanes).CopyTo(new Span<float>(target + (p * step), lanes));
    }

    /// <summary>Pixels of one line, spread out: to[i][pixel][lane] = from[pixel][i + index[lane]].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void SpreadPixels<V>(float* from, nint fromStep, int pixels, float* index, int depth, float* to, nint plane) where V : unmanaged
    {
        V lanes = Simd.Load<V>(index);
        for (; pixels > 0; pixels--, from += fromStep, to += Simd.Width<V>())
        {
            float* t = to;
            for (nint i = 0; i < depth; i++, t += plane) Simd.Store(t, Simd.Permute(Simd.Load<V>(from + i), lanes));
        }
    }

    /// <summary>A pixel of padding.</summary>
    public static void Clear<V>(float* to, int depth, nint plane) where V : unmanaged
    {
        for (int i = 0; i < depth; i++, to += plane) Simd.Store(to, Simd.Broadcast<V>(0));
    }

    private static void SumFull<V>(
        float** taps, int tapCount, int depth, nint plane, nint column, float* weights, float* start, float* target, nint step, int points)
        where V : unmanaged
    {
        switch (points)
        {
            case 14: SumTile<V, Fourteen>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 12: SumTile<V, Twelve>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 10: SumTile<V, Ten>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 8: SumTile<V, Eight>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 7: SumTile<V, Seven>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 6: SumTile<V, Six>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 4: SumTile<V, Four>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 3: SumTile<V, Three>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            case 2: SumTile<V, Two>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
            default: SumTile<V, One>(taps, tapCount, depth, plane, column, weights, start, target, step); break;
        }
    }

    // The number of points is a type, and the sums are variables of their own: so they all stay in registers, see Gemm.Cpu.Tiles.cs.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SumTile<V, TPoints>(
        float** taps, int tapCount, int depth, nint plane, nint column, float* weights, float* start, float* target, nint step)
        where V : unmanaged
        where TPoints : struct, IPoints
    {
        int w = Simd.Width<V>();
        V c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13;
        if (start != null)
        {
            c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = c10 = c11 = c12 = c13 = Simd.Load<V>(start);
        }
        else
        {
            c1 = c2 = c3 = c4 = c5 = c6 = c7 = c8 = c9 = c10 = c11 = c12 = c13 = default;
            c0 = Simd.Load<V>(target);
            if (TPoints.Value > 1) c1 = Simd.Load<V>(target + step);
            if (TPoints.Value > 2) c2 = Simd.Load<V>(target + (2 * step));
            if (TPoints.Value > 3) c3 = Simd.Load<V>(target + (3 * step));
            if (TPoints.Value > 4) c4 = Simd.Load<V>(target + (4 * step));
            if (TPoints.Value > 5) c5 = Simd.Load<V>(target + (5 * step));
            if (TPoints.Value > 6) c6 = Simd.Load<V>(target + (6 * step));
            if (TPoints.Value > 7) c7 = Simd.Load<V>(target + (7 * step));
            if (TPoints.Value > 8) c8 = Simd.Load<V>(target + (8 * step));
            if (TPoints.Value > 9) c9 = Simd.Load<V>(target + (9 * step));
            if (TPoints.Value > 10) c10 = Simd.Load<V>(target + (10 * step));
            if (TPoints.Value > 11) c11 = Simd.Load<V>(target + (11 * step));
            if (TPoints.Value > 12) c12 = Simd.Load<V>(target + (12 * step));
            if (TPoints.Value > 13) c13 = Simd.Load<V>(target + (13 * step));
        }
        for (int t = 0; t < tapCount; t++)
        {
            float* x = taps[t] + column;
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
        Simd.Store(target, c0);
        if (TPoints.Value > 1) Simd.Store(target + step, c1);
        if (TPoints.Value > 2) Simd.Store(target + (2 * step), c2);
        if (TPoints.Value > 3) Simd.Store(target + (3 * step), c3);
        if (TPoints.Value > 4) Simd.Store(target + (4 * step), c4);
        if (TPoints.Value > 5) Simd.Store(target + (5 * step), c5);
        if (TPoints.Value > 6) Simd.Store(target + (6 * step), c6);
        if (TPoints.Value > 7) Simd.Store(target + (7 * step), c7);
        if (TPoints.Value > 8) Simd.Store(target + (8 * step), c8);
        if (TPoints.Value > 9) Simd.Store(target + (9 * step), c9);
        if (TPoints.Value > 10) Simd.Store(target + (10 * step), c10);
        if (TPoints.Value > 11) Simd.Store(target + (11 * step), c11);
        if (TPoints.Value > 12) Simd.Store(target + (12 * step), c12);
        if (TPoints.Value > 13) Simd.Store(target + (13 * step), c13);
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

    private readonly struct Ten : IPoints { public static int Value => 10; }

    private readonly struct Twelve : IPoints { public static int Value => 12; }

    private readonly struct Fourteen : IPoints { public static int Value => 14; }
}
