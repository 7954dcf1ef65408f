using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace RefConv.IO;

/// <summary>
/// A safetensors file, open for reading: eight bytes of header length (little-endian), a JSON header, and the raw tensors one after
/// another. The file is mapped into memory, so opening costs as much as its header and a tensor is read when it is asked for.
/// </summary>
/// <remarks>
/// Everything is checked when the file is opened, to the last byte; what opens can be read. Any number of threads may read.
/// The file must not be shortened by another program while it is open (the writers here never do: they rename a new file over it).
/// </remarks>
public sealed unsafe class SafeTensorsFile : ITensorFile
{
    private readonly MappedFile _file;
    private readonly Dictionary<string, SafeTensorsInfo> _byName;
    private readonly long _data;

    private SafeTensorsFile(MappedFile file)
    {
        _file = file;
        if (file.Length == 0) throw new FileFormatException(Path, "is empty: it was perhaps never written to the end. Copy or download it again.");
        if (file.Length < 8) throw new FileFormatException(Path, $"not a safetensors file: it has {file.Length} bytes and the header's length alone takes 8. Copy or download it again.");
        long headerBytes = BinaryPrimitives.ReadInt64LittleEndian(file.Span(0, 8));
        CheckHeaderLength(Path, file.Length, headerBytes, file.Span(0, (int)Math.Min(file.Length, 64)));
        _data = 8 + headerBytes;
        var header = SafeTensorsHeader.Parse(Path, file.Span(8, (int)headerBytes), file.Length - _data);
        Metadata = header.Metadata;
        Entries = header.Entries;
        _byName = header.Entries.ToDictionary(e => e.Name, StringComparer.Ordinal);
    }

    /// <summary>The file, as it was given.</summary>
    public string Path => _file.Path;

    /// <summary>The file's free text, by key.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<SafeTensorsInfo> Entries { get; }

    IReadOnlyList<TensorInfo> ITensorFile.Tensors => Entries;

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="FileFormatException">It is damaged or no safetensors file.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be read.</exception>
    public static SafeTensorsFile Open(string path)
    {
        var file = MappedFile.Open(path);
        try
        {
            return From(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads an open file, which then belongs to the result.</summary>
    internal static SafeTensorsFile From(MappedFile file) => new(file);

    /// <summary>Whether the file holds a tensor of this name.</summary>
    public bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out SafeTensorsInfo? entry) => _byName.TryGetValue(name, out entry);

    /// <summary>The tensor of this name.</summary>
    /// <exception cref="FileFormatException">The file has none.</exception>
    public SafeTensorsInfo Find(string name)
    {
        if (_byName.TryGetValue(name, out var entry)) return entry;
        string some = string.Join(", ", Entries.Take(5).Select(e => e.Name)) + (Entries.Count > 5 ? ", …" : "");
        throw new FileFormatException(Path, $"holds no tensor '{name}'; it has {Entries.Count}: {some}. Is it a file of another model?");
    }

    /// <summary>The raw bytes of a tensor, in place. The span must not be used after the file is closed.</summary>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Find(name);
        if (entry.End - entry.Start > Array.MaxLength) throw new FileFormatException(Path, $"{entry} is larger than 2 GiB, which one array cannot hold.");
        return _file.Span(_data + entry.Start, (int)(entry.End - entry.Start));
    }

    /// <inheritdoc/>
    public float[] Read(string name) => Mapped(name).Read();

    /// <inheritdoc/>
    public void ReadInto(string name, Parameter parameter) => Mapped(name).ReadInto(parameter);

    /// <inheritdoc/>
    public void RequireFinite(string name, int threads = 1) => Mapped(name).RequireFinite(threads);

    void ITensorFile.ReadFiniteInto(string name, Parameter parameter) => Mapped(name).ReadInto(parameter, check: true);

    /// <summary>A tensor of whole numbers (I8 to I64, U8 to U64, BOOL).</summary>
    /// <exception cref="FileFormatException">The file has no such tensor, it holds fractions, or a number does not fit.</exception>
    public long[] ReadInt64(string name)
    {
        var bytes = Bytes(name);
        return Find(name).Type switch
        {
            SafeTensorsType.I8 => Widen<sbyte>(bytes),
            SafeTensorsType.I16 => Widen<short>(bytes),
            SafeTensorsType.I32 => Widen<int>(bytes),
            SafeTensorsType.I64 => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
            SafeTensorsType.U8 => Widen<byte>(bytes),
            SafeTensorsType.U16 => Widen<ushort>(bytes),
            SafeTensorsType.U32 => Widen<uint>(bytes),
            SafeTensorsType.U64 => Signed(name, bytes),
            SafeTensorsType.Bool => [.. Widen<byte>(bytes).Select(v => Math.Min(v, 1))],
            _ => throw new FileFormatException(Path, $"{Find(name)} holds fractions where whole numbers are expected. Is it a file of another model?"),
        };
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private MappedTensor Mapped(string name)
    {
        var entry = Find(name);
        return new MappedTensor(Path, entry, _file.At(_data + entry.Start));
    }

    private long[] Signed(string name, ReadOnlySpan<byte> bytes)
    {
        long[] to = MemoryMarshal.Cast<byte, long>(bytes).ToArray();
        int i = to.AsSpan().IndexOfAnyInRange(long.MinValue, -1);
        return i < 0 ? to : throw new FileFormatException(Path, $"'{name}' holds {(ulong)to[i]}, which is more than a signed 64-bit number can.");
    }

    private static long[] Widen<T>(ReadOnlySpan<byte> bytes)
        where T : unmanaged, IBinaryInteger<T>
    {
        // The cast copes with any address: the loads of .NET on the machines it runs on need no alignment.
        var from = MemoryMarshal.Cast<byte, T>(bytes);
        long[] to = new long[from.Length];
        for (int i = 0; i < to.Length; i++) to[i] = long.CreateTruncating(from[i]);
        return to;
    }

    private static void CheckHeaderLength(string path, long length, long headerBytes, ReadOnlySpan<byte> start)
    {
        string? looksLike = LooksLike(start);
        if (looksLike is not null && (headerBytes < 2 || headerBytes > length - 8 || headerBytes > SafeTensorsFormat.MaximumHeader))
        {
            throw new FileFormatException(path, $"not a safetensors file: it looks like {looksLike}.");
        }
        if (headerBytes is < 2 or > SafeTensorsFormat.MaximumHeader)
        {
            throw new FileFormatException(path, $"not a safetensors file: its header would take {(ulong)headerBytes} bytes (2 to {SafeTensorsFormat.MaximumHeader} are allowed). Check that it is the right file.");
        }
        if (headerBytes > length - 8)
        {
            throw new FileFormatException(path, $"cut off: its header should take {headerBytes} bytes and only {length - 8} are there. Copy or download it again.");
        }
    }

    /// <summary>What people give by mistake, told by its first bytes, with the way out.</summary>
    private static string? LooksLike(ReadOnlySpan<byte> start) => start switch
    {
        _ when start.StartsWith("version https://git-lfs"u8) => "a Git LFS pointer. Fetch the file itself with 'git lfs pull'",
        _ when start.StartsWith("PK"u8) => "a PyTorch or zip file. Make a model file of it: refconv convert IN OUT.safetensors --model NAME",
        _ when start[0] == 0x80 => "an old PyTorch or pickle file. Make a model file of it: refconv convert IN OUT.safetensors --model NAME",
        _ when start.StartsWith("\u0093NUMPY"u8) || (start[0] == 0x93 && start[1..].StartsWith("NUMPY"u8)) => "a NumPy file. Save it as safetensors in Python first",
        _ when start[0] == 0x1F && start[1] == 0x8B => "a gzip file. Unpack it first",
        _ when start.StartsWith("<"u8) => "a web page. The download went wrong: check the address",
        _ when start.StartsWith("{"u8) => "JSON text (perhaps the index of a file in parts). Give a .safetensors file",
        _ => null,
    };
}
