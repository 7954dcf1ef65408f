using RefConv.Kernels;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Imaging;

/// <summary>PNG files of every kind, made here and decoded; and files that are wrong in every way.</summary>
public sealed class PngDecoderTests
{
    private static readonly ImageDecoder Decoder = new();

    public static TheoryData<int, int> Kinds { get; } = new()
    {
        { 0, 1 }, { 0, 2 }, { 0, 4 }, { 0, 8 }, { 0, 16 }, { 2, 8 }, { 2, 16 }, { 3, 1 }, { 3, 2 }, { 3, 4 }, { 3, 8 }, { 4, 8 }, { 4, 16 }, { 6, 8 }, { 6, 16 },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void EveryKind(int color, int depth)
    {
        var random = new RandomStream(1, (ulong)((color * 32) + depth));
        // Sizes at which passes of interlacing are empty, of one pixel, or end within a byte; and one wide enough for vectors.
        foreach (var (width, height) in new[] { (1, 1), (2, 3), (5, 2), (9, 7), (131, 12) })
        {
            foreach (bool interlaced in new[] { false, true })
            {
                byte[] palette = new byte[3 * Math.Min(1 << depth, 256)];
                for (int i = 0; i < palette.Length; i++) palette[i] = (byte)random.NextInt(256);
                var maker = new PngMaker(width, height, color, depth, interlaced) { Pieces = width > 100 ? 7 : 1, Chunks = color == 3 ? [("PLTE", palette)] : [] };
                ushort[] samples = [.. Enumerable.Range(0, width * height * maker.Samples).Select(_ => (ushort)random.NextInt(1 << depth))];
                byte[] expected = color == 3
                    ? [.. samples.SelectMany(s => palette.AsSpan(3 * s, 3).ToArray())]
                    : [.. samples.Select(s => (byte)(depth == 16 ? s >> 8 : s * 255 / ((1 << depth) - 1)))];
                byte[] file = maker.Make(samples);
                var image = Decoder.Decode(file);
                Assert.Equal((width, height, color == 3 ? 3 : maker.Samples), (image.Width, image.Height, image.Channels));
                Assert.Equal(expected, image.Pixels);
                Assert.Equal(new ImageInfo("PNG", width, height, image.Channels, depth, 1), Decoder.ReadInfo(file));
            }
        }
    }

    [Fact]
    public void EveryFilterOnWideRows()
    {
        var random = new RandomStream(2, 2);
        for (int filter = 0; filter < 5; filter++)
        {
            int f = filter;
            var maker = new PngMaker(300, 20, 6, 8) { Filter = _ => f };
            // Smooth and rough samples: with smooth ones all three predictions of Paeth's filter are chosen.
            ushort[] samples = [.. Enumerable.Range(0, 300 * 20 * 4).Select(i => (ushort)(((i / 7) + random.NextInt(i % 5 == 0 ? 256 : 9)) & 255))];
            Assert.Equal(samples.Select(s => (byte)s), Decoder.Decode(maker.Make(samples)).Pixels);
        }
    }

    [Fact]
    public void Transparency()
    {
        // By colour: one sample, compared with all its bits.
        Check(0, 2, [0, 2], [1, 2, 3, 2], [], [85, 255, 170, 0, 255, 255, 170, 0]);
        Check(0, 8, [0, 9], [9, 8, 7, 9], [], [9, 0, 8, 255, 7, 255, 9, 0]);
        Check(0, 16, [1, 2], [0x102, 0x103, 0x202, 0x102], [], [1, 0, 1, 255, 2, 255, 1, 0]);
        Check(2, 8, [0, 1, 0, 2, 0, 3], [1, 2, 3, 1, 2, 4, 3, 2, 1, 1, 2, 3], [], [1, 2, 3, 0, 1, 2, 4, 255, 3, 2, 1, 255, 1, 2, 3, 0]);
        // By palette: colours behind the end of the list are solid, numbers behind the end of the palette black.
        Check(3, 8, [7, 0], [0, 1, 2, 9], [10, 20, 30, 40, 50, 60, 70, 80, 90], [10, 20, 30, 7, 40, 50, 60, 0, 70, 80, 90, 255, 0, 0, 0, 255]);
        // Of a wrong length it is passed over.
        Check(0, 8, [0, 0, 9], [9, 8, 7, 9], [], [9, 8, 7, 9]);

        static void Check(int color, int depth, byte[] trns, ushort[] samples, byte[] palette, byte[] expected)
        {
            var maker = new PngMaker(2, 2, color, depth) { Chunks = color == 3 ? [("PLTE", palette), ("tRNS", trns)] : [("tRNS", trns)] };
            Assert.Equal(expected, Decoder.Decode(maker.Make(samples)).Pixels);
        }
    }

    [Fact]
    public void DamageIsExplained()
    {
        var maker = new PngMaker(20, 10, 2, 8) { Pieces = 3 };
        byte[] good = maker.Make(new ushort[20 * 10 * 3]);
        Assert.Equal(20, Decoder.Decode(good).Width);
        byte[] Changed(int at, byte value, bool mend = false)
        {
            byte[] copy = [.. good];
            copy[at] = value;
            if (mend) System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(copy.AsSpan(29), PngMaker.Crc(copy.AsSpan(12, 17)));
            return copy;
        }
        Refused("header", "check sum of the chunk IHDR", Changed(16, 1));
        Refused("size", "0×10 pixels", Changed(19, 0, mend: true));
        Refused("depth", "colour type 2 with 4 bits", Changed(24, 4, mend: true));
        Refused("color", "colour type 7", Changed(25, 7, mend: true));
        Refused("method", "compression method 1", Changed(26, 1, mend: true));
        Refused("interlace", "interlace method 2", Changed(28, 2, mend: true));
        Refused("palette", "no palette", Changed(25, 3, mend: true));
        Refused("data", "check sum of the chunk IDAT", Changed(45, 77));
        Refused("cut", "ends in the middle of the chunk IDAT", good[..50]);
        Refused("early", "ends before its picture", good[..33]);
        Refused("no data", "no picture data", [.. good[..33], .. PngMaker.Chunk("IEND", [])]);
        Refused("other first", "begins with a chunk tEXt", [.. good[..8], .. PngMaker.Chunk("tEXt", [1]), .. good[8..]]);
        Refused("twice", "two headers", [.. good[..33], .. good[8..]]);
        Refused("unknown", "chunk CgBI", [.. good[..33], .. PngMaker.Chunk("CgBI", [1, 2]), .. good[33..]]);
        Refused("filter", "filter 9", maker.Wrap(PngMaker.Compress([.. Enumerable.Range(0, 610).Select(_ => (byte)9)])));
        Refused("short", "ends early", maker.Wrap(PngMaker.Compress(new byte[609])));
        Refused("not zlib", "makes no sense", maker.Wrap([.. Enumerable.Range(0, 200).Select(i => (byte)i)]));
        Refused("dictionary", "makes no sense", maker.Wrap([0x78, 0xBB, 1, 2, 3, 4, 5, 6, 7, 8]));
        byte[] zlib = PngMaker.Compress(new byte[610]);
        zlib[^1] ^= 1;
        Refused("Adler", "makes no sense", maker.Wrap(zlib));
        Refused("signature", "copied as text", [.. good[..4], .. good[5..]]);
        // What does not belong to the picture may be wrong or missing.
        byte[] text = PngMaker.Chunk("tEXt", [1, 2, 3]);
        text[9] = 7;
        byte[] ok = [.. good[..33], .. text, .. good[33..]];
        Assert.Equal(20, Decoder.Decode(ok).Width);
        Assert.Equal(20, Decoder.Decode(good.AsMemory(0, good.Length - 12)).Width);
        Assert.Equal(20, Decoder.Decode(maker.Wrap(PngMaker.Compress(new byte[700]))).Width);

        static void Refused(string what, string phrase, byte[] file)
        {
            string message = Assert.Throws<ImageFormatException>(() => Decoder.Decode(file)).Message;
            Assert.True(message.Contains(phrase, StringComparison.Ordinal), $"{what}: {message}");
        }
    }

    [Fact]
    public void APromiseIsNotBelieved()
    {
        // 100,000 × 100,000 pixels in a hundred bytes; below the limit on pixels, but more than the data can hold; and within both, but not there.
        byte[] nothing = PngMaker.Compress(new byte[1000]);
        Small("limit of 100,000,000", new PngMaker(100_000, 100_000, 6, 16).Wrap(nothing));
        Small("cannot come out of", new PngMaker(9_000, 9_000, 0, 8).Wrap(nothing));
        Small("cannot come out of", new PngMaker(200, 200, 0, 8).Wrap(nothing));
        Small("cannot come out of", new PngMaker(99_000_000, 1, 0, 8, interlaced: true).Wrap(nothing));
        Assert.Contains("limit of 50", Assert.Throws<ImageFormatException>(() => new ImageDecoder { MaximumPixels = 50 }.Decode(new PngMaker(10, 10, 0, 8).Make(new ushort[100]))).Message);

        static void Small(string phrase, byte[] file)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            string message = Assert.Throws<ImageFormatException>(() => Decoder.Decode(file)).Message;
            Assert.Contains(phrase, message);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
        }
    }

    [Fact]
    public void OtherFormatsAreCalledByTheirName()
    {
        Check("empty", []);
        Check("a GIF", "GIF89a"u8);
        Check("a BMP", [.. "BM"u8, .. new byte[30]]);
        Check("a WebP", [.. "RIFF"u8, 1, 0, 0, 0, .. "WEBPVP8 "u8]);
        Check("a TIFF", "II*\0aaaa"u8);
        Check("a HEIC", [0, 0, 0, 24, .. "ftypheic"u8]);
        Check("an AVIF", [0, 0, 0, 24, .. "ftypavif"u8]);
        Check("JPEG XL", [0xFF, 0x0A, 1]);
        Check("JPEG 2000", [0, 0, 0, 12, .. "jP  \r\n\u0087\n"u8]);
        Check("an SVG", "<?xml version='1.0'?><svg xmlns="u8);
        Check("a web page", "<!DOCTYPE html><html>"u8);
        Check("Git LFS", "version https://git-lfs.github.com/spec/v1"u8);
        Check("no image", "hello, world"u8);

        static void Check(string phrase, ReadOnlySpan<byte> head)
        {
            byte[] file = head.ToArray();
            Assert.Contains(phrase, Assert.Throws<ImageFormatException>(() => Decoder.Decode(file)).Message);
            Assert.Contains(phrase, Assert.Throws<ImageFormatException>(() => Decoder.ReadInfo(file)).Message);
        }
    }
}
