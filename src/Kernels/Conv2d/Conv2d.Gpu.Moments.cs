using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    /// <summary>Channels that a group of threads goes through side by side: 128 bytes of a pixel; and its pixels at a time.</summary>
    private const int MomentsChannels = 32, MomentsLanes = 8;

    /// <summary>Mean and biased variance of every channel of a map [rows, channels].</summary>
    private void ColumnMoments(long rows, int channels, BufferView y, BufferView moments)
    {
        int strips = Tiles(channels, MomentsChannels);
        // Enough pieces for the whole device, none so long that sums of single floats lose digits.
        long pieces = Math.Max(Math.Min(Math.Max(1, _device.FullGrid / strips), (rows + 63) / 64), (rows + 8191) / 8192);
        pieces = Math.Min(pieces, MostSplits);
        long piece = (rows + pieces - 1) / pieces;
        pieces = (rows + piece - 1) / piece;
        using var parts = _device.Scratch(2 * pieces * channels);
        MomentsArguments a = new() { Y = V(y), Parts = parts.Floats, Moments = V(moments), Rows = rows, Piece = (int)piece, Pieces = (int)pieces, Channels = channels };
        LaunchGroups(MomentsKernel, (strips, (int)pieces, 1), a);
        LaunchElements(MomentsOfPiecesKernel, channels, a);
    }

    internal struct MomentsArguments
    {
        public ArrayView<float> Y, Parts, Moments;
        public long Rows;
        public int Piece, Pieces, Channels;
    }

    /// <summary>Mean and sum of squared deviations of every piece: the deviations are taken from the piece's first value, so that a large mean costs no digits.</summary>
    /// <remarks>4 bytes an element, read once. Ceiling: memory; expected 85 % of 3.35 TB/s where the map does not lie in the level-2 cache still.</remarks>
    [GpuKernel(MomentsChannels * MomentsLanes, Hot = true)]
    private static void MomentsKernel(MomentsArguments a)
    {
        var sums = SharedMemory.Allocate<float>(MomentsChannels * MomentsLanes);
        var squares = SharedMemory.Allocate<float>(MomentsChannels * MomentsLanes);
        int lane = Group.IdxX / MomentsChannels;
        int channel = (Grid.IdxX * MomentsChannels) + (Group.IdxX % MomentsChannels);
        long first = (long)Grid.IdxY * a.Piece;
        long last = first + a.Piece < a.Rows ? first + a.Piece : a.Rows;
        float sum = 0, square = 0, shift = 0;
        if (channel < a.Channels)
        {
            shift = a.Y[(first * a.Channels) + channel];
            for (long row = first + lane; row < last; row += MomentsLanes)
            {
                float d = a.Y[(row * a.Channels) + channel] - shift;
                sum += d;
                square += d * d;
            }
        }
        sums[Group.IdxX] = sum;
        squares[Group.IdxX] = square;
        Group.Barrier();
        if (lane != 0 || channel >= a.Channels) return;
        for (int l = 1; l < MomentsLanes; l++)
        {
            sum += sums[Group.IdxX + (l * MomentsChannels)];
            square += squares[Group.IdxX + (l * MomentsChannels)];
        }
        float count = last - first;
        int part = (Grid.IdxY * 2 * a.Channels) + channel;
        a.Parts[part] = shift + (sum / count);
        a.Parts[part + a.Channels] = square - (sum * (sum / count));
    }

    /// <summary>Moments of the whole from those of its pieces, in double: they are few.</summary>
    [GpuKernel(ElementGroup)]
    private static void MomentsOfPiecesKernel(MomentsArguments a)
    {
        for (int channel = GpuThread.First; channel < a.Channels; channel += GpuThread.Step)
        {
            double mean = 0, squares = 0;
            for (int i = 0; i < a.Pieces; i++) mean += Count(a, i) * a.Parts[(i * 2 * a.Channels) + channel];
            mean /= a.Rows;
            for (int i = 0; i < a.Pieces; i++)
            {
                int part = (i * 2 * a.Channels) + channel;
                double away = a.Parts[part] - mean;
                squares += a.Parts[part + a.Channels] + (Count(a, i) * away * away);
            }
            a.Moments[channel] = (float)mean;
            a.Moments[a.Channels + channel] = (float)(squares < 0 ? 0 : squares / a.Rows);
        }
    }

    /// <summary>Rows of a piece: the last may be shorter.</summary>
    private static double Count(MomentsArguments a, int piece) => piece < a.Pieces - 1 ? a.Piece : a.Rows - ((long)(a.Pieces - 1) * a.Piece);
}
