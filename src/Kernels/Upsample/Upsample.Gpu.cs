namespace RefConv.Kernels;

/// <remarks>A pixel of the small map is a window of s×s pixels of the large one: forward, every pixel takes the value of its window; backward, a window is added up.</remarks>
internal sealed partial class GpuKernels
{
    public void UpsampleNearestForward(in UpsampleGeometry g, BufferView x, BufferView y) =>
        SpreadWindows<PoolCovers, PoolWindows>(BlocksOf(g), g.N, g.C, x, y, accumulate: false);

    public void UpsampleNearestBackward(in UpsampleGeometry g, BufferView dy, BufferView dx, bool accumulate) =>
        SumWindows<PoolWindows>(BlocksOf(g), g.N, g.C, dy, dx, accumulate);

    private static WindowShape BlocksOf(in UpsampleGeometry g) => new()
    {
        H = g.H * g.Scale, W = g.W * g.Scale, P = g.H, Q = g.W, R = g.Scale, S = g.Scale, Stride = new(g.Scale), Factor = 1,
    };
}
