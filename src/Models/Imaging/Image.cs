namespace RefConv.Models.Imaging;

/// <summary>A picture of 8-bit samples, rows from the top, channels last.</summary>
public sealed class Image
{
    /// <summary>Wraps samples; nothing is copied.</summary>
    /// <param name="width">Columns.</param>
    /// <param name="height">Rows.</param>
    /// <param name="channels">1 grey, 2 grey and alpha, 3 red-green-blue, 4 red-green-blue-alpha.</param>
    /// <param name="pixels">[height, width, channels].</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other.</exception>
    public Image(int width, int height, int channels, byte[] pixels)
    {
        ArgumentNullException.ThrowIfNull(pixels);
        if (width < 1 || height < 1 || channels is < 1 or > 4) throw new ArgumentException($"There is no image of {height}×{width}×{channels}.");
        if (pixels.LongLength != (long)width * height * channels)
            throw new ArgumentException($"An image of {height}×{width}×{channels} has {(long)width * height * channels} samples, not {pixels.LongLength}.");
        (Width, Height, Channels, Pixels) = (width, height, channels, pixels);
    }

    /// <summary>Columns.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>1 grey, 2 grey and alpha, 3 red-green-blue, 4 red-green-blue-alpha.</summary>
    public int Channels { get; }

    /// <summary>[<see cref="Height"/>, <see cref="Width"/>, <see cref="Channels"/>].</summary>
    public byte[] Pixels { get; }

    /// <summary>
    /// The picture in grey (1) or colour (3), as Pillow's <c>convert("L")</c> and <c>convert("RGB")</c> make it: alpha is dropped, not blended with a
    /// background, because models were trained on pictures read that way; grey is repeated; colour becomes ITU-R 601 luma.
    /// </summary>
    /// <param name="channels">1 or 3.</param>
    /// <returns>This image itself when it has that many channels.</returns>
    public Image WithChannels(int channels)
    {
        if (channels is not (1 or 3)) throw new ArgumentOutOfRangeException(nameof(channels), channels, "A picture can be made grey (1) or colour (3).");
        if (channels == Channels) return this;
        byte[] result = GC.AllocateUninitializedArray<byte>(checked(Width * Height * channels));
        int step = Channels;
        bool grey = Channels <= 2;
        for (int from = 0, to = 0; from < Pixels.Length; from += step, to += channels)
        {
            if (grey) result.AsSpan(to, channels).Fill(Pixels[from]);
            else if (channels == 3) Pixels.AsSpan(from, 3).CopyTo(result.AsSpan(to, 3));
            else result[to] = (byte)(((Pixels[from] * 19595) + (Pixels[from + 1] * 38470) + (Pixels[from + 2] * 7471) + 0x8000) >> 16);
        }
        return new Image(Width, Height, channels, result);
    }

    /// <summary>The picture as it is to be looked at, from how it is stored and the EXIF orientation (1 to 8; anything else is 1).</summary>
    internal Image Upright(int orientation)
    {
        if (orientation is < 2 or > 8) return this;
        bool turned = orientation >= 5;
        var (width, height) = turned ? (Height, Width) : (Width, Height);
        // Where the result's first pixel comes from, and how far its neighbours to the right and below lie from there, in pixels.
        bool fromRight = orientation is 2 or 3 or 7 or 8, fromBottom = orientation is 3 or 4 or 6 or 7;
        int right = fromRight ? -1 : 1, down = (fromBottom ? -1 : 1) * Width;
        int first = (fromRight ? Width - 1 : 0) + (fromBottom ? (Height - 1) * Width : 0);
        var (stepX, stepY) = turned ? (down, right) : (right, down);
        byte[] result = GC.AllocateUninitializedArray<byte>(Pixels.Length);
        int to = 0;
        for (int y = 0; y < height; y++)
        {
            int from = first + (y * stepY);
            for (int x = 0; x < width; x++, from += stepX, to += Channels)
            {
                for (int c = 0; c < Channels; c++) result[to + c] = Pixels[(from * Channels) + c];
            }
        }
        return new Image(width, height, Channels, result);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Height}×{Width}×{Channels}";
}
