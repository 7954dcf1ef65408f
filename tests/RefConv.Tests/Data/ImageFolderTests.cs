using RefConv.IO;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;
using RefConv.Tests.Imaging;

namespace RefConv.Tests.Data;

/// <summary>Image folders: which files, which classes, what is read from them, and broken pictures.</summary>
public sealed class ImageFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Spec => $"imagefolder:{_folder.Path}";

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void ClassesAndFilesInTheOrderOfNames()
    {
        foreach (string file in new[] { "train/dog/2.png", "train/dog/10.PNG", "train/cat/sub/a.png", "train/Ant/x.png", "val/cat/1.png", "val/dog/1.png" }) Write(file, 8, 8);
        Directory.CreateDirectory(_folder.File("train/empty"));
        Directory.CreateDirectory(_folder.File("train/.hidden"));
        File.WriteAllText(_folder.File("train/dog/readme.txt"), "not a picture");
        var source = DataSource.Open(Spec);
        Assert.Equal(["Ant", "cat", "dog"], source.Train.ClassNames);
        var train = Assert.IsType<ImageFolderDataset>(source.Train);
        Assert.Equal(["Ant/x.png", "cat/sub/a.png", "dog/10.PNG", "dog/2.png"], train.Files.Select(f => Path.GetRelativePath(_folder.File("train"), f).Replace('\\', '/')));
        Assert.Equal([0, 1, 2, 2], Labels(train));
        Assert.Equal([1, 2], Labels(source.Test));
        Assert.Equal((8, 8, 3), (train.Height, train.Width, train.Channels)); // the size that all have
        Assert.Equal([0, 1, 2], Labels(train.Take(3)));
        Assert.Equal(2, DataSource.Open(Spec, trainLimit: 2, testLimit: 1).Train.Count);
        Assert.Equal(ChannelStatistics.ImageNet, train.Statistics);
    }

    [Fact]
    public void UndividedFoldersAreDivided()
    {
        for (int i = 0; i < 11; i++) Write($"a/{i:00}.png", 8, 8);
        for (int i = 0; i < 3; i++) Write($"b/{i}.png", 8, 8);
        Write("c/0.png", 8, 8);
        var source = DataSource.Open(Spec);
        Assert.Equal(["a/04", "a/09", "b/2"], Names(source.Test));
        Assert.Equal(12, source.Train.Count);
        Assert.Empty(Names(source.Test).Intersect(Names(source.Train)));
        var all = DataSource.Open(Spec, folderOptions: new ImageFolderOptions(ImagePreprocessing.ForSize(8)) { TestOnAll = true });
        Assert.Equal(15, all.Test.Count);

        string[] Names(IImageDataset set) => [.. ((ImageFolderDataset)set).Files.Select(f => Path.GetRelativePath(_folder.Path, f).Replace('\\', '/')[..^4])];
    }

    [Fact]
    public void ModelsDecideAboutSizeNumbersAndNormalisation()
    {
        foreach (string file in new[] { "train/dog/1.png", "train/cat/1.png", "val/dog/1.png" }) Write(file, 30, 20);
        Assert.Equal(224, DataSource.Open(Spec).Train.Height); // not square: the usual size
        var spec = new ModelSpec("mobilenet_v1") { Classes = 3, ImageSize = 16, SmallImages = true };
        var info = new DataInfo("d", [0, 0, 0], [1, 1, 1], ["snake", "dog", "cat"]);
        var source = DataSource.Open(Spec, folderOptions: ImageFolderOptions.For(spec, info));
        Assert.Equal(info.ClassNames, source.Train.ClassNames);
        Assert.Equal([2, 1], Labels(source.Train));
        float[] read = new float[16 * 16 * 3];
        source.Test.Read(0, null, read);
        Assert.Equal(ImagePreprocessing.For(spec, info).Apply(ImageFile.Load(_folder.File("val/dog/1.png"))), read);
        Assert.InRange(read.Max(), 0, 1);
        // A class that the model does not know: the folder's own numbers.
        Assert.Equal(["cat", "dog"], DataSource.Open(Spec, folderOptions: ImageFolderOptions.For(spec, info with { ClassNames = ["a", "b", "cat"] })).Train.ClassNames);
        // Grey models get grey pictures.
        var grey = DataSource.Open(Spec, folderOptions: ImageFolderOptions.For(spec with { InChannels = 1 }, null));
        Assert.Equal(1, grey.Train.Channels);
        grey.Train.Read(0, null, new float[16 * 16]);
        Assert.Null(ImageFolderOptions.For(spec with { InChannels = 7 }, null));
    }

    [Theory]
    [InlineData("convnext_tiny")]
    [InlineData("efficientnet_b0")]
    [InlineData("resnet18")]
    public void WhatAModelWasTrainedWithIsWhatItWantsAfterwards(string architecture)
    {
        foreach (string file in new[] { "train/dog/1.png", "train/cat/1.png", "val/dog/1.png" }) Write(file, 30, 20);
        var spec = new ModelSpec(architecture);
        var elsewhere = ImagePreprocessing.For(spec); // weights from elsewhere, as they begin here
        var data = DataInfo.Of(DataSource.Open(Spec, folderOptions: ImageFolderOptions.For(spec, null)).Train);
        Assert.Equal(elsewhere, ImagePreprocessing.For(spec, data));
        // Files from before this was written down, and data that is not resized.
        var usual = ImagePreprocessing.For(spec, data with { Interpolation = null, ResizeTo = null });
        Assert.Equal((256, Interpolation.Bilinear), (usual.ResizeTo, usual.Interpolation));
    }

    [Fact]
    public void TrainingDoesNotDependOnThreads()
    {
        for (int i = 0; i < 12; i++) Write($"train/{(i % 2 == 0 ? "a" : "b")}/{i}.png", 20 + i, 31 - i, seed: i);
        for (int i = 0; i < 4; i++) Write($"train/c/{i}.png", 16, 16, seed: 20 + i); // these have the size wanted
        Write("val/a/1.png", 16, 16);
        var data = DataSource.Open(Spec, folderOptions: new ImageFolderOptions(ImagePreprocessing.ForSize(16))).Train;
        var loader = BatchLoader.Training(data, batchSize: 8, seed: 5, Augmentation.Standard);
        float[][] first = [.. loader.Epoch(3).Select(b => b.Images.ToArray())], again = [.. loader.Epoch(3).Select(b => b.Images.ToArray())];
        Assert.Equal(2, first.Length);
        Assert.Equal(first, again);
        Assert.NotEqual(first, loader.Epoch(4).Select(b => b.Images.ToArray()));
        // Going on in the middle, and each picture read alone by one thread.
        Assert.Equal(first[1], loader.Epoch(3, firstBatch: 1).Single().Images);
        var order = new RefConv.Kernels.RandomStream(5, (0xD0UL << 56) | 3).NextPermutation(16);
        float[] one = new float[16 * 16 * 3];
        for (int place = 0; place < 16; place++)
        {
            data.Read(order[place], new PictureChange(Augmentation.Standard, 5, (0xD1UL << 56) | (3UL << 32) | (uint)place), one);
            Assert.Equal(first[place / 8].AsSpan(place % 8 * one.Length, one.Length).ToArray(), one);
        }
    }

    [Fact]
    public void RandomPartsAreTorchvisions()
    {
        var augmentation = Augmentation.Standard;
        double area = 0, flips = 0, left = 0;
        const int Draws = 20_000;
        for (uint i = 0; i < Draws; i++)
        {
            var (part, flip) = augmentation.DrawPart(500, 400, seed: 1, stream: i);
            part.CheckInside(500, 400, "part");
            double share = part.Width * (double)part.Height / (500 * 400), ratio = (double)part.Width / part.Height;
            Assert.InRange(share, 0.079, 1);
            Assert.InRange(ratio, 0.74, 1.35);
            (area, flips, left) = (area + share, flips + (flip ? 1 : 0), left + (part.Left / (500.0 - part.Width + 1e-9)));
        }
        // torchvision's own mean over 20,000 draws for this size is 0.452 (large parts do not fit in all ratios and are drawn again).
        Assert.Equal(0.452, area / Draws, 0.007);
        Assert.Equal(0.5, flips / Draws, 0.03);
        Assert.Equal(0.5, left / Draws, 0.03);
        // Nothing fits: the largest allowed part in the middle. No cropping asked for: the whole.
        Assert.Equal(new PixelBox(498, 0, 4, 3), augmentation.DrawPart(1000, 3, 1, 1).Part);
        Assert.Equal(new PixelBox(0, 498, 3, 4), augmentation.DrawPart(3, 1000, 1, 1).Part);
        Assert.Equal(new PixelBox(0, 0, 1, 1), augmentation.DrawPart(1, 1, 1, 1).Part);
        Assert.Equal(new PixelBox(0, 0, 500, 400), Augmentation.None.DrawPart(500, 400, 1, 1).Part);
    }

    [Fact]
    public void BrokenPicturesAreNamed()
    {
        for (int i = 0; i < 6; i++) Write($"train/a/{i}.png", 9, 9);
        Write("train/b/0.png", 9, 9);
        Write("val/a/0.png", 9, 9);
        string broken = _folder.File("train/a/3.png");
        byte[] bytes = File.ReadAllBytes(broken);
        bytes[^20] ^= 1;
        File.WriteAllBytes(broken, bytes);
        var data = DataSource.Open(Spec).Train;
        string message = Assert.Throws<FileFormatException>(() => BatchLoader.Evaluation(data, 7).Epoch().Count()).Message;
        Assert.StartsWith($"{broken}: the PNG file is damaged", message);
    }

    [Fact]
    public void WrongFoldersAreExplained()
    {
        Explains<DirectoryNotFoundException>("There is no folder", $"imagefolder:{_folder.File("none")}");
        Explains<ArgumentException>("Write imagefolder:DIR.", "imagefolder");
        Explains<FileNotFoundException>("no pictures in folders of their classes", Spec);
        Write("train/a/1.png", 4, 4);
        Explains<DirectoryNotFoundException>("none of val, test", Spec);
        Write("val/b/1.png", 4, 4);
        Explains<DirectoryNotFoundException>("the class 'b'", Spec);

        static void Explains<T>(string phrase, string spec)
            where T : Exception => Assert.Contains(phrase, Assert.Throws<T>(() => DataSource.Open(spec)).Message);
    }

    [SharedDataFact]
    public void TheSharedFolderHoldsPicturesOfCifar()
    {
        var cifar = DataSource.Open($"cifar10:{SharedData.Path("cifar10")}");
        var folder = DataSource.Open($"imagefolder:{SharedData.Path("imagefolder-cifar")}",
            folderOptions: new ImageFolderOptions(ImagePreprocessing.ForSize(32) with { Statistics = ChannelStatistics.Cifar10 }));
        Assert.Equal((120, 60, 32), (folder.Train.Count, folder.Test.Count, folder.Train.Height));
        Assert.Equal(cifar.Train.ClassNames, folder.Train.ClassNames);
        foreach (var (all, some) in new[] { (cifar.Train, folder.Train), (cifar.Test, folder.Test) })
        {
            var known = Enumerable.Range(0, all.Count).ToLookup(i => (all.Label(i), Key(((ImageDataset)all).Image(i))));
            byte[] pixels = new byte[32 * 32 * 3];
            float[] read = new float[pixels.Length];
            for (int i = 0; i < some.Count; i++)
            {
                some.Read(i, null, read);
                for (int k = 0; k < pixels.Length; k++)
                    pixels[k] = (byte)MathF.Round(((read[k] * ChannelStatistics.Cifar10.Std[k % 3]) + ChannelStatistics.Cifar10.Mean[k % 3]) * 255);
                Assert.Contains(known[(some.Label(i), Key(pixels))], k => ((ImageDataset)all).Image(k).SequenceEqual(pixels));
            }
        }

        static long Key(ReadOnlySpan<byte> image) => System.Buffers.Binary.BinaryPrimitives.ReadInt64LittleEndian(image[1500..]);
    }

    private static int[] Labels(IImageDataset data) => [.. Enumerable.Range(0, data.Count).Select(data.Label)];

    private void Write(string name, int width, int height, int seed = 0)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder.File(name))!);
        _folder.Write(name, PngMaker.Noise(width, height, seed));
    }
}
