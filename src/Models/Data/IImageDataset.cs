namespace RefConv.Models.Data;

/// <summary>
/// Labelled pictures of one size, read one at a time: from memory (<see cref="ImageDataset"/>) or from files (<see cref="ImageFolderDataset"/>).
/// Read from several threads at the same time.
/// </summary>
public interface IImageDataset
{
    /// <summary>Name for people.</summary>
    string Name { get; }

    /// <summary>How many pictures.</summary>
    int Count { get; }

    /// <summary>Rows of a picture.</summary>
    int Height { get; }

    /// <summary>Columns of a picture.</summary>
    int Width { get; }

    /// <summary>Channels of a picture.</summary>
    int Channels { get; }

    /// <summary>Names of the classes, label 0 first.</summary>
    IReadOnlyList<string> ClassNames { get; }

    /// <summary>What pictures are normalised with.</summary>
    ChannelStatistics Statistics { get; }

    /// <summary>Reading a picture is much work (it is decoded): batches are then read by several threads.</summary>
    bool IsDecoded { get; }

    /// <summary>The class of a picture.</summary>
    int Label(int index);

    /// <summary>Writes a picture, changed and normalised.</summary>
    /// <param name="index">Which.</param>
    /// <param name="change">A random change for training; null for the picture as it is.</param>
    /// <param name="target">[<see cref="Height"/>, <see cref="Width"/>, <see cref="Channels"/>].</param>
    /// <exception cref="IOException">It cannot be read; the message names the file.</exception>
    void Read(int index, PictureChange? change, Span<float> target);

    /// <summary>The first pictures in class-balanced order; see <see cref="BalancedOrder"/>.</summary>
    /// <returns>The whole set as it is when it has no more than <paramref name="limit"/>.</returns>
    IImageDataset Take(int limit);
}

/// <summary>One random change of a training picture: of what kind, and which stream of random numbers decides about it.</summary>
/// <param name="Augmentation">The kind.</param>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Stream">The stream of this picture in this epoch.</param>
public readonly record struct PictureChange(Augmentation Augmentation, ulong Seed, ulong Stream);

/// <summary>
/// The order that limits cut: the first picture of every class, then the second of every class, and so on; a class that runs out is passed over.
/// </summary>
internal static class BalancedOrder
{
    /// <summary>Numbers of the pictures, sorted by (rank within the class, class); ranks count pictures of one class from the front.</summary>
    public static int[] Of(int count, int classes, Func<int, int> label)
    {
        int[] seen = new int[classes];
        long[] keys = new long[count];
        int[] order = new int[count];
        for (int i = 0; i < count; i++)
        {
            int l = label(i);
            keys[i] = ((long)seen[l]++ * classes) + l;
            order[i] = i;
        }
        Array.Sort(keys, order);
        return order;
    }
}
