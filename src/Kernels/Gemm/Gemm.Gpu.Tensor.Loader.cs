using ILGPU;

namespace RefConv.Kernels;

/// <summary>Sizes of the tile of the tensor cores: 128×128, 16 terms a step, eight warps of 64×32 each.</summary>
internal static class TensorTile<TForm, TKind>
    where TForm : struct, IProductForm
    where TKind : struct, ITensorKind
{
    public const int Size = 128, Depth = 16;

    /// <summary>
    /// Floats from row to row of a factor that lies along terms, and from term to term of one that lies along rows (columns). Chosen so that the 32 threads of a warp
    /// read their parts of a fragment from 32 different banks; multiples of 4, because they are written 16 bytes at a time.
    /// </summary>
    private static int Along => default(TKind).IsPaired ? 24 : 20;

    private static int Across => default(TKind).IsPaired ? 132 : 136;

    public static bool IsAlongA => !default(TForm).SumsPixels;

    public static bool IsAlongB => default(TForm).TransposesB;

    /// <summary>From row to row and from term to term.</summary>
    public static int RowA => IsAlongA ? Along : 1;

    public static int TermA => IsAlongA ? 1 : Across;

    public static int ColumnB => IsAlongB ? Along : 1;

    public static int TermB => IsAlongB ? 1 : Across;

    public static int BufferA => IsAlongA ? Size * Along : Depth * Across;

    public static int BufferB => IsAlongB ? Size * Along : Depth * Across;
}

/// <summary>
/// Starts the copies of a step from memory to shared memory: two quads of either factor a thread. What lies in padding, behind the last channel, row or term is
/// filled with zeros by the copy itself.
/// </summary>
internal struct TensorLoader<TForm, TKind>
    where TForm : struct, IProductForm
    where TKind : struct, ITensorKind
{
    private GatherRow _row0, _row1;
    private GatherTerm _term;
    private TapChannel _tap;
    private GatherPixel _pixel;
    private int _termA, _termB, _end, _column, _indexB, _toA, _toB;

    public static TensorLoader<TForm, TKind> At(ProductArguments a, int thread, int begin, int end, int firstRow, int firstColumn, int group)
    {
        TensorLoader<TForm, TKind> l = new() { _end = end };
        int quad = 4 * (thread & 3), line = thread >> 2;
        int place = 4 * (thread & 31), term = thread >> 5;
        if (TensorTile<TForm, TKind>.IsAlongA)
        {
            l._termA = begin + quad;
            l._term = GatherTerm.At(a, l._termA);
            l._row0 = GatherRow.At(a, firstRow + line, group);
            l._row1 = GatherRow.At(a, firstRow + line + 64, group);
            l._toA = (line * TensorTile<TForm, TKind>.RowA) + quad;
        }
        else
        {
            l._termA = begin + term;
            l._pixel = GatherPixel.At(a, l._termA);
            l._tap = TapChannel.At(a, firstRow + place, group);
            l._toA = (term * TensorTile<TForm, TKind>.TermA) + place;
        }
        if (TensorTile<TForm, TKind>.IsAlongB)
        {
            l._column = firstColumn + line;
            l._indexB = (group * a.GroupB) + (l._column * a.PitchB);
            l._toB = (line * TensorTile<TForm, TKind>.ColumnB) + quad;
        }
        else
        {
            l._termB = begin + term;
            l._column = firstColumn + place;
            l._indexB = (group * a.GroupB) + (l._termB * a.PitchB) + l._column;
            l._toB = (term * TensorTile<TForm, TKind>.TermB) + place;
        }
        return l;
    }

    /// <summary>Starts the copies of a step into the buffers that begin there, and moves on to the next.</summary>
    public void Start(ProductArguments a, ArrayView<float> sharedA, ArrayView<float> sharedB, int bufferA, int bufferB)
    {
        if (TensorTile<TForm, TKind>.IsAlongB)
        {
            bool here = _termA < _end;
            Copy(sharedB, bufferB + _toB, a.B, _indexB + _term.Weight, here && _column < a.Columns);
            Copy(sharedB, bufferB + _toB + (64 * TensorTile<TForm, TKind>.ColumnB), a.B, _indexB + (64 * a.PitchB) + _term.Weight, here && _column + 64 < a.Columns);
        }
        else
        {
            Copy(sharedB, bufferB + _toB, a.B, _indexB, _termB < _end && _column < a.Columns);
            Copy(sharedB, bufferB + _toB + (8 * TensorTile<TForm, TKind>.TermB), a.B, _indexB + (8 * a.PitchB), _termB + 8 < _end && _column < a.Columns);
            _termB += TensorTile<TForm, TKind>.Depth;
            _indexB += TensorTile<TForm, TKind>.Depth * a.PitchB;
        }
        if (TensorTile<TForm, TKind>.IsAlongA)
        {
            bool here = _termA < _end;
            Copy(sharedA, bufferA + _toA, a.A, _row0.Base + _term.Offset, here && _term.IsInside(a, _row0));
            Copy(sharedA, bufferA + _toA + (64 * TensorTile<TForm, TKind>.RowA), a.A, _row1.Base + _term.Offset, here && _term.IsInside(a, _row1));
            _term.Move(a, TensorTile<TForm, TKind>.Depth);
            _termA += TensorTile<TForm, TKind>.Depth;
        }
        else
        {
            Pixel(a, sharedA, bufferA + _toA);
            Pixel(a, sharedA, bufferA + _toA + (8 * TensorTile<TForm, TKind>.TermA));
        }
    }

    private void Pixel(ProductArguments a, ArrayView<float> sharedA, int to)
    {
        int from = _tap.Index(a, _pixel);
        Copy(sharedA, to, a.A, from, _termA < _end && from >= 0);
        _pixel.Move(a);
        _termA += 8;
    }

    /// <remarks>As quads: that shared memory is used in quads makes ILGPU lay it on 16 bytes, which the copies need.</remarks>
    private static void Copy(ArrayView<float> shared, int to, ArrayView<float> global, int from, bool isThere) =>
        TensorCore.CopyAsync(TensorCore.Address(ref shared.Cast<Float4>()[to >> 2]), TensorCore.Address(ref global.Cast<Float4>()[isThere ? from >> 2 : 0]), isThere ? 16 : 0);
}
