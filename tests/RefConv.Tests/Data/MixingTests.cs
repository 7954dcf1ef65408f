using RefConv.Kernels;
using RefConv.Models.Data;

namespace RefConv.Tests.Data;

/// <summary>Cutout and mixup in the loader: what is painted over and mixed is what the papers say, and a function of (seed, epoch, place).</summary>
public sealed class MixingTests
{
    private const int Count = 60, BatchSize = 9, Height = 9, Width = 11, Channels = 3, Pixels = Height * Width;
    private static readonly ImageDataset s_data = Random();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(5)]
    public void CutoutPaintsOneSquareThatMayBeCutOffAtTheBorder(int side)
    {
        var plain = Batches(Augmentation.None, 3);
        var cut = Batches(new Augmentation { Cutout = side }, 3);
        var centres = new HashSet<(int, int)>();
        for (int b = 0; b < plain.Count; b++)
        for (int i = 0; i < BatchSize; i++)
        {
            bool[] painted = new bool[Pixels];
            for (int p = 0; p < Pixels; p++)
            {
                int at = (((i * Pixels) + p) * Channels);
                var was = plain[b].Images.AsSpan(at, Channels);
                var now = cut[b].Images.AsSpan(at, Channels);
                painted[p] = !was.SequenceEqual(now);
                if (painted[p]) Assert.Equal([0f, 0, 0], now.ToArray());
            }
            // Exactly one centre gives these pixels, or several where the square hangs over a corner far enough that only its size inside tells.
            var match = (from y in Enumerable.Range(0, Height) from x in Enumerable.Range(0, Width) where Square(y, x, side).AsSpan().SequenceEqual(painted) select (y, x)).ToArray();
            centres.Add(Assert.Single(match));
        }
        Assert.True(centres.Count > 25, "the squares hardly move");
        Assert.Equal(Height, centres.Select(c => c.Item1).Distinct().Count());
        Assert.Equal(Width, centres.Select(c => c.Item2).Distinct().Count());
    }

    [Fact]
    public void MixupMixesTheBatchWithItsReverseAndItsLabelsToo()
    {
        var plain = Batches(Augmentation.None, 1);
        var mixed = Batches(new Augmentation { Mixup = 0.4 }, 1);
        for (int b = 0; b < plain.Count; b++)
        {
            double share = mixed[b].Share;
            Assert.InRange(share, 0, 1);
            Assert.Equal(plain[b].Labels, mixed[b].Labels);
            Assert.Equal(plain[b].Labels.Reverse(), mixed[b].OtherLabels);
            for (int i = 0; i < BatchSize; i++)
            for (int p = 0; p < Pixels * Channels; p++)
            {
                double expected = (share * plain[b].Images[(i * Pixels * Channels) + p]) + ((1 - share) * plain[b].Images[((BatchSize - 1 - i) * Pixels * Channels) + p]);
                Assert.Equal(expected, mixed[b].Images[(i * Pixels * Channels) + p], 1e-5);
            }
        }
        Assert.Equal(plain.Count, mixed.Select(m => m.Share).Distinct().Count());
        Assert.All(plain, p => Assert.Null(p.OtherLabels));
    }

    [Fact]
    public void GoingOnInTheMiddleSeesWhatItWouldHaveSeen()
    {
        var both = new Augmentation(2, true) { Cutout = 3, Mixup = 0.4 };
        var whole = Batches(both, 5);
        var rest = Batches(both, 5, first: 2);
        for (int b = 0; b < rest.Count; b++)
        {
            Assert.Equal(whole[b + 2].Images, rest[b].Images);
            Assert.Equal((whole[b + 2].Share, whole[b + 2].Index), (rest[b].Share, rest[b].Index));
            Assert.Equal(whole[b + 2].OtherLabels, rest[b].OtherLabels);
        }
        Assert.NotEqual(whole[0].Share, Batches(both, 6)[0].Share);
        Assert.NotEqual(whole[0].Share, Batches(both, 5, seed: 4)[0].Share);
        Assert.Null(BatchLoader.Evaluation(s_data, 4).Epoch().First().OtherLabels);
        Assert.Contains("cutout of 12", Assert.Throws<ArgumentException>(() => Batches(new Augmentation { Cutout = 12 }, 0)).Message);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.5)]
    [InlineData(1)]
    [InlineData(3)]
    public void SharesAreOfTheBetaDistribution(double alpha)
    {
        const int Draws = 20_000;
        double[] shares = [.. Enumerable.Range(0, Draws).Select(i => Mixup.DrawShare(alpha, 17, (ulong)i)).Order()];
        Assert.All(shares, s => Assert.Equal(s * 65536, Math.Round(s * 65536)));
        double variance = 1 / (4 * ((2 * alpha) + 1)), mean = shares.Average();
        Assert.True(Math.Abs(mean - 0.5) < 5 * Math.Sqrt(variance / Draws), $"mean {mean}");
        double found = shares.Average(s => (s - 0.5) * (s - 0.5));
        Assert.True(Math.Abs(found - variance) < 0.03 * variance, $"variance {found} instead of {variance}");
        // The distribution itself where it has a closed form: uniform; the arc sine law.
        if (alpha is not (0.5 or 1)) return;
        double worst = shares.Select((s, i) => Math.Abs(((i + 0.5) / Draws) - (alpha == 1 ? s : 2 / Math.PI * Math.Asin(Math.Sqrt(s))))).Max();
        Assert.True(worst < 1.95 / Math.Sqrt(Draws), $"distance {worst} (Kolmogorov and Smirnov allow {1.95 / Math.Sqrt(Draws)} in 999 of 1000 cases)");
    }

    private static bool[] Square(int row, int column, int side)
    {
        bool[] painted = new bool[Pixels];
        for (int y = 0; y < Height; y++)
        for (int x = 0; x < Width; x++)
            painted[(y * Width) + x] = y >= row - (side / 2) && y < row - (side / 2) + side && x >= column - (side / 2) && x < column - (side / 2) + side;
        return painted;
    }

    private static List<Batch> Batches(Augmentation augmentation, int epoch, int first = 0, ulong seed = 3) =>
        [.. BatchLoader.Training(s_data, BatchSize, seed, augmentation).Epoch(epoch, first).Select(b => b with { Images = [.. b.Images], Labels = [.. b.Labels] })];

    private static ImageDataset Random()
    {
        var random = new RandomStream(5, 1);
        byte[] images = new byte[Count * Pixels * Channels], labels = new byte[Count];
        for (int i = 0; i < images.Length; i++) images[i] = (byte)random.NextInt(256);
        for (int i = 0; i < Count; i++) labels[i] = (byte)(i % 7);
        return new ImageDataset("random", Height, Width, Channels, images, labels, [.. "abcdefg".Select(c => $"{c}")]);
    }
}
