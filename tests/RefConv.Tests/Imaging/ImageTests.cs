using System.Buffers.Binary;
using RefConv.IO;
using RefConv.Models.Imaging;
using RefConv.Models.Imaging.Jpeg;

namespace RefConv.Tests.Imaging;

/// <summary>Colours, orientation, the head of JPEG files, and files on disk.</summary>
public sealed class ImageTests
{
    [Fact]
    public void ChannelsAreConvertedAsPillowDoes()
    {
        var rgba = new Image(2, 1, 4, [10, 20, 30, 0, 200, 100, 50, 255]);
        Assert.Equal([10, 20, 30, 200, 100, 50], rgba.WithChannels(3).Pixels); // alpha is dropped, even where nothing is to be seen
        Assert.Equal([18, 124], rgba.WithChannels(1).Pixels); // (299·200 + 587·100 + 114·50) / 1000 = 124.2
        Assert.Equal([7, 7, 7, 9, 9, 9], new Image(2, 1, 2, [7, 0, 9, 255]).WithChannels(3).Pixels);
        Assert.Equal([7, 9], new Image(2, 1, 2, [7, 0, 9, 255]).WithChannels(1).Pixels);
        var grey = new Image(2, 1, 1, [7, 9]);
        Assert.Same(grey, grey.WithChannels(1));
        Assert.Throws<ArgumentException>(() => new Image(2, 2, 3, new byte[11]));
    }

    /// <summary>The letters a … f in two rows, as stored, and what is seen; from the table of the EXIF standard (6: the first row is the right side).</summary>
    [Theory]
    [InlineData(1, "abc/def")]
    [InlineData(2, "cba/fed")]
    [InlineData(3, "fed/cba")]
    [InlineData(4, "def/abc")]
    [InlineData(5, "ad/be/cf")]
    [InlineData(6, "da/eb/fc")]
    [InlineData(7, "fc/eb/da")]
    [InlineData(8, "cf/be/ad")]
    [InlineData(9, "abc/def")]
    public void PicturesAreTurnedUpright(int orientation, string seen)
    {
        byte[] stored = [.. "abcdef"u8];
        var image = new Image(3, 2, 1, stored).Upright(orientation);
        Assert.Equal(seen, string.Join('/', image.Pixels.Chunk(image.Width).Select(row => System.Text.Encoding.ASCII.GetString(row))));
        var colour = new Image(3, 2, 3, [.. stored.SelectMany(b => new[] { b, (byte)(b + 50), (byte)0 })]).Upright(orientation);
        Assert.Equal(image.Pixels.SelectMany(b => new[] { b, (byte)(b + 50), (byte)0 }), colour.Pixels);
    }

    [Fact]
    public void OrientationIsFoundInBothByteOrders()
    {
        foreach (bool little in new[] { true, false })
        {
            byte[] exif = Exif(little, 6);
            Assert.Equal(6, ExifOrientation.Of(exif));
            // Cut off anywhere or pointing anywhere, it is as if there were none, or still found.
            for (int length = 0; length < exif.Length; length++) Assert.InRange(ExifOrientation.Of(exif.AsSpan(0, length)), 1, 8);
            Assert.Equal(1, ExifOrientation.Of(exif.AsSpan(0, 20)));
            for (int value = 0; value < 256; value++)
            {
                byte[] changed = [.. exif];
                changed[little ? 4 : 7] = (byte)value;
                Assert.InRange(ExifOrientation.Of(changed), 1, 8);
            }
            byte[] far = [.. exif];
            far.AsSpan(4, 4).Fill(0xFF);
            Assert.Equal(1, ExifOrientation.Of(far));
        }
        var png = new PngMaker(3, 2, 0, 8) { Chunks = [("eXIf", Exif(false, 6))] };
        Assert.Equal("da/eb/fc", string.Join('/', new ImageDecoder().Decode(png.Make([.. "abcdef".Select(c => (ushort)c)])).Pixels.Chunk(2).Select(r => System.Text.Encoding.ASCII.GetString(r))));
    }

    [Theory]
    [InlineData(0xC3, 8, 3, "lossless")]
    [InlineData(0xC5, 8, 3, "hierarchical")]
    [InlineData(0xC1, 12, 3, "12 bits")]
    [InlineData(0xC0, 9, 3, "9 bits")]
    [InlineData(0xC0, 8, 2, "2 components")]
    public void JpegKindsAreRefusedByName(int marker, int precision, int components, string phrase) =>
        Assert.Contains(phrase, Assert.Throws<ImageFormatException>(() => JpegHeader.Parse(Head((byte)marker, (byte)precision, (byte)components))).Message);

    [Fact]
    public void JpegHeads()
    {
        byte[] head = Head(0xC2, 8, 3);
        Assert.Equal(new JpegHeader(300, 200, 3, 8, 6, true, false, 4), JpegHeader.Parse(head));
        for (int length = 2; length < head.Length - 5; length++) Assert.Throws<ImageFormatException>(() => JpegHeader.Parse(head.AsSpan(0, length)));
        // A scan of 65,500 × 65,500 pixels: the limit comes before libjpeg-turbo.
        byte[] huge = Head(0xC0, 8, 3, 65500, 65500);
        Assert.Contains("limit of 100,000,000", Assert.Throws<ImageFormatException>(() => new ImageDecoder().Decode(huge)).Message);
    }

    /// <summary>What a head says is not believed: memory for pixels is taken only where the bytes behind it could be that many.</summary>
    [Fact]
    public void LargeJpegsNeedBytes()
    {
        foreach (byte frame in new byte[] { 0xC0, 0xC1, 0xC2 })
        {
            byte[] file = Head(frame, 8, 3, 9000, 9000);
            long before = GC.GetAllocatedBytesForCurrentThread();
            var e = Assert.Throws<ImageFormatException>(() => new ImageDecoder().Decode(file));
            Assert.Contains("9,000×9,000 pixels cannot come out of 4 bytes", e.Message);
            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 100_000);
        }
        Assert.True(JpegHeader.Parse(Head(0xCA, 8, 3)).Arithmetic);
        Assert.False(JpegHeader.Parse(Head(0xC2, 8, 3)).Arithmetic);
    }

    [TurboJpegFact(needsSharedData: true)]
    public void AJpegOfAnotherSizeIsNotScaled()
    {
        byte[] file = File.ReadAllBytes(SharedData.Path("images", "pillow", "hopper.jpg"));
        var head = JpegHeader.Parse(file);
        foreach (var (width, height) in new[] { (head.Width / 2, head.Height / 2), (head.Width, head.Height - 1), (2 * head.Width, 2 * head.Height) })
        {
            string? problem = TurboJpeg.Decompress(file, new byte[width * height * 3], width, height, TurboJpeg.PixelFormat.Rgb, out bool fatal);
            Assert.True(fatal);
            Assert.Equal($"it has {head.Width}×{head.Height} pixels, not {width}×{height}", problem);
        }
    }

    [Fact]
    public void TheHeadOfAFileIsReadAlone()
    {
        using var folder = new TemporaryFolder();
        byte[] tail = new byte[4 << 20];
        string png = folder.Write("large.png", [.. PngMaker.Noise(30, 20), .. tail]), jpeg = folder.Write("large.jpg", [.. Head(0xC0, 8, 3), .. tail]);
        _ = ImageFile.LoadInfo(png);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal((30, 20), (ImageFile.LoadInfo(png).Width, ImageFile.LoadInfo(png).Height));
        Assert.Equal((300, 200), (ImageFile.LoadInfo(jpeg).Width, ImageFile.LoadInfo(jpeg).Height));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);

        // A head of three full segments before its size is told: longer than what is read at first.
        byte[] segment = [0xFF, 0xE2, 0xFF, 0xFF, .. new byte[0xFFFD]];
        string profile = folder.Write("profile.jpg", [0xFF, 0xD8, .. segment, .. segment, .. segment, .. Head(0xC0, 8, 3).AsSpan(2)]);
        Assert.Equal(new ImageInfo("JPEG", 300, 200, 3, 8, 6), ImageFile.LoadInfo(profile));
        string cut = folder.Write("cut.jpg", [0xFF, 0xD8, .. segment, .. segment]);
        Assert.StartsWith(cut + ": the JPEG file is damaged", Assert.Throws<FileFormatException>(() => ImageFile.LoadInfo(cut)).Message);
    }

    [TurboJpegFact(needsSharedData: true)]
    public void TurnedPhotosAreOnePhoto()
    {
        // The same picture stored turned, and compressed anew.
        var upright = ImageFile.Load(SharedData.Path("images", "pillow", "hopper.jpg"));
        foreach (int orientation in new[] { 5, 6 })
        {
            var image = ImageFile.Load(SharedData.Path("images", "pillow", $"hopper_orientation_{orientation}.jpg"));
            double difference = upright.Pixels.Zip(image.Pixels, (a, b) => Math.Abs(a - b)).Average();
            Assert.True(difference < 6, $"orientation {orientation}: pixels differ by {difference:0.0} on average");
        }
    }

    [Fact]
    public void FilesAreNamedInErrors()
    {
        using var folder = new TemporaryFolder();
        string path = folder.Write("photo.jpg", "GIF89a"u8);
        Assert.StartsWith($"{path}: this is a GIF image", Assert.Throws<FileFormatException>(() => ImageFile.Load(path)).Message);
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => ImageFile.Load(folder.Path)).Message);
        Assert.Contains("There is no file", Assert.Throws<FileNotFoundException>(() => ImageFile.Load(folder.File("none"))).Message);
    }

    [UnixFact("/dev/zero")]
    public void EndlessFilesAreEmpty() => Assert.Contains("empty", Assert.Throws<FileFormatException>(() => ImageFile.Load("/dev/zero")).Message);

    /// <summary>EXIF data with two tags, the second one the orientation.</summary>
    private static byte[] Exif(bool little, ushort orientation)
    {
        byte[] b = new byte[8 + 2 + 24];
        (little ? "II*\0"u8 : "MM\0*"u8).CopyTo(b);
        b[little ? 4 : 7] = 8;
        Short(8, 2);
        Short(10, 0x0100);
        Short(12, 4);
        Short(22, 0x0112);
        Short(24, 3);
        b[little ? 26 : 29] = 1;
        Short(30, orientation);
        return b;

        void Short(int at, ushort value)
        {
            if (little) BinaryPrimitives.WriteUInt16LittleEndian(b.AsSpan(at), value);
            else BinaryPrimitives.WriteUInt16BigEndian(b.AsSpan(at), value);
        }
    }

    /// <summary>The markers of a JPEG of 300×200 pixels up to its scan, with EXIF data, junk between segments and an end.</summary>
    internal static byte[] Head(byte frame, byte precision, byte components, int width = 300, int height = 200)
    {
        byte[] exif = [.. "Exif\0\0"u8, .. Exif(false, 6)];
        return
        [
            0xFF, 0xD8, 0xFF, 0xE1, 0, (byte)(exif.Length + 2), .. exif, 1, 2, 3, 0xFF, 0, 0xFF, 0xFF, 0xFF, frame, 0, 17, precision,
            (byte)(height >> 8), (byte)height, (byte)(width >> 8), (byte)width, components, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xFF, 0xDA, 0, 2, 0xFF, 0xD9,
        ];
    }
}
