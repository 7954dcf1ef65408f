using System.Buffers;

namespace RefConv.Models.Imaging;

/// <summary>Resamples pictures, with the bits that Pillow's <c>Image.resize</c> gives: first along rows, rounded to 8 bits, then along columns.</summary>
public static class ImageResizer
{
    /// <summary>Resamples a picture to a size.</summary>
    /// <param name="image">The picture.</param>
    /// <param name="width">Columns of the result.</param>
    /// <param name="height">Rows of the result.</param>
    /// <param name="interpolation">The filter.</param>
    public static Image Resize(Image image, int width, int height, Interpolation interpolation = Interpolation.Bilinear) =>
        Resize(image, PixelBox.Of(image), width, height, new PixelBox(0, 0, width, height), interpolation);

    /// <summary>
    /// Cuts a part out of a picture, resamples it, and returns a part of the result: equal to doing the three one after another, without
    /// the work for what is cut away.
    /// </summary>
    /// <param name="image">The picture.</param>
    /// <param name="part">What is resampled; the filter does not look beyond it.</param>
    /// <param name="width">Columns that <paramref name="part"/> is brought to.</param>
    /// <param name="height">Rows that it is brought to.</param>
    /// <param name="window">What is wanted of these columns and rows.</param>
    /// <param name="interpolation">The filter.</param>
    public static Image Resize(Image image, PixelBox part, int width, int height, PixelBox window, Interpolation interpolation = Interpolation.Bilinear)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (width < 1 || height < 1) throw new ArgumentException($"A picture cannot be resized to {width}×{height}.");
        part.CheckInside(image.Width, image.Height, "The part to resize");
        window.CheckInside(width, height, "The window");
        int channels = image.Channels;
        byte[] result = GC.AllocateUninitializedArray<byte>(Bytes(window.Width, window.Height, channels));
        bool acrossRows = width != part.Width, downColumns = height != part.Height;
        var vertical = downColumns ? FilterWeights.Compute(part.Height, height, window.Top, window.Height, interpolation) : default;
        // The rows of the source that the window is made of.
        int top = downColumns ? vertical.Starts[0] : window.Top;
        int rows = downColumns ? vertical.Starts[^1] + vertical.Counts[^1] - top : window.Height;

        var source = image.Pixels.AsSpan((((part.Top + top) * image.Width) + part.Left) * channels);
        int stride = image.Width * channels, rowBytes = window.Width * channels;
        if (!acrossRows)
        {
            source = source[(window.Left * channels)..];
            if (downColumns) ResampleLoops.DownColumns(source, stride, vertical, top, rowBytes, result);
            else Copy(source, stride, rows, rowBytes, result);
            return new Image(window.Width, window.Height, channels, result);
        }
        var horizontal = FilterWeights.Compute(part.Width, width, window.Left, window.Width, interpolation);
        if (!downColumns)
        {
            ResampleLoops.AcrossRows(source, stride, rows, channels, horizontal, result);
            return new Image(window.Width, window.Height, channels, result);
        }
        byte[] between = ArrayPool<byte>.Shared.Rent(Bytes(window.Width, rows, channels));
        try
        {
            ResampleLoops.AcrossRows(source, stride, rows, channels, horizontal, between);
            ResampleLoops.DownColumns(between, rowBytes, vertical, top, rowBytes, result);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(between);
        }
        return new Image(window.Width, window.Height, channels, result);
    }

    /// <summary>Bytes of a picture. Between its two passes a very tall one may be larger than before and after.</summary>
    private static int Bytes(int width, int height, int channels) => (long)width * height * channels is var bytes && bytes <= Array.MaxLength
        ? (int)bytes
        : throw new ArgumentException($"Resizing needs a picture of {width:N0}×{height:N0} pixels, which does not fit into one array. Cut the picture, or resize it to a smaller one.");

    private static void Copy(ReadOnlySpan<byte> source, int stride, int rows, int rowBytes, Span<byte> target)
    {
        for (int y = 0; y < rows; y++) source.Slice(y * stride, rowBytes).CopyTo(target[(y * rowBytes)..]);
    }
}
