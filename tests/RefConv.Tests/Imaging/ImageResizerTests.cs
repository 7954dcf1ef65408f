using System.Diagnostics;
using System.Security.Cryptography;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;

namespace RefConv.Tests.Imaging;

/// <summary>Resizing gives Pillow's bits, and preprocessing torchvision's: values in tests/Golden, and Pillow itself where it is installed.</summary>
public sealed class ImageResizerTests
{
    private const string Python = "/usr/bin/python3";

    private static readonly string Script = Path.Combine(AppContext.BaseDirectory, "Golden", "pillow_resize.py");

    [Fact]
    public void TooLargeBetweenThePassesIsTold()
    {
        var strip = new Image(2, 1_200_000, 1, new byte[2_400_000]);
        Assert.Contains("2,000×1,200,000 pixels", Assert.Throws<ArgumentException>(() => ImageResizer.Resize(strip, 2000, 3)).Message);
        Assert.Contains("60,000×60,000 pixels", Assert.Throws<ArgumentException>(() => ImageResizer.Resize(strip, 60_000, 60_000)).Message);
    }

    [Fact]
    public void ResizesAsPillowDoes()
    {
        int checkedRows = 0;
        foreach (string[] row in Golden("resize"))
        {
            var image = ImageResizer.Resize(Picture(row), int.Parse(row[4]), int.Parse(row[5]), Enum.Parse<Interpolation>(row[6]));
            Assert.True(row[7] == Hash(image), string.Join(' ', row));
            checkedRows++;
        }
        Assert.Equal(26, checkedRows);
    }

    [Fact]
    public void PreprocessesAsTorchvisionDoes()
    {
        int checkedRows = 0;
        foreach (string[] row in Golden("preprocess"))
        {
            var preprocessing = new ImagePreprocessing { ResizeTo = int.Parse(row[4]), Size = int.Parse(row[5]), Interpolation = Enum.Parse<Interpolation>(row[6]) };
            Assert.True(row[7] == Hash(preprocessing.Crop(Picture(row))), string.Join(' ', row));
            checkedRows++;
        }
        Assert.Equal(18, checkedRows);
    }

    [PillowFact]
    public void TheInstalledPillowGivesTheSame()
    {
        using var process = Process.Start(new ProcessStartInfo(Python, [Script, "resize"]) { RedirectStandardOutput = true })!;
        string[] live = process.StandardOutput.ReadToEnd().TrimEnd().Split('\n');
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        Assert.Equal(Golden("resize").Select(row => string.Join(' ', row)), live);
    }

    [Fact]
    public void PartsAndWindowsAreCutsBeforeAndAfter()
    {
        foreach (int channels in new[] { 1, 3, 4 })
        {
            var image = Picture(["", "90", "70", $"{channels}"]);
            var part = new PixelBox(11, 7, 53, 41);
            foreach (var (width, height) in new[] { (20, 30), (53, 30), (20, 41), (53, 41), (130, 90) })
            {
                var whole = ImageResizer.Resize(Cut(image, part), width, height);
                var window = new PixelBox(width / 4, height / 3, width / 2, height / 2);
                var expected = Cut(whole, window);
                Assert.Equal(expected.Pixels, ImageResizer.Resize(image, part, width, height, window).Pixels);
            }
        }
        var small = Picture(["", "9", "9", "3"]);
        Assert.Throws<ArgumentException>(() => ImageResizer.Resize(small, 0, 5));
        Assert.Throws<ArgumentException>(() => ImageResizer.Resize(small, new PixelBox(1, 0, 9, 9), 5, 5, new PixelBox(0, 0, 5, 5)));
        Assert.Throws<ArgumentException>(() => ImageResizer.Resize(small, PixelBox.Of(small), 5, 5, new PixelBox(1, 0, 5, 5)));
    }

    [Fact]
    public void ExtremeShapesTakeLittleMemory()
    {
        // One pixel wide and very long: resized as a whole it would have 25 million pixels.
        var line = new Image(1, 100_000, 3, new byte[300_000]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(224, ImagePreprocessing.ForSize(224).Crop(line).Width);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 2_000_000);
    }

    [Fact]
    public void EveryModelGetsWhatItWants()
    {
        Assert.Equal((256, 224, Interpolation.Bilinear), What(ImagePreprocessing.For(new ModelSpec("mobilenet_v2"))));
        Assert.Equal((183, 160, Interpolation.Bilinear), What(ImagePreprocessing.For(new ModelSpec("mobilenet_v2") { ImageSize = 160 })));
        Assert.Equal((32, 32, Interpolation.Bilinear), What(ImagePreprocessing.For(new ModelSpec("mobilenet_v1") { ImageSize = 32, SmallImages = true })));
        Assert.Equal((256, 224, Interpolation.Bicubic), What(ImagePreprocessing.For(new ModelSpec("efficientnet_b0"))));
        Assert.Equal(0.485f, ImagePreprocessing.For(new ModelSpec("resnet18")).Statistics.Mean[0]);
        // Trained here: normalised as in training, grey if it was grey.
        var own = ImagePreprocessing.For(new ModelSpec("mobilenet_v1") { InChannels = 1, ImageSize = 28 }, new DataInfo("d", [0.25f], [0.5f], ["a", "b"]));
        float[] values = own.Apply(new Image(28, 28, 3, [.. Enumerable.Repeat((byte)255, 28 * 28 * 3)]));
        Assert.Equal(Enumerable.Repeat(1.5f, 28 * 28), values);
        Assert.Throws<ArgumentException>(() => ImagePreprocessing.For(new ModelSpec("resnet18"), new DataInfo("d", [0.25f], [0.5f], ["a"])));
        Assert.Throws<ArgumentException>(() => ImagePreprocessing.For(new ModelSpec("resnet18") { InChannels = 5 }));

        static (int, int, Interpolation) What(ImagePreprocessing p) => (p.ResizeTo, p.Size, p.Interpolation);
    }

    [Fact]
    public void ValuesAreNormalisedByChannel()
    {
        var preprocessing = ImagePreprocessing.ForSize(2) with { Statistics = new ChannelStatistics([0, 0.5f, 1], [1, 0.5f, 2]) };
        Assert.Equal([1, -1, -0.5f, 0, 1, 0, 0, -1, -0.5f, 0, -1, -0.5f], preprocessing.Apply(new Image(2, 2, 3, [255, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0])));
    }

    private static IEnumerable<string[]> Golden(string kind) => File.ReadLines(Path.ChangeExtension(Script, ".txt")).Select(line => line.Split(' ')).Where(row => row[0] == kind);

    /// <summary>The picture of the script, from the size in a row.</summary>
    private static Image Picture(string[] row)
    {
        int width = int.Parse(row[1]), height = int.Parse(row[2]), channels = int.Parse(row[3]);
        byte[] pixels = new byte[width * height * channels];
        for (uint i = 0; i < pixels.Length; i++) pixels[i] = (byte)((i * 2654435761u) >> 13);
        return new Image(width, height, channels, pixels);
    }

    private static Image Cut(Image image, PixelBox box)
    {
        byte[] pixels = [.. Enumerable.Range(box.Top, box.Height).SelectMany(y => image.Pixels.AsSpan(((y * image.Width) + box.Left) * image.Channels, box.Width * image.Channels).ToArray())];
        return new Image(box.Width, box.Height, image.Channels, pixels);
    }

    private static string Hash(Image image) => Convert.ToHexStringLower(SHA256.HashData(image.Pixels));

    /// <summary>A test beside Pillow; skipped, with the reason, where it is not installed.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    private sealed class PillowFactAttribute : FactAttribute
    {
        public PillowFactAttribute()
        {
            if (!File.Exists(Python) || !Directory.Exists("/usr/lib/python3/dist-packages/PIL")) Skip = "needs Pillow (apt-get install python3-pil)";
        }
    }
}
