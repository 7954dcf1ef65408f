using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// What follows a depthwise convolution in a network, for rows [row, end) of one image, one vector of channels: in registers before they are written, or when they have just been
/// written and are still in the near caches.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>The convolution of a block, with the activation that is done in registers.</summary>
    private static void ActivatedBlock<V>(in DepthwisePass t, int image, int row, int end, int j) where V : unmanaged
    {
        switch (t.FinishesInRegisters ? t.Finish.Activation : ActivationKind.Identity)
        {
            case ActivationKind.ReLU: PassBlock<V, Activated<Overwrite, ReLUFunction>>(t, image, row, end, j); break;
            case ActivationKind.ReLU6: PassBlock<V, Activated<Overwrite, ReLU6Function>>(t, image, row, end, j); break;
            case ActivationKind.Hardswish: PassBlock<V, Activated<Overwrite, HardswishFunction>>(t, image, row, end, j); break;
            case ActivationKind.SiLU: PassBlock<V, Activated<Overwrite, SiLUFunction>>(t, image, row, end, j); break;
            default: PassBlock<V, Overwrite>(t, image, row, end, j); break;
        }
    }

    private static void FinishBlock<V>(in DepthwisePass t, int image, int row, int end, int j) where V : unmanaged
    {
        switch (t.Finish.Activation)
        {
            case ActivationKind.Identity: FinishBlock<V, IdentityFunction>(t, image, row, end, j); break;
            case ActivationKind.ReLU: FinishBlock<V, ReLUFunction>(t, image, row, end, j); break;
            case ActivationKind.ReLU6: FinishBlock<V, ReLU6Function>(t, image, row, end, j); break;
            case ActivationKind.Hardsigmoid: FinishBlock<V, HardsigmoidFunction>(t, image, row, end, j); break;
            case ActivationKind.Hardswish: FinishBlock<V, HardswishFunction>(t, image, row, end, j); break;
            case ActivationKind.Sigmoid: FinishBlock<V, SigmoidFunction>(t, image, row, end, j); break;
            case ActivationKind.SiLU: FinishBlock<V, SiLUFunction>(t, image, row, end, j); break;
            case ActivationKind.GELU: FinishBlock<V, GELUFunction>(t, image, row, end, j); break;
            default: throw new ArgumentOutOfRangeException(nameof(t), t.Finish.Activation, "Not an activation the kernels know.");
        }
    }

    private static void FinishBlock<V, F>(in DepthwisePass t, int image, int row, int end, int j)
        where V : unmanaged
        where F : struct, IElementFunction
    {
        // The rows of a forward pass follow one another without gaps.
        float* y = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
        nint pixels = (nint)(end - row) * t.TargetW, residual = t.Finish.Residual, step = t.C;
        bool hasResidual = t.Finish.HasResidual;
        for (nint i = 0; i < pixels; i++, y += step)
        {
            V v = Simd.Load<V>(y);
            if (hasResidual) v = Simd.Add(v, Simd.Load<V>(y + residual));
            Simd.Store(y, default(F).Apply(v));
        }
    }

    /// <summary>Moments of a block's channels, in the place of its image and band.</summary>
    private static void BlockMoments<V>(in DepthwisePass t, int image, int row, int end, int j) where V : unmanaged
    {
        float* y = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
        nint pixels = (nint)(end - row) * t.TargetW, step = t.C;
        V pivot = Simd.Load<V>(y), sum = Simd.Broadcast<V>(0), squares = sum, sum1 = sum, squares1 = sum;
        nint i = 0;
        for (; i + 1 < pixels; i += 2, y += 2 * step)
        {
            V d = Simd.Subtract(Simd.Load<V>(y), pivot), d1 = Simd.Subtract(Simd.Load<V>(y + step), pivot);
            sum = Simd.Add(sum, d);
            squares = Simd.Fma(d, d, squares);
            sum1 = Simd.Add(sum1, d1);
            squares1 = Simd.Fma(d1, d1, squares1);
        }
        if (i < pixels)
        {
            V d = Simd.Subtract(Simd.Load<V>(y), pivot);
            sum = Simd.Add(sum, d);
            squares = Simd.Fma(d, d, squares);
        }
        float* to = t.Moments + ((((nint)image * t.Bands) + (row / t.BandRows)) * ColumnMoments.Rows * t.C) + j;
        Simd.Store(to, pivot);
        Simd.Store(to + t.C, Simd.Add(sum, sum1));
        Simd.Store(to + (2 * (nint)t.C), Simd.Add(squares, squares1));
    }

    /// <summary>Mean and variance of every channel from the moments of the bands, in double and in their order.</summary>
    private void AddMoments(in DepthwisePass pass, int images, float* moments)
    {
        var t = pass;
        long count = (long)images * t.TargetH * t.TargetW;
        using var scratch = _device.Scratch(4L * t.C);
        double* sums = (double*)scratch.Pointer; // [Σ x, Σ x²][C]
        new Span<double>(sums, 2 * t.C).Clear();
        ParallelRange(Pieces(t.C, 64), images * t.Bands * t.C > 1 << 14 ? 1 : t.C, (first, last) =>
        {
            for (int j = (int)first * 64, end = (int)Math.Min(t.C, last * 64), width; j < end; j += width)
            {
                width = BlockWidth(end - j);
                switch (width)
                {
                    case 16: AddMoments<Vector512<float>>(t, images, j, sums); break;
                    case 8: AddMoments<Vector256<float>>(t, images, j, sums); break;
                    case 4: AddMoments<Vector128<float>>(t, images, j, sums); break;
                    default: AddMoments<float>(t, images, j, sums); break;
                }
            }
        });
        for (int c = 0; c < t.C; c++)
        {
            double mean = sums[c] / count, variance = (sums[t.C + c] / count) - (mean * mean);
            (moments[c], moments[t.C + c]) = ((float)mean, (float)Math.Max(0, variance));
        }
    }

    private static void AddMoments<V>(in DepthwisePass t, int images, int j, double* sums) where V : unmanaged
    {
        for (int piece = 0; piece < images * t.Bands; piece++)
        {
            float* part = t.Moments + ((nint)piece * ColumnMoments.Rows * t.C) + j;
            int rows = Math.Min(t.BandRows, t.TargetH - (piece % t.Bands * t.BandRows));
            Simd.AddMoments(sums + j, sums + t.C + j, rows * t.TargetW, Simd.Load<V>(part), Simd.Load<V>(part + t.C), Simd.Load<V>(part + (2 * (nint)t.C)));
        }
    }
}
