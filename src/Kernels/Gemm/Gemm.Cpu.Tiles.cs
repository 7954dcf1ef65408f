using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// The two innermost loops under every matrix product and dense convolution. Each computes a small tile of the result, up to 6 rows by 2 or 4
/// vectors, that stays in registers during the whole sum.
/// </summary>
/// <remarks>
/// Why 6 × 2: a fused multiply-add takes about 4 cycles and two can start in each, so at least 8 independent sums must be under way;
/// 12 sums, 2 vectors of B and one broadcast value are 15 registers, which fit the 16 of AVX2. Per step a tile loads 2 vectors and 6 single
/// values for 12 multiply-adds, so the loads never hold up the arithmetic. AVX-512 has 32 registers: 6 × 4 takes 29 of them, does twice the work
/// between two visits to the result, and loads 10 for 24. Rows and vectors are type parameters: the just-in-time compiler
/// knows them as constants and leaves out the branches below, so that every size gets straight-line code of its own.
/// </remarks>
internal static unsafe partial class Tiles
{
    /// <summary>Most rows of a tile.</summary>
    public const int MaxRows = 6;

    /// <summary>Vectors of a tile's row at most: as many as there are registers for, see above.</summary>
    public static int MaxVectors<V>() where V : unmanaged => Simd.Width<V>() == 16 ? 4 : 2;

    /// <summary>Floats in a tile at most: 6 rows of 4 vectors of 16.</summary>
    public const int MaxFloats = MaxRows * 4 * 16;

    /// <summary>
    /// Rows of the next tile when <paramref name="left"/> rows are still to be done: 6 while there are many, and the last 7 to 11 shared between
    /// two tiles (8 = 4 + 4 and not 6 + 2), since a tile of few rows has too few sums under way to keep the multipliers busy.
    /// </summary>
    public static int NextRows(int left) => left >= 2 * MaxRows || left == MaxRows ? MaxRows : left > MaxRows ? (left + 1) / 2 : left;

    /// <summary>c[row][0 … columns) (+)= Σ over segments, i: a[row][i] · b[i][0 … columns), for 1 to 6 rows and 1 to 4 vectors.</summary>
    /// <param name="a">Pointers to the rows of A: a[tap·aStride + row].</param>
    /// <param name="aStride">Rows in the table of a tap.</param>
    /// <param name="segments">The pieces the sum is made of.</param>
    /// <param name="segmentCount">How many.</param>
    /// <param name="aOffset">Added to every row pointer: the first channel of the group.</param>
    /// <param name="lanes">Where the vectors of a row belong to different groups: how far apart these read A.</param>
    /// <param name="b">Packed panel [Σ segment lengths][vectors · W].</param>
    /// <param name="c">Pointers to the rows of the result.</param>
    /// <param name="cOffset">First column of the tile.</param>
    /// <param name="start">[vectors · W] what every row's sum starts from; null: from what c holds.</param>
    /// <param name="rows">Rows of the tile, 1 to 6.</param>
    /// <param name="columns">Valid columns: the last panel of a matrix may be narrower than its vectors.</param>
    /// <param name="stream">Write around the caches; c must be aligned to vectors.</param>
    /// <param name="activation">Applied to the finished sums: Identity, ReLU or ReLU6.</param>
    public static void Gather<V>(
        float** a, int aStride, Segment* segments, int segmentCount, nint aOffset, GroupOffsets lanes, float* b,
        float** c, nint cOffset, float* start, int rows, int columns, bool stream, ActivationKind activation = ActivationKind.Identity)
        where V : unmanaged
    {
        switch (activation)
        {
            case ActivationKind.ReLU:
                Gather<V, CpuKernels.ReLUFunction>(a, aStride, segments, segmentCount, aOffset, lanes, b, c, cOffset, start, rows, columns, stream);
                break;
            case ActivationKind.ReLU6:
                Gather<V, CpuKernels.ReLU6Function>(a, aStride, segments, segmentCount, aOffset, lanes, b, c, cOffset, start, rows, columns, stream);
                break;
            default:
                Gather<V, CpuKernels.IdentityFunction>(a, aStride, segments, segmentCount, aOffset, lanes, b, c, cOffset, start, rows, columns, stream);
                break;
        }
    }

    private static void Gather<V, F>(
        float** a, int aStride, Segment* segments, int segmentCount, nint aOffset, GroupOffsets lanes, float* b,
        float** c, nint cOffset, float* start, int rows, int columns, bool stream)
        where V : unmanaged
        where F : struct, IElementFunction
    {
        int vectors = (columns + Simd.Width<V>() - 1) / Simd.Width<V>();
        if (columns == vectors * Simd.Width<V>())
        {
            if (stream) GatherFull<V, Activated<Streamed, F>>(a, aStride, segments, segmentCount, aOffset, lanes, b, c, cOffset, start, rows, vectors);
            else GatherFull<V, Activated<Overwrite, F>>(a, aStride, segments, segmentCount, aOffset, lanes, b, c, cOffset, start, rows, vectors);
            return;
        }
        // The tail: whole vectors would write beyond the row. Compute in a tile on the stack and move only the valid columns.
        float* tile = stackalloc float[MaxFloats];
        float** tileRows = stackalloc float*[MaxRows];
        int width = vectors * Simd.Width<V>();
        for (int r = 0; r < rows; r++)
        {
            tileRows[r] = tile + (r * width);
            if (start == null) Copy(c[r] + cOffset, tileRows[r], columns);
        }
        GatherFull<V, Activated<Overwrite, F>>(a, aStride, segments, segmentCount, aOffset, lanes, b, tileRows, 0, start, rows, vectors);
        for (int r = 0; r < rows; r++) Copy(tileRows[r], c[r] + cOffset, columns);
    }

    /// <summary>c[row][0 … columns) (+)= Σ_p a[p][row] · b[p][0 … columns): a sum of outer products, one for every pixel p.</summary>
    /// <param name="a">[pixels] pointers.</param>
    /// <param name="aOffset">Added to every pointer: the tile's first channel.</param>
    /// <param name="lanes">Where the vectors of a row belong to different groups: how far apart these read A.</param>
    /// <param name="pixels">Length of the sum.</param>
    /// <param name="b">Packed panel [pixels][vectors · W].</param>
    /// <param name="c">The tile's first element in the result.</param>
    /// <param name="cStride">Floats from one row of the result to the next.</param>
    /// <param name="load">Start from what c holds; else from zero.</param>
    /// <param name="ahead">Memory needed later: at each pixel p, the line at ahead + p·aheadStep is asked for.</param>
    /// <param name="aheadStep">Floats; 0 to ask for nothing.</param>
    /// <param name="rows">Rows of the tile, 1 to 6.</param>
    /// <param name="columns">Valid columns.</param>
    public static void Outer<V>(
        float** a, nint aOffset, GroupOffsets lanes, int pixels, float* b, float* c, nint cStride, bool load, float* ahead, nint aheadStep, int rows, int columns)
        where V : unmanaged
    {
        int vectors = (columns + Simd.Width<V>() - 1) / Simd.Width<V>();
        if (columns == vectors * Simd.Width<V>())
        {
            OuterFull<V>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep, rows, vectors);
            return;
        }
        float* tile = stackalloc float[MaxFloats];
        int width = vectors * Simd.Width<V>();
        for (int r = 0; load && r < rows; r++) Copy(c + (r * cStride), tile + (r * width), columns);
        OuterFull<V>(a, aOffset, lanes, pixels, b, tile, width, load, ahead, aheadStep, rows, vectors);
        for (int r = 0; r < rows; r++) Copy(tile + (r * width), c + (r * cStride), columns);
    }

    private static void Copy(float* from, float* to, int count)
    {
        int i = 0;
        for (; i <= count - 8; i += 8) Simd.Store(to + i, Simd.Load<Vector256<float>>(from + i));
        if (i <= count - 4)
        {
            Simd.Store(to + i, Simd.Load<Vector128<float>>(from + i));
            i += 4;
        }
        for (; i < count; i++) to[i] = from[i];
    }

    private static void GatherFull<V, TTarget>(
        float** a, int aStride, Segment* s, int n, nint aOffset, GroupOffsets lanes, float* b, float** c, nint cOffset, float* start, int rows, int vectors)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        if (lanes.AreZero) GatherFull<V, TTarget, OneGroup>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start, rows, vectors);
        else GatherFull<V, TTarget, SeveralGroups>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start, rows, vectors);
    }

    private static void GatherFull<V, TTarget, TGroups>(
        float** a, int aStride, Segment* s, int n, nint aOffset, GroupOffsets lanes, float* b, float** c, nint cOffset, float* start, int rows, int vectors)
        where V : unmanaged
        where TTarget : struct, ITarget
        where TGroups : struct, IGroups
    {
        switch ((rows * 4) + vectors - 1)
        {
            case 4: GatherTile<V, TTarget, TGroups, One, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 5: GatherTile<V, TTarget, TGroups, One, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 6: GatherTile<V, TTarget, TGroups, One, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 7: GatherTile<V, TTarget, TGroups, One, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 8: GatherTile<V, TTarget, TGroups, Two, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 9: GatherTile<V, TTarget, TGroups, Two, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 10: GatherTile<V, TTarget, TGroups, Two, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 11: GatherTile<V, TTarget, TGroups, Two, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 12: GatherTile<V, TTarget, TGroups, Three, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 13: GatherTile<V, TTarget, TGroups, Three, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 14: GatherTile<V, TTarget, TGroups, Three, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 15: GatherTile<V, TTarget, TGroups, Three, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 16: GatherTile<V, TTarget, TGroups, Four, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 17: GatherTile<V, TTarget, TGroups, Four, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 18: GatherTile<V, TTarget, TGroups, Four, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 19: GatherTile<V, TTarget, TGroups, Four, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 20: GatherTile<V, TTarget, TGroups, Five, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 21: GatherTile<V, TTarget, TGroups, Five, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 22: GatherTile<V, TTarget, TGroups, Five, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 23: GatherTile<V, TTarget, TGroups, Five, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 24: GatherTile<V, TTarget, TGroups, Six, One>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 25: GatherTile<V, TTarget, TGroups, Six, Two>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            case 26: GatherTile<V, TTarget, TGroups, Six, Three>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
            default: GatherTile<V, TTarget, TGroups, Six, Four>(a, aStride, s, n, aOffset, lanes, b, c, cOffset, start); break;
        }
    }

    // AggressiveOptimization: good code at the first call, instead of the unoptimised first tier, which would call every helper.
    // Keep these methods free of branches at run time around the vectors: one more way out of the method, and the compiler
    // no longer holds the sums in registers (measured: four times slower). What varies is a type parameter.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GatherTile<V, TTarget, TGroups, TRows, TVectors>(
        float** a, int aStride, Segment* segments, int segmentCount, nint aOffset, GroupOffsets lanes, float* b, float** c, nint cOffset, float* start)
        where V : unmanaged
        where TTarget : struct, ITarget
        where TGroups : struct, IGroups
        where TRows : unmanaged
        where TVectors : unmanaged
    {
        int w = Simd.Width<V>();
        V c00 = default, c10 = default, c20 = default, c30 = default, c40 = default, c50 = default;
        V c01 = default, c11 = default, c21 = default, c31 = default, c41 = default, c51 = default;
        V c02 = default, c12 = default, c22 = default, c32 = default, c42 = default, c52 = default;
        V c03 = default, c13 = default, c23 = default, c33 = default, c43 = default, c53 = default;
        if (start != null)
        {
            c00 = c10 = c20 = c30 = c40 = c50 = Simd.Load<V>(start);
            if (sizeof(TVectors) > 1) c01 = c11 = c21 = c31 = c41 = c51 = Simd.Load<V>(start + w);
            if (sizeof(TVectors) > 2) c02 = c12 = c22 = c32 = c42 = c52 = Simd.Load<V>(start + (2 * w));
            if (sizeof(TVectors) > 3) c03 = c13 = c23 = c33 = c43 = c53 = Simd.Load<V>(start + (3 * w));
        }
        else
        {
            c00 = Simd.Load<V>(c[0] + cOffset); if (sizeof(TVectors) > 1) c01 = Simd.Load<V>(c[0] + cOffset + w); if (sizeof(TVectors) > 2) c02 = Simd.Load<V>(c[0] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c03 = Simd.Load<V>(c[0] + cOffset + (3 * w));
            if (sizeof(TRows) > 1) { c10 = Simd.Load<V>(c[1] + cOffset); if (sizeof(TVectors) > 1) c11 = Simd.Load<V>(c[1] + cOffset + w); if (sizeof(TVectors) > 2) c12 = Simd.Load<V>(c[1] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c13 = Simd.Load<V>(c[1] + cOffset + (3 * w)); }
            if (sizeof(TRows) > 2) { c20 = Simd.Load<V>(c[2] + cOffset); if (sizeof(TVectors) > 1) c21 = Simd.Load<V>(c[2] + cOffset + w); if (sizeof(TVectors) > 2) c22 = Simd.Load<V>(c[2] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c23 = Simd.Load<V>(c[2] + cOffset + (3 * w)); }
            if (sizeof(TRows) > 3) { c30 = Simd.Load<V>(c[3] + cOffset); if (sizeof(TVectors) > 1) c31 = Simd.Load<V>(c[3] + cOffset + w); if (sizeof(TVectors) > 2) c32 = Simd.Load<V>(c[3] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c33 = Simd.Load<V>(c[3] + cOffset + (3 * w)); }
            if (sizeof(TRows) > 4) { c40 = Simd.Load<V>(c[4] + cOffset); if (sizeof(TVectors) > 1) c41 = Simd.Load<V>(c[4] + cOffset + w); if (sizeof(TVectors) > 2) c42 = Simd.Load<V>(c[4] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c43 = Simd.Load<V>(c[4] + cOffset + (3 * w)); }
            if (sizeof(TRows) > 5) { c50 = Simd.Load<V>(c[5] + cOffset); if (sizeof(TVectors) > 1) c51 = Simd.Load<V>(c[5] + cOffset + w); if (sizeof(TVectors) > 2) c52 = Simd.Load<V>(c[5] + cOffset + (2 * w)); if (sizeof(TVectors) > 3) c53 = Simd.Load<V>(c[5] + cOffset + (3 * w)); }
        }
        for (int s = 0; s < segmentCount; s++)
        {
            float** row = a + ((nint)segments[s].Tap * aStride);
            nint first = aOffset + segments[s].First;
            nint length = segments[s].Length;
            float* a0 = row[0] + first;
            float* a1 = sizeof(TRows) > 1 ? row[1] + first : a0;
            float* a2 = sizeof(TRows) > 2 ? row[2] + first : a0;
            float* a3 = sizeof(TRows) > 3 ? row[3] + first : a0;
            float* a4 = sizeof(TRows) > 4 ? row[4] + first : a0;
            float* a5 = sizeof(TRows) > 5 ? row[5] + first : a0;
            for (nint i = 0; i < length; i++)
            {
                nint i1 = i + lanes.One, i2 = i + lanes.Two, i3 = i + lanes.Three; // unused where all vectors share the value
                V b0 = Simd.Load<V>(b), b1 = default, b2 = default, b3 = default;
                if (sizeof(TVectors) > 1) b1 = Simd.Load<V>(b + w);
                if (sizeof(TVectors) > 2) b2 = Simd.Load<V>(b + (2 * w));
                if (sizeof(TVectors) > 3) b3 = Simd.Load<V>(b + (3 * w));
                V v = Simd.Broadcast<V>(a0[i]); c00 = Simd.Fma(v, b0, c00); if (sizeof(TVectors) > 1) c01 = Simd.Fma(Other<V, TGroups>(v, a0 + i1), b1, c01); if (sizeof(TVectors) > 2) c02 = Simd.Fma(Other<V, TGroups>(v, a0 + i2), b2, c02); if (sizeof(TVectors) > 3) c03 = Simd.Fma(Other<V, TGroups>(v, a0 + i3), b3, c03);
                if (sizeof(TRows) > 1) { v = Simd.Broadcast<V>(a1[i]); c10 = Simd.Fma(v, b0, c10); if (sizeof(TVectors) > 1) c11 = Simd.Fma(Other<V, TGroups>(v, a1 + i1), b1, c11); if (sizeof(TVectors) > 2) c12 = Simd.Fma(Other<V, TGroups>(v, a1 + i2), b2, c12); if (sizeof(TVectors) > 3) c13 = Simd.Fma(Other<V, TGroups>(v, a1 + i3), b3, c13); }
                if (sizeof(TRows) > 2) { v = Simd.Broadcast<V>(a2[i]); c20 = Simd.Fma(v, b0, c20); if (sizeof(TVectors) > 1) c21 = Simd.Fma(Other<V, TGroups>(v, a2 + i1), b1, c21); if (sizeof(TVectors) > 2) c22 = Simd.Fma(Other<V, TGroups>(v, a2 + i2), b2, c22); if (sizeof(TVectors) > 3) c23 = Simd.Fma(Other<V, TGroups>(v, a2 + i3), b3, c23); }
                if (sizeof(TRows) > 3) { v = Simd.Broadcast<V>(a3[i]); c30 = Simd.Fma(v, b0, c30); if (sizeof(TVectors) > 1) c31 = Simd.Fma(Other<V, TGroups>(v, a3 + i1), b1, c31); if (sizeof(TVectors) > 2) c32 = Simd.Fma(Other<V, TGroups>(v, a3 + i2), b2, c32); if (sizeof(TVectors) > 3) c33 = Simd.Fma(Other<V, TGroups>(v, a3 + i3), b3, c33); }
                if (sizeof(TRows) > 4) { v = Simd.Broadcast<V>(a4[i]); c40 = Simd.Fma(v, b0, c40); if (sizeof(TVectors) > 1) c41 = Simd.Fma(Other<V, TGroups>(v, a4 + i1), b1, c41); if (sizeof(TVectors) > 2) c42 = Simd.Fma(Other<V, TGroups>(v, a4 + i2), b2, c42); if (sizeof(TVectors) > 3) c43 = Simd.Fma(Other<V, TGroups>(v, a4 + i3), b3, c43); }
                if (sizeof(TRows) > 5) { v = Simd.Broadcast<V>(a5[i]); c50 = Simd.Fma(v, b0, c50); if (sizeof(TVectors) > 1) c51 = Simd.Fma(Other<V, TGroups>(v, a5 + i1), b1, c51); if (sizeof(TVectors) > 2) c52 = Simd.Fma(Other<V, TGroups>(v, a5 + i2), b2, c52); if (sizeof(TVectors) > 3) c53 = Simd.Fma(Other<V, TGroups>(v, a5 + i3), b3, c53); }
                b += sizeof(TVectors) * w;
            }
        }
        TTarget.Put(c[0] + cOffset, c00); if (sizeof(TVectors) > 1) TTarget.Put(c[0] + cOffset + w, c01); if (sizeof(TVectors) > 2) TTarget.Put(c[0] + cOffset + (2 * w), c02); if (sizeof(TVectors) > 3) TTarget.Put(c[0] + cOffset + (3 * w), c03);
        if (sizeof(TRows) > 1) { TTarget.Put(c[1] + cOffset, c10); if (sizeof(TVectors) > 1) TTarget.Put(c[1] + cOffset + w, c11); if (sizeof(TVectors) > 2) TTarget.Put(c[1] + cOffset + (2 * w), c12); if (sizeof(TVectors) > 3) TTarget.Put(c[1] + cOffset + (3 * w), c13); }
        if (sizeof(TRows) > 2) { TTarget.Put(c[2] + cOffset, c20); if (sizeof(TVectors) > 1) TTarget.Put(c[2] + cOffset + w, c21); if (sizeof(TVectors) > 2) TTarget.Put(c[2] + cOffset + (2 * w), c22); if (sizeof(TVectors) > 3) TTarget.Put(c[2] + cOffset + (3 * w), c23); }
        if (sizeof(TRows) > 3) { TTarget.Put(c[3] + cOffset, c30); if (sizeof(TVectors) > 1) TTarget.Put(c[3] + cOffset + w, c31); if (sizeof(TVectors) > 2) TTarget.Put(c[3] + cOffset + (2 * w), c32); if (sizeof(TVectors) > 3) TTarget.Put(c[3] + cOffset + (3 * w), c33); }
        if (sizeof(TRows) > 4) { TTarget.Put(c[4] + cOffset, c40); if (sizeof(TVectors) > 1) TTarget.Put(c[4] + cOffset + w, c41); if (sizeof(TVectors) > 2) TTarget.Put(c[4] + cOffset + (2 * w), c42); if (sizeof(TVectors) > 3) TTarget.Put(c[4] + cOffset + (3 * w), c43); }
        if (sizeof(TRows) > 5) { TTarget.Put(c[5] + cOffset, c50); if (sizeof(TVectors) > 1) TTarget.Put(c[5] + cOffset + w, c51); if (sizeof(TVectors) > 2) TTarget.Put(c[5] + cOffset + (2 * w), c52); if (sizeof(TVectors) > 3) TTarget.Put(c[5] + cOffset + (3 * w), c53); }
    }

    private static void OuterFull<V>(
        float** a, nint aOffset, GroupOffsets lanes, int pixels, float* b, float* c, nint cStride, bool load, float* ahead, nint aheadStep, int rows, int vectors)
        where V : unmanaged
    {
        if (lanes.AreZero) OuterFull<V, OneGroup>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep, rows, vectors);
        else OuterFull<V, SeveralGroups>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep, rows, vectors);
    }

    private static void OuterFull<V, TGroups>(
        float** a, nint aOffset, GroupOffsets lanes, int pixels, float* b, float* c, nint cStride, bool load, float* ahead, nint aheadStep, int rows, int vectors)
        where V : unmanaged
        where TGroups : struct, IGroups
    {
        switch ((rows * 4) + vectors - 1)
        {
            case 4: OuterTile<V, TGroups, One, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 5: OuterTile<V, TGroups, One, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 6: OuterTile<V, TGroups, One, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 7: OuterTile<V, TGroups, One, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 8: OuterTile<V, TGroups, Two, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 9: OuterTile<V, TGroups, Two, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 10: OuterTile<V, TGroups, Two, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 11: OuterTile<V, TGroups, Two, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 12: OuterTile<V, TGroups, Three, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 13: OuterTile<V, TGroups, Three, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 14: OuterTile<V, TGroups, Three, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 15: OuterTile<V, TGroups, Three, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 16: OuterTile<V, TGroups, Four, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 17: OuterTile<V, TGroups, Four, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 18: OuterTile<V, TGroups, Four, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 19: OuterTile<V, TGroups, Four, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 20: OuterTile<V, TGroups, Five, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 21: OuterTile<V, TGroups, Five, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 22: OuterTile<V, TGroups, Five, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 23: OuterTile<V, TGroups, Five, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 24: OuterTile<V, TGroups, Six, One>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 25: OuterTile<V, TGroups, Six, Two>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            case 26: OuterTile<V, TGroups, Six, Three>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
            default: OuterTile<V, TGroups, Six, Four>(a, aOffset, lanes, pixels, b, c, cStride, load, ahead, aheadStep); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OuterTile<V, TGroups, TRows, TVectors>(
        float** a, nint aOffset, GroupOffsets lanes, int pixels, float* b, float* c, nint cStride, bool load, float* ahead, nint aheadStep)
        where V : unmanaged
        where TGroups : struct, IGroups
        where TRows : unmanaged
        where TVectors : unmanaged
    {
        int w = Simd.Width<V>();
        V c00 = default, c10 = default, c20 = default, c30 = default, c40 = default, c50 = default;
        V c01 = default, c11 = default, c21 = default, c31 = default, c41 = default, c51 = default;
        V c02 = default, c12 = default, c22 = default, c32 = default, c42 = default, c52 = default;
        V c03 = default, c13 = default, c23 = default, c33 = default, c43 = default, c53 = default;
        float* row1 = c + cStride, row2 = row1 + cStride, row3 = row2 + cStride, row4 = row3 + cStride, row5 = row4 + cStride;
        if (load)
        {
            c00 = Simd.Load<V>(c); if (sizeof(TVectors) > 1) c01 = Simd.Load<V>(c + w); if (sizeof(TVectors) > 2) c02 = Simd.Load<V>(c + (2 * w)); if (sizeof(TVectors) > 3) c03 = Simd.Load<V>(c + (3 * w));
            if (sizeof(TRows) > 1) { c10 = Simd.Load<V>(row1); if (sizeof(TVectors) > 1) c11 = Simd.Load<V>(row1 + w); if (sizeof(TVectors) > 2) c12 = Simd.Load<V>(row1 + (2 * w)); if (sizeof(TVectors) > 3) c13 = Simd.Load<V>(row1 + (3 * w)); }
            if (sizeof(TRows) > 2) { c20 = Simd.Load<V>(row2); if (sizeof(TVectors) > 1) c21 = Simd.Load<V>(row2 + w); if (sizeof(TVectors) > 2) c22 = Simd.Load<V>(row2 + (2 * w)); if (sizeof(TVectors) > 3) c23 = Simd.Load<V>(row2 + (3 * w)); }
            if (sizeof(TRows) > 3) { c30 = Simd.Load<V>(row3); if (sizeof(TVectors) > 1) c31 = Simd.Load<V>(row3 + w); if (sizeof(TVectors) > 2) c32 = Simd.Load<V>(row3 + (2 * w)); if (sizeof(TVectors) > 3) c33 = Simd.Load<V>(row3 + (3 * w)); }
            if (sizeof(TRows) > 4) { c40 = Simd.Load<V>(row4); if (sizeof(TVectors) > 1) c41 = Simd.Load<V>(row4 + w); if (sizeof(TVectors) > 2) c42 = Simd.Load<V>(row4 + (2 * w)); if (sizeof(TVectors) > 3) c43 = Simd.Load<V>(row4 + (3 * w)); }
            if (sizeof(TRows) > 5) { c50 = Simd.Load<V>(row5); if (sizeof(TVectors) > 1) c51 = Simd.Load<V>(row5 + w); if (sizeof(TVectors) > 2) c52 = Simd.Load<V>(row5 + (2 * w)); if (sizeof(TVectors) > 3) c53 = Simd.Load<V>(row5 + (3 * w)); }
        }
        for (nint p = 0; p < pixels; p++)
        {
            Simd.Prefetch(ahead + (p * aheadStep));
            float* x = a[p] + aOffset, x1 = x + lanes.One, x2 = x + lanes.Two, x3 = x + lanes.Three;
            V b0 = Simd.Load<V>(b), b1 = default, b2 = default, b3 = default;
            if (sizeof(TVectors) > 1) b1 = Simd.Load<V>(b + w);
            if (sizeof(TVectors) > 2) b2 = Simd.Load<V>(b + (2 * w));
            if (sizeof(TVectors) > 3) b3 = Simd.Load<V>(b + (3 * w));
            V v = Simd.Broadcast<V>(x[0]); c00 = Simd.Fma(v, b0, c00); if (sizeof(TVectors) > 1) c01 = Simd.Fma(Other<V, TGroups>(v, x1 + 0), b1, c01); if (sizeof(TVectors) > 2) c02 = Simd.Fma(Other<V, TGroups>(v, x2 + 0), b2, c02); if (sizeof(TVectors) > 3) c03 = Simd.Fma(Other<V, TGroups>(v, x3 + 0), b3, c03);
            if (sizeof(TRows) > 1) { v = Simd.Broadcast<V>(x[1]); c10 = Simd.Fma(v, b0, c10); if (sizeof(TVectors) > 1) c11 = Simd.Fma(Other<V, TGroups>(v, x1 + 1), b1, c11); if (sizeof(TVectors) > 2) c12 = Simd.Fma(Other<V, TGroups>(v, x2 + 1), b2, c12); if (sizeof(TVectors) > 3) c13 = Simd.Fma(Other<V, TGroups>(v, x3 + 1), b3, c13); }
            if (sizeof(TRows) > 2) { v = Simd.Broadcast<V>(x[2]); c20 = Simd.Fma(v, b0, c20); if (sizeof(TVectors) > 1) c21 = Simd.Fma(Other<V, TGroups>(v, x1 + 2), b1, c21); if (sizeof(TVectors) > 2) c22 = Simd.Fma(Other<V, TGroups>(v, x2 + 2), b2, c22); if (sizeof(TVectors) > 3) c23 = Simd.Fma(Other<V, TGroups>(v, x3 + 2), b3, c23); }
            if (sizeof(TRows) > 3) { v = Simd.Broadcast<V>(x[3]); c30 = Simd.Fma(v, b0, c30); if (sizeof(TVectors) > 1) c31 = Simd.Fma(Other<V, TGroups>(v, x1 + 3), b1, c31); if (sizeof(TVectors) > 2) c32 = Simd.Fma(Other<V, TGroups>(v, x2 + 3), b2, c32); if (sizeof(TVectors) > 3) c33 = Simd.Fma(Other<V, TGroups>(v, x3 + 3), b3, c33); }
            if (sizeof(TRows) > 4) { v = Simd.Broadcast<V>(x[4]); c40 = Simd.Fma(v, b0, c40); if (sizeof(TVectors) > 1) c41 = Simd.Fma(Other<V, TGroups>(v, x1 + 4), b1, c41); if (sizeof(TVectors) > 2) c42 = Simd.Fma(Other<V, TGroups>(v, x2 + 4), b2, c42); if (sizeof(TVectors) > 3) c43 = Simd.Fma(Other<V, TGroups>(v, x3 + 4), b3, c43); }
            if (sizeof(TRows) > 5) { v = Simd.Broadcast<V>(x[5]); c50 = Simd.Fma(v, b0, c50); if (sizeof(TVectors) > 1) c51 = Simd.Fma(Other<V, TGroups>(v, x1 + 5), b1, c51); if (sizeof(TVectors) > 2) c52 = Simd.Fma(Other<V, TGroups>(v, x2 + 5), b2, c52); if (sizeof(TVectors) > 3) c53 = Simd.Fma(Other<V, TGroups>(v, x3 + 5), b3, c53); }
            b += sizeof(TVectors) * w;
        }
        Simd.Store(c, c00); if (sizeof(TVectors) > 1) Simd.Store(c + w, c01); if (sizeof(TVectors) > 2) Simd.Store(c + (2 * w), c02); if (sizeof(TVectors) > 3) Simd.Store(c + (3 * w), c03);
        if (sizeof(TRows) > 1) { Simd.Store(row1, c10); if (sizeof(TVectors) > 1) Simd.Store(row1 + w, c11); if (sizeof(TVectors) > 2) Simd.Store(row1 + (2 * w), c12); if (sizeof(TVectors) > 3) Simd.Store(row1 + (3 * w), c13); }
        if (sizeof(TRows) > 2) { Simd.Store(row2, c20); if (sizeof(TVectors) > 1) Simd.Store(row2 + w, c21); if (sizeof(TVectors) > 2) Simd.Store(row2 + (2 * w), c22); if (sizeof(TVectors) > 3) Simd.Store(row2 + (3 * w), c23); }
        if (sizeof(TRows) > 3) { Simd.Store(row3, c30); if (sizeof(TVectors) > 1) Simd.Store(row3 + w, c31); if (sizeof(TVectors) > 2) Simd.Store(row3 + (2 * w), c32); if (sizeof(TVectors) > 3) Simd.Store(row3 + (3 * w), c33); }
        if (sizeof(TRows) > 4) { Simd.Store(row4, c40); if (sizeof(TVectors) > 1) Simd.Store(row4 + w, c41); if (sizeof(TVectors) > 2) Simd.Store(row4 + (2 * w), c42); if (sizeof(TVectors) > 3) Simd.Store(row4 + (3 * w), c43); }
        if (sizeof(TRows) > 5) { Simd.Store(row5, c50); if (sizeof(TVectors) > 1) Simd.Store(row5 + w, c51); if (sizeof(TVectors) > 2) Simd.Store(row5 + (2 * w), c52); if (sizeof(TVectors) > 3) Simd.Store(row5 + (3 * w), c53); }
    }

    /// <summary>What the row's second, third or fourth vector is multiplied by: the value of the first, or another group's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Other<V, TGroups>(V value, float* other)
        where V : unmanaged
        where TGroups : struct, IGroups => TGroups.Several ? Simd.Broadcast<V>(*other) : value;

    /// <summary>Do the vectors of a tile's row belong to different groups? Then each has its own value of A, and a tile of narrow groups has as many sums under way as any.</summary>
    private interface IGroups
    {
        static abstract bool Several { get; }
    }

    private readonly struct OneGroup : IGroups { public static bool Several => false; }

    private readonly struct SeveralGroups : IGroups { public static bool Several => true; }

    // Rows and vectors of a tile: types of so many bytes. sizeof is known before the just-in-time compiler reads on, so it does not even look at the rows and vectors that a
    // tile does not have; a property of the type would be known only after all of them were looked at, which takes twice the time. There are some thirty of these tiles in a network.
    private readonly struct One;

    [StructLayout(LayoutKind.Sequential, Size = 2)]
    private readonly struct Two;

    [StructLayout(LayoutKind.Sequential, Size = 3)]
    private readonly struct Three;

    [StructLayout(LayoutKind.Sequential, Size = 4)]
    private readonly struct Four;

    [StructLayout(LayoutKind.Sequential, Size = 5)]
    private readonly struct Five;

    [StructLayout(LayoutKind.Sequential, Size = 6)]
    private readonly struct Six;
}

/// <summary>A piece of the sum of one result: elements [First, First + Length) of the rows of one tap.</summary>
internal readonly record struct Segment(int Tap, int First, int Length);

/// <summary>
/// Floats from what the first vector of a tile's row reads of A to what the others read: nothing when all columns are of one group.
/// </summary>
internal readonly record struct GroupOffsets(nint One, nint Two, nint Three)
{
    /// <summary>All read the same.</summary>
    public bool AreZero => (One | Two | Three) == 0;
}
