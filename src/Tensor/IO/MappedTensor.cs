using RefConv.Kernels;

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

    /// <summary>Fills a parameter: on the processor piece by piece by way of its caches, see <see cref="WeightCopy"/>; elsewhere by way of an array.</summary>
    /// <param name="parameter">Of the same shape.</param>
    /// <param name="check">Look, in the same pass, whether all values are finite. Where they are not, the parameter has been written in part.</param>
    /// <exception cref="FileFormatException">A value is NaN or infinite, and check is set.</exception>
    public void ReadInto(Parameter parameter, bool check = false)
    {
        var layout = parameter.Layout;
        if (_info.Count != layout.TorchShape.Count) throw new ArgumentException($"{_info} has {_info.Count} elements, the parameter {layout.TorchShape}.");
        if (_strides is null && parameter.Device is CpuDevice cpu && (layout.IsPlain || layout.IsTransposed))
        {
            bool finite = new WeightCopy(_info.Type, _data, CpuDevice.Pointer(parameter.Data), check).Run(cpu, layout);
            parameter.MarkChanged();
            if (!finite) throw NotFinite();
            return;
        }
        float[] values = Read();
        if (check && !ElementReader.AllFinite(values)) throw NotFinite();
        parameter.FromTorch(values);
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
