using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Fetches what a tile needs for the next step from memory into registers, and puts it from there into shared memory: between the two the tile computes, so
/// that nobody waits for memory. Everything that costs a division was computed before the loop.
/// </summary>
/// <remarks>
/// Factors that lie along the terms are loaded a quad of terms at a time and turned over on the way into shared memory; the others lie there as they are.
/// </remarks>
internal struct Loader<TTile, TForm>
    where TTile : struct, IProductTile
    where TForm : struct, IProductForm
{
    private GatherRow _row0, _row1, _row2, _row3;
    private GatherTerm _term;
    private TapChannel _tap0, _tap1, _tap2, _tap3;
    private GatherPixel _pixel;

    /// <summary>This thread's first term in A and in B, and the first that is not this split's.</summary>
    private int _termA, _termB, _end;

    /// <summary>Column of B where it lies along columns, and the element; the first row's element where it lies along terms.</summary>
    private int _column, _indexB;

    private static bool IsWide => default(TForm).IsWide;

    private static bool SumsPixels => default(TForm).SumsPixels;

    private static bool TransposesB => default(TForm).TransposesB;

    /// <summary>Terms, or rows, between two quads that a thread loads in the same step.</summary>
    private static int TermsApartA => Tile<TTile>.Depth / Tile<TTile>.LoadsA;

    private static int TermsApartB => Tile<TTile>.Depth / Tile<TTile>.LoadsB;

    private static int RowsApart => Tile<TTile>.Rows / Tile<TTile>.LoadsA;

    private static int ColumnsApart => Tile<TTile>.Columns / Tile<TTile>.LoadsB;

    public static Loader<TTile, TForm> At(ProductArguments a, int thread, int begin, int end, int firstRow, int firstColumn, int group)
    {
        Loader<TTile, TForm> l = new() { _end = end };
        if (SumsPixels)
        {
            l._termA = begin + (thread >> (default(TTile).LogRows - 2));
            l._pixel = GatherPixel.At(a, l._termA);
            int row = firstRow + (4 * (thread & ((Tile<TTile>.Rows / 4) - 1)));
            l._tap0 = TapChannel.At(a, row, group);
            if (!IsWide)
            {
                l._tap1 = TapChannel.At(a, row + 1, group);
                l._tap2 = TapChannel.At(a, row + 2, group);
                l._tap3 = TapChannel.At(a, row + 3, group);
            }
        }
        else
        {
            l._termA = begin + (4 * (thread & 1));
            l._term = GatherTerm.At(a, l._termA);
            int row = firstRow + (thread >> 1);
            l._row0 = GatherRow.At(a, row, group);
            if (Tile<TTile>.LoadsA > 1) l._row1 = GatherRow.At(a, row + RowsApart, group);
            if (Tile<TTile>.LoadsA > 2) l._row2 = GatherRow.At(a, row + (2 * RowsApart), group);
            if (Tile<TTile>.LoadsA > 2) l._row3 = GatherRow.At(a, row + (3 * RowsApart), group);
        }
        if (TransposesB)
        {
            l._column = firstColumn + (thread >> 1);
            l._indexB = (group * a.GroupB) + (l._column * a.PitchB);
        }
        else
        {
            l._termB = begin + (thread >> (default(TTile).LogColumns - 2));
            l._column = firstColumn + (4 * (thread & ((Tile<TTile>.Columns / 4) - 1)));
            l._indexB = (group * a.GroupB) + (l._termB * a.PitchB) + l._column;
        }
        return l;
    }

    /// <summary>Loads a step and moves on to the next.</summary>
    public void Load(ProductArguments a, ref Quads left, ref Quads right)
    {
        if (SumsPixels) LoadPixels(a, ref left);
        else if (IsWide) LoadRows(a, ref left);
        else if (!TransposesB) LoadRowsNarrow(a, ref left);
        if (!TransposesB) LoadColumns(a, ref right);
        else if (IsWide) LoadTransposed(a, ref right);
        else LoadBothNarrow(a, ref left, ref right);
        if (!SumsPixels)
        {
            _termA += Tile<TTile>.Depth;
            _term.Move(a, IsWide ? Tile<TTile>.Depth : Tile<TTile>.Depth - 4);
        }
    }

    public readonly void Store(int thread, ArrayView<float> sharedA, ArrayView<float> sharedB, int bufferA, int bufferB, Quads left, Quads right)
    {
        if (SumsPixels)
        {
            var quads = sharedA.Cast<Float4>();
            int i = ((bufferA + ((thread >> (default(TTile).LogRows - 2)) * Tile<TTile>.PitchA)) >> 2) + (thread & ((Tile<TTile>.Rows / 4) - 1));
            quads[i] = left.Q0;
            if (Tile<TTile>.LoadsA > 1) quads[i + (TermsApartA * Tile<TTile>.PitchA / 4)] = left.Q1;
            if (Tile<TTile>.LoadsA > 2) quads[i + (2 * TermsApartA * Tile<TTile>.PitchA / 4)] = left.Q2;
            if (Tile<TTile>.LoadsA > 2) quads[i + (3 * TermsApartA * Tile<TTile>.PitchA / 4)] = left.Q3;
        }
        else
        {
            int i = bufferA + (4 * (thread & 1) * Tile<TTile>.PitchA) + (thread >> 1);
            Turn(sharedA, i, Tile<TTile>.PitchA, left.Q0);
            if (Tile<TTile>.LoadsA > 1) Turn(sharedA, i + RowsApart, Tile<TTile>.PitchA, left.Q1);
            if (Tile<TTile>.LoadsA > 2) Turn(sharedA, i + (2 * RowsApart), Tile<TTile>.PitchA, left.Q2);
            if (Tile<TTile>.LoadsA > 2) Turn(sharedA, i + (3 * RowsApart), Tile<TTile>.PitchA, left.Q3);
        }
        if (TransposesB)
        {
            int i = bufferB + (4 * (thread & 1) * Tile<TTile>.PitchB) + (thread >> 1);
            Turn(sharedB, i, Tile<TTile>.PitchB, right.Q0);
            if (Tile<TTile>.LoadsB > 1) Turn(sharedB, i + ColumnsApart, Tile<TTile>.PitchB, right.Q1);
        }
        else
        {
            var quads = sharedB.Cast<Float4>();
            int i = ((bufferB + ((thread >> (default(TTile).LogColumns - 2)) * Tile<TTile>.PitchB)) >> 2) + (thread & ((Tile<TTile>.Columns / 4) - 1));
            quads[i] = right.Q0;
            if (Tile<TTile>.LoadsB > 1) quads[i + (TermsApartB * Tile<TTile>.PitchB / 4)] = right.Q1;
        }
    }

    private static void Turn(ArrayView<float> shared, int i, int pitch, Float4 quad)
    {
        shared[i] = quad.X;
        shared[i + pitch] = quad.Y;
        shared[i + (2 * pitch)] = quad.Z;
        shared[i + (3 * pitch)] = quad.W;
    }

    private readonly void LoadRows(ProductArguments a, ref Quads left)
    {
        var quads = a.A.Cast<Float4>();
        bool here = _termA < _end;
        left.Q0 = here && _term.IsInside(a, _row0) ? quads[(_row0.Base + _term.Offset) >> 2] : default;
        if (Tile<TTile>.LoadsA > 1) left.Q1 = here && _term.IsInside(a, _row1) ? quads[(_row1.Base + _term.Offset) >> 2] : default;
        if (Tile<TTile>.LoadsA > 2) left.Q2 = here && _term.IsInside(a, _row2) ? quads[(_row2.Base + _term.Offset) >> 2] : default;
        if (Tile<TTile>.LoadsA > 2) left.Q3 = here && _term.IsInside(a, _row3) ? quads[(_row3.Base + _term.Offset) >> 2] : default;
    }

    /// <summary>Four terms, each perhaps of another tap; leaves the place four further. Narrow tiles load two quads.</summary>
    private void LoadRowsNarrow(ProductArguments a, ref Quads left)
    {
        left.Q0.X = One(a, _row0, 0);
        left.Q1.X = One(a, _row1, 0);
        _term.Move(a, 1);
        left.Q0.Y = One(a, _row0, 1);
        left.Q1.Y = One(a, _row1, 1);
        _term.Move(a, 1);
        left.Q0.Z = One(a, _row0, 2);
        left.Q1.Z = One(a, _row1, 2);
        _term.Move(a, 1);
        left.Q0.W = One(a, _row0, 3);
        left.Q1.W = One(a, _row1, 3);
        _term.Move(a, 1);
    }

    private void LoadBothNarrow(ProductArguments a, ref Quads left, ref Quads right)
    {
        left.Q0.X = One(a, _row0, 0);
        left.Q1.X = One(a, _row1, 0);
        right.Q0.X = OneOfB(a, 0, 0);
        right.Q1.X = OneOfB(a, ColumnsApart, 0);
        _term.Move(a, 1);
        left.Q0.Y = One(a, _row0, 1);
        left.Q1.Y = One(a, _row1, 1);
        right.Q0.Y = OneOfB(a, 0, 1);
        right.Q1.Y = OneOfB(a, ColumnsApart, 1);
        _term.Move(a, 1);
        left.Q0.Z = One(a, _row0, 2);
        left.Q1.Z = One(a, _row1, 2);
        right.Q0.Z = OneOfB(a, 0, 2);
        right.Q1.Z = OneOfB(a, ColumnsApart, 2);
        _term.Move(a, 1);
        left.Q0.W = One(a, _row0, 3);
        left.Q1.W = One(a, _row1, 3);
        right.Q0.W = OneOfB(a, 0, 3);
        right.Q1.W = OneOfB(a, ColumnsApart, 3);
        _term.Move(a, 1);
    }

    private readonly float One(ProductArguments a, GatherRow row, int term) =>
        _termA + term < _end && _term.IsInside(a, row) ? a.A[row.Base + _term.Offset] : 0;

    private readonly float OneOfB(ProductArguments a, int column, int term) =>
        _termA + term < _end && _column + column < a.Columns ? a.B[_indexB + (column * a.PitchB) + _term.Weight] : 0;

    private void LoadPixels(ProductArguments a, ref Quads left)
    {
        left.Q0 = Pixel(a);
        if (Tile<TTile>.LoadsA > 1) left.Q1 = Pixel(a);
        if (Tile<TTile>.LoadsA > 2) left.Q2 = Pixel(a);
        if (Tile<TTile>.LoadsA > 2) left.Q3 = Pixel(a);
    }

    /// <summary>Four channels of a pixel, or in narrow tiles four rows of any tap and channel. Moves on.</summary>
    private Float4 Pixel(ProductArguments a)
    {
        Float4 quad = default;
        if (_termA < _end)
        {
            int index = _tap0.Index(a, _pixel);
            if (IsWide)
            {
                if (index >= 0) quad = a.A.Cast<Float4>()[index >> 2];
            }
            else
            {
                if (index >= 0) quad.X = a.A[index];
                index = _tap1.Index(a, _pixel);
                if (index >= 0) quad.Y = a.A[index];
                index = _tap2.Index(a, _pixel);
                if (index >= 0) quad.Z = a.A[index];
                index = _tap3.Index(a, _pixel);
                if (index >= 0) quad.W = a.A[index];
            }
        }
        _termA += TermsApartA;
        _pixel.Move(a);
        return quad;
    }

    private void LoadColumns(ProductArguments a, ref Quads right)
    {
        right.Q0 = Columns(a);
        if (Tile<TTile>.LoadsB > 1) right.Q1 = Columns(a);
    }

    /// <summary>Four columns of one term. Moves on.</summary>
    private Float4 Columns(ProductArguments a)
    {
        Float4 quad = default;
        if (_termB < _end)
        {
            if (IsWide)
            {
                if (_column < a.Columns) quad = a.B.Cast<Float4>()[_indexB >> 2];
            }
            else
            {
                if (_column < a.Columns) quad.X = a.B[_indexB];
                if (_column + 1 < a.Columns) quad.Y = a.B[_indexB + 1];
                if (_column + 2 < a.Columns) quad.Z = a.B[_indexB + 2];
                if (_column + 3 < a.Columns) quad.W = a.B[_indexB + 3];
            }
        }
        _termB += TermsApartB;
        _indexB += TermsApartB * a.PitchB;
        return quad;
    }

    private readonly void LoadTransposed(ProductArguments a, ref Quads right)
    {
        var quads = a.B.Cast<Float4>();
        bool here = _termA < _end;
        right.Q0 = here && _column < a.Columns ? quads[(_indexB + _term.Weight) >> 2] : default;
        if (Tile<TTile>.LoadsB > 1) right.Q1 = here && _column + ColumnsApart < a.Columns ? quads[(_indexB + (ColumnsApart * a.PitchB) + _term.Weight) >> 2] : default;
    }
}
