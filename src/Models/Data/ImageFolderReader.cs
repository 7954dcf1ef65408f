using RefConv.Models.Imaging;

namespace RefConv.Models.Data;

/// <summary>What of an image folder depends on the model that it is for.</summary>
/// <param name="Preprocessing">The model's input.</param>
/// <param name="ClassNames">The model's classes, when they have names: a folder whose classes are all among them is numbered as the model numbers them.</param>
public sealed record ImageFolderOptions(ImagePreprocessing Preprocessing, IReadOnlyList<string>? ClassNames = null)
{
    /// <summary>Of a folder that is not divided into train and val, test on all pictures: right only for pictures that the model never saw.</summary>
    public bool TestOnAll { get; init; }

    /// <summary>For a model: its size, its normalisation and its class numbers; null for a model that takes no pictures.</summary>
    /// <param name="spec">The model.</param>
    /// <param name="data">What its checkpoint says about the pictures it was trained on, if anything.</param>
    public static ImageFolderOptions? For(ModelSpec spec, DataInfo? data) =>
        spec.InChannels is 1 or 3 ? new(ImagePreprocessing.For(spec, data), data?.ClassNames) : null;
}

/// <summary>
/// Finds the pictures of an image folder: DIR/train/CLASS/… and DIR/val/CLASS/… (or test, valid, validation); or DIR/CLASS/…, of which every fifth
/// picture of a class, in the order of names, is kept for testing (of 2 to 4 pictures the last one). Classes are numbered in the order of their names, as torchvision does.
/// </summary>
internal static class ImageFolderReader
{
    private const int TestEvery = 5, UsualSize = 224;

    private static readonly string[] TestFolders = ["val", "test", "valid", "validation"];
    private static readonly string[] Extensions = [".png", ".jpg", ".jpeg", ".jpe", ".jfif"];

    public static (ImageFolderDataset Train, ImageFolderDataset Test) Read(string folder, ImageFolderOptions? options)
    {
        DataFile.ExpectFolder(folder);
        string title = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        string train = Path.Combine(folder, "train");
        string? test = TestFolders.Select(name => Path.Combine(folder, name)).FirstOrDefault(Directory.Exists);
        List<(string File, string Class)> trainFiles, testFiles;
        if (Directory.Exists(train))
        {
            if (test == null) throw new DirectoryNotFoundException($"'{folder}' has a folder train but none of {string.Join(", ", TestFolders)}. Add one with pictures to test on.");
            (trainFiles, testFiles) = (Classes(train), Classes(test));
            string[] known = [.. trainFiles.Select(f => f.Class).Distinct()];
            if (testFiles.FirstOrDefault(f => !known.Contains(f.Class)).Class is { } extra)
                throw new DirectoryNotFoundException($"'{test}' has the class '{extra}', and '{train}' has no pictures of it. Both must have the same classes.");
        }
        else
        {
            var all = Classes(folder);
            (trainFiles, testFiles) = options?.TestOnAll == true ? (all, all) : Divide(all);
            if (testFiles.Count == 0) throw new FileNotFoundException($"No class in '{folder}' has two pictures, so none is left to test on. Add pictures, or make folders train and val.");
        }
        IReadOnlyList<string> classNames = ClassNames([.. trainFiles.Select(f => f.Class).Distinct()], options?.ClassNames);
        var preprocessing = options?.Preprocessing ?? ImagePreprocessing.ForSize(OwnSize(trainFiles.Concat(testFiles)) ?? UsualSize);
        return (Make("train", trainFiles), Make("test", testFiles));

        ImageFolderDataset Make(string split, List<(string File, string Class)> files)
        {
            var number = classNames.Select((name, i) => (name, i)).ToDictionary(c => c.name, c => c.i);
            return new ImageFolderDataset($"{title} {split}", [.. files.Select(f => f.File)], [.. files.Select(f => number[f.Class])], classNames, preprocessing);
        }
    }

    private static (List<(string File, string Class)> Train, List<(string File, string Class)> Test) Divide(List<(string File, string Class)> all)
    {
        var marked = all.GroupBy(f => f.Class).SelectMany(g => g.Select((f, i) => (Picture: f, Test: i == Math.Min(g.Count(), TestEvery) - 1 + (i / TestEvery * TestEvery) && g.Count() > 1))).ToArray();
        return ([.. marked.Where(f => !f.Test).Select(f => f.Picture)], [.. marked.Where(f => f.Test).Select(f => f.Picture)]);
    }

    /// <summary>The pictures of all classes: classes by name, pictures by path. Folders without pictures are no classes.</summary>
    private static List<(string File, string Class)> Classes(string folder)
    {
        List<(string, string)> files = [];
        foreach (string path in Directory.EnumerateDirectories(folder).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(path);
            if (name.StartsWith('.')) continue;
            files.AddRange(Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories)
                .Where(f => Extensions.Contains(Path.GetExtension(f).ToLowerInvariant()) && !Path.GetFileName(f).StartsWith('.'))
                .Order(StringComparer.Ordinal).Select(f => (f, name)));
        }
        if (files.Count == 0)
        {
            throw new FileNotFoundException(
                $"'{folder}' has no pictures in folders of their classes (looked for CLASS/*.png, CLASS/*.jpg, CLASS/*.jpeg). Put the pictures of each class into a folder with its name.");
        }
        return files;
    }

    private static IReadOnlyList<string> ClassNames(string[] found, IReadOnlyList<string>? wanted) =>
        wanted != null && wanted.Distinct().Count() == wanted.Count && found.All(wanted.Contains) ? wanted : found;

    /// <summary>The size that all pictures have, if they are square and small: such sets were made for it. Stops at the first one that differs.</summary>
    private static int? OwnSize(IEnumerable<(string File, string Class)> files)
    {
        int? size = null;
        foreach (var (file, _) in files)
        {
            var info = ImageFile.LoadInfo(file);
            if (info.Width != info.Height || info.Width > UsualSize || (size ?? info.Width) != info.Width) return null;
            size = info.Width;
        }
        return size;
    }
}
