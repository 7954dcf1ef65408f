using ILGPU;

namespace RefConv.Kernels;

/// <summary>What the guide of a region convolution needs: the choice of the regions, and what comes back to it.</summary>
internal sealed partial class GpuKernels
{
    private const int RegionScoresGroup = 64;

    public void ArgMaxChannels(long rows, int channels, BufferView x, BufferView y) =>
        LaunchElements<ChannelRowsArguments>(ArgMaxChannelsKernel, rows, new() { Input = V(x), Scores = V(x), Output = V(y), Rows = rows, Channels = channels });

    public void SoftmaxChannelsGradient(long rows, int channels, BufferView x, BufferView a, BufferView dx, bool accumulate) =>
        LaunchElements<ChannelRowsArguments>(SoftmaxChannelsGradientKernel, rows,
            new() { Input = V(x), Scores = V(a), Output = V(dx), Rows = rows, Channels = channels, Accumulate = accumulate ? 1 : 0 });

    internal struct RegionScoresArguments
    {
        public RegionShape Shape;
        public ArrayView<float> Input, Weights, Dy, Scores;
        public int Count;
    }

    /// <summary>a[pixel, region] = Σ_k dy[k] · O_region[k]: a group for each, its threads have the k, and add up what they have in a tree.</summary>
    [GpuKernel(RegionScoresGroup)]
    private static void RegionScoresKernel(RegionScoresArguments a)
    {
        var sums = SharedMemory.Allocate<float>(RegionScoresGroup);
        int thread = Group.IdxX;
        for (int i = Grid.IdxX; i < a.Count; i += Grid.DimX)
        {
            int pixel = i / a.Shape.Regions, region = i - (pixel * a.Shape.Regions), image = pixel / (a.Shape.P * a.Shape.Q);
            float sum = 0;
            for (int k = thread; k < a.Shape.K; k += RegionScoresGroup)
            {
                float candidate = 0;
                for (int tap = 0; tap < a.Shape.R * a.Shape.S; tap++)
                {
                    int from = a.Shape.InputPixel(pixel, tap);
                    if (from < 0) continue;
                    long x = (long)from * a.Shape.C, w = a.Shape.Kernel(image, region, tap) + k;
                    float part = 0;
                    for (int c = 0; c < a.Shape.C; c++, w += a.Shape.K) part += a.Input[x + c] * a.Weights[w];
                    candidate += part;
                }
                sum += a.Dy[((long)pixel * a.Shape.K) + k] * candidate;
            }
            sums[thread] = sum;
            Group.Barrier();
            for (int half = RegionScoresGroup / 2; half > 0; half /= 2)
            {
                if (thread < half) sums[thread] += sums[thread + half];
                Group.Barrier();
            }
            if (thread == 0) a.Scores[i] = sums[0];
            Group.Barrier();
        }
    }

    internal struct ChannelRowsArguments
    {
        public ArrayView<float> Input, Scores, Output;
        public long Rows;
        public int Channels, Accumulate;
    }

    [GpuKernel(ElementGroup)]
    private static void ArgMaxChannelsKernel(ChannelRowsArguments a)
    {
        for (long row = GpuThread.First; row < a.Rows; row += GpuThread.Step)
        {
            long at = row * a.Channels;
            int best = 0;
            float largest = a.Input[at];
            for (int c = 1; c < a.Channels; c++)
            {
                // As choices, not under an if: an if is compiled as a branch on the opposite, and on OpenCL a NaN is then the largest.
                float value = a.Input[at + c];
                best = value > largest ? c : best;
                largest = value > largest ? value : largest;
            }
            a.Output[row] = best;
        }
    }

    /// <remarks>A row is m values, rarely more than eight: read three times, from memory once.</remarks>
    [GpuKernel(ElementGroup)]
    private static void SoftmaxChannelsGradientKernel(ChannelRowsArguments a)
    {
        for (long row = GpuThread.First; row < a.Rows; row += GpuThread.Step)
        {
            long at = row * a.Channels;
            float largest = a.Input[at], total = 0, mean = 0;
            for (int c = 1; c < a.Channels; c++) largest = Math.Max(largest, a.Input[at + c]);
            for (int c = 0; c < a.Channels; c++)
            {
                float e = MathF.Exp(a.Input[at + c] - largest);
                total += e;
                mean += e * a.Scores[at + c];
            }
            mean /= total;
            for (int c = 0; c < a.Channels; c++)
            {
                float value = MathF.Exp(a.Input[at + c] - largest) / total * (a.Scores[at + c] - mean);
                if (a.Accumulate != 0) value += a.Output[at + c];
                a.Output[at + c] = value;
            }
        }
    }
}
