namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void AdaptiveAvgPool2dForward(in AdaptiveAvgPool2dGeometry g, BufferView x, BufferView y) =>
        SumWindows<BinWindows>(BinsOf(g), g.N, g.C, x, y, accumulate: false);

    public void AdaptiveAvgPool2dBackward(in AdaptiveAvgPool2dGeometry g, BufferView dy, BufferView dx, bool accumulate) =>
        SpreadWindows<BinCovers, BinWindows>(BinsOf(g), g.N, g.C, dy, dx, accumulate);

    private static WindowShape BinsOf(in AdaptiveAvgPool2dGeometry g) => new() { H = g.H, W = g.W, P = g.P, Q = g.Q, Stride = new(1) };
}
