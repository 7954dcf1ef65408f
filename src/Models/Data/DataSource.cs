namespace RefConv.Models.Data;

/// <summary>Pictures to train on and pictures to test on, opened from one short text.</summary>
/// <param name="Spec">The text, such as <c>cifar10:/data/cifar-10-batches-bin</c>.</param>
/// <param name="Train">The training set.</param>
/// <param name="Test">The test set, normalised like the training set.</param>
public sealed record DataSource(string Spec, IImageDataset Train, IImageDataset Test)
{
    /// <summary>What can be opened, as shown to people.</summary>
    public static IReadOnlyList<string> KnownSpecs { get; } = ["shapes", "cifar10:DIR", "mnist:DIR", "fashion-mnist:DIR", "imagefolder:DIR"];

    /// <summary>Opens a data set.</summary>
    /// <param name="spec"><c>shapes</c> (drawn, needs no files), <c>cifar10:DIR</c>, <c>mnist:DIR</c>, <c>fashion-mnist:DIR</c> or <c>imagefolder:DIR</c>.</param>
    /// <param name="trainLimit">At most so many training pictures, the classes kept in balance. <c>shapes</c> draws exactly so many.</param>
    /// <param name="testLimit">The same for test pictures.</param>
    /// <param name="folderOptions">
    /// For <c>imagefolder</c>: the input of the model that the pictures are for. Left out, they are brought to the size that all of them have, or else
    /// to 224×224. Other sets have their own size and are not changed.
    /// </param>
    /// <exception cref="ArgumentException">No such data set; the message offers the nearest.</exception>
    /// <exception cref="IO.FileFormatException">A file is damaged.</exception>
    /// <exception cref="IOException">A folder or file is missing; the message says which names were looked for.</exception>
    public static DataSource Open(string spec, int? trainLimit = null, int? testLimit = null, ImageFolderOptions? folderOptions = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(spec);
        if (trainLimit is < 1 || testLimit is < 1) throw new ArgumentException("A limit on the number of pictures must be at least 1.");
        int colon = spec.IndexOf(':');
        string kind = colon < 0 ? spec : spec[..colon];
        string folder = colon < 0 ? "" : spec[(colon + 1)..];
        if (kind == "shapes")
        {
            if (colon >= 0) throw new ArgumentException($"'{spec}': shapes are drawn and take no folder. Write just 'shapes'.");
            return new DataSource(
                spec, ShapesDataset.Train(trainLimit ?? ShapesDataset.DefaultTrainCount), ShapesDataset.Test(testLimit ?? ShapesDataset.DefaultTestCount));
        }
        Func<string, (IImageDataset Train, IImageDataset Test)> read = kind switch
        {
            "cifar10" => path => CifarReader.Read(path),
            "mnist" => path => IdxReader.ReadMnist(path),
            "fashion-mnist" => path => IdxReader.ReadFashionMnist(path),
            "imagefolder" => path => ImageFolderReader.Read(path, folderOptions),
            _ => throw Unknown(kind),
        };
        if (string.IsNullOrWhiteSpace(folder)) throw new ArgumentException($"'{spec}' lacks the folder of its files. Write {kind}:DIR.");
        var (train, test) = read(folder);
        return new DataSource(spec, trainLimit is { } a ? train.Take(a) : train, testLimit is { } b ? test.Take(b) : test);
    }

    private static ArgumentException Unknown(string kind)
    {
        string? nearest = Suggest.Nearest(kind, KnownSpecs.Select(s => s.Split(':')[0]));
        string offer = nearest is null ? "" : $" Did you mean '{KnownSpecs.First(s => s.Split(':')[0] == nearest)}'?";
        return new ArgumentException($"There is no data set '{kind}'. Known are {string.Join(", ", KnownSpecs)}.{offer}");
    }
}
