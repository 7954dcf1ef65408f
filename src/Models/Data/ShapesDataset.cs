namespace RefConv.Models.Data;

/// <summary>
/// A data set that needs no files: ten shapes, drawn 32×32 in colour, tilted by up to 40 degrees, moved, scaled, squeezed and slanted, filled
/// or as an outline, sometimes faint, over a textured ground, among fragments of other shapes and under noise. Made to be learnt in
/// minutes and not to be solved by a small network: circle, pentagon and square are meant to look alike, as are star and cross.
/// </summary>
/// <remarks>
/// Picture i of a split depends on (seed, split, i) alone, so a larger set begins with the smaller one; its class is i mod 10.
/// Training and test pictures come from different streams of the generator and never meet.
/// </remarks>
public static class ShapesDataset
{
    /// <summary>Rows and columns of a picture.</summary>
    public const int Side = 32;

    /// <summary>Training pictures when no number is given.</summary>
    public const int DefaultTrainCount = 5000;

    /// <summary>Test pictures when no number is given.</summary>
    public const int DefaultTestCount = 1000;

    // Streams of one seed are told apart by their highest byte; these belong to this class. Bit 48 is the split, below it lies the picture.
    private const ulong Streams = 0xD2UL << 56, TestStreams = Streams | (1UL << 48);

    /// <summary>The set's seed, so that everyone trains on the same pictures.</summary>
    private const ulong DefaultSeed = 20_260_101;

    /// <summary>
    /// Mean and deviation of the default training set, rounded. Fixed, so that a network trained on 500 pictures and one trained on 5,000
    /// see test pictures alike.
    /// </summary>
    public static ChannelStatistics Statistics { get; } = new([0.31f, 0.31f, 0.31f], [0.19f, 0.19f, 0.19f]);

    /// <summary>Draws training pictures.</summary>
    public static ImageDataset Train(int count = DefaultTrainCount, ulong seed = DefaultSeed) => Draw("shapes train", count, seed, Streams);

    /// <summary>Draws test pictures.</summary>
    public static ImageDataset Test(int count = DefaultTestCount, ulong seed = DefaultSeed) => Draw("shapes test", count, seed, TestStreams);

    private static ImageDataset Draw(string name, int count, ulong seed, ulong streams)
    {
        const int Size = Side * Side * 3;
        if (count < 1 || (long)count * Size > Array.MaxLength)
        {
            throw new ArgumentOutOfRangeException(nameof(count), count, $"{name}: the number of pictures must be 1 to {Array.MaxLength / Size}.");
        }
        byte[] images = new byte[count * Size];
        byte[] labels = new byte[count];
        Parallel.For(0, count, () => new ShapePainter(Side), (i, _, painter) =>
        {
            labels[i] = (byte)(i % ShapeOutlines.Names.Length);
            painter.Draw(labels[i], seed, streams | (uint)i, images.AsSpan(i * Size, Size));
            return painter;
        }, _ => { });
        return new ImageDataset(name, Side, Side, 3, images, labels, ShapeOutlines.Names, Statistics);
    }
}
