using System.IO.MemoryMappedFiles;

namespace RefConv.IO;

/// <summary>
/// A file mapped into memory for reading: opening costs nothing, bytes are read when they are touched, and offsets are long, so files of any size work.
/// </summary>
/// <remarks>The file must not be shortened by another program while it is open (the writers here never do: they rename a new file over it).</remarks>
internal sealed unsafe class MappedFile : IDisposable
{
    private readonly MemoryMappedFile? _map;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _start;
    private bool _disposed;

    private MappedFile(string path, long length, MemoryMappedFile? map)
    {
        Path = path;
        Length = length;
        _map = map;
        if (map == null) return; // an empty file cannot be mapped
        _view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _start = start + _view.PointerOffset;
    }

    /// <summary>The file, as it was given.</summary>
    public string Path { get; }

    /// <summary>Its bytes.</summary>
    public long Length { get; }

    /// <summary>Maps a file of weights.</summary>
    /// <exception cref="FileFormatException">It is a folder.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static MappedFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Directory.Exists(path)) throw new FileFormatException(path, "is a folder. Give the file of weights in it (.safetensors, .pth).");
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no file '{path}'. Check the name of the weights.", path);
        if (!BitConverter.IsLittleEndian) throw new PlatformNotSupportedException("Files of weights are little-endian and are read as they lie; this machine is big-endian.");
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        long length = stream.Length;
        if (length == 0)
        {
            stream.Dispose();
            return new MappedFile(path, 0, null);
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
            return new MappedFile(path, length, map);
        }
        catch
        {
            map.Dispose();
            throw;
        }
    }

    /// <summary>The address of a byte. The caller has checked that what it reads lies in the file, and stops before the file is closed.</summary>
    public byte* At(long offset)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _start + offset;
    }

    /// <summary>Bytes in place.</summary>
    /// <exception cref="ArgumentOutOfRangeException">They are not all in the file.</exception>
    public ReadOnlySpan<byte> Span(long offset, int count)
    {
        if (offset < 0 || count < 0 || offset > Length - count) throw new ArgumentOutOfRangeException(nameof(offset), $"{count} bytes at {offset} are not all in a file of {Length}.");
        return new ReadOnlySpan<byte>(At(offset), count);
    }

    /// <summary>Whether the file begins with these bytes.</summary>
    public bool StartsWith(ReadOnlySpan<byte> bytes) => Length >= bytes.Length && Span(0, bytes.Length).SequenceEqual(bytes);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed) return;
        _disposed = true;
        _view?.SafeMemoryMappedViewHandle.ReleasePointer();
        _view?.Dispose();
        _map?.Dispose();
    }
}
