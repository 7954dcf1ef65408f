namespace RefConv.Kernels;

/// <remarks>The kernels take weights as they are, so packing is a copy; what a plan gains on a GPU is the one pass for bias, residual and activation.</remarks>
internal sealed partial class GpuKernels
{
    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy)
    {
        g.MustBeDense();
        var copy = _device.Rent(w.Length);
        Scale(w, copy.View, 1, accumulate: false);
        return new GpuPackedConv2d(g, copy);
    }

    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        var g = w.Geometry;
        if (g.OutputLength == 0) return;
        var weights = ((GpuPackedConv2d)w).Weights;
        if (g.IsDepthwise) DepthwiseForward(g, x, weights, b, residual, activation, y);
        else DenseForward(g, x, weights, y, new(b, residual, activation));
    }

    private sealed class GpuPackedConv2d(Conv2dGeometry g, DeviceBuffer memory) : PackedConv2d(g)
    {
        public BufferView Weights => memory.View;

        public override string Algorithm => Geometry.IsDepthwise ? "depthwise" : Geometry.IsPointwise ? "matrix product" : "gathered product";

        public override long Bytes => memory.Length * sizeof(float);

        public override void Dispose() => memory.Dispose();
    }
}
