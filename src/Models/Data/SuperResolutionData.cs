using RefConv.Models.Imaging;

namespace RefConv.Models.Data;

/// <summary>The brightness Y of a picture, in [0, 1].</summary>
/// <param name="Height">Rows.</param>
/// <param name="Width">Columns.</param>
/// <param name="Pixels">[<paramref name="Height"/>, <paramref name="Width"/>]</param>
public sealed record LumaImage(int Height, int Width, float[] Pixels)
{
    /// <summary>
    /// ITU-R BT.601, as super-resolution measures it: Y = (65.481·R + 128.553·G + 24.966·B)/255 + 16 for R, G and B up to 255, and then /255.
    /// So black is 16/255 and white 235/255.
    /// </summary>
    public static LumaImage FromRgb(Image image)
    {
        ArgumentNullException.ThrowIfNull(image);
        byte[] rgb = image.WithChannels(3).Pixels;
        float[] y = new float[image.Width * image.Height];
        for (int i = 0; i < y.Length; i++)
            y[i] = (float)(((((65.481 * rgb[3 * i]) + (128.553 * rgb[(3 * i) + 1]) + (24.966 * rgb[(3 * i) + 2])) / 255) + 16) / 255);
        return new LumaImage(image.Height, image.Width, y);
    }

    /// <summary>Peak signal-to-noise ratio in decibels, 10·log₁₀(1/mean squared difference), the first image clipped to [0, 1]; infinite for equal ones.</summary>
    /// <exception cref="ArgumentException">They are of different sizes.</exception>
    public static double Psnr(LumaImage image, LumaImage truth)
    {
        if ((image.Height, image.Width) != (truth.Height, truth.Width))
            throw new ArgumentException($"Images of {image.Height}×{image.Width} and {truth.Height}×{truth.Width} pixels cannot be compared.");
        double sum = 0;
        for (int i = 0; i < image.Pixels.Length; i++)
        {
            double d = Math.Clamp(image.Pixels[i], 0f, 1f) - (double)truth.Pixels[i];
            sum += d * d;
        }
        return 10 * Math.Log10(image.Pixels.Length / sum);
    }
}

/// <summary>A picture, the same picture made small, and how well bicubic interpolation makes that large again.</summary>
/// <param name="Name">File name.</param>
/// <param name="High">What should come out.</param>
/// <param name="Low">What goes in.</param>
/// <param name="BicubicPsnr">PSNR of bicubic enlarging: what a network has to beat.</param>
public sealed record SuperResolutionPair(string Name, LumaImage High, LumaImage Low, double BicubicPsnr);

/// <summary>
/// Pictures of a folder for super-resolution. Every tenth in order of names (of fewer than ten the last) is held out for testing. They are kept in memory, five bytes
/// for four of brightness.
/// </summary>
/// <param name="Folder">The folder.</param>
/// <param name="Scale">How many times smaller the small pictures are.</param>
/// <param name="Train">To learn from.</param>
/// <param name="Test">Held out.</param>
public sealed record SuperResolutionData(string Folder, int Scale, IReadOnlyList<SuperResolutionPair> Train, IReadOnlyList<SuperResolutionPair> Test)
{
    private const int TestEvery = 10;

    /// <summary>Reads the PNG files of a folder and the folders in it, and makes each small with Pillow's bicubic filter.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="scale">2 or 4.</param>
    /// <param name="limit">At most so many pictures.</param>
    /// <exception cref="IOException">There is no such folder, or fewer than two pictures are in it, or one cannot be read.</exception>
    public static SuperResolutionData Open(string folder, int scale, int? limit = null)
    {
        if (limit is < 2) throw new ArgumentException($"At least 2 pictures are needed, one to learn from and one to test on; the limit is {limit}.");
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'. Give a folder of PNG pictures with --data.");
        string[] files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
            .Where(f => f.EndsWith(".png", StringComparison.OrdinalIgnoreCase)).Order(StringComparer.Ordinal).Take(limit ?? int.MaxValue)];
        if (files.Length < 2) throw new FileNotFoundException($"'{folder}' has {files.Length} PNG picture{(files.Length == 1 ? "" : "s")}; at least 2 are needed, one to learn from and one to test on.");
        var pairs = new SuperResolutionPair[files.Length];
        BatchLoader.InParallel(files.Length, i => pairs[i] = Read(files[i], scale), CancellationToken.None);
        bool IsTest(int i) => files.Length < TestEvery ? i == files.Length - 1 : i % TestEvery == TestEvery - 1;
        return new SuperResolutionData(folder, scale, [.. pairs.Where((_, i) => !IsTest(i))], [.. pairs.Where((_, i) => IsTest(i))]);
    }

    /// <summary>A pair from a picture, of which at most <paramref name="scale"/> − 1 rows and columns are cut off at the bottom and the right.</summary>
    internal static SuperResolutionPair MakePair(string name, Image image, int scale)
    {
        int height = image.Height / scale, width = image.Width / scale;
        if (height < 1 || width < 1) throw new ArgumentException($"{name} has {image.Height}×{image.Width} pixels, too few to be made {scale} times smaller.");
        var high = ImageResizer.Resize(image.WithChannels(3), new PixelBox(0, 0, width * scale, height * scale), width * scale, height * scale,
            new PixelBox(0, 0, width * scale, height * scale));
        var low = ImageResizer.Resize(high, width, height, Interpolation.Bicubic);
        var truth = LumaImage.FromRgb(high);
        var bicubic = LumaImage.FromRgb(ImageResizer.Resize(low, width * scale, height * scale, Interpolation.Bicubic));
        return new SuperResolutionPair(name, truth, LumaImage.FromRgb(low), LumaImage.Psnr(bicubic, truth));
    }

    private static SuperResolutionPair Read(string file, int scale) => MakePair(Path.GetFileName(file), ImageFile.Load(file), scale);
}
