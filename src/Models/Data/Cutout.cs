using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>Paints a square of a picture over, so that a network learns not to rely on any one part (arXiv 1708.04552).</summary>
internal static class Cutout
{
    /// <summary>
    /// Sets a square to 0, which in a normalised picture is the mean colour. Its centre is any pixel, evenly; what lies outside the picture is cut off. That is why
    /// the paper finds that part of the pictures must stay nearly whole.
    /// </summary>
    /// <param name="image">[H, W, C], normalised.</param>
    /// <param name="sizes">H, W, C.</param>
    /// <param name="side">Rows and columns of the square.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="stream">The stream of this picture in this epoch.</param>
    public static void Apply(Span<float> image, (int Height, int Width, int Channels) sizes, int side, ulong seed, ulong stream)
    {
        var random = new RandomStream(seed, stream);
        int row = random.NextInt(sizes.Height), column = random.NextInt(sizes.Width);
        int top = Math.Max(0, row - (side / 2)), bottom = Math.Min(sizes.Height, row - (side / 2) + side);
        int left = Math.Max(0, column - (side / 2)), right = Math.Min(sizes.Width, column - (side / 2) + side);
        for (int y = top; y < bottom; y++) image.Slice(((y * sizes.Width) + left) * sizes.Channels, (right - left) * sizes.Channels).Clear();
    }
}
