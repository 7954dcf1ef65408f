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
    /// <summary>Elements of a piece: 256 KiB.</summary>
    private const int Piece = 1 << 16;

    /// <summary>Elements that are read from a row at a time: a page, along which the processor fetches ahead.</summary>
    private const int RowElements = 1 << 10;

    /// <summary>Rows of a piece, at least: as many lie side by side in memory, four cache lines.</summary>
    private const int Rows = 64;

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
        int width = Math.Clamp(RowElements / area, 1, columns);
        int height = Math.Min(rows, Math.Max(Rows, Piece / (width * area) / WeightTranspose.Line * WeightTranspose.Line));
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
        byte* start = from + (first * _size);
        if (type == SafeTensorsType.F32) Check((float*)start, count); // brings it into the cache, from which it is then copied
        ElementReader.Read(type, start, new Span<float>(to + first, count));
        if (type != SafeTensorsType.F32) Check(to + first, count);
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
            for (int r = 0; r < height; r++) Check((float*)start + (r * stride), run);
            WeightTranspose.ToMemory((float*)start, stride, target, rows, (long)columns * rows, height, width, area, streamed);
            return;
        }
        float[] rented = ArrayPool<float>.Shared.Rent(height * run);
        fixed (float* converted = rented)
        {
            for (int r = 0; r < height; r++) ElementReader.Read(type, start + (r * stride * _size), new Span<float>(converted + (r * run), run));
            Check(converted, height * run);
            WeightTranspose.ToMemory(converted, run, target, rows, (long)columns * rows, height, width, area, streamed);
        }
        ArrayPool<float>.Shared.Return(rented);
    }

    /// <summary>Also where nobody asks: it is the pass that fetches a piece into the cache, in the order in which it lies in the file.</summary>
    private void Check(float* values, int count)
    {
        if (!ElementReader.AllFinite(new ReadOnlySpan<float>(values, count)) && check) _bad = true;
    }
}
