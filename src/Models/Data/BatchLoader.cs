using System.Runtime.ExceptionServices;
using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>Some pictures, ready for a network.</summary>
/// <param name="Index">Number of the batch in its epoch.</param>
/// <param name="Count">How many pictures.</param>
/// <param name="Height">Rows.</param>
/// <param name="Width">Columns.</param>
/// <param name="Channels">Channels.</param>
/// <param name="Images">Normalised pictures, [<paramref name="Count"/>, <paramref name="Height"/>, <paramref name="Width"/>, <paramref name="Channels"/>].</param>
/// <param name="Labels">Class numbers, [<paramref name="Count"/>].</param>
/// <remarks>The arrays are used again: a batch is good until the next one is asked for.</remarks>
public sealed record Batch(int Index, int Count, int Height, int Width, int Channels, float[] Images, float[] Labels)
{
    /// <summary>The label of the picture that each one was mixed with; null where none was.</summary>
    public float[]? OtherLabels { get; init; }

    /// <summary>How much of a mixed picture is its own: the weight of <see cref="Labels"/>; that of <see cref="OtherLabels"/> is the rest.</summary>
    public double Share { get; init; } = 1;
}

/// <summary>
/// Cuts a data set into batches, epoch after epoch. A second thread prepares the next batches while the network works on this one;
/// where pictures are decoded, all processors help it.
/// </summary>
/// <remarks>
/// The order of an epoch is a function of (seed, epoch), the change of a picture of (seed, epoch, place in the epoch), and what is mixed of (seed, epoch, batch): training
/// that goes on in the middle of an epoch sees what it would have seen, and nothing depends on threads.
/// </remarks>
public sealed class BatchLoader
{
    /// <summary>One with the network, one ready, one in the making.</summary>
    private const int Buffers = 3;

    // Streams of one seed are told apart by their highest byte; these belong to this class.
    private const ulong OrderStreams = 0xD0UL << 56, ChangeStreams = 0xD1UL << 56, CutoutStreams = 0xD4UL << 56, MixupStreams = 0xD7UL << 56;

    private readonly ulong _seed;
    private readonly bool _training;
    private readonly Augmentation _augmentation;
    private readonly int _imageSize;

    private BatchLoader(IImageDataset data, int batchSize, bool training, ulong seed, Augmentation augmentation)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (batchSize < 1) throw new ArgumentOutOfRangeException(nameof(batchSize), batchSize, "A batch must hold at least one picture.");
        if (training && batchSize > data.Count)
        {
            throw new ArgumentException($"A batch of {batchSize} is more than the {data.Count} pictures of {data.Name}. Take a smaller batch or more pictures.");
        }
        if (augmentation.CropPadding < 0 || augmentation.CropPadding > Math.Min(data.Height, data.Width))
        {
            throw new ArgumentException($"A crop padding of {augmentation.CropPadding} does not suit pictures of {data.Height}×{data.Width}.");
        }
        if (augmentation.Cutout < 0 || augmentation.Cutout > Math.Max(data.Height, data.Width))
        {
            throw new ArgumentException($"A cutout of {augmentation.Cutout} pixels does not suit pictures of {data.Height}×{data.Width}.");
        }
        Data = data;
        _imageSize = checked(data.Height * data.Width * data.Channels);
        BatchSize = batchSize;
        _training = training;
        _seed = seed;
        _augmentation = augmentation;
    }

    /// <summary>The pictures.</summary>
    public IImageDataset Data { get; }

    /// <summary>Pictures in a batch (the last one of an evaluation may have fewer).</summary>
    public int BatchSize { get; }

    /// <summary>Batches in an epoch.</summary>
    public int BatchesPerEpoch => _training ? Data.Count / BatchSize : (Data.Count + BatchSize - 1) / BatchSize;

    /// <summary>For training: shuffled, changed at random, whole batches only (what is left over is another part of the set each epoch).</summary>
    public static BatchLoader Training(IImageDataset data, int batchSize, ulong seed, Augmentation? augmentation = null) =>
        new(data, batchSize, training: true, seed, augmentation ?? Augmentation.None);

    /// <summary>For testing: in order, unchanged, every picture once.</summary>
    public static BatchLoader Evaluation(IImageDataset data, int batchSize) => new(data, batchSize, training: false, seed: 0, Augmentation.None);

    /// <summary>
    /// The batches of one epoch. Leaving the loop early, by any way, stops the second thread; what goes wrong there is thrown here.
    /// </summary>
    /// <param name="epoch">Number of the epoch, from 0 (below 2²⁴). Means nothing for evaluation.</param>
    /// <param name="firstBatch">Where to begin, to go on in the middle of an epoch.</param>
    /// <param name="cancellation">Stops the loop with an <see cref="OperationCanceledException"/>.</param>
    public IEnumerable<Batch> Epoch(int epoch = 0, int firstBatch = 0, CancellationToken cancellation = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(epoch);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(epoch, 1 << 24); // it has 24 bits of the stream's number
        ArgumentOutOfRangeException.ThrowIfNegative(firstBatch);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstBatch, BatchesPerEpoch);
        int[]? order = _training ? new RandomStream(_seed, OrderStreams | (uint)epoch).NextPermutation(Data.Count) : null;
        Buffer[] buffers = [.. Enumerable.Range(0, Buffers).Select(_ => new Buffer(new float[checked(BatchSize * _imageSize)], new float[BatchSize]))];
        return ReadAhead.Run(firstBatch, BatchesPerEpoch, buffers, (index, buffer, stop) => Fill(index, epoch, order, buffer, stop), cancellation);
    }

    private Batch Fill(int index, int epoch, int[]? order, Buffer buffer, CancellationToken stop)
    {
        int first = index * BatchSize, count = Math.Min(BatchSize, Data.Count - first), size = _imageSize;
        // The arrays of a batch have its exact length, so the one short batch of an evaluation gets arrays of its own.
        var (images, labels) = count == BatchSize ? buffer : new Buffer(new float[count * size], new float[count]);
        if (Data.IsDecoded) InParallel(count, Read, stop);
        else
        {
            for (int i = 0; i < count; i++)
            {
                stop.ThrowIfCancellationRequested();
                Read(i);
            }
        }
        var batch = new Batch(index, count, Data.Height, Data.Width, Data.Channels, images, labels);
        return _training && _augmentation.Mixup > 0 ? Mixup.Mix(batch, Mixup.DrawShare(_augmentation.Mixup, _seed, MixupStreams | ((ulong)epoch << 32) | (uint)index)) : batch;

        void Read(int i)
        {
            int place = first + i, source = order is null ? place : order[place];
            PictureChange? change = _training ? new PictureChange(_augmentation, _seed, ChangeStreams | ((ulong)epoch << 32) | (uint)place) : null;
            var image = images.AsSpan(i * size, size);
            Data.Read(source, change, image);
            if (_training && _augmentation.Cutout > 0)
                Cutout.Apply(image, (Data.Height, Data.Width, Data.Channels), _augmentation.Cutout, _seed, CutoutStreams | ((ulong)epoch << 32) | (uint)place);
            labels[i] = Data.Label(source);
        }
    }

    /// <summary>Each picture depends on its own numbers only, so it does not matter which thread reads it.</summary>
    internal static void InParallel(int count, Action<int> read, CancellationToken stop)
    {
        try
        {
            Parallel.For(0, count, new ParallelOptions { CancellationToken = stop }, read);
        }
        catch (AggregateException e)
        {
            // Several threads may have met a broken picture: one is enough to be told about.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private sealed record Buffer(float[] Images, float[] Labels);
}
