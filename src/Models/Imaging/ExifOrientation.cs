using System.Buffers.Binary;

namespace RefConv.Models.Imaging;

/// <summary>Finds one number in EXIF data: how the camera was held.</summary>
internal static class ExifOrientation
{
    private const int OrientationTag = 0x0112, ShortType = 3;

    /// <summary>The orientation, 1 to 8; 1 where there is none or the data makes no sense: it is a hint, and a picture can be seen without it.</summary>
    /// <param name="tiff">EXIF data: a TIFF header and its first directory.</param>
    public static int Of(ReadOnlySpan<byte> tiff)
    {
        if (tiff.Length < 8) return 1;
        bool little = tiff.StartsWith("II*\0"u8);
        if (!little && !tiff.StartsWith("MM\0*"u8)) return 1;
        uint at = little ? BinaryPrimitives.ReadUInt32LittleEndian(tiff[4..]) : BinaryPrimitives.ReadUInt32BigEndian(tiff[4..]);
        if (at > (uint)tiff.Length - 2) return 1;
        var directory = tiff[(int)at..];
        int entries = Math.Min(Short(directory), (directory.Length - 2) / 12);
        for (int i = 0; i < entries; i++)
        {
            var entry = directory.Slice(2 + (12 * i), 12);
            if (Short(entry) != OrientationTag || Short(entry[2..]) != ShortType) continue;
            int value = Short(entry[8..]);
            return value is >= 1 and <= 8 ? value : 1;
        }
        return 1;

        int Short(ReadOnlySpan<byte> bytes) => little ? BinaryPrimitives.ReadUInt16LittleEndian(bytes) : BinaryPrimitives.ReadUInt16BigEndian(bytes);
    }
}
