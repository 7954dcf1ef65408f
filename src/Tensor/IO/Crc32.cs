using System.Buffers.Binary;

namespace RefConv.IO;

/// <summary>The check sum of zip files and of PNG chunks (polynomial 0xEDB88320), eight bytes a step.</summary>
internal static class Crc32
{
    private static readonly uint[] Tables = MakeTables();

    /// <summary>The sum of all bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => Append(0, bytes);

    /// <summary>The sum of bytes that come in pieces.</summary>
    /// <param name="sum">The sum of what came before; 0 at the beginning.</param>
    /// <param name="bytes">The next piece.</param>
    public static uint Append(uint sum, ReadOnlySpan<byte> bytes)
    {
        uint crc = ~sum;
        var t = Tables;
        for (; bytes.Length >= 8; bytes = bytes[8..])
        {
            uint a = crc ^ BinaryPrimitives.ReadUInt32LittleEndian(bytes), b = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
            crc = t[0x700 + (a & 255)] ^ t[0x600 + ((a >> 8) & 255)] ^ t[0x500 + ((a >> 16) & 255)] ^ t[0x400 + (a >> 24)]
                ^ t[0x300 + (b & 255)] ^ t[0x200 + ((b >> 8) & 255)] ^ t[0x100 + ((b >> 16) & 255)] ^ t[b >> 24];
        }
        foreach (byte value in bytes) crc = t[(crc ^ value) & 255] ^ (crc >> 8);
        return ~crc;
    }

    /// <summary>Table k at 256·k: what a byte does to the sum when k more bytes follow it.</summary>
    private static uint[] MakeTables()
    {
        uint[] t = new uint[8 * 256];
        for (uint i = 0; i < 256; i++)
        {
            uint crc = i;
            for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
            t[i] = crc;
        }
        for (int i = 256; i < t.Length; i++) t[i] = t[t[i - 256] & 255] ^ (t[i - 256] >> 8);
        return t;
    }
}
