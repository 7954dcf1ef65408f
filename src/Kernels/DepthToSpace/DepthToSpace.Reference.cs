namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate)
    {
        for (int i = 0; i < S(x).Length; i++) Put(ref S(y)[WideIndex(g, i)], S(x)[i], accumulate);
    }

    public void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate)
    {
        for (int i = 0; i < S(x).Length; i++) Put(ref S(x)[i], S(y)[WideIndex(g, i)], accumulate);
    }

    /// <summary>Element of the deep map → where it stands in the wide map.</summary>
    private static int WideIndex(in DepthToSpaceGeometry g, int element)
    {
        int r = g.Block, depth = g.C * r * r, k = element % depth, w = element / depth % g.W, h = element / (depth * g.W) % g.H, n = element / (depth * g.W * g.H);
        var (c, i, j) = g.Mode == DepthToSpaceMode.CRD ? (k / (r * r), k / r % r, k % r) : (k % g.C, k / g.C / r, k / g.C % r);
        return (((((n * g.H * r) + (h * r) + i) * g.W * r) + (w * r) + j) * g.C) + c;
    }
}
