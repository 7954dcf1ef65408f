namespace RefConv.Models.Data;

/// <summary>Labelled pictures in memory: bytes, channels last, one label each.</summary>
public sealed class ImageDataset : IImageDataset
{
    private readonly float[] _table;

    /// <summary>Wraps pictures and labels; nothing is copied.</summary>
    /// <param name="name">Name for people, such as <c>cifar10 train</c>.</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <param name="channels">Channels: 1 grey, 3 red-green-blue.</param>
    /// <param name="images">[count, height, width, channels].</param>
    /// <param name="labels">[count], each below the number of classes.</param>
    /// <param name="classNames">Class names, label 0 first.</param>
    /// <param name="statistics">For normalisation; of these pictures if left out. A test set takes those of its training set.</param>
    public ImageDataset(
        string name, int height, int width, int channels, byte[] images, byte[] labels, IReadOnlyList<string> classNames, ChannelStatistics? statistics = null)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentNullException.ThrowIfNull(classNames);
        if (height < 1 || width < 1 || channels < 1) throw new ArgumentException($"{name}: pictures of {height}×{width}×{channels} do not exist.");
        if (labels.Length == 0) throw new ArgumentException($"{name}: there are no pictures.");
        if (images.LongLength != (long)labels.Length * height * width * channels)
        {
            throw new ArgumentException($"{name}: {labels.Length} labels and pictures of {height}×{width}×{channels} need {(long)labels.Length * height * width * channels} bytes, not {images.LongLength}.");
        }
        int worst = Array.FindIndex(labels, label => label >= classNames.Count);
        if (worst >= 0) throw new ArgumentException($"{name}: picture {worst} has label {labels[worst]}, and there are {classNames.Count} classes.");
        Name = name;
        Height = height;
        Width = width;
        Channels = channels;
        Images = images;
        Labels = labels;
        ClassNames = classNames;
        Statistics = statistics ?? ChannelStatistics.Of(images, channels);
        if (Statistics.Mean.Count != channels || Statistics.Std.Count != channels) throw new ArgumentException($"{name}: pictures have {channels} channels, the statistics {Statistics.Mean.Count}.");
        _table = Statistics.Table();
    }

    /// <summary>Name for people.</summary>
    public string Name { get; }

    /// <summary>How many pictures.</summary>
    public int Count => Labels.Length;

    /// <summary>Rows of a picture.</summary>
    public int Height { get; }

    /// <summary>Columns of a picture.</summary>
    public int Width { get; }

    /// <summary>Channels of a picture.</summary>
    public int Channels { get; }

    /// <summary>Bytes of a picture.</summary>
    public int ImageBytes => Height * Width * Channels;

    /// <summary>Names of the classes, label 0 first.</summary>
    public IReadOnlyList<string> ClassNames { get; }

    /// <summary>The pictures, [<see cref="Count"/>, <see cref="Height"/>, <see cref="Width"/>, <see cref="Channels"/>].</summary>
    public byte[] Images { get; }

    /// <summary>The labels, [<see cref="Count"/>].</summary>
    public byte[] Labels { get; }

    /// <summary>What pictures are normalised with.</summary>
    public ChannelStatistics Statistics { get; }

    /// <summary>The bytes of one picture, [H, W, C].</summary>
    public ReadOnlySpan<byte> Image(int index) => Images.AsSpan(checked(index * ImageBytes), ImageBytes);

    /// <summary>
    /// The first <paramref name="limit"/> pictures in class-balanced order: the first picture of every class, then the second of every
    /// class, and so on; a class that runs out is passed over. The same pictures every time, and <c>Take(a)</c> begins <c>Take(b)</c>
    /// for a &lt; b below <see cref="Count"/>. The whole set is returned as it is.
    /// </summary>
    public ImageDataset Take(int limit)
    {
        if (limit < 1) throw new ArgumentOutOfRangeException(nameof(limit), limit, $"{Name}: at least one picture must be taken.");
        if (limit >= Count) return this;
        int[] order = BalancedOrder.Of(Count, ClassNames.Count, i => Labels[i]);
        byte[] images = new byte[limit * ImageBytes];
        byte[] labels = new byte[limit];
        for (int i = 0; i < limit; i++)
        {
            Image(order[i]).CopyTo(images.AsSpan(i * ImageBytes));
            labels[i] = Labels[order[i]];
        }
        return new ImageDataset(Name, Height, Width, Channels, images, labels, ClassNames, Statistics);
    }

    /// <inheritdoc/>
    bool IImageDataset.IsDecoded => false;

    /// <inheritdoc/>
    int IImageDataset.Label(int index) => Labels[index];

    /// <inheritdoc/>
    IImageDataset IImageDataset.Take(int limit) => Take(limit);

    /// <inheritdoc/>
    public void Read(int index, PictureChange? change, Span<float> target)
    {
        int rows = 0, columns = 0;
        bool flip = false;
        if (change is { } c)
        {
            (int top, int left, flip) = c.Augmentation.Draw(c.Seed, c.Stream);
            (rows, columns) = (top - c.Augmentation.CropPadding, left - c.Augmentation.CropPadding);
        }
        Augmentation.Apply(Image(index), target, (Height, Width, Channels), (rows, columns), flip, _table);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count} pictures of {Height}×{Width}×{Channels}, {ClassNames.Count} classes";
}
