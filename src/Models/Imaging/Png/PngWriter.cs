using System.Buffers.Binary;
using System.IO.Compression;
using RefConv.IO;

namespace RefConv.Models.Imaging.Png;

/// <summary>
/// Writes PNG files of colours from a table: one byte a pixel before compression. That is all that pictures of matrices need, and it keeps a map of 64×64 values
/// at three or four kilobytes.
/// </summary>
internal static class PngWriter
{
    private static ReadOnlySpan<byte> Signature => [0x89, (byte)'P', (byte)'N', (byte)'G', (byte)'\r', (byte)'\n', 0x1A, (byte)'\n'];

    /// <summary>A whole file.</summary>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    /// <param name="pixels">[height, width], places in the table.</param>
    /// <param name="palette">The table: up to 256 colours.</param>
    /// <param name="transparent">A place in the table that is drawn as nothing; null for none.</param>
    public static byte[] Encode(int width, int height, ReadOnlySpan<byte> pixels, IReadOnlyList<(byte R, byte G, byte B)> palette, byte? transparent = null)
    {
        if (width < 1 || height < 1 || pixels.Length != width * height) throw new ArgumentException($"{pixels.Length} pixels are no picture of {width}×{height}.");
        if (palette.Count is 0 or > 256) throw new ArgumentException($"A table has 1 to 256 colours; this one has {palette.Count}.");
        using var file = new MemoryStream();
        file.Write(Signature);
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9]) = (8, 3); // eight bits, colours from a table
        Chunk(file, "IHDR"u8, header);
        Chunk(file, "PLTE"u8, [.. palette.SelectMany(c => new[] { c.R, c.G, c.B })]);
        if (transparent is { } place) Chunk(file, "tRNS"u8, [.. Enumerable.Repeat((byte)255, place), 0]);
        Chunk(file, "IDAT"u8, Compress(width, height, pixels));
        Chunk(file, "IEND"u8, []);
        return file.ToArray();
    }

    private static byte[] Compress(int width, int height, ReadOnlySpan<byte> pixels)
    {
        using var target = new MemoryStream();
        using (var zlib = new ZLibStream(target, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            for (int y = 0; y < height; y++)
            {
                zlib.WriteByte(0); // no filter: neighbouring places in a table say nothing of each other
                zlib.Write(pixels.Slice(y * width, width));
            }
        }
        return target.ToArray();
    }

    private static void Chunk(Stream file, ReadOnlySpan<byte> name, ReadOnlySpan<byte> body)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, body.Length);
        file.Write(number);
        file.Write(name);
        file.Write(body);
        BinaryPrimitives.WriteUInt32BigEndian(number, Crc32.Append(Crc32.Of(name), body));
        file.Write(number);
    }
}
