using RefConv.Models.Imaging;

namespace RefConv.Models.Data;

/// <summary>
/// Labelled pictures in files, decoded each time they are read: only their names are in memory. For testing a picture is brought to its size as
/// <see cref="ImagePreprocessing"/> says; for training too, unless it has that size already, a random part of it is cut out and resized.
/// </summary>
public sealed class ImageFolderDataset : IImageDataset
{
    private readonly string[] _files;
    private readonly int[] _labels;
    private readonly float[] _table;

    internal ImageFolderDataset(string name, string[] files, int[] labels, IReadOnlyList<string> classNames, ImagePreprocessing preprocessing)
    {
        (Name, _files, _labels, ClassNames, Preprocessing) = (name, files, labels, classNames, preprocessing);
        _table = Statistics.Table();
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public int Count => _files.Length;

    /// <inheritdoc/>
    public int Height => Preprocessing.Size;

    /// <inheritdoc/>
    public int Width => Preprocessing.Size;

    /// <inheritdoc/>
    public int Channels => Preprocessing.Channels;

    /// <inheritdoc/>
    public IReadOnlyList<string> ClassNames { get; }

    /// <summary>How a picture of any size becomes one of the size of this set.</summary>
    public ImagePreprocessing Preprocessing { get; }

    /// <inheritdoc/>
    public ChannelStatistics Statistics => Preprocessing.Statistics;

    /// <summary>The files.</summary>
    public IReadOnlyList<string> Files => _files;

    /// <inheritdoc/>
    public bool IsDecoded => true;

    /// <inheritdoc/>
    public int Label(int index) => _labels[index];

    /// <inheritdoc/>
    public void Read(int index, PictureChange? change, Span<float> target)
    {
        var image = ImageFile.Load(_files[index]).WithChannels(Channels);
        var (move, flip) = ((Rows: 0, Columns: 0), false);
        if (image.Width == Width && image.Height == Height)
        {
            if (change is { } c)
            {
                (int top, int left, flip) = c.Augmentation.Draw(c.Seed, c.Stream);
                move = (top - c.Augmentation.CropPadding, left - c.Augmentation.CropPadding);
            }
        }
        else if (change is { Augmentation.CropPadding: > 0 } c)
        {
            (var part, flip) = c.Augmentation.DrawPart(image.Width, image.Height, c.Seed, c.Stream);
            image = ImageResizer.Resize(image, part, Width, Height, new PixelBox(0, 0, Width, Height), Preprocessing.Interpolation);
        }
        else
        {
            if (change is { } mirrored) (_, _, flip) = mirrored.Augmentation.Draw(mirrored.Seed, mirrored.Stream);
            image = Preprocessing.Crop(image);
        }
        Augmentation.Apply(image.Pixels, target, (Height, Width, Channels), move, flip, _table);
    }

    /// <inheritdoc/>
    public IImageDataset Take(int limit)
    {
        if (limit < 1) throw new ArgumentOutOfRangeException(nameof(limit), limit, $"{Name}: at least one picture must be taken.");
        if (limit >= Count) return this;
        int[] order = BalancedOrder.Of(Count, ClassNames.Count, Label)[..limit];
        return new ImageFolderDataset(Name, [.. order.Select(i => _files[i])], [.. order.Select(i => _labels[i])], ClassNames, Preprocessing);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name}: {Count} pictures at {Height}×{Width}×{Channels}, {ClassNames.Count} classes";
}
