using System.IO.Compression;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Models.Data;

namespace RefConv.Tests.Data;

/// <summary>idx and CIFAR files: small ones made here, whole and damaged in every way.</summary>
public sealed class DataFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false)]
    [InlineData("train-images.idx3-ubyte", "train-labels.idx1-ubyte", false)]
    [InlineData("train20k-images-idx3-ubyte", "train20k-labels-idx1-ubyte", false)]
    [InlineData("train-images-idx3-ubyte", "train-labels-idx1-ubyte", true)]
    public void MnistIsRead(string images, string labels, bool packed)
    {
        WriteMnist(images, labels, packed);
        var source = DataSource.Open($"mnist:{_folder.Path}");
        Assert.Equal((6, 2, 3, 1), (source.Train.Count, source.Train.Height, source.Train.Width, source.Train.Channels));
        Assert.Equal(4, source.Test.Count);
        Assert.Equal([0, 1, 2, 3, 4, 5], ((ImageDataset)source.Train).Image(0).ToArray());
        Assert.Equal([30, 31, 32, 33, 34, 35], ((ImageDataset)source.Train).Image(5).ToArray());
        Assert.Equal([9, 8, 7, 6, 5, 4], ((ImageDataset)source.Train).Labels);
        Assert.Equal(0.1307f, source.Test.Statistics.Mean[0]);
        Assert.Equal("Ankle boot", DataSource.Open($"fashion-mnist:{_folder.Path}").Train.ClassNames[9]);
        Assert.Equal(2, DataSource.Open($"mnist:{_folder.Path}", trainLimit: 2).Train.Count);
    }

    [Theory]
    [InlineData("train-images-idx3-ubyte", 0, "the header of an idx file of images", "ends before")]
    [InlineData("train-images-idx3-ubyte", 15, "15 of 16", "ends in the middle")]
    [InlineData("train-images-idx3-ubyte", 51, "too short", "promises 36 bytes")]
    [InlineData("train-labels-idx1-ubyte", 13, "too short", "promises 6 bytes")]
    public void CutIdxFiles(string name, int length, params string[] complaints)
    {
        WriteMnist("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false);
        string path = _folder.Write(name, File.ReadAllBytes(_folder.File(name)).AsSpan(0, length));
        string message = Assert.Throws<FileFormatException>(() => IdxReader.ReadMnist(_folder.Path)).Message;
        foreach (string complaint in complaints) Assert.Contains(complaint, message);
        Assert.StartsWith(path, message);
    }

    [Fact]
    public void WrongIdxFiles()
    {
        WriteMnist("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false);
        Refused("train-images-idx3-ubyte", bytes => [.. bytes, 0], "goes on after");
        Refused("train-images-idx3-ubyte", bytes => [9, .. bytes[1..]], "not an idx file of images");
        Refused("train-images-idx3-ubyte", bytes => [.. bytes[..4], 0xFF, .. bytes[5..]], "which cannot be");
        Refused("train-images-idx3-ubyte", bytes => [.. bytes[..4], 0x7F, .. bytes[5..]], "too short");
        Refused("train-images-idx3-ubyte", bytes => [.. bytes[..8], 1, .. bytes[9..]], "which cannot be");
        Refused("train-labels-idx1-ubyte", bytes => [.. bytes[..9], 10, .. bytes[10..]], "label 1 is 10");
        Refused("train-labels-idx1-ubyte", bytes => [.. bytes[..7], 5, .. bytes[8..^1]], "5 labels for the 6 images");
        Refused("train-labels-idx1-ubyte", _ => File.ReadAllBytes(_folder.File("train-images-idx3-ubyte")), "were the two files swapped");
        Refused("t10k-images-idx3-ubyte", bytes => [.. bytes[..11], 3, .. bytes[12..15], 2, .. bytes[16..]], "Are the files of one data set");

        void Refused(string name, Func<byte[], byte[]> damage, string complaint)
        {
            byte[] good = File.ReadAllBytes(_folder.File(name));
            _folder.Write(name, damage(good));
            Assert.Contains(complaint, Assert.Throws<FileFormatException>(() => IdxReader.ReadMnist(_folder.Path)).Message);
            _folder.Write(name, good);
        }
    }

    [Fact]
    public void PackedFilesCutAnywhereAreRefused()
    {
        WriteMnist("train-images-idx3-ubyte", "train-labels-idx1-ubyte", true);
        byte[] whole = File.ReadAllBytes(_folder.File("train-images-idx3-ubyte.gz"));
        for (int length = 0; length < whole.Length; length++)
        {
            string path = _folder.Write("cut.gz", whole.AsSpan(0, length));
            try
            {
                // Where only the end mark, the checksum or the length is lost, every pixel may still be there.
                Assert.Equal(Enumerable.Range(0, 36).Select(i => (byte)i), IdxReader.ReadImages(path).Pixels);
                Assert.InRange(length, whole.Length - 10, whole.Length);
            }
            catch (FileFormatException)
            {
                // The usual case.
            }
        }
    }

    [Fact]
    public void MutatedFilesGiveAResultOrAnException()
    {
        WriteMnist("train-images-idx3-ubyte", "train-labels-idx1-ubyte", true);
        WriteCifar(packed: true);
        var random = new RandomStream(2, 2);
        byte[][] files =
        [
            File.ReadAllBytes(_folder.File("train-images-idx3-ubyte.gz")), File.ReadAllBytes(_folder.File("data_batch_1.bin.gz")),
            Idx(2051, [6, 2, 3], [.. Enumerable.Range(0, 36).Select(i => (byte)i)]),
        ];
        int refused = 0;
        for (int i = 0; i < 1500; i++)
        {
            byte[] bytes = [.. files[i % 3]];
            for (int n = random.NextInt(3); n >= 0; n--) bytes[random.NextInt(Math.Min(bytes.Length, 100))] = (byte)random.NextBits();
            string path = _folder.Write("mutated", bytes);
            try
            {
                if (i % 3 == 1) CifarReader.ReadBatch(path);
                else IdxReader.ReadImages(path);
            }
            catch (FileFormatException)
            {
                refused++;
            }
        }
        Assert.InRange(refused, 300, 1499);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void CifarIsRead(bool packed)
    {
        WriteCifar(packed);
        var (train, test) = CifarReader.Read(_folder.Path);
        Assert.Equal((3, 2), (train.Count, test.Count));
        Assert.Equal([1, 2, 9], train.Labels); // batch 10 comes after batch 1, not before batch 2 as names would have it
        Assert.Equal((32, 32, 3), (train.Height, train.Width, train.Channels));
        for (int i = 0; i < 3; i++)
        {
            for (int p = 0; p < 1024; p += 37)
            {
                for (int c = 0; c < 3; c++) Assert.Equal(Pixel(train.Labels[i], c, p), train.Image(i)[(p * 3) + c]);
            }
        }
        Assert.Equal("airplane", train.ClassNames[0]);
        File.WriteAllText(_folder.File("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
        Assert.Equal("j", CifarReader.Read(_folder.Path).Test.ClassNames[9]);
        File.WriteAllText(_folder.File("batches.meta.txt"), "a\nb\n");
        Assert.Contains("10 class names", Assert.Throws<FileFormatException>(() => CifarReader.Read(_folder.Path)).Message);
    }

    [Fact]
    public void WrongCifarFiles()
    {
        WriteCifar(packed: false);
        byte[] good = File.ReadAllBytes(_folder.File("data_batch_1.bin"));
        Refused(good[..^1], "ends in the middle of record 1");
        Refused([.. good, 0], "ends in the middle of record 2");
        Refused([.. good[..3073], 10, .. good[3074..]], "record 1 has label 10");
        Refused([], "is empty");
        File.Delete(_folder.File("data_batch_1.bin"));
        Directory.CreateDirectory(_folder.File("data_batch_1.bin"));
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => CifarReader.Read(_folder.Path)).Message);

        void Refused(byte[] bytes, string complaint)
        {
            _folder.Write("data_batch_1.bin", bytes);
            Assert.Contains(complaint, Assert.Throws<FileFormatException>(() => CifarReader.Read(_folder.Path)).Message);
        }
    }

    [Fact]
    public void MissingFilesAndFolders()
    {
        Assert.Contains("train-images-idx3-ubyte[.gz]", Assert.Throws<FileNotFoundException>(() => IdxReader.ReadMnist(_folder.Path)).Message);
        Assert.Contains("data_batch_1.bin[.gz]", Assert.Throws<FileNotFoundException>(() => CifarReader.Read(_folder.Path)).Message);
        _folder.Write("data_batch_1", [1]);
        Assert.Contains("binary version", Assert.Throws<FileNotFoundException>(() => CifarReader.Read(_folder.Path)).Message);
        WriteCifar(packed: false);
        File.Delete(_folder.File("test_batch.bin"));
        Assert.Contains("test_batch.bin[.gz]", Assert.Throws<FileNotFoundException>(() => CifarReader.Read(_folder.Path)).Message);
        Assert.Contains("There is no folder", Assert.Throws<DirectoryNotFoundException>(() => CifarReader.Read(_folder.File("none"))).Message);
        Assert.Contains("is a file", Assert.Throws<DirectoryNotFoundException>(() => IdxReader.ReadMnist(_folder.File("data_batch_1.bin"))).Message);
    }

    private void WriteMnist(string images, string labels, bool packed)
    {
        Put(images, Idx(2051, [6, 2, 3], [.. Enumerable.Range(0, 36).Select(i => (byte)i)]), packed);
        Put(labels, Idx(2049, [6], [9, 8, 7, 6, 5, 4]), packed);
        Put("t10k-images-idx3-ubyte", Idx(2051, [4, 2, 3], new byte[24]), packed);
        Put("t10k-labels-idx1-ubyte", Idx(2049, [4], new byte[4]), packed);
    }

    private void WriteCifar(bool packed)
    {
        Put("data_batch_1.bin", [.. Record(1), .. Record(2)], packed);
        Put("data_batch_10.bin", Record(9), packed);
        Put("test_batch.bin", [.. Record(3), .. Record(4)], packed);
    }

    private static byte Pixel(int label, int channel, int place) => (byte)((label * 7) + (channel * 50) + place);

    private static byte[] Record(byte label) => [label, .. from c in Enumerable.Range(0, 3) from p in Enumerable.Range(0, 1024) select Pixel(label, c, p)];

    private static byte[] Idx(int magic, int[] sizes, byte[] data) =>
        [.. sizes.Prepend(magic).SelectMany(n => new[] { (byte)(n >> 24), (byte)(n >> 16), (byte)(n >> 8), (byte)n }), .. data];

    private void Put(string name, byte[] bytes, bool packed)
    {
        if (!packed)
        {
            _folder.Write(name, bytes);
            return;
        }
        using var gzip = new GZipStream(File.Create(_folder.File(name + ".gz")), CompressionLevel.Optimal);
        gzip.Write(bytes);
    }
}
