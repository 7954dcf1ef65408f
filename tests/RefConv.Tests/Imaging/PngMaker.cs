using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Imaging;

/// <summary>
/// Writes PNG files of every kind, from the standard and not from the decoder: samples are numbers of 1 to 16 bits, each row gets the filter asked for.
/// </summary>
internal sealed class PngMaker(int width, int height, int color, int depth, bool interlaced = false)
{
    private static readonly int[] StartX = [0, 4, 0, 2, 0, 1, 0], StartY = [0, 0, 4, 0, 2, 0, 1], StepX = [8, 8, 4, 4, 2, 2, 1], StepY = [8, 8, 8, 4, 4, 2, 2];

    /// <summary>Samples a pixel.</summary>
    public int Samples { get; } = color switch { 2 => 3, 4 => 2, 6 => 4, _ => 1 };

    /// <summary>Which filter a row gets.</summary>
    public Func<int, int> Filter { get; init; } = row => row % 5;

    /// <summary>Into how many pieces the compressed picture is cut.</summary>
    public int Pieces { get; init; } = 1;

    /// <summary>Chunks between header and picture.</summary>
    public List<(string Name, byte[] Body)> Chunks { get; init; } = [];

    /// <summary>Where the pixels of each reduced picture lie: one for plain files, seven for interlaced ones.</summary>
    private IEnumerable<(int X, int Y, int Dx, int Dy)> Passes =>
        interlaced ? Enumerable.Range(0, 7).Select(p => (StartX[p], StartY[p], StepX[p], StepY[p])) : [(0, 0, 1, 1)];

    /// <summary>A colour picture of noise.</summary>
    public static byte[] Noise(int width, int height, int seed = 0)
    {
        var random = new RefConv.Kernels.RandomStream(77, (ulong)seed);
        return new PngMaker(width, height, 2, 8).Make([.. Enumerable.Range(0, width * height * 3).Select(_ => (ushort)random.NextInt(256))]);
    }

    /// <summary>Writes a grey or colour picture.</summary>
    public static void Write(string path, Image image) =>
        File.WriteAllBytes(path, new PngMaker(image.Width, image.Height, image.Channels == 3 ? 2 : 0, 8).Make([.. image.Pixels.Select(p => (ushort)p)]));

    /// <summary>The file.</summary>
    /// <param name="samples">[height, width, samples a pixel].</param>
    public byte[] Make(ushort[] samples)
    {
        using var raw = new MemoryStream();
        foreach (var (x0, y0, dx, dy) in Passes)
        {
            byte[]? above = null;
            int number = 0;
            for (int y = y0; y < height && x0 < width; y += dy)
            {
                List<ushort> row = [];
                for (int x = x0; x < width; x += dx)
                {
                    for (int s = 0; s < Samples; s++) row.Add(samples[(((y * width) + x) * Samples) + s]);
                }
                byte[] packed = Pack(row);
                int filter = Filter(number++);
                raw.WriteByte((byte)filter);
                raw.Write(Filtered(packed, above ?? new byte[packed.Length], filter));
                above = packed;
            }
        }
        return Wrap(Compress(raw.ToArray()));
    }

    /// <summary>A file around compressed data, whatever it is.</summary>
    public byte[] Wrap(byte[] compressed)
    {
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), height);
        (header[8], header[9], header[12]) = ((byte)depth, (byte)color, (byte)(interlaced ? 1 : 0));
        using var file = new MemoryStream();
        file.Write([0x89, .. "PNG\r\n"u8, 0x1A, 10]);
        file.Write(Chunk("IHDR", header));
        foreach (var (name, body) in Chunks) file.Write(Chunk(name, body));
        int each = Math.Max(1, (compressed.Length + Pieces - 1) / Pieces);
        for (int at = 0; at < compressed.Length; at += each) file.Write(Chunk("IDAT", compressed.AsSpan(at, Math.Min(each, compressed.Length - at))));
        file.Write(Chunk("IEND", []));
        return file.ToArray();
    }

    public static byte[] Compress(byte[] bytes)
    {
        using var target = new MemoryStream();
        using (var zlib = new ZLibStream(target, CompressionLevel.Fastest, leaveOpen: true)) zlib.Write(bytes);
        return target.ToArray();
    }

    public static byte[] Chunk(string name, ReadOnlySpan<byte> body)
    {
        byte[] chunk = new byte[body.Length + 12];
        BinaryPrimitives.WriteInt32BigEndian(chunk, body.Length);
        Encoding.ASCII.GetBytes(name, chunk.AsSpan(4));
        body.CopyTo(chunk.AsSpan(8));
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(body.Length + 8), Crc(chunk.AsSpan(4, body.Length + 4)));
        return chunk;
    }

    /// <summary>Bit by bit, as the standard defines it.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int i = 0; i < 8; i++) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
        }
        return ~crc;
    }

    private byte[] Pack(List<ushort> row)
    {
        byte[] packed = new byte[((row.Count * depth) + 7) / 8];
        for (int i = 0; i < row.Count; i++)
        {
            if (depth == 16) BinaryPrimitives.WriteUInt16BigEndian(packed.AsSpan(2 * i), row[i]);
            else packed[i * depth / 8] |= (byte)(row[i] << (8 - depth - (i * depth % 8)));
        }
        return packed;
    }

    private byte[] Filtered(byte[] row, byte[] above, int filter)
    {
        int step = Math.Max(1, Samples * depth / 8);
        byte[] result = new byte[row.Length];
        for (int i = 0; i < row.Length; i++)
        {
            int a = i < step ? 0 : row[i - step], b = above[i], c = i < step ? 0 : above[i - step];
            int p = a + b - c, pa = Math.Abs(p - a), pb = Math.Abs(p - b), pc = Math.Abs(p - c);
            int prediction = filter switch { 1 => a, 2 => b, 3 => (a + b) / 2, 4 => pa <= pb && pa <= pc ? a : pb <= pc ? b : c, _ => 0 };
            result[i] = (byte)(row[i] - prediction);
        }
        return result;
    }
}
