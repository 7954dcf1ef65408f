using System.Buffers;
using RefConv.Kernels;

namespace RefConv.IO;

/// <summary>
/// Weights from a mapped file into the memory of the processor, by all threads, a piece at a time that stays in the second-level cache: what is checked, converted and transposed
/// comes from memory once, and every line of the target is written once and whole.
/// </summary>
/// <param name="type">Elements of the file.</param>
/// <param name="from">The first of them; not aligned to anything.</param>
/// <param name="to">The parameter's first element.</param>
/// <param name="check">Look whether all are finite.</param>
internal sealed unsafe class WeightCopy(SafeTensorsType type, byte* from, float* to, bool check)
{
    /// <summary>Elements of a piece of what is copied or converted: 256 KiB.</summary>
    private const int Piece = 1 << 16;

    /// <summary>
    /// Elements of a row in a piece that is turned round, at most: 1 MiB in all. Whole rows, if possible, lie one after another in the file, a stream that the
    /// processor fetches ahead; what is converted before is less, because it is there twice.
    /// </summary>
    private readonly int _rowElements = (type == SafeTensorsType.F32 ? 1 << 18 : Piece) / WeightTranspose.Rows;

    /// <summary>Elements from which a tensor is written past the caches, which would not keep it anyway.</summary>
    private const int Streamed = 1 << 20;

    private readonly int _size = SafeTensorsFormat.Size(type);
    private volatile bool _bad;

    /// <summary>Copies a tensor whose elements lie as in a file of PyTorch's into the order of memory.</summary>
    /// <returns>False: an element is NaN or infinite. What has been written by then stays.</returns>
    public bool Run(CpuDevice device, ParameterLayout layout)
    {
        if (layout.IsPlain)
        {
            long count = layout.TorchShape.Count;
            ForAll(device, (count + Piece - 1) / Piece, i => Plain(i * Piece, (int)Math.Min(Piece, count - (i * Piece))));
            return !_bad;
        }
        var (rows, columns, area) = layout.Transposed;
        int width = Math.Clamp(_rowElements / area, 1, columns);
        int height = Math.Min(rows, Math.Max(WeightTranspose.Rows, Piece / (width * area) / WeightTranspose.Line * WeightTranspose.Line));
        long across = (columns + width - 1) / width, down = (rows + height - 1) / height;
        bool streamed = (long)rows * columns * area >= Streamed && rows % WeightTranspose.Line == 0 && (nint)to % 64 == 0;
        ForAll(device, across * down, i =>
        {
            int row = (int)(i / across) * height, column = (int)(i % across) * width;
            Transposed(layout, row, Math.Min(height, rows - row), column, Math.Min(width, columns - column), streamed);
        });
        return !_bad;
    }

    private void ForAll(CpuDevice device, long pieces, Action<long> body)
    {
        if (pieces == 1) body(0);
        else device.Parallel(checked((int)pieces), (piece, _) =>
        {
            if (!_bad) body(piece);
        });
    }

    private void Plain(long first, int count)
    {
        ElementReader.Read(type, from + (first * _size), new Span<float>(to + first, count));
        if (check) Note(to + first, count); // it is in the cache still
    }

    private void Transposed(ParameterLayout layout, int row, int height, int column, int width, bool streamed)
    {
        var (rows, columns, area) = layout.Transposed;
        long stride = (long)columns * area;
        int run = width * area;
        byte* start = from + (((row * stride) + ((long)column * area)) * _size);
        float* target = to + ((long)column * rows) + row;
        if (type == SafeTensorsType.F32)
        {
            // Also where nobody asks: this is the pass that fetches the piece, in the order in which it lies in the file.
            for (int r = 0; r < height; r++) Note((float*)start + (r * stride), run);
            WeightTranspose.ToMemory((float*)start, stride, target, rows, (long)columns * rows, height, width, area, streamed);
            return;
        }
        float[] rented = ArrayPool<float>.Shared.Rent(height * run);
        fixed (float* converted = rented)
        {
            for (int r = 0; r < height; r++) ElementReader.Read(type, start + (r * stride * _size), new Span<float>(converted + (r * run), run));
            Note(converted, height * run);
            WeightTranspose.ToMemory(converted, run, target, rows, (long)columns * rows, height, width, area, streamed);
        }
        ArrayPool<float>.Shared.Return(rented);
    }

    private void Note(float* values, int count)
    {
        if (!ElementReader.AllFinite(new ReadOnlySpan<float>(values, count)) && check) _bad = true;
    }
}
