using System.Text;
using RefConv.Models.Imaging.Jpeg;
using RefConv.Models.Imaging.Png;

namespace RefConv.Models.Imaging;

/// <summary>Reads PNG and JPEG, told by their first bytes, whatever the name of the file. Other formats are refused by their real name.</summary>
public sealed class ImageDecoder : IImageDecoder
{
    /// <summary>
    /// Largest number of pixels. A file of a few kilobytes can promise billions: what it says is compared with this before memory is taken.
    /// </summary>
    public long MaximumPixels { get; init; } = 100_000_000;

    /// <summary>Turns pictures upright as their EXIF orientation says. Off, they come as they are stored.</summary>
    public bool ApplyOrientation { get; init; } = true;

    /// <inheritdoc/>
    public ImageInfo ReadInfo(ReadOnlyMemory<byte> file) => Recognise(file.Span) == "PNG" ? PngFile.Parse(file, headOnly: true).Info : JpegHeader.Parse(file.Span).Info;

    /// <inheritdoc/>
    public Image Decode(ReadOnlyMemory<byte> file)
    {
        ImageInfo info;
        Image image;
        if (Recognise(file.Span) == "PNG")
        {
            var png = PngFile.Parse(file);
            info = CheckSize(png.Info);
            image = PngDecoder.Decode(png);
        }
        else
        {
            var jpeg = JpegHeader.Parse(file.Span);
            info = CheckSize(jpeg.Info);
            image = JpegDecoder.Decode(file.Span, jpeg);
        }
        return ApplyOrientation ? image.Upright(info.Orientation) : image;
    }

    private ImageInfo CheckSize(ImageInfo info) => (long)info.Width * info.Height <= MaximumPixels
        ? info
        : throw new ImageFormatException($"the picture has {info.Width:N0}×{info.Height:N0} pixels, more than the limit of {MaximumPixels:N0}. Make it smaller, or raise MaximumPixels.");

    /// <summary>"PNG" or "JPEG"; anything else ends here.</summary>
    private static string Recognise(ReadOnlySpan<byte> file)
    {
        if (file.IsEmpty) throw new ImageFormatException("the file is empty. Download or copy it again.");
        if (file.StartsWith(PngFile.Signature)) return "PNG";
        if (file is [0xFF, 0xD8, 0xFF, ..]) return "JPEG";
        if (file.Length >= 8 && file[1..4].SequenceEqual("PNG"u8))
            throw new ImageFormatException("the PNG signature is damaged: the file was copied as text or to 7 bits. Copy it again as it is.");
        string? other = OtherFormat(file);
        throw new ImageFormatException(other == null
            ? "this is no image of a kind that can be read. Give a PNG or JPEG file."
            : $"this is {other}, and only PNG and JPEG can be read. Convert it to one of them.");
    }

    private static string? OtherFormat(ReadOnlySpan<byte> file)
    {
        if (file.StartsWith("GIF8"u8)) return "a GIF image";
        if (file.StartsWith("BM"u8) && file.Length >= 26) return "a BMP image";
        if (file.Length >= 12 && file.StartsWith("RIFF"u8) && file[8..12].SequenceEqual("WEBP"u8)) return "a WebP image";
        if (file.StartsWith("II*\0"u8) || file.StartsWith("MM\0*"u8) || file.StartsWith("II+\0"u8) || file.StartsWith("MM\0+"u8)) return "a TIFF image";
        if (file.Length >= 12 && file[4..8].SequenceEqual("ftyp"u8))
        {
            return Encoding.ASCII.GetString(file[8..12]) switch
            {
                "avif" or "avis" => "an AVIF image",
                "heic" or "heix" or "mif1" or "msf1" or "hevc" => "a HEIC image",
                _ => "a video or another file of the MP4 family",
            };
        }
        if (file is [0xFF, 0x0A, ..] || (file.Length >= 12 && file[..12].SequenceEqual((ReadOnlySpan<byte>)[0, 0, 0, 12, .. "JXL "u8, 13, 10, 0x87, 10]))) return "a JPEG XL image";
        if (file is [0xFF, 0x4F, 0xFF, 0x51, ..] || (file.Length >= 12 && file[4..8].SequenceEqual("jP  "u8))) return "a JPEG 2000 image";
        if (file.StartsWith("8BPS"u8)) return "a Photoshop document";
        if (file.StartsWith("qoif"u8)) return "a QOI image";
        if (file is [0, 0, 1, 0, ..]) return "a Windows icon";
        if (file is [(byte)'P', >= (byte)'1' and <= (byte)'7', (byte)'\n' or (byte)' ' or (byte)'\r', ..]) return "a PNM image";
        if (file.StartsWith("%PDF"u8)) return "a PDF document";
        if (file is [0x1F, 0x8B, ..]) return "gzip data";
        if (file.StartsWith("PK\x03\x04"u8)) return "a zip archive";
        return TextFormat(file);
    }

    private static string? TextFormat(ReadOnlySpan<byte> file)
    {
        string head = Encoding.Latin1.GetString(file[..Math.Min(file.Length, 256)]).TrimStart('\u00EF', '\u00BB', '\u00BF', ' ', '\r', '\n', '\t');
        if (head.StartsWith("<!DOCTYPE html", StringComparison.OrdinalIgnoreCase) || head.StartsWith("<html", StringComparison.OrdinalIgnoreCase)) return "a web page";
        if (head.StartsWith("<svg", StringComparison.Ordinal) || (head.StartsWith("<?xml", StringComparison.Ordinal) && head.Contains("<svg", StringComparison.Ordinal))) return "an SVG drawing";
        if (head.StartsWith("version https://git-lfs", StringComparison.Ordinal)) return "a Git LFS pointer (get the file itself with git lfs pull)";
        return null;
    }
}
