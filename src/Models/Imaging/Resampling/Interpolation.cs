namespace RefConv.Models.Imaging;

/// <summary>How a picture is resampled. Both filters are made wider when a picture becomes smaller, so that nothing is skipped (antialiasing).</summary>
public enum Interpolation
{
    /// <summary>A triangle: Pillow's and torchvision's <c>bilinear</c>.</summary>
    Bilinear,

    /// <summary>A cubic with a = −½: Pillow's and torchvision's <c>bicubic</c>.</summary>
    Bicubic,
}

/// <summary>A rectangle of pixels.</summary>
/// <param name="Left">First column.</param>
/// <param name="Top">First row.</param>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
public readonly record struct PixelBox(int Left, int Top, int Width, int Height)
{
    /// <summary>All of an image.</summary>
    public static PixelBox Of(Image image) => new(0, 0, image.Width, image.Height);

    internal void CheckInside(int width, int height, string what)
    {
        if (Left < 0 || Top < 0 || Width < 1 || Height < 1 || (long)Left + Width > width || (long)Top + Height > height)
            throw new ArgumentException($"{what} ({Left}, {Top}, {Width}×{Height}) does not lie inside {width}×{height} pixels.");
    }
}
