using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace RefConv.IO;

/// <summary>One tensor to be written to a safetensors file.</summary>
public sealed class SafeTensorsEntry
{
    private const int ChunkElements = 1 << 14;
    private readonly Action<Stream> _write;

    private SafeTensorsEntry(string name, SafeTensorsType type, IEnumerable<long> shape, long count, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(shape);
        Name = name;
        Type = type;
        Shape = [.. shape];
        if (Shape.Any(size => size < 0)) throw new ArgumentException($"Tensor '{name}': shape [{string.Join(", ", Shape)}] has a negative size.");
        long expected = 1;
        foreach (long size in Shape) expected = checked(expected * size);
        if (expected != count) throw new ArgumentException($"Tensor '{name}': shape [{string.Join(", ", Shape)}] has {expected} elements, {count} were given.");
        ByteCount = count * SafeTensorsFormat.Size(type);
        _write = write;
    }

    /// <summary>Its key.</summary>
    public string Name { get; }

    /// <summary>Its element type in the file.</summary>
    public SafeTensorsType Type { get; }

    /// <summary>Its sizes, outermost first; empty for a scalar.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Its bytes in the file.</summary>
    public long ByteCount { get; }

    /// <summary>A tensor of floats. The memory is read when the file is written.</summary>
    /// <param name="name">Key.</param>
    /// <param name="shape">Sizes, outermost first.</param>
    /// <param name="values">Elements, last index fastest.</param>
    /// <param name="type">F32, or F64, F16 or BF16 (rounded to nearest, ties to even).</param>
    public static SafeTensorsEntry FromFloats(string name, IEnumerable<long> shape, ReadOnlyMemory<float> values, SafeTensorsType type = SafeTensorsType.F32) => type switch
    {
        SafeTensorsType.F32 => new(name, type, shape, values.Length, stream => stream.Write(MemoryMarshal.AsBytes(values.Span))),
        SafeTensorsType.F64 => new(name, type, shape, values.Length, stream => WriteConverted(stream, values, v => (double)v)),
        SafeTensorsType.F16 => new(name, type, shape, values.Length, stream => WriteConverted(stream, values, v => (Half)v)),
        SafeTensorsType.BF16 => new(name, type, shape, values.Length, stream => WriteConverted(stream, values, RoundToBFloat16)),
        _ => throw new ArgumentException($"Tensor '{name}': floats cannot be written as {SafeTensorsFormat.NameOf(type)}; choose F32, F64, F16 or BF16."),
    };

    /// <summary>A tensor of 64-bit whole numbers. The memory is read when the file is written.</summary>
    public static SafeTensorsEntry FromInt64(string name, IEnumerable<long> shape, ReadOnlyMemory<long> values) =>
        new(name, SafeTensorsType.I64, shape, values.Length, stream => stream.Write(MemoryMarshal.AsBytes(values.Span)));

    /// <summary>A tensor of any type, as its bytes (little-endian).</summary>
    public static SafeTensorsEntry FromBytes(string name, SafeTensorsType type, IEnumerable<long> shape, ReadOnlyMemory<byte> bytes)
    {
        int size = SafeTensorsFormat.Size(type);
        if (bytes.Length % size != 0) throw new ArgumentException($"Tensor '{name}': {bytes.Length} bytes are no whole number of {SafeTensorsFormat.NameOf(type)} elements.");
        return new(name, type, shape, bytes.Length / size, stream => stream.Write(bytes.Span));
    }

    internal void WriteTo(Stream stream) => _write(stream);

    private static ushort RoundToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value)) return (ushort)((bits >> 16) | 0x40); // rounding could carry a NaN over into infinity
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static void WriteConverted<T>(Stream stream, ReadOnlyMemory<float> values, Func<float, T> convert)
        where T : unmanaged
    {
        var chunk = new T[Math.Min(values.Length, ChunkElements)];
        for (int start = 0; start < values.Length; start += ChunkElements)
        {
            var part = values.Span[start..Math.Min(start + ChunkElements, values.Length)];
            for (int i = 0; i < part.Length; i++) chunk[i] = convert(part[i]);
            stream.Write(MemoryMarshal.AsBytes(chunk.AsSpan(0, part.Length)));
        }
    }
}

/// <summary>
/// Writes safetensors files: as the reference implementation lays them out (widest types first, then by name, the header padded with
/// spaces to a multiple of 8), so that the same tensors give the same bytes whatever order they come in.
/// </summary>
public static class SafeTensorsWriter
{
    /// <summary>Writes a file, all or nothing (see <see cref="AtomicFile"/>).</summary>
    /// <param name="path">Where to; an existing file is replaced.</param>
    /// <param name="entries">The tensors, each name once.</param>
    /// <param name="metadata">Free text, by key.</param>
    /// <exception cref="IOException">The folder is missing or the disk full; the message says so.</exception>
    public static void Write(string path, IEnumerable<SafeTensorsEntry> entries, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("safetensors files are little-endian and are written as they lie; this machine is big-endian.");
        SafeTensorsEntry[] sorted = [.. entries.OrderByDescending(e => e.Type).ThenBy(e => e.Name, StringComparer.Ordinal)];
        byte[] header = Header(sorted, metadata);
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            stream.Write(length);
            stream.Write(header);
            foreach (var entry in sorted) entry.WriteTo(stream);
        });
    }

    private static byte[] Header(SafeTensorsEntry[] entries, IReadOnlyDictionary<string, string>? metadata)
    {
        var buffer = new ArrayBufferWriter<byte>();
        // Names stay readable: nothing but what JSON itself demands is escaped, as the reference implementation does.
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject(SafeTensorsFormat.MetadataKey);
                foreach (var (key, value) in metadata.OrderBy(m => m.Key, StringComparer.Ordinal)) json.WriteString(key, value);
                json.WriteEndObject();
            }
            var names = new HashSet<string>(StringComparer.Ordinal);
            long start = 0;
            foreach (var entry in entries)
            {
                if (entry.Name == SafeTensorsFormat.MetadataKey) throw new ArgumentException($"A tensor cannot be called '{entry.Name}': the format keeps that name.");
                if (!names.Add(entry.Name)) throw new ArgumentException($"Two tensors are called '{entry.Name}'.");
                json.WriteStartObject(entry.Name);
                json.WriteString("dtype", SafeTensorsFormat.NameOf(entry.Type));
                json.WriteStartArray("shape");
                foreach (long size in entry.Shape) json.WriteNumberValue(size);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(start);
                json.WriteNumberValue(start += entry.ByteCount);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        int padding = -buffer.WrittenCount & 7;
        buffer.GetSpan(padding)[..padding].Fill((byte)' ');
        buffer.Advance(padding);
        if (buffer.WrittenCount > SafeTensorsFormat.MaximumHeader) throw new ArgumentException($"The names and metadata take {buffer.WrittenCount} bytes; the format allows {SafeTensorsFormat.MaximumHeader}.");
        return buffer.WrittenSpan.ToArray();
    }
}
