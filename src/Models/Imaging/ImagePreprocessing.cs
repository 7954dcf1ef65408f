using RefConv.Models.Data;

namespace RefConv.Models.Imaging;

/// <summary>
/// How a picture of any size becomes the input of a model: the shorter side is brought to <see cref="ResizeTo"/> pixels, the middle
/// <see cref="Size"/>×<see cref="Size"/> are cut out, and values are normalised. That is torchvision's Resize, CenterCrop and Normalize, to the bit.
/// </summary>
public sealed record ImagePreprocessing
{
    /// <summary>Rows and columns of the model's input.</summary>
    public required int Size { get; init; }

    /// <summary>The shorter side before the middle is cut out; at least <see cref="Size"/>.</summary>
    public required int ResizeTo { get; init; }

    /// <summary>The filter of resizing.</summary>
    public Interpolation Interpolation { get; init; } = Interpolation.Bilinear;

    /// <summary>What values are normalised with; as many channels as the model takes.</summary>
    public ChannelStatistics Statistics { get; init; } = ChannelStatistics.ImageNet;

    /// <summary>Channels: 1 or 3.</summary>
    public int Channels => Statistics.Mean.Count;

    /// <summary>
    /// The usual one for pictures of a size: for large ones the shorter side is 256/224 of it, so that some of the border is left out; for small
    /// ones (up to 64 pixels), where every pixel counts, nothing is but what makes the picture square.
    /// </summary>
    /// <param name="size">Rows and columns of the model's input.</param>
    public static ImagePreprocessing ForSize(int size)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 1);
        return new() { Size = size, ResizeTo = size <= 64 ? size : (int)Math.Round(size * 256.0 / 224) };
    }

    /// <summary>
    /// What a model wants. Of one that was trained here the checkpoint says how pictures were resized and normalised (<paramref name="data"/>), so that going
    /// on, testing and answering see what training saw; a model with weights from elsewhere gets what its weights were trained with on ImageNet.
    /// </summary>
    /// <exception cref="ArgumentException">The model takes no pictures of 1 or 3 channels.</exception>
    public static ImagePreprocessing For(ModelSpec spec, DataInfo? data = null)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var usual = ForSize(spec.ImageSize);
        if (spec.SmallImages) usual = usual with { ResizeTo = spec.ImageSize };
        if (data != null)
        {
            if (data.Mean is not { Count: > 0 } || data.Std?.Count != data.Mean.Count || data.Mean.Count != spec.InChannels)
                throw new ArgumentException($"The file says that pictures are normalised with {data.Mean?.Count ?? 0} means and {data.Std?.Count ?? 0} deviations, and the model takes {spec.InChannels} channels. Use another copy of the file.");
            usual = usual with
            {
                Statistics = new ChannelStatistics(data.Mean, data.Std),
                Interpolation = data.Interpolation ?? usual.Interpolation,
                ResizeTo = data.ResizeTo ?? usual.ResizeTo,
            };
        }
        else
        {
            if (spec.InChannels == 1) usual = usual with { Statistics = new ChannelStatistics([0.5f], [0.5f]) };
            if (spec.Architecture.StartsWith("efficientnet", StringComparison.Ordinal)) usual = usual with { Interpolation = Interpolation.Bicubic };
            if (spec.Architecture.StartsWith("convnext", StringComparison.Ordinal) && spec.ImageSize == 224) usual = usual with { ResizeTo = 236 };
        }
        if (spec.InChannels is not (1 or 3)) throw new ArgumentException($"The model takes {spec.InChannels} channels, and pictures have 1 or 3. Give it tensors instead.");
        return usual;
    }

    /// <summary>Resizes and cuts; the result is still 8-bit.</summary>
    /// <returns>[<see cref="Size"/>, <see cref="Size"/>, <see cref="Channels"/>].</returns>
    public Image Crop(Image image)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (ResizeTo < Size) throw new InvalidOperationException($"ResizeTo is {ResizeTo}: it must be at least Size, {Size}.");
        image = image.WithChannels(Channels);
        // torchvision cuts the longer side's fraction off, and Python rounds halves to even.
        int shorter = Math.Min(image.Width, image.Height), longer = (int)Math.Min((long)ResizeTo * Math.Max(image.Width, image.Height) / shorter, int.MaxValue);
        var (width, height) = image.Width <= image.Height ? (ResizeTo, longer) : (longer, ResizeTo);
        var window = new PixelBox((int)Math.Round((width - Size) / 2.0), (int)Math.Round((height - Size) / 2.0), Size, Size);
        return ImageResizer.Resize(image, PixelBox.Of(image), width, height, window, Interpolation);
    }

    /// <summary>Writes what the model gets.</summary>
    /// <param name="image">Any picture.</param>
    /// <param name="target">[<see cref="Size"/>, <see cref="Size"/>, <see cref="Channels"/>].</param>
    public void Apply(Image image, Span<float> target)
    {
        byte[] pixels = Crop(image).Pixels;
        if (target.Length != pixels.Length) throw new ArgumentException($"The picture becomes {pixels.Length} values, and there is room for {target.Length}.", nameof(target));
        float[] table = Statistics.Table();
        for (int i = 0, c = 0; i < pixels.Length; i++)
        {
            target[i] = table[(c * 256) + pixels[i]];
            if (++c == Channels) c = 0;
        }
    }

    /// <summary>What the model gets, [<see cref="Size"/>, <see cref="Size"/>, <see cref="Channels"/>].</summary>
    public float[] Apply(Image image)
    {
        float[] values = new float[Size * Size * Channels];
        Apply(image, values);
        return values;
    }
}
