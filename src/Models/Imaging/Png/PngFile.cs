using System.Buffers.Binary;
using System.Text;
using RefConv.IO;

namespace RefConv.Models.Imaging.Png;

/// <summary>Colour types of PNG.</summary>
internal enum PngColor : byte
{
    Grey = 0,
    Rgb = 2,
    Palette = 3,
    GreyAlpha = 4,
    Rgba = 6,
}

/// <summary>
/// The chunks of a PNG file, checked: header, palette, transparency, and where the compressed picture lies. Critical chunks with a wrong check sum
/// make the file damaged; others are passed over then, as libpng does. What follows the picture is not looked at.
/// </summary>
internal sealed class PngFile
{
    private const string Again = "Use another copy of the file.";

    private PngFile(ReadOnlyMemory<byte> file) => File = file;

    public static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10];

    public ReadOnlyMemory<byte> File { get; }

    public int Width { get; private set; }

    public int Height { get; private set; }

    public int BitDepth { get; private set; }

    public PngColor Color { get; private set; }

    public bool Interlaced { get; private set; }

    /// <summary>Colours as R, G, B; empty when there is none.</summary>
    public ReadOnlyMemory<byte> Palette { get; private set; }

    /// <summary>The bytes of tRNS: alpha of the first colours of a palette, or the one sample (grey) or three (colour) that are transparent.</summary>
    public ReadOnlyMemory<byte> Transparency { get; private set; }

    public int Orientation { get; private set; } = 1;

    /// <summary>The pieces of the compressed picture.</summary>
    public List<ReadOnlyMemory<byte>> Data { get; } = [];

    /// <summary>Samples a pixel in the file.</summary>
    public int Samples => Color switch { PngColor.Rgb => 3, PngColor.GreyAlpha => 2, PngColor.Rgba => 4, _ => 1 };

    /// <summary>Bits a pixel in the file.</summary>
    public int PixelBits => Samples * BitDepth;

    public ImageInfo Info => new("PNG", Width, Height, Color == PngColor.Palette ? 3 : Samples, BitDepth, Orientation);

    /// <summary>Reads the chunks.</summary>
    /// <param name="file">The file, with its signature.</param>
    /// <param name="headOnly">Stop where the picture begins.</param>
    /// <exception cref="ImageFormatException">Damaged.</exception>
    public static PngFile Parse(ReadOnlyMemory<byte> file, bool headOnly = false)
    {
        var png = new PngFile(file);
        int at = Signature.Length;
        for (bool first = true; png.Next(ref at, first, headOnly); first = false) { }
        if (png.Color == PngColor.Palette && png.Palette.IsEmpty) throw Damaged("it has no palette, and its colours are numbers in one");
        if (!headOnly && png.Data.Count == 0) throw Damaged("it holds no picture data");
        return png;
    }

    public static ImageFormatException Damaged(string what, Exception? inner = null) => new($"the PNG file is damaged: {what}. {Again}", inner);

    /// <summary>Takes the next chunk; false when the picture is complete.</summary>
    private bool Next(ref int at, bool first, bool headOnly)
    {
        var rest = File.Span[at..];
        if (rest.Length < 12)
        {
            // A file that is cut off behind its last piece of data may still hold the whole picture.
            if (Data.Count > 0) return false;
            throw Damaged("it ends before its picture");
        }
        uint length = BinaryPrimitives.ReadUInt32BigEndian(rest);
        var type = rest.Slice(4, 4);
        string name = Name(type, at);
        bool critical = (type[0] & 0x20) == 0;
        if (first && name != "IHDR") throw Damaged($"it begins with a chunk {name} instead of its header");
        if (headOnly && name == "IDAT") return false;
        if (length > (uint)rest.Length - 12)
        {
            if (!critical && Data.Count > 0) return false;
            throw Damaged($"it ends in the middle of the chunk {name} at byte {at}");
        }
        if (Data.Count > 0 && name != "IDAT") return false;
        int body = (int)length;
        bool whole = Crc32.Of(rest.Slice(4, body + 4)) == BinaryPrimitives.ReadUInt32BigEndian(rest[(8 + body)..]);
        if (!whole && critical) throw Damaged($"the check sum of the chunk {name} at byte {at} is wrong");
        if (whole) Take(name, File.Slice(at + 8, body), critical, first);
        at += 12 + body;
        return name != "IEND";
    }

    private void Take(string name, ReadOnlyMemory<byte> body, bool critical, bool first)
    {
        switch (name)
        {
            case "IHDR":
                if (!first) throw Damaged("it has two headers");
                TakeHeader(body.Span);
                break;
            case "PLTE":
                if (body.Length % 3 != 0 || body.Length is 0 or > 768) throw Damaged($"its palette has {body.Length} bytes");
                Palette = body;
                break;
            case "IDAT":
                Data.Add(body);
                break;
            case "IEND":
                break;
            case "tRNS":
                TakeTransparency(body);
                break;
            case "eXIf":
                Orientation = ExifOrientation.Of(body.Span);
                break;
            default:
                if (critical) throw new ImageFormatException($"the PNG file has a chunk {name}, which the standard does not know and without which it cannot be read. Convert it to an ordinary PNG.");
                break;
        }
    }

    private void TakeHeader(ReadOnlySpan<byte> body)
    {
        if (body.Length != 13) throw Damaged($"its header has {body.Length} bytes instead of 13");
        uint width = BinaryPrimitives.ReadUInt32BigEndian(body), height = BinaryPrimitives.ReadUInt32BigEndian(body[4..]);
        if (width is 0 or > int.MaxValue || height is 0 or > int.MaxValue) throw Damaged($"it says that it has {width}×{height} pixels");
        int depth = body[8], color = body[9];
        bool known = color switch
        {
            0 => depth is 1 or 2 or 4 or 8 or 16,
            3 => depth is 1 or 2 or 4 or 8,
            2 or 4 or 6 => depth is 8 or 16,
            _ => false,
        };
        if (!known) throw Damaged($"there is no PNG of colour type {color} with {depth} bits");
        if (body[10] != 0 || body[11] != 0) throw Damaged($"there is no compression method {body[10]} or filter method {body[11]}");
        if (body[12] > 1) throw Damaged($"there is no interlace method {body[12]}");
        (Width, Height, BitDepth, Color, Interlaced) = ((int)width, (int)height, depth, (PngColor)color, body[12] == 1);
    }

    /// <summary>Of a wrong length, it is passed over: transparency can be done without.</summary>
    private void TakeTransparency(ReadOnlyMemory<byte> body)
    {
        bool fits = Color switch
        {
            PngColor.Grey => body.Length == 2,
            PngColor.Rgb => body.Length == 6,
            PngColor.Palette => body.Length <= Palette.Length / 3,
            _ => false,
        };
        if (fits) Transparency = body;
    }

    private static string Name(ReadOnlySpan<byte> type, int at)
    {
        foreach (byte letter in type)
        {
            if (!char.IsAsciiLetter((char)letter)) throw Damaged($"there is no chunk at byte {at} where one should be");
        }
        return Encoding.ASCII.GetString(type);
    }
}
