using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>
/// How a training picture is changed at random each time it is seen: padded with black on all sides and cut back to its size at a
/// random place, and mirrored left to right half of the time.
/// </summary>
/// <param name="CropPadding">Pixels of padding; 0 leaves the place as it is.</param>
/// <param name="HorizontalFlip">Whether pictures are mirrored. Not for digits, whose mirror images are other signs.</param>
public sealed record Augmentation(int CropPadding = 0, bool HorizontalFlip = false)
{
    /// <summary>Pictures stay as they are.</summary>
    public static Augmentation None { get; } = new();

    /// <summary>The usual one for CIFAR: padding 4, mirrored.</summary>
    public static Augmentation Standard { get; } = new(CropPadding: 4, HorizontalFlip: true);

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
