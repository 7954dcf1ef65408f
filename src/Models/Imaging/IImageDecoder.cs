using RefConv.IO;

namespace RefConv.Models.Imaging;

/// <summary>What the head of an image file says.</summary>
/// <param name="Format"><c>PNG</c>, <c>JPEG</c>.</param>
/// <param name="Width">Columns as stored, before the orientation is applied.</param>
/// <param name="Height">Rows as stored.</param>
/// <param name="Channels">Channels as stored: 1 grey, 2 grey and alpha, 3 colour (a palette's too), 4 colour and alpha, or CMYK.</param>
/// <param name="BitDepth">Bits of a sample, or of a palette's index.</param>
/// <param name="Orientation">EXIF: 1 upright, 2 to 8 turned or mirrored.</param>
public sealed record ImageInfo(string Format, int Width, int Height, int Channels, int BitDepth, int Orientation);

/// <summary>
/// Makes a picture of the bytes of a file. An application that reads other formats, or has a decoder of its own, puts it in the place of
/// <see cref="ImageFile.Decoder"/>. Called from several threads at the same time.
/// </summary>
public interface IImageDecoder
{
    /// <summary>Reads the head only.</summary>
    /// <param name="file">The file, or the first 64 KB of it; where those end in an exception, the whole file is asked about next.</param>
    /// <exception cref="ImageFormatException">No such format, or damaged, or cut off before the head's end.</exception>
    ImageInfo ReadInfo(ReadOnlyMemory<byte> file);

    /// <summary>Decodes the picture to 8 bits, upright.</summary>
    /// <exception cref="ImageFormatException">No such format, too large, or damaged.</exception>
    /// <exception cref="NotSupportedException">
    /// The format is decoded by a library that is not installed (JPEG: libjpeg-turbo); the message says how to install it.
    /// </exception>
    Image Decode(ReadOnlyMemory<byte> file);
}

/// <summary>Bytes are not a picture that can be read. The message is for people, and is written to follow a file's name and a colon.</summary>
/// <param name="problem">What is wrong, and what to do.</param>
/// <param name="inner">What was thrown underneath, if anything was.</param>
public sealed class ImageFormatException(string problem, Exception? inner = null) : IOException(problem, inner);

/// <summary>Pictures from files.</summary>
public static class ImageFile
{
    private const long MostBytes = 1L << 30;

    /// <summary>Most heads are shorter; only previews and colour profiles make one longer.</summary>
    private const int HeadBytes = 1 << 16;

    /// <summary>What reads them: PNG and JPEG unless replaced.</summary>
    public static IImageDecoder Decoder { get; set; } = new ImageDecoder();

    /// <summary>Reads a picture.</summary>
    /// <exception cref="FileFormatException">Not a picture that can be read; the message names the file.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    /// <exception cref="NotSupportedException">A JPEG file, and libjpeg-turbo is not installed; the message says how to install it.</exception>
    public static Image Load(string path) => Read(path, ReadBytes(path), Decoder.Decode);

    /// <summary>Reads what the head of a file says, and mostly no more of the file than that.</summary>
    /// <exception cref="FileFormatException">Not a picture that can be read; the message names the file.</exception>
    /// <exception cref="IOException">The file is missing or cannot be read.</exception>
    public static ImageInfo LoadInfo(string path)
    {
        byte[] head = ReadBytes(path, HeadBytes);
        if (head.Length < HeadBytes) return Read(path, head, Decoder.ReadInfo);
        try
        {
            return Decoder.ReadInfo(head);
        }
        catch (ImageFormatException)
        {
            // Its head is longer; or it is no picture, which the whole file will tell.
            return Read(path, ReadBytes(path), Decoder.ReadInfo);
        }
    }

    private static T Read<T>(string path, byte[] bytes, Func<ReadOnlyMemory<byte>, T> decode)
    {
        try
        {
            return decode(bytes);
        }
        catch (ImageFormatException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
    }

    private static byte[] ReadBytes(string path, long most = long.MaxValue)
    {
        if (Directory.Exists(path)) throw new FileFormatException(path, "is a folder. Give an image file.");
        if (!File.Exists(path)) throw new FileNotFoundException($"There is no file '{path}'. Check the path.", path);
        using var handle = File.OpenHandle(path);
        long length = RandomAccess.GetLength(handle);
        if (length > MostBytes) throw new FileFormatException(path, $"the file has {length:N0} bytes, more than any picture that is read here ({MostBytes:N0}). Is it the right file?");
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)Math.Min(length, most));
        int filled = 0;
        while (filled < bytes.Length)
        {
            int read = RandomAccess.Read(handle, bytes.AsSpan(filled), filled);
            if (read == 0) throw new FileFormatException(path, "the file became shorter while it was read. Try again when nothing writes it.");
            filled += read;
        }
        return bytes;
    }
}
