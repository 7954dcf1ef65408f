using RefConv.Kernels;
using RefConv.Models.Data;

namespace RefConv.Tests.Data;

public sealed class BatchLoaderTests
{
    private static readonly ImageDataset Data = Random(count: 50, height: 7, width: 6, channels: 3);

    [Fact]
    public void TheOrderDependsOnSeedAndEpochAlone()
    {
        var loader = Training(seed: 1);
        Assert.True(Same(Copy(loader.Epoch(2)), Copy(Training(seed: 1).Epoch(2))));
        Assert.False(Same(Copy(loader.Epoch(2)), Copy(loader.Epoch(3))));
        Assert.False(Same(Copy(loader.Epoch(2)), Copy(Training(seed: 2).Epoch(2))));
    }

    [Fact]
    public void GoingOnInTheMiddleIsTheTailOfTheEpoch()
    {
        var loader = Training(seed: 1);
        var whole = Copy(loader.Epoch(4));
        Assert.Equal(6, whole.Count);
        for (int k = 0; k <= 6; k++) Assert.True(Same([.. whole.Skip(k)], Copy(loader.Epoch(4, firstBatch: k))));
        Assert.Throws<ArgumentOutOfRangeException>(() => loader.Epoch(4, firstBatch: 7));
    }

    [Fact]
    public void EveryPictureComesAtMostOnceAndIsMovedAndMirroredAsDrawn()
    {
        const int Pad = 2;
        var seen = new HashSet<int>();
        var changes = new HashSet<(int, int, bool)>();
        foreach (var batch in Training(seed: 9).Epoch(1))
        {
            Assert.Equal((8, 7, 6, 3), (batch.Count, batch.Height, batch.Width, batch.Channels));
            for (int i = 0; i < batch.Count; i++)
            {
                var image = batch.Images.AsSpan(i * Data.ImageBytes, Data.ImageBytes).ToArray();
                var match = (from n in Enumerable.Range(0, Data.Count)
                             from top in Enumerable.Range(0, (2 * Pad) + 1)
                             from left in Enumerable.Range(0, (2 * Pad) + 1)
                             from flip in new[] { false, true }
                             where Plain(n, top, left, flip, Pad).AsSpan().SequenceEqual(image)
                             select (n, top, left, flip)).ToArray();
                var (number, y, x, mirrored) = Assert.Single(match);
                Assert.True(seen.Add(number));
                Assert.Equal(Data.Labels[number], batch.Labels[i]);
                changes.Add((y, x, mirrored));
            }
        }
        Assert.Equal(48, seen.Count);
        Assert.True(changes.Count > 25, "the changes hardly vary");
        Assert.Equal(5, changes.Select(c => c.Item1).Distinct().Count());
        Assert.Equal(5, changes.Select(c => c.Item2).Distinct().Count());
    }

    [Fact]
    public void ThePlaceInTheEpochAndTheEpochDecideTheChange()
    {
        // All pictures are alike, so what differs is the change alone.
        byte[] picture = Data.Image(0).ToArray();
        var alike = new ImageDataset("alike", 7, 6, 3, [.. Enumerable.Repeat(picture, 16).SelectMany(p => p)], new byte[16], ["a"]);
        var loader = BatchLoader.Training(alike, 16, seed: 5, new Augmentation(CropPadding: 2, HorizontalFlip: true));
        float[] first = Copy(loader.Epoch(0))[0].Images, second = Copy(loader.Epoch(1))[0].Images;
        Assert.True(first.Chunk(alike.ImageBytes).Select(p => string.Join(",", p)).Distinct().Count() > 8);
        Assert.False(first.AsSpan().SequenceEqual(second));
        // Whatever the size of the batches.
        var small = BatchLoader.Training(alike, 3, seed: 5, new Augmentation(CropPadding: 2, HorizontalFlip: true));
        Assert.Equal(first[..(15 * alike.ImageBytes)], Copy(small.Epoch(0)).SelectMany(b => b.Images));
    }

    [Fact]
    public void WhatIsLeftOutDiffersFromEpochToEpoch()
    {
        var loader = BatchLoader.Training(Data, 8, seed: 1);
        Assert.Equal(50, Enumerable.Range(0, 20).SelectMany(e => Copy(loader.Epoch(e)).SelectMany(b => b.Images.Chunk(Data.ImageBytes))).Select(p => string.Join(",", p)).Distinct().Count());
    }

    [Fact]
    public void EvaluationKeepsOrderAndRest()
    {
        var loader = BatchLoader.Evaluation(Data, 8);
        var batches = Copy(loader.Epoch());
        Assert.Equal(7, loader.BatchesPerEpoch);
        Assert.Equal([0, 1, 2, 3, 4, 5, 6], batches.Select(b => b.Index));
        Assert.Equal([8, 8, 8, 8, 8, 8, 2], batches.Select(b => b.Count));
        Assert.Equal(Data.Labels.Select(l => (float)l), batches.SelectMany(b => b.Labels));
        Assert.Equal(Enumerable.Range(0, 50).SelectMany(n => Plain(n, 0, 0, false, 0)), batches.SelectMany(b => b.Images));
    }

    [Fact]
    public void LeavingEarlyStopsTheThread()
    {
        var loader = Training(seed: 1);
        for (int i = 0; i < 50; i++)
        {
            foreach (var batch in loader.Epoch(i))
            {
                if (batch.Index == i % 6) break;
            }
        }
        // Joined, not merely asked to stop: nothing runs once the loop has been left.
        int running = 0;
        foreach (int _ in ReadAhead.Run(0, 1000, [1, 2, 3], (item, _, stop) =>
        {
            Interlocked.Increment(ref running);
            stop.WaitHandle.WaitOne(item < 2 ? 0 : 60_000); // a long read that listens
            Interlocked.Decrement(ref running);
            return item;
        }, default))
        {
            break;
        }
        Assert.Equal(0, running);
    }

    [Fact]
    public void TheThreadsFailureIsThrownInItsPlace()
    {
        var got = new List<int>();
        var e = Assert.Throws<InvalidDataException>(() =>
        {
            foreach (int item in ReadAhead.Run(0, 10, [1, 2, 3], (i, _, _) => i < 4 ? i : throw new InvalidDataException("torn"), default)) got.Add(item);
        });
        Assert.Equal("torn", e.Message);
        Assert.Equal([0, 1, 2, 3], got);
    }

    [Fact]
    public void CancellingEndsTheLoop()
    {
        using var cancel = new CancellationTokenSource();
        int count = 0;
        Assert.ThrowsAny<OperationCanceledException>(() =>
        {
            foreach (var _ in Training(seed: 1).Epoch(0, 0, cancel.Token))
            {
                if (++count == 2) cancel.Cancel();
            }
        });
        Assert.Equal(2, count);
        Assert.ThrowsAny<OperationCanceledException>(() => Training(seed: 1).Epoch(0, 0, cancel.Token).Count());
    }

    [Fact]
    public void WrongSizesAreExplained()
    {
        Assert.Contains("more than the 50 pictures", Assert.Throws<ArgumentException>(() => BatchLoader.Training(Data, 51, 0)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchLoader.Evaluation(Data, 0));
        Assert.Throws<ArgumentException>(() => BatchLoader.Training(Data, 5, 0, new Augmentation(CropPadding: -1)));
        Assert.Throws<ArgumentException>(() => BatchLoader.Training(Data, 5, 0, new Augmentation(CropPadding: 7)));
        Assert.Equal(1, BatchLoader.Evaluation(Data, 64).BatchesPerEpoch);
    }

    private static BatchLoader Training(ulong seed) => BatchLoader.Training(Data, 8, seed, new Augmentation(CropPadding: 2, HorizontalFlip: true));

    /// <summary>Pad with black, cut, mirror, normalise: step by step.</summary>
    private static float[] Plain(int number, int top, int left, bool flip, int pad)
    {
        var (h, w, c) = (Data.Height, Data.Width, Data.Channels);
        byte[,,] padded = new byte[h + (2 * pad), w + (2 * pad), c];
        for (int y = 0; y < h; y++)
        {
            for (int x = 0; x < w; x++)
            {
                for (int k = 0; k < c; k++) padded[y + pad, x + pad, k] = Data.Images[(((((number * h) + y) * w) + x) * c) + k];
            }
        }
        float[] result = new float[h * w * c];
        for (int y = 0; y < h; y++)
        {
            for (int x = 0; x < w; x++)
            {
                int column = flip ? w - 1 - x : x;
                for (int k = 0; k < c; k++) result[(((y * w) + x) * c) + k] = (float)(((padded[top + y, left + column, k] / 255.0) - Data.Statistics.Mean[k]) / Data.Statistics.Std[k]);
            }
        }
        return result;
    }

    private static ImageDataset Random(int count, int height, int width, int channels)
    {
        var random = new RandomStream(77, 0);
        byte[] images = [.. Enumerable.Range(0, count * height * width * channels).Select(_ => (byte)random.NextBits())];
        return new ImageDataset("random", height, width, channels, images, [.. Enumerable.Range(0, count).Select(i => (byte)(i % 10))], [.. Enumerable.Range(0, 10).Select(i => $"{i}")]);
    }

    private static List<Batch> Copy(IEnumerable<Batch> batches) => [.. batches.Select(b => b with { Images = [.. b.Images], Labels = [.. b.Labels] })];

    private static bool Same(Batch a, Batch b) => a.Index == b.Index && a.Images.AsSpan().SequenceEqual(b.Images) && a.Labels.AsSpan().SequenceEqual(b.Labels);

    private static bool Same(List<Batch> a, List<Batch> b) => a.Count == b.Count && a.Zip(b).All(p => Same(p.First, p.Second));
}
