using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
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
public sealed unsafe class SafeTensorsFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly Dictionary<string, SafeTensorsInfo> _byName;
    private readonly byte* _data;
    private bool _disposed;

    private SafeTensorsFile(string path, long length, MemoryMappedFile map)
    {
        Path = path;
        _map = map;
        _view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        start += _view.PointerOffset;
        try
        {
            long headerBytes = BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(start, 8));
            CheckHeaderLength(path, length, headerBytes, new ReadOnlySpan<byte>(start, (int)Math.Min(length, 64)));
            var header = SafeTensorsHeader.Parse(path, new ReadOnlySpan<byte>(start + 8, (int)headerBytes), length - 8 - headerBytes);
            Metadata = header.Metadata;
            Entries = header.Entries;
            _byName = header.Entries.ToDictionary(e => e.Name, StringComparer.Ordinal);
            _data = start + 8 + headerBytes;
        }
        catch
        {
            Release();
            throw;
        }
    }

    /// <summary>The file, as it was given.</summary>
    public string Path { get; }

    /// <summary>The file's free text, by key.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>The tensors, in the order of their bytes.</summary>
    public IReadOnlyList<SafeTensorsInfo> Entries { get; }

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="FileFormatException">It is damaged or no safetensors file.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="UnauthorizedAccessException">It must not be read.</exception>
    public static SafeTensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Directory.Exists(path)) throw new FileFormatException(path, "is a folder. Give the .safetensors file in it.");
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no file '{path}'. Check the name of the weights.", path);
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("safetensors files are little-endian and are read as they lie; this machine is big-endian.");
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        long length = stream.Length;
        if (length < 8)
        {
            stream.Dispose();
            throw new FileFormatException(path, $"not a safetensors file: it has {length} bytes and the header's length alone takes 8. Copy or download it again.");
        }
        MemoryMappedFile map;
        try
        {
            map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
        try
        {
            return new SafeTensorsFile(path, length, map);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

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
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (entry.End - entry.Start > Array.MaxLength) throw new FileFormatException(Path, $"{entry} is larger than 2 GiB, which one array cannot hold.");
        return new ReadOnlySpan<byte>(_data + entry.Start, (int)(entry.End - entry.Start));
    }

    /// <summary>A tensor as floats, whatever its type: rounded to nearest from wider types; true is 1.</summary>
    public float[] Read(string name)
    {
        var bytes = Bytes(name);
        return Find(name).Type switch
        {
            SafeTensorsType.F32 => MemoryMarshal.Cast<byte, float>(bytes).ToArray(),
            SafeTensorsType.F64 => Convert<double, float>(bytes, v => (float)v),
            SafeTensorsType.F16 => Convert<Half, float>(bytes, v => (float)v),
            SafeTensorsType.BF16 => Convert<ushort, float>(bytes, v => BitConverter.UInt32BitsToSingle((uint)v << 16)),
            SafeTensorsType.I8 => Convert<sbyte, float>(bytes, v => v),
            SafeTensorsType.I16 => Convert<short, float>(bytes, v => v),
            SafeTensorsType.I32 => Convert<int, float>(bytes, v => v),
            SafeTensorsType.I64 => Convert<long, float>(bytes, v => v),
            SafeTensorsType.U8 => Convert<byte, float>(bytes, v => v),
            SafeTensorsType.U16 => Convert<ushort, float>(bytes, v => v),
            SafeTensorsType.U32 => Convert<uint, float>(bytes, v => v),
            SafeTensorsType.U64 => Convert<ulong, float>(bytes, v => v),
            _ => Convert<byte, float>(bytes, v => v == 0 ? 0 : 1),
        };
    }

    /// <summary>A tensor of whole numbers (I8 to I64, U8 to U64, BOOL).</summary>
    /// <exception cref="FileFormatException">The file has no such tensor, it holds fractions, or a number does not fit.</exception>
    public long[] ReadInt64(string name)
    {
        var bytes = Bytes(name);
        return Find(name).Type switch
        {
            SafeTensorsType.I8 => Convert<sbyte, long>(bytes, v => v),
            SafeTensorsType.I16 => Convert<short, long>(bytes, v => v),
            SafeTensorsType.I32 => Convert<int, long>(bytes, v => v),
            SafeTensorsType.I64 => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
            SafeTensorsType.U8 => Convert<byte, long>(bytes, v => v),
            SafeTensorsType.U16 => Convert<ushort, long>(bytes, v => v),
            SafeTensorsType.U32 => Convert<uint, long>(bytes, v => v),
            SafeTensorsType.U64 => Convert<ulong, long>(bytes, v => v <= long.MaxValue ? (long)v : throw TooLarge(name, v)),
            SafeTensorsType.Bool => Convert<byte, long>(bytes, v => v == 0 ? 0 : 1),
            _ => throw new FileFormatException(Path, $"{Find(name)} holds fractions where whole numbers are expected. Is it a file of another model?"),
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        Release();
        _map.Dispose();
    }

    private void Release()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
    }

    private FileFormatException TooLarge(string name, ulong value) => new(Path, $"'{name}' holds {value}, which is more than a signed 64-bit number can.");

    private static TTo[] Convert<TFrom, TTo>(ReadOnlySpan<byte> bytes, Func<TFrom, TTo> convert)
        where TFrom : unmanaged
    {
        // The cast copes with any address: the loads of .NET on the machines it runs on need no alignment.
        var from = MemoryMarshal.Cast<byte, TFrom>(bytes);
        var to = new TTo[from.Length];
        for (int i = 0; i < to.Length; i++) to[i] = convert(from[i]);
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
        _ when start.StartsWith("PK"u8) => "a PyTorch or zip file. Save it as safetensors in Python first (safetensors.torch.save_file)",
        _ when start[0] == 0x80 => "an old PyTorch or pickle file. Save it as safetensors in Python first (safetensors.torch.save_file)",
        _ when start.StartsWith("\u0093NUMPY"u8) || (start[0] == 0x93 && start[1..].StartsWith("NUMPY"u8)) => "a NumPy file. Save it as safetensors in Python first",
        _ when start[0] == 0x1F && start[1] == 0x8B => "a gzip file. Unpack it first",
        _ when start.StartsWith("<"u8) => "a web page. The download went wrong: check the address",
        _ when start.StartsWith("{"u8) => "JSON text (perhaps the index of a file in parts). Give a .safetensors file",
        _ => null,
    };
}
