using System.Buffers.Binary;
using RefConv.IO;

namespace RefConv.Models.Data;

/// <summary>Reads idx files, the format of MNIST and Fashion-MNIST: a big-endian header (magic, count, sizes), then bytes.</summary>
public static class IdxReader
{
    private const int ImagesMagic = 2051, LabelsMagic = 2049, LargestSide = 4096;

    private static readonly string[] Digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

    private static readonly string[] Clothes =
        ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

    /// <summary>MNIST from the folder of its four files, plain or .gz.</summary>
    public static (ImageDataset Train, ImageDataset Test) ReadMnist(string folder) => Read(folder, "mnist", Digits, ChannelStatistics.Mnist);

    /// <summary>Fashion-MNIST from the folder of its four files, plain or .gz.</summary>
    public static (ImageDataset Train, ImageDataset Test) ReadFashionMnist(string folder) => Read(folder, "fashion-mnist", Clothes, ChannelStatistics.FashionMnist);

    /// <summary>Reads one file of images.</summary>
    /// <returns>The pixels, [count, rows, columns].</returns>
    public static (byte[] Pixels, int Count, int Rows, int Columns) ReadImages(string path)
    {
        using var file = new DataFile(path);
        Span<byte> header = stackalloc byte[16];
        file.Fill(header, "the header of an idx file of images");
        int magic = Number(header, 0), count = Number(header, 1), rows = Number(header, 2), columns = Number(header, 3);
        if (magic != ImagesMagic) throw WrongMagic(path, magic, ImagesMagic, "images");
        if (count < 1 || rows is < 1 or > LargestSide || columns is < 1 or > LargestSide)
        {
            throw new FileFormatException(path, $"the header speaks of {count} images of {rows}×{columns}, which cannot be. Download or copy it again.");
        }
        byte[] pixels = new byte[Room(file, (long)count * rows * columns, header.Length)];
        file.Fill(pixels, "its images");
        file.ExpectEnd();
        return (pixels, count, rows, columns);
    }

    /// <summary>Reads one file of labels.</summary>
    public static byte[] ReadLabels(string path)
    {
        using var file = new DataFile(path);
        Span<byte> header = stackalloc byte[8];
        file.Fill(header, "the header of an idx file of labels");
        int magic = Number(header, 0), count = Number(header, 1);
        if (magic != LabelsMagic) throw WrongMagic(path, magic, LabelsMagic, "labels");
        if (count < 1) throw new FileFormatException(path, $"the header speaks of {count} labels, which cannot be. Download or copy it again.");
        byte[] labels = new byte[Room(file, count, header.Length)];
        file.Fill(labels, "its labels");
        file.ExpectEnd();
        return labels;
    }

    private static (ImageDataset Train, ImageDataset Test) Read(string folder, string name, string[] classes, ChannelStatistics statistics)
    {
        DataFile.ExpectFolder(folder);
        // All four are looked for before the first is read.
        var (trainImages, trainLabels) = (FindFile(folder, Train(folder), "images-idx3"), FindFile(folder, Train(folder), "labels-idx1"));
        var (testImages, testLabels) = (FindFile(folder, "t10k", "images-idx3"), FindFile(folder, "t10k", "labels-idx1"));
        var train = ReadSplit($"{name} train", trainImages, trainLabels, classes, statistics);
        var test = ReadSplit($"{name} test", testImages, testLabels, classes, statistics);
        if ((train.Height, train.Width) != (test.Height, test.Width))
        {
            throw new FileFormatException(testImages, $"its images are {test.Height}×{test.Width} and those for training {train.Height}×{train.Width}. Are the files of one data set?");
        }
        return (train, test);
    }

    private static ImageDataset ReadSplit(string name, string imagePath, string labelPath, string[] classes, ChannelStatistics statistics)
    {
        var (pixels, count, rows, columns) = ReadImages(imagePath);
        byte[] labels = ReadLabels(labelPath);
        if (labels.Length != count) throw new FileFormatException(labelPath, $"holds {labels.Length} labels for the {count} images of {Path.GetFileName(imagePath)}. Are the files of one data set?");
        int wrong = Array.FindIndex(labels, label => label >= classes.Length);
        if (wrong >= 0) throw new FileFormatException(labelPath, $"label {wrong} is {labels[wrong]}; {name} has labels 0 to {classes.Length - 1}. Is it the right data set?");
        return new ImageDataset(name, rows, columns, 1, pixels, labels, classes, statistics);
    }

    /// <summary>The training files' first word: <c>train</c>, or a cut set such as <c>train20k</c> where only that is there.</summary>
    private static string Train(string folder)
    {
        if (DataFile.Find(folder, Names("train", "images-idx3")) is not null) return "train";
        var cut = Directory.EnumerateFiles(folder, "train*k-images-idx3-ubyte*").Select(f => Path.GetFileName(f)!.Split('-')[0]).Order(StringComparer.Ordinal);
        return cut.FirstOrDefault(word => word["train".Length..^1].All(char.IsAsciiDigit)) ?? "train";
    }

    private static string FindFile(string folder, string split, string what)
    {
        string[] names = Names(split, what);
        return DataFile.Find(folder, names) ?? throw new FileNotFoundException(
            $"'{folder}' holds no '{names[0]}' (looked for {string.Join(", ", names.Select(n => $"{n}[.gz]"))}). "
            + "Put the four idx files of the data set there, or give the folder they are in.",
            Path.Combine(folder, names[0]));
    }

    /// <summary>Official name, and the one with a dot that some unpackers leave.</summary>
    private static string[] Names(string split, string what) => [$"{split}-{what}-ubyte", $"{split}-{what.Replace('-', '.')}-ubyte"];

    /// <summary>The length to allocate, after making sure that the file can hold so much: a wrong header must not ask for all memory.</summary>
    private static int Room(DataFile file, long bytes, int header)
    {
        if (bytes > Array.MaxLength || bytes + header > file.MaximumBytes)
        {
            throw new FileFormatException(file.Path, $"the header promises {bytes} bytes of data and the file is too short for that. Download or copy it again.");
        }
        return (int)bytes;
    }

    private static int Number(ReadOnlySpan<byte> header, int index) => BinaryPrimitives.ReadInt32BigEndian(header[(index * 4)..]);

    private static FileFormatException WrongMagic(string path, int magic, int expected, string what) => new(
        path, $"not an idx file of {what}: it begins with {(uint)magic} and not with {expected}." + magic switch
        {
            ImagesMagic => " It holds images: were the two files swapped?",
            LabelsMagic => " It holds labels: were the two files swapped?",
            _ => " Check that it is the right file.",
        });
}
