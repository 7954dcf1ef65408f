using ILGPU;

namespace RefConv.Kernels;

/// <remarks>Depthwise kernels of every other shape: a thread has one pixel and goes through the kernel. Right for all shapes, and as fast as the caches allow: two loads a product.</remarks>
internal sealed partial class GpuKernels
{
    /// <remarks>Bytes: as the others. 3×3: 18 loads from the first-level cache a Float4, 2.3 cycles of an H100's multiprocessor where memory takes 2.2 (expected: about half of a copy).</remarks>
    [GpuKernel(ElementGroup, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void DepthwiseAnyKernel<L>(DepthwiseArguments a) where L : unmanaged, ILanes<L>
    {
        var x = a.X.Cast<L>();
        var weights = a.Weights.Cast<L>();
        int step = a.Channels.Value, count = a.N * a.P * a.Q * step;
        for (int i = GpuThread.First; i < count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = pixel / a.Q, q = pixel - (row * a.Q), n = row / a.P, p = row - (n * a.P);
            L sum = default;
            if (a.HasBias != 0) sum = a.Bias.Cast<L>()[c];
            for (int r = 0; r < a.R; r++)
            {
                int h = (p * a.StrideH) - a.PadTop + (r * a.DilationH);
                if (h < 0 || h >= a.H) continue;
                int weight = a.WeightFirst + (r * a.WeightRow) + c, line = (((n * a.H) + h) * a.W * step) + c, w = (q * a.StrideW) - a.PadLeft;
                for (int s = 0; s < a.S; s++, w += a.DilationW, weight += a.WeightColumn)
                {
                    if (w >= 0 && w < a.W) sum = sum + (weights[weight] * x[line + (w * step)]);
                }
            }
            Store<L, ActivatedFinish>(a, sum, i);
        }
    }

    /// <remarks>Every pixel of dx asks which windows it is in. Two divisions a row and product: for strides above 2, stride 2 with a dilation, and widths that are rare at it.</remarks>
    [GpuKernel(ElementGroup, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void DepthwiseAnyInputGradientKernel<L>(DepthwiseArguments a) where L : unmanaged, ILanes<L>
    {
        var dy = a.X.Cast<L>();
        var weights = a.Weights.Cast<L>();
        int step = a.Channels.Value, count = a.N * a.H * a.W * step;
        for (int i = GpuThread.First; i < count; i += GpuThread.Step)
        {
            int pixel = a.Channels.Divide(i), c = a.Channels.Rest(i, pixel), row = pixel / a.W, w = pixel - (row * a.W), n = row / a.H, h = row - (n * a.H);
            L sum = default;
            for (int r = 0; r < a.R; r++)
            {
                int atRow = h + a.PadTop - (r * a.DilationH), p = atRow / a.StrideH;
                if (atRow < 0 || p >= a.P || p * a.StrideH != atRow) continue;
                int weight = (r * a.WeightRow) + c, line = (((n * a.P) + p) * a.Q * step) + c, column = w + a.PadLeft;
                for (int s = 0; s < a.S; s++, column -= a.DilationW, weight += a.WeightColumn)
                {
                    int q = column / a.StrideW;
                    if (column >= 0 && q < a.Q && q * a.StrideW == column) sum = sum + (weights[weight] * dy[line + (q * step)]);
                }
            }
            Store<L, PlainFinish>(a, sum, i);
        }
    }
}
