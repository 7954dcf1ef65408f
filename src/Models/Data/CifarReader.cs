using RefConv.IO;

namespace RefConv.Models.Data;

/// <summary>
/// Reads CIFAR-10 in its binary version: records of one label byte and 32×32 red, green and blue planes (3,073 bytes), in files
/// <c>data_batch_1.bin</c>, … and <c>test_batch.bin</c>, plain or .gz, with any number of records each.
/// </summary>
public static class CifarReader
{
    private const int Side = 32, Pixels = Side * Side, RecordBytes = 1 + (3 * Pixels), Classes = 10;
    private const string UsualFolder = "cifar-10-batches-bin";

    private static readonly string[] UsualNames =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// <summary>CIFAR-10 from the folder of its batches (or the folder above it).</summary>
    public static (ImageDataset Train, ImageDataset Test) Read(string folder)
    {
        DataFile.ExpectFolder(folder);
        string inner = Path.Combine(folder, UsualFolder);
        if (TrainBatches(folder).Length == 0 && Directory.Exists(inner)) folder = inner;
        string[] batches = TrainBatches(folder);
        if (batches.Length == 0)
        {
            bool python = File.Exists(Path.Combine(folder, "data_batch_1")) || Directory.Exists(Path.Combine(folder, "cifar-10-batches-py"));
            throw new FileNotFoundException(
                $"'{folder}' holds no training data (looked for data_batch_1.bin[.gz], data_batch_2.bin[.gz], …). "
                + (python ? "It holds the Python version: download the binary version, cifar-10-binary.tar.gz." : $"Give the folder {UsualFolder} of cifar-10-binary.tar.gz."),
                Path.Combine(folder, "data_batch_1.bin"));
        }
        string test = DataFile.Find(folder, "test_batch.bin") ?? throw new FileNotFoundException(
            $"'{folder}' holds no test data (looked for test_batch.bin[.gz]). Give the folder {UsualFolder} of cifar-10-binary.tar.gz.",
            Path.Combine(folder, "test_batch.bin"));
        var names = ReadNames(folder);
        return (ReadSplit("cifar10 train", batches, names), ReadSplit("cifar10 test", [test], names));
    }

    /// <summary>Reads one batch file.</summary>
    /// <returns>The pictures, each [32, 32, 3], and their labels.</returns>
    public static (List<byte[]> Images, List<byte> Labels) ReadBatch(string path)
    {
        using var file = new DataFile(path);
        var images = new List<byte[]>();
        var labels = new List<byte>();
        byte[] record = new byte[RecordBytes];
        while (file.TryFill(record, $"record {labels.Count} (records have {RecordBytes} bytes)"))
        {
            if (record[0] >= Classes)
            {
                throw new FileFormatException(path, $"record {labels.Count} has label {record[0]}, and CIFAR-10 has labels 0 to 9. Check that it is a batch of the binary version of CIFAR-10.");
            }
            labels.Add(record[0]);
            images.Add(Interleave(record.AsSpan(1)));
        }
        if (labels.Count == 0) throw new FileFormatException(path, "is empty. Download or copy it again.");
        return (images, labels);
    }

    /// <summary>Planes [3, 32, 32] → [32, 32, 3].</summary>
    private static byte[] Interleave(ReadOnlySpan<byte> planes)
    {
        byte[] image = new byte[3 * Pixels];
        for (int i = 0; i < Pixels; i++)
        {
            image[3 * i] = planes[i];
            image[(3 * i) + 1] = planes[Pixels + i];
            image[(3 * i) + 2] = planes[(2 * Pixels) + i];
        }
        return image;
    }

    private static ImageDataset ReadSplit(string name, string[] paths, IReadOnlyList<string> classNames)
    {
        var images = new List<byte[]>();
        var labels = new List<byte>();
        foreach (string path in paths)
        {
            var batch = ReadBatch(path);
            images.AddRange(batch.Images);
            labels.AddRange(batch.Labels);
        }
        if ((long)images.Count * 3 * Pixels > Array.MaxLength) throw new FileFormatException(paths[0], $"with the other batches there are {images.Count} pictures, more than fit into one array. Give fewer files.");
        byte[] all = new byte[images.Count * 3 * Pixels];
        for (int i = 0; i < images.Count; i++) images[i].CopyTo(all, i * 3 * Pixels);
        return new ImageDataset(name, Side, Side, 3, all, [.. labels], classNames, ChannelStatistics.Cifar10);
    }

    /// <summary>data_batch_N.bin or .bin.gz in the order of N; the plain one where both are there.</summary>
    private static string[] TrainBatches(string folder)
    {
        var found = new SortedDictionary<int, string>();
        foreach (string path in Directory.EnumerateFileSystemEntries(folder, "data_batch_*").Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(path);
            if (name.EndsWith(".gz", StringComparison.Ordinal)) name = name[..^3];
            if (!name.EndsWith(".bin", StringComparison.Ordinal)) continue;
            if (int.TryParse(name["data_batch_".Length..^4], out int number)) found.TryAdd(number, path);
        }
        return [.. found.Values];
    }

    private static IReadOnlyList<string> ReadNames(string folder)
    {
        string path = Path.Combine(folder, "batches.meta.txt");
        if (!File.Exists(path)) return UsualNames;
        string[] names = [.. File.ReadLines(path).Select(line => line.Trim()).Where(line => line.Length > 0).Take(Classes + 1)];
        if (names.Length != Classes || names.Distinct().Count() != Classes)
        {
            throw new FileFormatException(path, $"should hold the {Classes} class names, one a line. Download it again, or delete it to use the usual names.");
        }
        return names;
    }
}
