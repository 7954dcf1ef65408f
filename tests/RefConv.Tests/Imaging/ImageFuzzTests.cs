using System.Buffers.Binary;
using System.IO.Compression;
using RefConv.Kernels;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Imaging;

/// <summary>
/// Mutated files: each gives a picture or a clear error, and takes no memory that its size or the limit on pixels does not explain.
/// $REFCONV_FUZZ says how many; <c>REFCONV_FUZZ=100000 dotnet test … --filter ImageFuzz</c>.
/// </summary>
public sealed class ImageFuzzTests
{
    private const int LimitPixels = 1 << 18;

    private static readonly ImageDecoder Decoder = new() { MaximumPixels = LimitPixels };

    private static int Inputs { get; } = int.TryParse(Environment.GetEnvironmentVariable("REFCONV_FUZZ"), out int n) && n > 0 ? n : 2000;

    [Fact]
    public void MutatedPng()
    {
        var (decoded, refused) = Fuzz([.. PngSeeds()], Inputs, stream: 7, MutatePng);
        Assert.True(decoded > Inputs / 20 && refused > Inputs / 4, $"{decoded} decoded, {refused} refused: the mutations do not test much");
    }

    [TurboJpegFact(needsSharedData: true)]
    public void MutatedJpeg()
    {
        int inputs = Math.Max(300, Inputs / 5);
        var (decoded, refused) = Fuzz([.. RealFiles("*.jpg")], inputs, stream: 8, Mutate);
        Assert.True(decoded > inputs / 20 && refused > inputs / 20, $"{decoded} decoded, {refused} refused: the mutations do not test much");
    }

    [Fact]
    public void MutatedJpegHeads()
    {
        byte[][] heads = [ImageTests.Head(0xC0, 8, 3), ImageTests.Head(0xC2, 8, 1), ImageTests.Head(0xC9, 8, 4)];
        var (decoded, refused) = Fuzz(heads, Inputs, stream: 9, Mutate, headOnly: true);
        Assert.True(decoded > Inputs / 20 && refused > Inputs / 20, $"{decoded} read, {refused} refused: the mutations do not test much");
    }

    private static (int Decoded, int Refused) Fuzz(byte[][] seeds, int inputs, ulong stream, Func<byte[], RandomStream, byte[]> mutate, bool headOnly = false)
    {
        var random = new RandomStream(2310, stream);
        int decoded = 0, refused = 0;
        for (int i = 0; i < inputs; i++)
        {
            byte[] file = mutate(seeds[random.NextInt(seeds.Length)], random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                if (headOnly) Assert.InRange(Decoder.ReadInfo(file).Width, 1, 65535);
                else
                {
                    var image = Decoder.Decode(file);
                    Assert.InRange((long)image.Width * image.Height, 1, LimitPixels);
                }
                decoded++;
            }
            catch (ImageFormatException e)
            {
                refused++;
                Assert.True(e.Message.Length > 30 && e.Message.EndsWith('.'), e.Message);
            }
            catch (Exception e) when (e is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException($"Input {i} of stream {stream} ended in {e.GetType().Name}: {Convert.ToBase64String(file)}", e);
            }
            // Pixels once decoded and once turned upright or converted, rows, and what inflating takes.
            long taken = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(taken <= (3L * 4 * LimitPixels) + (4L * file.Length) + 200_000, $"input {i} of stream {stream}, {file.Length} bytes, took {taken} bytes of memory");
        }
        // Not in an ordinary run: other tests capture the console.
        if (Environment.GetEnvironmentVariable("REFCONV_FUZZ") is not null) Console.Out.WriteLine($"fuzz, stream {stream}: {inputs} inputs, {decoded} decoded, {refused} refused");
        return (decoded, refused);
    }

    private static IEnumerable<byte[]> PngSeeds()
    {
        var random = new RandomStream(3, 3);
        foreach (var kind in PngDecoderTests.Kinds)
        {
            int color = (int)kind[0], depth = (int)kind[1];
            foreach (bool interlaced in new[] { false, true })
            {
                byte[] palette = new byte[3 * Math.Min(1 << depth, 256)];
                var maker = new PngMaker(13, 11, color, depth, interlaced)
                {
                    Pieces = interlaced ? 3 : 1,
                    Chunks = color == 3 ? [("PLTE", palette), ("tRNS", [1, 2])] : color is 0 ? [("tRNS", [0, 1])] : [("tEXt", [65, 0, 66])],
                };
                yield return maker.Make([.. Enumerable.Range(0, 13 * 11 * maker.Samples).Select(_ => (ushort)random.NextInt(1 << depth))]);
            }
        }
        foreach (byte[] file in RealFiles("*.png")) yield return file;
    }

    /// <summary>Small real files, where the shared pictures are.</summary>
    private static IEnumerable<byte[]> RealFiles(string pattern) => SharedData.Root == null
        ? []
        : Directory.EnumerateFiles(SharedData.Path("images"), pattern, SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Where(f => new FileInfo(f).Length is > 0 and < 8000).Select(File.ReadAllBytes);

    /// <summary>Bytes changed anywhere; mostly with check sums mended afterwards, or else nearly all would be refused for them; or a change inside the compressed data.</summary>
    private static byte[] MutatePng(byte[] file, RandomStream random)
    {
        if (random.NextInt(4) == 0 && Inflate(file) is { } raw)
        {
            byte[] data = PngMaker.Compress(Mutate(raw, random));
            return [.. file[..33], .. Between(file), .. PngMaker.Chunk("IDAT", data), .. PngMaker.Chunk("IEND", [])];
        }
        byte[] mutated = Mutate(file, random);
        if (random.NextInt(5) != 0) MendCheckSums(mutated);
        return mutated;
    }

    private static byte[] Mutate(byte[] whole, RandomStream random)
    {
        var bytes = whole.ToList();
        for (int n = 1 + random.NextInt(3); n > 0 && bytes.Count > 0; n--)
        {
            // Half of the changes hit the head, where the structure is.
            int at = random.NextInt(random.NextInt(2) == 0 ? Math.Min(bytes.Count, 60) : bytes.Count);
            switch (random.NextInt(6))
            {
                case 0: bytes[at] ^= (byte)(1 << random.NextInt(8)); break;
                case 1: bytes[at] = (byte)random.NextBits(); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, (byte)random.NextBits()); break;
                case 4: bytes[at] = (byte)(random.NextInt(2) * 255); break;
                default: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(random.NextInt(40), bytes.Count - at))); break;
            }
        }
        return random.NextInt(10) == 0 ? [.. bytes.Take(random.NextInt(bytes.Count + 1))] : [.. bytes];
    }

    private static IEnumerable<(int At, int Length, string Name)> ChunksOf(byte[] file)
    {
        for (int at = 8; at + 12 <= file.Length;)
        {
            uint length = BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at));
            if (length > (uint)(file.Length - at - 12)) yield break;
            yield return (at, (int)length, System.Text.Encoding.Latin1.GetString(file, at + 4, 4));
            at += 12 + (int)length;
        }
    }

    private static void MendCheckSums(byte[] file)
    {
        foreach (var (at, length, _) in ChunksOf(file).ToArray())
            BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan(at + 8 + length), PngMaker.Crc(file.AsSpan(at + 4, length + 4)));
    }

    private static byte[] Between(byte[] file) => [.. ChunksOf(file).Skip(1).TakeWhile(c => c.Name != "IDAT").SelectMany(c => file.AsSpan(c.At, c.Length + 12).ToArray())];

    private static byte[]? Inflate(byte[] file)
    {
        byte[] data = [.. ChunksOf(file).Where(c => c.Name == "IDAT").SelectMany(c => file.AsSpan(c.At + 8, c.Length).ToArray())];
        using var zlib = new ZLibStream(new MemoryStream(data), CompressionMode.Decompress);
        using var raw = new MemoryStream();
        try
        {
            zlib.CopyTo(raw);
        }
        catch (InvalidDataException)
        {
            return null;
        }
        return raw.Length > 0 ? raw.ToArray() : null;
    }
}
