using RefConv.Kernels;

namespace RefConv.Models.Data;

/// <summary>
/// Cuts pairs of patches out of pictures for super-resolution: at random places, mirrored and turned at random. The order of an epoch is a
/// function of (seed, epoch) and each patch of (seed, epoch, place in it), so a run can go on anywhere.
/// </summary>
public sealed class PatchLoader
{
    // Streams of one seed are told apart by their highest byte; these belong to the patches.
    private const ulong OrderStreams = 0x5AUL << 56, PatchStreams = 0x5BUL << 56;

    private readonly SuperResolutionData _data;
    private readonly ulong _seed;
    private readonly int _patchesPerImage;

    /// <summary>Makes a loader.</summary>
    /// <param name="data">The pictures; those to learn from are used.</param>
    /// <param name="patchSize">Rows and columns of a small patch.</param>
    /// <param name="patchesPerImage">Patches of every picture in an epoch.</param>
    /// <param name="batchSize">Patches a step.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentException">A picture is smaller than a patch, or an epoch has not one whole batch.</exception>
    public PatchLoader(SuperResolutionData data, int patchSize, int patchesPerImage, int batchSize, ulong seed)
    {
        if (data.Train.FirstOrDefault(p => Math.Min(p.Low.Height, p.Low.Width) < patchSize) is { } small)
            throw new ArgumentException($"{small.Name} has {small.Low.Height}×{small.Low.Width} pixels when it is made {data.Scale} times smaller, less than a patch of {patchSize}×{patchSize}. Use smaller patches (--patch), or take the picture out.");
        (_data, PatchSize, _patchesPerImage, BatchSize, _seed) = (data, patchSize, patchesPerImage, batchSize, seed);
        if (BatchesPerEpoch < 1)
            throw new ArgumentException($"{data.Train.Count} pictures with {patchesPerImage} patches each are less than one batch of {batchSize}. Use a smaller batch (--batch) or more patches (--patches).");
    }

    /// <summary>Rows and columns of a small patch.</summary>
    public int PatchSize { get; }

    /// <summary>Patches a step.</summary>
    public int BatchSize { get; }

    /// <summary>Whole batches in an epoch.</summary>
    public int BatchesPerEpoch => _data.Train.Count * _patchesPerImage / BatchSize;

    /// <summary>Fills a batch.</summary>
    /// <param name="epoch">Number of the epoch, from 0.</param>
    /// <param name="index">Number of the batch in it.</param>
    /// <param name="low">[batch, patch, patch]</param>
    /// <param name="high">[batch, patch·scale, patch·scale]</param>
    public void Fill(int epoch, int index, Span<float> low, Span<float> high)
    {
        int size = PatchSize, large = size * _data.Scale, images = _data.Train.Count;
        int[] order = new RandomStream(_seed, OrderStreams | (uint)epoch).NextPermutation(images * _patchesPerImage);
        for (int i = 0; i < BatchSize; i++)
        {
            int place = (index * BatchSize) + i;
            var pair = _data.Train[order[place] % images];
            var random = new RandomStream(_seed, PatchStreams | ((ulong)epoch << 32) | (uint)place);
            int top = random.NextInt(pair.Low.Height - size + 1), left = random.NextInt(pair.Low.Width - size + 1), turn = random.NextInt(8);
            Cut(pair.Low, top, left, size, turn, low.Slice(i * size * size, size * size));
            Cut(pair.High, top * _data.Scale, left * _data.Scale, large, turn, high.Slice(i * large * large, large * large));
        }
    }

    /// <summary>Copies a square, mirrored along columns (1), rows (2) and the diagonal (4): the eight ways to lay it down.</summary>
    internal static void Cut(LumaImage image, int top, int left, int size, int turn, Span<float> target)
    {
        for (int y = 0; y < size; y++)
        {
            for (int x = 0; x < size; x++)
            {
                var (row, column) = (turn & 4) != 0 ? (x, y) : (y, x);
                if ((turn & 2) != 0) row = size - 1 - row;
                if ((turn & 1) != 0) column = size - 1 - column;
                target[(y * size) + x] = image.Pixels[((top + row) * image.Width) + left + column];
            }
        }
    }
}
