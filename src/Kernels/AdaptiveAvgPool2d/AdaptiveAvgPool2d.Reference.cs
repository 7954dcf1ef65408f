namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void AdaptiveAvgPool2dForward(in AdaptiveAvgPool2dGeometry g, BufferView x, BufferView y)
    {
        S(y).Clear();
        foreach (var (bin, pixel, share) in BinPixels(g))
        for (int c = 0; c < g.C; c++)
            S(y)[(bin * g.C) + c] += S(x)[(pixel * g.C) + c] * share;
    }

    public void AdaptiveAvgPool2dBackward(in AdaptiveAvgPool2dGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        if (!accumulate) S(dx).Clear();
        foreach (var (bin, pixel, share) in BinPixels(g))
        for (int c = 0; c < g.C; c++)
            S(dx)[(pixel * g.C) + c] += S(dy)[(bin * g.C) + c] * share;
    }

    /// <summary>Every pixel of every bin, and the bin's 1 / pixels.</summary>
    private static List<(int Bin, int Pixel, double Share)> BinPixels(in AdaptiveAvgPool2dGeometry g)
    {
        List<(int, int, double)> all = [];
        for (int n = 0; n < g.N; n++)
        for (int p = 0; p < g.P; p++)
        for (int q = 0; q < g.Q; q++)
        {
            int top = p * g.H / g.P, bottom = (int)Math.Ceiling((p + 1) * g.H / (double)g.P);
            int left = q * g.W / g.Q, right = (int)Math.Ceiling((q + 1) * g.W / (double)g.Q);
            for (int h = top; h < bottom; h++)
            for (int w = left; w < right; w++)
                all.Add(((((n * g.P) + p) * g.Q) + q, (((n * g.H) + h) * g.W) + w, 1.0 / ((bottom - top) * (right - left))));
        }
        return all;
    }
}
