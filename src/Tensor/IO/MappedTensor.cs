namespace RefConv.IO;

/// <summary>A tensor in a mapped file: where it lies, and how to read it as a whole, into a parameter, or only to check it.</summary>
/// <param name="path">The file, for messages.</param>
/// <param name="info">Name, type and shape.</param>
/// <param name="data">Its first element.</param>
/// <param name="strides">Elements from one index to the next, by axis; null when the elements lie one after another.</param>
internal readonly unsafe struct MappedTensor(string path, TensorInfo info, byte* data, long[]? strides = null)
{
    /// <summary>Elements that one thread takes at a time; a tensor of fewer is not worth a second thread.</summary>
    private const int Piece = 1 << 18;

    /// <summary>Elements converted at a time where nothing keeps them: they stay in the first-level cache.</summary>
    private const int Chunk = 1 << 11;

    private readonly string _path = path;
    private readonly TensorInfo _info = info;
    private readonly byte* _data = data;
    private readonly long[]? _strides = strides;

    /// <summary>All elements as floats.</summary>
    public float[] Read()
    {
        if (_info.Count > Array.MaxLength) throw new FileFormatException(_path, $"{_info} has more than {Array.MaxLength} elements, which one array cannot hold.");
        float[] values = new float[_info.Count];
        if (_strides is null) ElementReader.Read(_info.Type, _data, values);
        else Gather(values);
        return values;
    }

    /// <summary>
    /// Fills a parameter. Where memory has the file's order, bytes go there directly; where a convolution's or a linear layer's weights are transposed, tile by
    /// tile by way of the cache.
    /// </summary>
    public void ReadInto(Parameter parameter)
    {
        if (_info.Count != parameter.Layout.TorchShape.Count)
            throw new ArgumentException($"{_info} has {_info.Count} elements, the parameter {parameter.Layout.TorchShape}.");
        if (_strides is not null)
        {
            parameter.FromTorch(Read());
            return;
        }
        if (parameter.Layout.IsPlain) CopyPieces(parameter);
        else if (parameter.Layout.IsTransposed) TransposePieces(parameter);
        else parameter.FromTorch(Read());
        parameter.MarkChanged();
    }

    /// <summary>See <see cref="ITensorFile.RequireFinite"/>.</summary>
    public void RequireFinite(int threads)
    {
        if (_info.Type is not (SafeTensorsType.F16 or SafeTensorsType.BF16 or SafeTensorsType.F32 or SafeTensorsType.F64)) return;
        bool finite;
        if (_strides is not null)
        {
            finite = ElementReader.AllFinite(Read());
        }
        else
        {
            var (type, data, count) = (_info.Type, (nint)_data, _info.Count);
            int bad = 0;
            InPieces(count, Piece, threads, (first, last) =>
            {
                if (!AllFinite(type, (byte*)data, first, last)) Interlocked.Exchange(ref bad, 1);
            });
            finite = bad == 0;
        }
        if (!finite) throw NotFinite();
    }

    private static bool AllFinite(SafeTensorsType type, byte* data, long first, long last)
    {
        int size = SafeTensorsFormat.Size(type);
        if (type == SafeTensorsType.F32) return ElementReader.AllFinite(new ReadOnlySpan<float>(data + (first * size), (int)(last - first)));
        Span<float> chunk = stackalloc float[Chunk];
        for (long i = first; i < last; i += Chunk)
        {
            var part = chunk[..(int)Math.Min(Chunk, last - i)];
            ElementReader.Read(type, data + (i * size), part);
            if (!ElementReader.AllFinite(part)) return false;
        }
        return true;
    }

    private FileFormatException NotFinite()
    {
        bool nan = Read().Any(float.IsNaN);
        string why = nan ? "holds values that are not numbers (NaN): the training that made them diverged, or the file is damaged. Use an earlier checkpoint"
            : _info.Type == SafeTensorsType.F16 ? "holds infinite values: the numbers were too large for half precision when they were saved. Use a file in full precision"
            : _info.Type == SafeTensorsType.F64 ? "holds values too large for single precision, in which models compute. Use another checkpoint"
            : "holds infinite values: the training that made them diverged, or the file is damaged. Use an earlier checkpoint";
        return new FileFormatException(_path, $"{_info} {why}.");
    }

    /// <summary>Calls body(first, last) for pieces of [0, count), by several threads when there are several.</summary>
    private static void InPieces(long count, int piece, int threads, Action<long, long> body)
    {
        long pieces = (count + piece - 1) / piece;
        if (pieces <= 1 || threads == 1)
        {
            for (long i = 0; i < pieces; i++) body(i * piece, Math.Min(count, (i + 1) * piece));
            return;
        }
        Parallel.For(0, pieces, new ParallelOptions { MaxDegreeOfParallelism = threads }, i => body(i * piece, Math.Min(count, (i + 1) * piece)));
    }

    private void CopyPieces(Parameter parameter)
    {
        var (type, data, view, device) = (_info.Type, (nint)_data, parameter.Data, parameter.Device);
        int size = SafeTensorsFormat.Size(type);
        InPieces(_info.Count, Piece, device.Threads, (first, last) =>
        {
            if (type == SafeTensorsType.F32)
            {
                device.Write(view.Slice(first, last - first), new ReadOnlySpan<float>((byte*)data + (first * size), (int)(last - first)));
                return;
            }
            Span<float> chunk = stackalloc float[Chunk];
            for (long i = first; i < last; i += Chunk)
            {
                var part = chunk[..(int)Math.Min(Chunk, last - i)];
                ElementReader.Read(type, (byte*)data + (i * size), part);
                device.Write(view.Slice(i, part.Length), part);
            }
        });
    }

    private void TransposePieces(Parameter parameter)
    {
        var (type, data, view, device) = (_info.Type, (nint)_data, parameter.Data, parameter.Device);
        var (rows, columns, area) = parameter.Layout.Transposed;
        int size = SafeTensorsFormat.Size(type);
        // A block takes some input channels of all outputs: its result is one run of memory for each place in the kernel.
        int block = (int)Math.Clamp(WeightTranspose.BlockElements / ((long)rows * area), 1, columns);
        InPieces(columns, block, _info.Count > Piece ? device.Threads : 1, (first, last) =>
        {
            int width = (int)(last - first), run = width * area;
            float[] memory = System.Buffers.ArrayPool<float>.Shared.Rent(rows * run);
            float[]? converted = type == SafeTensorsType.F32 ? null : System.Buffers.ArrayPool<float>.Shared.Rent(rows * run);
            byte* start = (byte*)data + (first * area * size);
            long stride = (long)columns * area;
            fixed (float* to = memory, own = converted)
            {
                for (int row = 0; row < (own == null ? 0 : rows); row++) ElementReader.Read(type, start + (row * stride * size), new Span<float>(own + (row * run), run));
                WeightTranspose.ToMemory(own == null ? (float*)start : own, own == null ? stride : run, to, rows, width, area);
            }
            for (int place = 0; place < area; place++)
                device.Write(view.Slice((((long)place * columns) + first) * rows, (long)width * rows), memory.AsSpan(place * width * rows, width * rows));
            System.Buffers.ArrayPool<float>.Shared.Return(memory);
            if (converted != null) System.Buffers.ArrayPool<float>.Shared.Return(converted);
        });
    }

    /// <summary>Elements of a tensor whose axes are permuted, repeated or cut out of a larger one.</summary>
    private void Gather(Span<float> values)
    {
        if (values.Length == 0) return;
        int rank = _info.Shape.Count, size = SafeTensorsFormat.Size(_info.Type);
        if (rank == 0)
        {
            ElementReader.Read(_info.Type, _data, values);
            return;
        }
        long[] index = new long[rank];
        long offset = 0, run = _info.Shape[rank - 1], step = _strides![rank - 1];
        for (int at = 0; at < values.Length;)
        {
            if (step == 1) ElementReader.Read(_info.Type, _data + (offset * size), values.Slice(at, (int)run));
            else for (int i = 0; i < run; i++) ElementReader.Read(_info.Type, _data + ((offset + (i * step)) * size), values.Slice(at + i, 1));
            at += (int)run;
            for (int axis = rank - 2; axis >= 0; axis--)
            {
                offset += _strides[axis];
                if (++index[axis] < _info.Shape[axis]) break;
                offset -= index[axis] * _strides[axis];
                index[axis] = 0;
            }
        }
    }
}
