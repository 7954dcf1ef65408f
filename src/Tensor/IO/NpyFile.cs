using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace RefConv.IO;

/// <summary>Element types of NumPy files that are read and written here.</summary>
public enum NpyType
{
    /// <summary>32-bit float.</summary>
    Float32,

    /// <summary>64-bit float.</summary>
    Float64,

    /// <summary>Signed 64-bit whole number.</summary>
    Int64,

    /// <summary>Byte.</summary>
    UInt8,
}

/// <summary>An array read from a NumPy file; the last axis is the fastest, whatever the order in the file was.</summary>
public sealed class NpyArray
{
    private readonly byte[] _bytes;

    internal NpyArray(NpyType type, Shape shape, byte[] bytes) => (Type, Shape, _bytes) = (type, shape, bytes);

    /// <summary>Type of the elements.</summary>
    public NpyType Type { get; }

    /// <summary>Sizes of the axes.</summary>
    public Shape Shape { get; }

    /// <summary>The elements as floats, rounded to nearest from wider types.</summary>
    public float[] ToFloats() => Type switch
    {
        NpyType.Float32 => MemoryMarshal.Cast<byte, float>(_bytes).ToArray(),
        NpyType.Float64 => Array.ConvertAll(MemoryMarshal.Cast<byte, double>(_bytes).ToArray(), v => (float)v),
        NpyType.Int64 => Array.ConvertAll(MemoryMarshal.Cast<byte, long>(_bytes).ToArray(), v => (float)v),
        _ => Array.ConvertAll(_bytes, v => (float)v),
    };

    /// <summary>The elements as doubles.</summary>
    public double[] ToDoubles() => Type switch
    {
        NpyType.Float32 => Array.ConvertAll(MemoryMarshal.Cast<byte, float>(_bytes).ToArray(), v => (double)v),
        NpyType.Float64 => MemoryMarshal.Cast<byte, double>(_bytes).ToArray(),
        NpyType.Int64 => Array.ConvertAll(MemoryMarshal.Cast<byte, long>(_bytes).ToArray(), v => (double)v),
        _ => Array.ConvertAll(_bytes, v => (double)v),
    };

    /// <summary>The elements as whole numbers.</summary>
    /// <exception cref="InvalidOperationException">They are fractions.</exception>
    public long[] ToInt64() => Type switch
    {
        NpyType.Int64 => MemoryMarshal.Cast<byte, long>(_bytes).ToArray(),
        NpyType.UInt8 => Array.ConvertAll(_bytes, v => (long)v),
        _ => throw new InvalidOperationException($"The array holds {Type}, not whole numbers. Read it with ToFloats() or ToDoubles()."),
    };
}

/// <summary>
/// NumPy's <c>.npy</c> files: a short header and the bare elements. Versions 1 to 3 are read, in C or Fortran order; version 1 in C order is written.
/// A file that is shorter or longer than its header says is refused before anything is allocated for it.
/// </summary>
public static class NpyFile
{
    private static readonly (string Descr, NpyType Type, int Size)[] Types =
        [("<f4", NpyType.Float32, 4), ("<f8", NpyType.Float64, 8), ("<i8", NpyType.Int64, 8), ("|u1", NpyType.UInt8, 1)];

    // Headers of plain arrays take a few hundred bytes; versions 2 and 3 could claim 4 GB.
    private const int MaximumHeader = 1 << 16;

    /// <summary>Reads a file.</summary>
    /// <exception cref="FileFormatException">It is damaged, no NumPy file, or holds something else than the numbers of <see cref="NpyType"/>.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static NpyArray Read(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Directory.Exists(path)) throw new FileFormatException(path, "is a folder. Give the .npy file in it.");
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no file '{path}'. Check its name.", path);
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException(".npy files are little-endian and are read as they lie; this machine is big-endian.");
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1);
        return Read(path, stream);
    }

    /// <summary>Reads a file that is open; the path is for messages.</summary>
    internal static NpyArray Read(string path, Stream stream)
    {
        var header = ReadHeader(path, stream);
        var (type, size) = TypeOf(path, header.Descr);
        var shape = CheckedShape(path, header.Shape, size, stream.Length - stream.Position);
        byte[] bytes = new byte[shape.Count * size];
        stream.ReadExactly(bytes);
        return new NpyArray(type, shape, header.FortranOrder ? FromFortran(bytes, shape, size) : bytes);
    }

    /// <summary>Writes 32-bit floats: to a temporary name first, then renamed.</summary>
    /// <param name="path">The file.</param>
    /// <param name="values">Elements, last axis fastest.</param>
    /// <param name="shape">Sizes of the axes.</param>
    /// <exception cref="ShapeException">The number of values is not the product of the sizes.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static void Write(string path, ReadOnlyMemory<float> values, Shape shape) => Write(path, NpyType.Float32, values, shape);

    /// <summary>Writes 64-bit floats.</summary>
    /// <inheritdoc cref="Write(string, ReadOnlyMemory{float}, Shape)"/>
    public static void Write(string path, ReadOnlyMemory<double> values, Shape shape) => Write(path, NpyType.Float64, values, shape);

    /// <summary>Writes 64-bit whole numbers.</summary>
    /// <inheritdoc cref="Write(string, ReadOnlyMemory{float}, Shape)"/>
    public static void Write(string path, ReadOnlyMemory<long> values, Shape shape) => Write(path, NpyType.Int64, values, shape);

    /// <summary>Writes bytes.</summary>
    /// <inheritdoc cref="Write(string, ReadOnlyMemory{float}, Shape)"/>
    public static void Write(string path, ReadOnlyMemory<byte> values, Shape shape) => Write(path, NpyType.UInt8, values, shape);

    private static void Write<T>(string path, NpyType type, ReadOnlyMemory<T> values, Shape shape) where T : unmanaged
    {
        if (values.Length != shape.Count) throw new ShapeException($"An array of shape {shape} has {shape.Count} elements, but {values.Length} values were given.");
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException(".npy files are little-endian and are written as memory lies; this machine is big-endian.");
        byte[] header = NpyHeader.Format(Types.First(t => t.Type == type).Descr, shape);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(header);
            // A span of bytes cannot be longer than 2 GiB: in pieces.
            for (int at = 0; at < values.Length; at += 1 << 24) stream.Write(MemoryMarshal.AsBytes(values.Span[at..Math.Min(values.Length, at + (1 << 24))]));
        });
    }

    private static NpyHeader ReadHeader(string path, Stream stream)
    {
        Span<byte> start = stackalloc byte[12];
        int got = stream.ReadAtLeast(start, 12, throwOnEndOfStream: false);
        if (got < 6 || start[0] != 0x93 || !start[1..6].SequenceEqual("NUMPY"u8)) throw new FileFormatException(path, "not a NumPy file. Save the array with numpy.save.");
        if (got < 12) throw new FileFormatException(path, $"cut off: it has {got} bytes. Copy it again.");
        int version = start[6];
        if (version is < 1 or > 3) throw new FileFormatException(path, $"a NumPy file of version {version}.{start[7]}; 1 to 3 can be read. Save it again with numpy.save.");
        uint length = version == 1 ? BinaryPrimitives.ReadUInt16LittleEndian(start[8..]) : BinaryPrimitives.ReadUInt32LittleEndian(start[8..]);
        int offset = version == 1 ? 10 : 12;
        if (length > MaximumHeader) throw new FileFormatException(path, $"its NumPy header would take {length} bytes, more than a plain array needs ({MaximumHeader}). Save it again with numpy.save.");
        if (offset + length > stream.Length) throw new FileFormatException(path, $"cut off: its header should take {length} bytes and {stream.Length - offset} are there. Copy it again.");
        byte[] text = new byte[length];
        stream.Position = offset;
        stream.ReadExactly(text);
        return NpyHeader.Parse(path, Encoding.UTF8.GetString(text));
    }

    private static (NpyType Type, int Size) TypeOf(string path, string descr)
    {
        foreach (var (known, type, size) in Types)
        {
            // Of one byte there is no order; older files say so in other ways.
            if (descr == known || (size == 1 && descr is "<u1" or ">u1" or "u1" or "=u1")) return (type, size);
        }
        throw new FileFormatException(path, descr.StartsWith('>')
            ? $"its numbers ('{descr}') are big-endian. Save it with array.astype('<f4')."
            : $"its numbers are '{descr}'; float32, float64, int64 and uint8 can be read. Save it with array.astype('float32').");
    }

    /// <summary>The shape, when it accounts for the rest of the file to the byte.</summary>
    private static Shape CheckedShape(string path, IReadOnlyList<long> sizes, int elementSize, long rest)
    {
        UInt128 bytes = (UInt128)elementSize;
        foreach (long size in sizes)
        {
            // An axis of zero makes the product zero: the others must still be possible.
            if (size > int.MaxValue) throw new FileFormatException(path, $"has an axis of {size}, more than an array here can have.");
            if (size > 0) bytes *= (UInt128)size;
            if (bytes > long.MaxValue) throw new FileFormatException(path, $"the shape ({string.Join(", ", sizes)}) of the array is larger than anything that can be stored. It is damaged.");
        }
        if (sizes.Contains(0)) bytes = 0;
        if (bytes != (UInt128)rest) throw new FileFormatException(path, $"{(bytes > (UInt128)rest ? "cut off" : "too long")}: an array ({string.Join(", ", sizes)}) takes {bytes} bytes and {rest} are there. Copy it again.");
        if (bytes > (UInt128)Array.MaxLength) throw new FileFormatException(path, $"the array takes {bytes} bytes; up to 2 GiB can be read at once. Save it in parts.");
        return new Shape([.. sizes.Select(s => (int)s)]);
    }

    /// <summary>From the order in which the first axis is the fastest.</summary>
    private static byte[] FromFortran(byte[] source, Shape shape, int size)
    {
        byte[] target = new byte[source.Length];
        int[] index = new int[shape.Rank];
        long[] stride = new long[shape.Rank];
        for (int axis = 0; axis < shape.Rank; axis++) stride[axis] = axis == 0 ? size : stride[axis - 1] * shape[axis - 1];
        long from = 0;
        for (int to = 0; to < target.Length; to += size)
        {
            source.AsSpan((int)from, size).CopyTo(target.AsSpan(to));
            for (int axis = shape.Rank - 1; axis >= 0; axis--)
            {
                from += stride[axis];
                if (++index[axis] < shape[axis]) break;
                from -= stride[axis] * index[axis];
                index[axis] = 0;
            }
        }
        return target;
    }
}
