using System.IO.Compression;
using RefConv.IO;

namespace RefConv.Models.Data;

/// <summary>
/// A data file read from front to back, unpacked on the way when it is gzip (told by its first two bytes, whatever its name).
/// Whatever is wrong underneath comes out as a <see cref="FileFormatException"/>.
/// </summary>
internal sealed class DataFile : IDisposable
{
    private const string Again = "Download or copy it again.";

    /// <summary>Deflate cannot do better: a match of 258 bytes takes at least two bits.</summary>
    private const long MaximumRatio = 1032;

    private readonly FileStream _file;
    private readonly Stream _stream;

    public DataFile(string path)
    {
        Path = path;
        if (Directory.Exists(path)) throw new FileFormatException(path, "is a folder where a data file is expected. Move it away and put the file there.");
        _file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
        bool packed = _file.ReadByte() == 0x1F && _file.ReadByte() == 0x8B;
        _file.Position = 0;
        _stream = packed ? new GZipStream(_file, CompressionMode.Decompress) : _file;
        MaximumBytes = packed ? _file.Length * MaximumRatio : _file.Length;
    }

    public string Path { get; }

    /// <summary>It cannot hold more than this. Compare before allocating what a header promises.</summary>
    public long MaximumBytes { get; }

    /// <summary>Fills the span from the file; false when the file has ended just here.</summary>
    public bool TryFill(Span<byte> bytes, string what)
    {
        int read;
        try
        {
            read = _stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        }
        catch (InvalidDataException e)
        {
            throw new FileFormatException(Path, $"the gzip data is damaged or cut off. {Again}", e);
        }
        if (read == 0 && bytes.Length > 0) return false;
        if (read < bytes.Length) throw new FileFormatException(Path, $"ends in the middle of {what}: {read} of {bytes.Length} bytes are there. {Again}");
        return true;
    }

    /// <summary>Fills the span from the file.</summary>
    public void Fill(Span<byte> bytes, string what)
    {
        if (!TryFill(bytes, what)) throw new FileFormatException(Path, $"ends before {what}. {Again}");
    }

    /// <summary>Makes sure that nothing follows.</summary>
    public void ExpectEnd()
    {
        Span<byte> one = stackalloc byte[1];
        if (TryFill(one, "its end")) throw new FileFormatException(Path, $"goes on after the data that its header promises. {Again}");
    }

    public void Dispose()
    {
        _stream.Dispose();
        _file.Dispose();
    }

    /// <summary>The first of these names that exists in the folder, plain or with <c>.gz</c>.</summary>
    public static string? Find(string folder, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            string plain = System.IO.Path.Combine(folder, name);
            if (System.IO.Path.Exists(plain)) return plain;
            if (System.IO.Path.Exists(plain + ".gz")) return plain + ".gz";
        }
        return null;
    }

    /// <summary>Complains when the folder is not there or is a file.</summary>
    public static void ExpectFolder(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (File.Exists(folder)) throw new DirectoryNotFoundException($"'{folder}' is a file. Give the folder that the data files lie in.");
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'. Check the path after the colon, for example cifar10:/data/cifar-10-batches-bin.");
    }
}
