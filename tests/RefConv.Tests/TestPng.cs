using System.Buffers.Binary;
using System.IO.Compression;
using RefConv.Models.Imaging;

namespace RefConv.Tests;

/// <summary>Writes pictures for tests: PNG, 8 bits a sample, no filter.</summary>
internal static class TestPng
{
    public static void Write(string path, Image image)
    {
        using var file = File.Create(path);
        file.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 13, 10, 26, 10]);
        byte[] head = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(head, image.Width);
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(4), image.Height);
        (head[8], head[9]) = (8, (byte)(image.Channels == 3 ? 2 : 0));
        Chunk(file, "IHDR"u8, head);
        using var data = new MemoryStream();
        using (var zlib = new ZLibStream(data, CompressionLevel.Fastest, leaveOpen: true))
        {
            int row = image.Width * image.Channels;
            for (int y = 0; y < image.Height; y++)
            {
                zlib.WriteByte(0);
                zlib.Write(image.Pixels.AsSpan(y * row, row));
            }
        }
        Chunk(file, "IDAT"u8, data.ToArray());
        Chunk(file, "IEND"u8, []);
    }

    private static void Chunk(Stream file, ReadOnlySpan<byte> type, byte[] content)
    {
        byte[] four = new byte[4];
        BinaryPrimitives.WriteInt32BigEndian(four, content.Length);
        file.Write(four);
        file.Write(type);
        file.Write(content);
        BinaryPrimitives.WriteUInt32BigEndian(four, Crc([.. type, .. content]));
        file.Write(four);
    }

    private static uint Crc(byte[] bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
        }
        return ~crc;
    }
}
