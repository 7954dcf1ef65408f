using System.Buffers.Binary;
using System.Text;

namespace RefConv.IO;

/// <summary>
/// Writes PyTorch files that <c>torch.load</c> reads as a state dict (an OrderedDict of tensors, in the order given): the zip format of PyTorch 1.6 and later.
/// </summary>
public static class TorchWriter
{
    /// <summary>Writes a file, all or nothing (see <see cref="AtomicFile"/>).</summary>
    /// <param name="path">Where to; an existing file is replaced.</param>
    /// <param name="entries">The tensors, each name once.</param>
    /// <exception cref="ArgumentException">A name occurs twice, or PyTorch has no storage of an element type (U16, U32, U64).</exception>
    /// <exception cref="IOException">The folder is missing or the disk full; the message says so.</exception>
    public static void Write(string path, IEnumerable<SafeTensorsEntry> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        SafeTensorsEntry[] tensors = [.. entries];
        byte[] pickle = Pickle(tensors);
        AtomicFile.Write(path, stream =>
        {
            var zip = new StoredZipWriter(stream);
            zip.Add("archive/data.pkl", target => target.Write(pickle));
            zip.Add("archive/byteorder", target => target.Write("little"u8));
            for (int i = 0; i < tensors.Length; i++) zip.Add($"archive/data/{i}", tensors[i].WriteTo);
            zip.Add("archive/version", target => target.Write("3\n"u8));
            zip.Finish();
        });
    }

    private static byte[] Pickle(SafeTensorsEntry[] tensors)
    {
        const int Batch = 1000; // as many pairs as Python puts on the stack at a time
        var pickle = new PickleWriter();
        var names = new HashSet<string>(StringComparer.Ordinal);
        pickle.Bytes([0x80, 2]);
        pickle.EmptyOrderedDict();
        for (int start = 0; start < tensors.Length; start += Batch)
        {
            pickle.Bytes("("u8);
            for (int i = start; i < Math.Min(start + Batch, tensors.Length); i++)
            {
                if (!names.Add(tensors[i].Name)) throw new ArgumentException($"Two tensors are called '{tensors[i].Name}'.");
                pickle.Text(tensors[i].Name);
                Tensor(pickle, tensors[i], i);
            }
            pickle.Bytes("u"u8);
        }
        pickle.Bytes("."u8);
        return pickle.ToArray();
    }

    /// <summary>_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)</summary>
    private static void Tensor(PickleWriter pickle, SafeTensorsEntry tensor, int key)
    {
        long count = tensor.Shape.Aggregate(1L, (product, size) => product * size);
        pickle.Global("torch._utils", "_rebuild_tensor_v2");
        pickle.Bytes("(("u8);
        pickle.Text("storage");
        pickle.Global("torch", StorageName(tensor));
        pickle.Text($"{key}");
        pickle.Text("cpu");
        pickle.Number(count);
        pickle.Bytes("tQ"u8);
        pickle.Number(0);
        pickle.Numbers(tensor.Shape);
        long[] strides = new long[tensor.Shape.Count];
        long stride = 1;
        for (int axis = strides.Length - 1; axis >= 0; axis--)
        {
            strides[axis] = stride;
            stride *= Math.Max(tensor.Shape[axis], 1);
        }
        pickle.Numbers(strides);
        pickle.Bytes([0x89]);
        pickle.EmptyOrderedDict();
        pickle.Bytes("tR"u8);
    }

    private static string StorageName(SafeTensorsEntry tensor) => tensor.Type switch
    {
        SafeTensorsType.F32 => "FloatStorage",
        SafeTensorsType.F64 => "DoubleStorage",
        SafeTensorsType.F16 => "HalfStorage",
        SafeTensorsType.BF16 => "BFloat16Storage",
        SafeTensorsType.I64 => "LongStorage",
        SafeTensorsType.I32 => "IntStorage",
        SafeTensorsType.I16 => "ShortStorage",
        SafeTensorsType.I8 => "CharStorage",
        SafeTensorsType.U8 => "ByteStorage",
        SafeTensorsType.Bool => "BoolStorage",
        _ => throw new ArgumentException($"Tensor '{tensor.Name}': PyTorch files have no storage of type {SafeTensorsFormat.NameOf(tensor.Type)}; write a .safetensors file."),
    };

    /// <summary>The few instructions of pickle protocol 2 that a state dict takes.</summary>
    private sealed class PickleWriter
    {
        private readonly MemoryStream _stream = new();

        public byte[] ToArray() => _stream.ToArray();

        public void Bytes(ReadOnlySpan<byte> bytes) => _stream.Write(bytes);

        public void Global(string module, string name) => Bytes(Encoding.ASCII.GetBytes($"c{module}\n{name}\n"));

        public void EmptyOrderedDict()
        {
            Global("collections", "OrderedDict");
            Bytes(")R"u8);
        }

        public void Text(string text)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[5];
            length[0] = (byte)'X';
            BinaryPrimitives.WriteInt32LittleEndian(length[1..], utf8.Length);
            Bytes(length);
            Bytes(utf8);
        }

        public void Number(long value)
        {
            Span<byte> bytes = stackalloc byte[10];
            if (value <= int.MaxValue)
            {
                bytes[0] = (byte)'J';
                BinaryPrimitives.WriteInt32LittleEndian(bytes[1..], (int)value);
                Bytes(bytes[..5]);
                return;
            }
            (bytes[0], bytes[1]) = (0x8A, 8);
            BinaryPrimitives.WriteInt64LittleEndian(bytes[2..], value);
            Bytes(bytes);
        }

        public void Numbers(IReadOnlyList<long> values)
        {
            Bytes("("u8);
            foreach (long value in values) Number(value);
            Bytes("t"u8);
        }
    }
}
