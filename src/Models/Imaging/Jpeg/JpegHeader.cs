using System.Buffers.Binary;

namespace RefConv.Models.Imaging.Jpeg;

/// <summary>
/// What the markers before the picture of a JPEG say. Read here, before native code sees the file: for the limit on the size, to refuse by name what
/// the library cannot decode, and for the orientation.
/// </summary>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
/// <param name="Components">Samples a pixel.</param>
/// <param name="Precision">Bits a sample.</param>
/// <param name="Orientation">EXIF's.</param>
/// <param name="HasEnd">The marker at the end is there.</param>
/// <param name="Arithmetic">The picture is arithmetic-coded, not in Huffman's codes.</param>
/// <param name="DataBytes">Bytes from the first scan on: the picture, or less.</param>
internal sealed record JpegHeader(int Width, int Height, int Components, int Precision, int Orientation, bool HasEnd, bool Arithmetic, long DataBytes)
{
    private const byte StartOfImage = 0xD8, EndOfImage = 0xD9, StartOfScan = 0xDA, FirstArithmetic = 0xC9, App1 = 0xE1, Temporary = 0x01;

    public ImageInfo Info => new("JPEG", Width, Height, Components, Precision, Orientation);

    /// <summary>Reads the markers up to the first scan.</summary>
    /// <exception cref="ImageFormatException">Damaged, or of a kind that cannot be decoded.</exception>
    public static JpegHeader Parse(ReadOnlySpan<byte> file)
    {
        int at = 2, orientation = 1;
        (int Width, int Height, int Components, int Precision)? frame = null;
        bool arithmetic = false;
        while (true)
        {
            byte marker = NextMarker(file, ref at);
            if (marker is StartOfImage or Temporary or (>= 0xD0 and <= 0xD7)) continue; // these stand alone
            if (marker == EndOfImage) throw Damaged("it ends before its picture");
            if (file.Length - at < 2) throw Damaged("it ends in the middle of its header");
            int length = BinaryPrimitives.ReadUInt16BigEndian(file[at..]);
            if (length < 2) throw Damaged($"a segment at byte {at} has a length of {length}");
            if (marker == StartOfScan)
            {
                if (frame is not { } f) throw Damaged("its picture begins before its size is told");
                return new JpegHeader(f.Width, f.Height, f.Components, f.Precision, orientation, file[at..].LastIndexOf((ReadOnlySpan<byte>)[0xFF, EndOfImage]) >= 0, arithmetic, file.Length - at);
            }
            if (length > file.Length - at) throw Damaged("it ends in the middle of its header");
            var body = file.Slice(at + 2, length - 2);
            if (marker is >= 0xC0 and <= 0xCF and not (0xC4 or 0xC8 or 0xCC)) (frame, arithmetic) = (Frame(marker, body), marker >= FirstArithmetic);
            else if (marker == App1 && body.StartsWith("Exif\0\0"u8)) orientation = ExifOrientation.Of(body[6..]);
            at += length;
        }
    }

    public static ImageFormatException Damaged(string what) => new($"the JPEG file is damaged: {what}. Use another copy of the file.");

    /// <summary>Passes over whatever stands before the next marker, as all decoders do, and over the fill bytes in front of it.</summary>
    private static byte NextMarker(ReadOnlySpan<byte> file, ref int at)
    {
        while (at < file.Length - 1)
        {
            int next = file[at..].IndexOf((byte)0xFF);
            if (next < 0) break;
            at += next;
            while (at < file.Length && file[at] == 0xFF) at++;
            if (at == file.Length) break;
            byte marker = file[at++];
            if (marker != 0) return marker;
        }
        throw Damaged("it ends before its picture");
    }

    private static (int Width, int Height, int Components, int Precision) Frame(byte marker, ReadOnlySpan<byte> body)
    {
        if (body.Length < 6) throw Damaged("its frame header is too short");
        int precision = body[0], height = BinaryPrimitives.ReadUInt16BigEndian(body[1..]), width = BinaryPrimitives.ReadUInt16BigEndian(body[3..]), components = body[5];
        string? kind = marker switch
        {
            0xC3 or 0xC7 or 0xCB or 0xCF => "a lossless JPEG",
            0xC5 or 0xC6 or 0xCD or 0xCE => "a hierarchical JPEG",
            _ when precision == 12 => "a JPEG of 12 bits a sample",
            _ => null,
        };
        if (kind != null) throw new ImageFormatException($"this is {kind}, which cannot be read. Convert it to an ordinary JPEG of 8 bits or to PNG.");
        if (precision != 8) throw Damaged($"its samples have {precision} bits");
        if (width == 0 || height == 0) throw Damaged($"it says that it has {width}×{height} pixels");
        if (components is not (1 or 3 or 4)) throw Damaged($"it has {components} components");
        return (width, height, components, precision);
    }
}
