namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Fill(BufferView y, double value, bool accumulate = false)
    {
        foreach (ref double element in S(y)) Put(ref element, value, accumulate);
    }

    public void Scale(BufferView x, BufferView y, double scale, bool accumulate)
    {
        var xs = S(x);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) Put(ref ys[i], scale * xs[i], accumulate);
    }

    public void Add(BufferView a, BufferView b, BufferView y)
    {
        var left = S(a);
        var right = S(b);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) ys[i] = left[i] + right[i];
    }

    public void Multiply(BufferView a, BufferView b, BufferView y, bool accumulate)
    {
        var left = S(a);
        var right = S(b);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) Put(ref ys[i], left[i] * right[i], accumulate);
    }

    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y)
    {
        var xs = S(x);
        var bs = S(b);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) ys[i] = xs[i] + bs[ImageAndChannel(g, i)];
    }

    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate)
    {
        var xs = S(x);
        var ss = S(s);
        var ys = S(y);
        for (int i = 0; i < ys.Length; i++) Put(ref ys[i], xs[i] * ss[ImageAndChannel(g, i)], accumulate);
    }

    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate)
    {
        var xs = S(x);
        var dys = S(dy);
        var dss = S(ds);
        double[] sums = new double[dss.Length]; // [N, C]
        for (int i = 0; i < xs.Length; i++) sums[ImageAndChannel(g, i)] += xs[i] * dys[i];
        for (int i = 0; i < sums.Length; i++) Put(ref dss[i], sums[i], accumulate);
    }

    /// <summary>Element [n, p, c] of a map → element [n, c] of the values per image and channel.</summary>
    private static int ImageAndChannel(in BroadcastGeometry g, int i) => (int)((i / (g.Pixels * g.C) * g.C) + (i % g.C));
}
