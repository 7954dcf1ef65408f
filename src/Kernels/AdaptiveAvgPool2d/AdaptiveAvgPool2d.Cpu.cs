using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>Channels in the lanes, a pixel's channels at a time. The gradient is gathered: an input pixel asks the bins that cover it.</summary>
internal sealed unsafe partial class CpuKernels
{
    public void AdaptiveAvgPool2dForward(in AdaptiveAvgPool2dGeometry g, BufferView x, BufferView y)
    {
        var shape = g;
        float* xs = P(x), ys = P(y);
        // A row of bins reads about H/P rows of the image.
        ParallelRange((long)g.N * g.P, Math.Max(1, ElementGrain * (long)g.P / Math.Max(1, (long)g.H * g.W * g.C)), (first, last) =>
        {
            for (long row = first; row < last; row++)
            for (int q = 0; q < shape.Q; q++)
            {
                int p = (int)(row % shape.P);
                int top = AdaptiveAvgPool2dGeometry.First(p, shape.P, shape.H), bottom = AdaptiveAvgPool2dGeometry.End(p, shape.P, shape.H);
                int left = AdaptiveAvgPool2dGeometry.First(q, shape.Q, shape.W), right = AdaptiveAvgPool2dGeometry.End(q, shape.Q, shape.W);
                float* image = xs + (row / shape.P * shape.H * shape.W * shape.C), target = ys + (((row * shape.Q) + q) * shape.C);
                new Span<float>(target, shape.C).Clear();
                for (int h = top; h < bottom; h++)
                for (int w = left; w < right; w++)
                    CopyRun(image + ((((long)h * shape.W) + w) * shape.C), target, shape.C, accumulate: true);
                float share = 1f / ((bottom - top) * (right - left));
                for (int c = 0; c < shape.C; c++) target[c] *= share;
            }
        });
    }

    public void AdaptiveAvgPool2dBackward(in AdaptiveAvgPool2dGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        var shape = g;
        float* dys = P(dy), dxs = P(dx);
        ParallelRange((long)g.N * g.H, Math.Max(1, ElementGrain / Math.Max(1, (long)g.W * g.C)), (first, last) =>
        {
            for (long row = first; row < last; row++)
            for (int w = 0; w < shape.W; w++)
            {
                int h = (int)(row % shape.H);
                float* target = dxs + (((row * shape.W) + w) * shape.C), bins = dys + (row / shape.H * shape.P * shape.Q * shape.C);
                if (!accumulate) new Span<float>(target, shape.C).Clear();
                for (int p = 0; p < shape.P; p++)
                {
                    int top = AdaptiveAvgPool2dGeometry.First(p, shape.P, shape.H), bottom = AdaptiveAvgPool2dGeometry.End(p, shape.P, shape.H);
                    if (h < top || h >= bottom) continue;
                    for (int q = 0; q < shape.Q; q++)
                    {
                        int left = AdaptiveAvgPool2dGeometry.First(q, shape.Q, shape.W), right = AdaptiveAvgPool2dGeometry.End(q, shape.Q, shape.W);
                        if (w >= left && w < right) AddScaled(bins + (((p * shape.Q) + q) * shape.C), target, 1f / ((bottom - top) * (right - left)), shape.C);
                    }
                }
            }
        });
    }

    /// <summary>target[i] += scale · source[i], widest vectors first.</summary>
    private static void AddScaled(float* source, float* target, float scale, long count)
    {
        long i = 0;
        if (Simd.MaxWidth >= 16) i = AddScaled<Vector512<float>>(source, target, scale, i, count);
        if (Simd.MaxWidth >= 8) i = AddScaled<Vector256<float>>(source, target, scale, i, count);
        if (Simd.MaxWidth >= 4) i = AddScaled<Vector128<float>>(source, target, scale, i, count);
        AddScaled<float>(source, target, scale, i, count);
    }

    private static long AddScaled<V>(float* source, float* target, float scale, long i, long count) where V : unmanaged
    {
        V s = Simd.Broadcast<V>(scale);
        for (; i + Simd.Width<V>() <= count; i += Simd.Width<V>()) Simd.Store(target + i, Simd.Fma(s, Simd.Load<V>(source + i), Simd.Load<V>(target + i)));
        return i;
    }
}
