using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Imaging;
using RefConv.Models.Train;
using RefConv.Tests.Imaging;

namespace RefConv.Tests.Models;

/// <summary>Pictures made small, patches of them, and runs that make them large again.</summary>
public sealed class SuperResolutionTests : DeviceTest
{
    [Fact]
    public void BrightnessIsBt601()
    {
        var y = LumaImage.FromRgb(new Image(5, 1, 3, [0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255]));
        double[] expected = [16, 65.481 + 128.553 + 24.966 + 16, 65.481 + 16, 128.553 + 16, 24.966 + 16];
        for (int i = 0; i < 5; i++) Assert.Equal(expected[i] / 255, y.Pixels[i], 1e-6);
    }

    [Fact]
    public void PsnrCountsAfterClipping()
    {
        LumaImage truth = new(1, 4, [0, 0.5f, 1, 0.25f]);
        Assert.Equal(double.PositiveInfinity, LumaImage.Psnr(truth, truth));
        Assert.Equal(20, LumaImage.Psnr(new(1, 4, [0.1f, 0.6f, 0.9f, 0.15f]), truth), 1e-5);
        // −3 and 7 count as 0 and 1: only 0.2 of one pixel in four is wrong.
        Assert.Equal(10 * Math.Log10(4 / 0.04), LumaImage.Psnr(new(1, 4, [-3, 0.7f, 7, 0.25f]), truth), 1e-4);
        Assert.Throws<ArgumentException>(() => LumaImage.Psnr(new(1, 2, [0, 0]), truth));
    }

    [Fact]
    public void APairIsAPictureAndItsBicubicReduction()
    {
        var picture = Picture(21, 14, 0);
        var pair = SuperResolutionData.MakePair("p", picture, 4);
        Assert.Equal((12, 20, 3, 5), (pair.High.Height, pair.High.Width, pair.Low.Height, pair.Low.Width)); // rows and columns left over are cut off
        byte[] cut = new byte[12 * 20 * 3];
        for (int y = 0; y < 12; y++) picture.Pixels.AsSpan(y * 21 * 3, 60).CopyTo(cut.AsSpan(y * 60));
        var high = new Image(20, 12, 3, cut);
        Assert.Equal(LumaImage.FromRgb(high).Pixels, pair.High.Pixels);
        Assert.Equal(LumaImage.FromRgb(ImageResizer.Resize(high, 5, 3, Interpolation.Bicubic)).Pixels, pair.Low.Pixels);
        Assert.InRange(pair.BicubicPsnr, 5, 60);
        Assert.Contains("too few", Assert.Throws<ArgumentException>(() => SuperResolutionData.MakePair("p", Picture(3, 9, 0), 4)).Message);
    }

    [Fact]
    public void PatchesOfBothSizesShowTheSamePlaceTheSameWayUp()
    {
        // The small picture is the mean of every 2×2 pixels of the large one: then so is every pair of patches, however it was cut and turned.
        float[] high = [.. Normal(20 * 26, 1).Select(v => (float)v)], low = new float[10 * 13];
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 26; x++) low[(y / 2 * 13) + (x / 2)] += high[(y * 26) + x] / 4;
        var pair = new SuperResolutionPair("p", new(20, 26, high), new(10, 13, low), 0);
        var loader = new PatchLoader(new SuperResolutionData("", 2, [pair], [pair]), patchSize: 4, patchesPerImage: 40, batchSize: 40, seed: 5);
        Assert.Equal(1, loader.BatchesPerEpoch);
        float[] small = new float[40 * 16], large = new float[40 * 64], again = new float[40 * 16];
        loader.Fill(0, 0, small, large);
        for (int p = 0; p < 40; p++)
        for (int i = 0; i < 16; i++)
        {
            int at = (p * 64) + (i / 4 * 16) + (i % 4 * 2);
            Assert.Equal(small[(p * 16) + i], (large[at] + large[at + 1] + large[at + 8] + large[at + 9]) / 4, 1e-5);
        }
        Assert.True(small.Chunk(16).Select(c => string.Join(' ', c)).Distinct().Count() > 30);
        loader.Fill(0, 0, again, new float[40 * 64]);
        Assert.Equal(small, again);
        loader.Fill(1, 0, again, new float[40 * 64]);
        Assert.NotEqual(small, again);

        // Eight ways to lay a square down, all different.
        var corner = new LumaImage(3, 3, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        string[] ways = [.. Enumerable.Range(0, 8).Select(turn => { float[] t = new float[9]; PatchLoader.Cut(corner, 0, 0, 3, turn, t); return string.Concat(t); })];
        Assert.Equal(8, ways.Distinct().Count());
        Assert.Equal(["123456789", "321654987", "789456123", "147258369"], [ways[0], ways[1], ways[2], ways[4]]);
        Assert.Contains("--patch", Assert.Throws<ArgumentException>(() => new PatchLoader(new SuperResolutionData("", 2, [pair], [pair]), 11, 1, 1, 1)).Message);
        Assert.Contains("--patches", Assert.Throws<ArgumentException>(() => new PatchLoader(new SuperResolutionData("", 2, [pair], [pair]), 4, 3, 8, 1)).Message);
    }

    [Fact]
    public void AFolderOfPicturesIsReadAndEveryTenthHeldOut()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.File("inner"));
        for (int i = 0; i < 12; i++) PngMaker.Write(Path.Combine(folder.Path, i % 2 == 0 ? "inner" : ".", $"{i:00}.png"), Picture(16, 12, i));
        folder.Write("notes.txt", "no picture"u8);
        var data = SuperResolutionData.Open(folder.Path, 2);
        Assert.Equal((11, 1), (data.Train.Count, data.Test.Count));
        Assert.Equal((12, 16, 6, 8), (data.Test[0].High.Height, data.Test[0].High.Width, data.Test[0].Low.Height, data.Test[0].Low.Width));
        var few = SuperResolutionData.Open(folder.Path, 2, limit: 3);
        Assert.Equal((2, 1), (few.Train.Count, few.Test.Count));
        Assert.Contains("At least 2 pictures", Assert.Throws<ArgumentException>(() => SuperResolutionData.Open(folder.Path, 2, limit: 1)).Message);
        Assert.Contains("no folder", Assert.Throws<DirectoryNotFoundException>(() => SuperResolutionData.Open(folder.File("gone"), 2)).Message);
        using var empty = new TemporaryFolder();
        Assert.Contains("has 0 PNG pictures", Assert.Throws<FileNotFoundException>(() => SuperResolutionData.Open(empty.Path, 2)).Message);
    }

    [Fact]
    public void ARunLearnsGoesOnToTheBitAndMerges()
    {
        using var pictures = new TemporaryFolder();
        for (int i = 0; i < 4; i++) PngMaker.Write(pictures.File($"{i}.png"), Picture(48, 40, i));
        using TemporaryFolder one = new(), two = new();
        var recipe = new SuperResolutionRecipe { Epochs = 3, BatchSize = 4, PatchSize = 10, PatchesPerImage = 8, LearningRate = 1e-3, Seed = 7 };

        using var model = Start();
        using var trainer = new SuperResolutionTrainer(model, SuperResolutionData.Open(pictures.Path, 2), new SuperResolutionState { Data = pictures.Path, Recipe = recipe }, new RunFolder(one.Path));
        double before = SuperResolver.Psnr(model, trainer.Data.Test);
        Assert.True(trainer.Run());
        Assert.True(trainer.State.History[^1].TrainLoss < trainer.State.History[0].TrainLoss);
        Assert.True(trainer.State.History[^1].Psnr > before, $"{trainer.State.History[^1].Psnr} dB after training, {before} dB before");
        Assert.Equal(trainer.State.History[^1].Psnr, SuperResolver.Psnr(model, trainer.Data.Test));

        // The same run, stopped in the middle of the second epoch and gone on with from its folder.
        using var other = Start();
        using (var cancel = new CancellationTokenSource())
        using (var first = new SuperResolutionTrainer(other, SuperResolutionData.Open(pictures.Path, 2), new SuperResolutionState { Data = pictures.Path, Recipe = recipe }, new RunFolder(two.Path)))
        {
            first.OnStep = (step, _, _) => { if (first.State.Epoch == 1 && step == 3) cancel.Cancel(); };
            Assert.False(first.Run(cancellation: cancel.Token));
            Assert.Equal((1, 3), (first.State.Epoch, first.State.StepInEpoch));
        }
        Assert.Equal("super-resolution", new RunFolder(two.Path).ReadKind());
        using var second = SuperResolutionTrainer.Resume(new RunFolder(two.Path), Cpu);
        using var resumed = second.Model;
        Assert.True(second.Run());
        Assert.Equal(trainer.State.History.Select(h => (h.TrainLoss, h.Psnr)), second.State.History.Select(h => (h.TrainLoss, h.Psnr)));
        SortedDictionary<string, int[]> a = TrainingBench.Tensors(new RunFolder(one.Path).LastFile), b = TrainingBench.Tensors(new RunFolder(two.Path).LastFile);
        Assert.Equal(a.Keys, b.Keys);
        Assert.Contains("optimizer.adam.max_exp_avg_sq.first.conv1.weight", a.Keys);
        Assert.All(a, e => Assert.Equal(e.Value, b[e.Key]));

        var (merged, psnr) = trainer.Merge();
        using (merged)
        {
            Assert.Equal(trainer.State.History[^1].Psnr, psnr); // the same kernels
            Assert.Empty(merged.Forms);
        }

        Model Start()
        {
            using var plain = Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.5, ImageSize = 10 }, new Initializer(Cpu, 7));
            return plain.Expand(new ClbMethod(new ClbOptions { Width = 16 }), seed: 7);
        }
    }

    [Fact]
    public void ARunThatDivergesOrDoesNotFitIsRefused()
    {
        var pair = SuperResolutionData.MakePair("p", Picture(32, 32, 1), 2);
        var data = new SuperResolutionData("", 2, [pair], [pair]);
        using var x4 = Zoo.Create(new ModelSpec("sesr_m3_x4") { Width = 0.25 }, new Initializer(Cpu));
        Assert.Contains("enlarges 4 times", Assert.Throws<ArgumentException>(() => new SuperResolutionTrainer(x4, data, State(1e-3))).Message);
        Assert.Contains("learning rate", Assert.Throws<ArgumentException>(() => new SuperResolutionTrainer(x4, data, State(0))).Message);
        using var model = Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.25 }, new Initializer(Cpu));
        using var trainer = new SuperResolutionTrainer(model, data, State(1e30));
        Assert.Contains("diverged", Assert.Throws<DivergedException>(() => trainer.Run()).Message);

        static SuperResolutionState State(double rate) => new() { Data = "", Recipe = new() { Epochs = 1, BatchSize = 2, PatchSize = 8, PatchesPerImage = 8, LearningRate = rate } };
    }

    /// <summary>Soft waves and hard edges in colour.</summary>
    internal static Image Picture(int width, int height, int seed)
    {
        byte[] pixels = new byte[width * height * 3];
        for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++)
        {
            double wave = Math.Sin((x * (0.2 + (0.05 * c))) + (0.3 * y) + seed) + (((x / 7) + (y / 5) + seed) % 2);
            pixels[(((y * width) + x) * 3) + c] = (byte)(70 + (60 * wave));
        }
        return new Image(width, height, 3, pixels);
    }
}
