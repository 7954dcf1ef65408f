using RefConv.Kernels;
using RefConv.Models.Imaging;

namespace RefConv.Models.Data;

/// <summary>
/// How a training picture is changed at random each time it is seen: padded with black on all sides and cut back to its size at a
/// random place, and mirrored left to right half of the time. Of a picture from a folder that does not have the size wanted, a random part is cut
/// out and resized instead (torchvision's RandomResizedCrop).
/// </summary>
/// <param name="CropPadding">Pixels of padding; 0 leaves the place as it is, and of pictures of other sizes takes the middle, as testing does.</param>
/// <param name="HorizontalFlip">Whether pictures are mirrored. Not for digits, whose mirror images are other signs.</param>
public sealed record Augmentation(int CropPadding = 0, bool HorizontalFlip = false)
{
    /// <summary>The most that the sides of a cut-out part may differ.</summary>
    private const double LargestRatio = 4.0 / 3;

    /// <summary>Rows and columns of a square at a random place that is painted over with the mean colour, after everything else (arXiv 1708.04552). 0: none.</summary>
    public int Cutout { get; init; }

    /// <summary>α of mixup (arXiv 1710.09412): the pictures of a batch and their labels are mixed in pairs, by a share from Beta(α, α). 0: none.</summary>
    public double Mixup { get; init; }

    /// <summary>Pictures stay as they are.</summary>
    public static Augmentation None { get; } = new();

    /// <summary>The usual one for CIFAR: padding 4, mirrored.</summary>
    public static Augmentation Standard { get; } = new(CropPadding: 4, HorizontalFlip: true);

    /// <summary>What a recipe asks for.</summary>
    internal static Augmentation Of(Train.Recipe recipe) => new(recipe.CropPadding, recipe.HorizontalFlip) { Cutout = recipe.Cutout, Mixup = recipe.Mixup };

    /// <summary>
    /// torchvision's RandomResizedCrop, for pictures of any size: a part of 8 to 100 % of the area, its sides in a ratio between 3:4 and 4:3, both
    /// evenly distributed (the ratio by its logarithm). When ten such parts were too wide or too high, the largest one in the middle.
    /// </summary>
    /// <returns>The part, and whether it is mirrored.</returns>
    internal (PixelBox Part, bool Flip) DrawPart(int width, int height, ulong seed, ulong stream)
    {
        bool flip = HorizontalFlip && (Philox.Bits(seed, stream, 0) & 0x80000000) != 0;
        if (CropPadding == 0) return (new PixelBox(0, 0, width, height), flip);
        for (uint attempt = 0; attempt < 10; attempt++)
        {
            double area = (double)width * height * (0.08 + (0.92 * Unit((4 * attempt) + 1)));
            double ratio = Math.Exp(Math.Log(LargestRatio) * ((2 * Unit((4 * attempt) + 2)) - 1));
            int w = (int)Math.Round(Math.Sqrt(area * ratio)), h = (int)Math.Round(Math.Sqrt(area / ratio));
            if (w < 1 || w > width || h < 1 || h > height) continue;
            return (new PixelBox((int)(Unit((4 * attempt) + 4) * (width - w + 1)), (int)(Unit((4 * attempt) + 3) * (height - h + 1)), w, h), flip);
        }
        double own = (double)width / height;
        int middleWidth = own > LargestRatio ? Math.Min(width, (int)Math.Round(height * LargestRatio)) : width;
        int middleHeight = own < 1 / LargestRatio ? Math.Min(height, (int)Math.Round(width * LargestRatio)) : height;
        return (new PixelBox((width - middleWidth) / 2, (height - middleHeight) / 2, middleWidth, middleHeight), flip);

        double Unit(uint index) => Philox.Bits(seed, stream, index) / 4294967296.0;
    }

    /// <summary>
    /// The change of one picture, from three numbers of a stream: the crop's top and left corner in the padded picture
    /// (both <see cref="CropPadding"/> where it stays in place) and whether it is mirrored.
    /// </summary>
    internal (int Top, int Left, bool Flip) Draw(ulong seed, ulong stream)
    {
        int places = (2 * CropPadding) + 1;
        return (
            (int)(((ulong)Philox.Bits(seed, stream, 0) * (uint)places) >> 32),
            (int)(((ulong)Philox.Bits(seed, stream, 1) * (uint)places) >> 32),
            HorizontalFlip && (Philox.Bits(seed, stream, 2) & 0x80000000) != 0);
    }

    /// <summary>Writes one picture, moved, mirrored and normalised.</summary>
    /// <param name="source">[H, W, C] bytes.</param>
    /// <param name="target">[H, W, C] floats.</param>
    /// <param name="sizes">H, W, C.</param>
    /// <param name="move">By how many rows and columns the window lies below and to the right of the picture; outside it is black.</param>
    /// <param name="flip">Whether the window is mirrored.</param>
    /// <param name="table">The normalised value of each byte, [C, 256].</param>
    internal static void Apply(
        ReadOnlySpan<byte> source, Span<float> target, (int Height, int Width, int Channels) sizes, (int Rows, int Columns) move, bool flip, ReadOnlySpan<float> table)
    {
        var (height, width, channels) = sizes;
        for (int y = 0; y < height; y++)
        {
            int fromY = y + move.Rows;
            for (int x = 0; x < width; x++)
            {
                int fromX = (flip ? width - 1 - x : x) + move.Columns;
                var to = target.Slice(((y * width) + x) * channels, channels);
                bool inside = (uint)fromY < (uint)height && (uint)fromX < (uint)width;
                int from = inside ? ((fromY * width) + fromX) * channels : 0;
                for (int c = 0; c < channels; c++) to[c] = table[(c * 256) + (inside ? source[from + c] : 0)];
            }
        }
    }
}
