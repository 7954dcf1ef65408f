using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Convolutions with kernels of an image's own, one a region. Neighbouring threads have neighbouring channels of a result, so kernels are read in order; pixels that
/// stand beside each other mostly have the same region, so a kernel that one warp has read is in the cache for the next.
/// </summary>
/// <remarks>
/// Each multiply-add loads a weight from the cache, 32 of them a clock on a multiprocessor: an eighth of the arithmetic that an H100 has. Enough for layers that a
/// network has few of; sorting pixels by region, as the processor's kernels do, would let several pixels share a load.
/// </remarks>
internal sealed partial class GpuKernels
{
    public void RegionConv2dForward(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView w, BufferView b, BufferView y) =>
        LaunchElements<RegionArguments>(RegionForwardKernel, g.Conv.OutputLength, new()
        {
            Shape = new(g), Input = V(x), Mask = V(mask), Weights = V(w), Bias = V(b), Output = V(y), Count = g.Conv.OutputLength, HasBias = b.IsEmpty ? 0 : 1,
        });

    public void RegionConv2dInputGradient(in RegionConv2dGeometry g, BufferView dy, BufferView mask, BufferView w, BufferView dx, bool accumulate) =>
        LaunchElements<RegionArguments>(RegionInputGradientKernel, g.Conv.InputLength, new()
        {
            Shape = new(g), Input = V(dx), Mask = V(mask), Weights = V(w), Bias = V(dy), Output = V(dy), Count = g.Conv.InputLength, Accumulate = accumulate ? 1 : 0,
        });

    public void RegionConv2dKernelGradient(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView dy, BufferView dw, bool accumulate) =>
        LaunchElements<RegionArguments>(RegionKernelGradientKernel, g.KernelLength, new()
        {
            Shape = new(g), Input = V(x), Mask = V(mask), Weights = V(dw), Bias = V(dy), Output = V(dy), Count = g.KernelLength, Accumulate = accumulate ? 1 : 0,
        });

    public void RegionConv2dScores(in RegionConv2dGeometry g, BufferView x, BufferView w, BufferView dy, BufferView a)
    {
        var arguments = new RegionScoresArguments { Shape = new(g), Input = V(x), Weights = V(w), Dy = V(dy), Scores = V(a), Count = checked((int)(g.MaskLength * g.Regions)) };
        // Any number of groups is right; a grid ends far above this one.
        LaunchGroups(RegionScoresKernel, (Math.Min(arguments.Count, _device.FullGrid * 8), 1, 1), arguments);
    }

    /// <summary>The geometry in the words of the kernels.</summary>
    internal struct RegionShape(in RegionConv2dGeometry g)
    {
        public int H = g.Conv.H, W = g.Conv.W, C = g.Conv.C, K = g.Conv.K, R = g.Conv.R, S = g.Conv.S, P = g.Conv.P, Q = g.Conv.Q, Regions = g.Regions;
        public int StrideH = g.Conv.StrideH, StrideW = g.Conv.StrideW, DilationH = g.Conv.DilationH, DilationW = g.Conv.DilationW, PadTop = g.Conv.PadTop, PadLeft = g.Conv.PadLeft;
        public long TapStride = g.TapStride, RegionStride = g.RegionStride, ImageKernelLength = g.ImageKernelLength;

        /// <summary>The input pixel under a tap of an output pixel's window (both counted through all images), or −1 outside the image.</summary>
        public readonly int InputPixel(int pixel, int tap)
        {
            int n = pixel / (P * Q), within = pixel - (n * P * Q), p = within / Q, q = within - (p * Q), r = tap / S, s = tap - (r * S);
            int h = (p * StrideH) + (r * DilationH) - PadTop, v = (q * StrideW) + (s * DilationW) - PadLeft;
            return h >= 0 && h < H && v >= 0 && v < W ? (((n * H) + h) * W) + v : -1;
        }

        /// <summary>The output pixel whose window has this input pixel under a tap, or −1.</summary>
        public readonly int OutputPixel(int pixel, int tap)
        {
            int n = pixel / (H * W), within = pixel - (n * H * W), h = within / W, v = within - (h * W), r = tap / S, s = tap - (r * S);
            int y = h + PadTop - (r * DilationH), x = v + PadLeft - (s * DilationW);
            if (y < 0 || x < 0) return -1;
            int p = y / StrideH, q = x / StrideW;
            return p * StrideH == y && q * StrideW == x && p < P && q < Q ? (((n * P) + p) * Q) + q : -1;
        }

        /// <summary>The [C, K] matrix of a tap in the kernel of a region.</summary>
        public readonly long Kernel(int image, int region, int tap) => (image * ImageKernelLength) + (region * RegionStride) + (tap * TapStride);
    }

    internal struct RegionArguments
    {
        public RegionShape Shape;
        public ArrayView<float> Input, Mask, Weights, Bias, Output;
        public long Count;
        public int HasBias, Accumulate;
    }

    [GpuKernel(ElementGroup)]
    private static void RegionForwardKernel(RegionArguments a)
    {
        for (long i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = (int)(i / a.Shape.K), k = (int)(i - ((long)pixel * a.Shape.K)), image = pixel / (a.Shape.P * a.Shape.Q), region = (int)a.Mask[pixel];
            float sum = 0;
            if (a.HasBias != 0) sum = a.Bias[k];
            for (int tap = 0; tap < a.Shape.R * a.Shape.S; tap++)
            {
                int from = a.Shape.InputPixel(pixel, tap);
                if (from < 0) continue;
                long x = (long)from * a.Shape.C, w = a.Shape.Kernel(image, region, tap) + k;
                float part = 0; // a sum of sums: short chains lose less
                for (int c = 0; c < a.Shape.C; c++, w += a.Shape.K) part += a.Input[x + c] * a.Weights[w];
                sum += part;
            }
            a.Output[i] = sum;
        }
    }

    /// <remarks>A thread has one channel of an input pixel and asks which output pixels read it. A matrix's row, along which it goes, is in the cache after its first float.</remarks>
    [GpuKernel(ElementGroup)]
    private static void RegionInputGradientKernel(RegionArguments a)
    {
        for (long i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int pixel = (int)(i / a.Shape.C), c = (int)(i - ((long)pixel * a.Shape.C)), image = pixel / (a.Shape.H * a.Shape.W);
            float sum = 0;
            for (int tap = 0; tap < a.Shape.R * a.Shape.S; tap++)
            {
                int from = a.Shape.OutputPixel(pixel, tap);
                if (from < 0) continue;
                long dy = (long)from * a.Shape.K, w = a.Shape.Kernel(image, (int)a.Mask[from], tap) + ((long)c * a.Shape.K);
                float part = 0;
                for (int k = 0; k < a.Shape.K; k++) part += a.Output[dy + k] * a.Weights[w + k];
                sum += part;
            }
            if (a.Accumulate != 0) sum += a.Input[i];
            a.Input[i] = sum;
        }
    }

    /// <remarks>A thread has one weight and goes through the pixels of its image, of which it takes those of its region: no two threads add to one place.</remarks>
    [GpuKernel(ElementGroup)]
    private static void RegionKernelGradientKernel(RegionArguments a)
    {
        int matrix = a.Shape.C * a.Shape.K, taps = a.Shape.R * a.Shape.S, pixels = a.Shape.P * a.Shape.Q;
        for (long i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int image = (int)(i / a.Shape.ImageKernelLength), inImage = (int)(i - (image * a.Shape.ImageKernelLength));
            int block = inImage / matrix, inMatrix = inImage - (block * matrix), c = inMatrix / a.Shape.K, k = inMatrix - (c * a.Shape.K);
            // Matrices are in the order [regions, taps] or [taps, regions].
            bool outside = a.Shape.TapStride == matrix && a.Shape.Regions > 1;
            int region = outside ? block / taps : block % a.Shape.Regions, tap = outside ? block % taps : block / a.Shape.Regions;
            float sum = 0;
            for (int row = 0; row < a.Shape.P; row++)
            {
                float part = 0;
                int first = (image * pixels) + (row * a.Shape.Q);
                for (int pixel = first; pixel < first + a.Shape.Q; pixel++)
                {
                    if ((int)a.Mask[pixel] != region) continue;
                    int from = a.Shape.InputPixel(pixel, tap);
                    if (from >= 0) part += a.Input[((long)from * a.Shape.C) + c] * a.Output[((long)pixel * a.Shape.K) + k];
                }
                sum += part;
            }
            if (a.Accumulate != 0) sum += a.Weights[i];
            a.Weights[i] = sum;
        }
    }
}
