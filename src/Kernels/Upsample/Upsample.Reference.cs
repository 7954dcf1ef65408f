namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y)
    {
        for (int i = 0; i < S(y).Length; i++) S(y)[i] = S(x)[SmallIndex(g, i)];
    }

    public void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate)
    {
        double[] sums = new double[dx.Length];
        for (int i = 0; i < S(dy).Length; i++) sums[SmallIndex(g, i)] += S(dy)[i];
        for (int i = 0; i < sums.Length; i++) Put(ref S(dx)[i], sums[i], accumulate);
    }

    /// <summary>Element of the large map → element of the small map that it repeats.</summary>
    private static int SmallIndex(in UpsampleGeometry g, int i)
    {
        int c = i % g.C, w = i / g.C % (g.W * g.Scale), h = i / (g.C * g.W * g.Scale) % (g.H * g.Scale), n = i / (g.C * g.W * g.Scale * g.H * g.Scale);
        return (((((n * g.H) + (h / g.Scale)) * g.W) + (w / g.Scale)) * g.C) + c;
    }
}
