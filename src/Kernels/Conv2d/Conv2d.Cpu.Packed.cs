using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>Convolution with weights packed once: inference.</summary>
internal sealed unsafe partial class CpuKernels
{
    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy)
    {
        if (g.IsDepthwise) return new CpuPackedConv2d(_device, g, "depthwise", CopyOf(w));
        return Simd.MaxWidth switch
        {
            16 => PackDense<Vector512<float>>(g, P(w)),
            8 => PackDense<Vector256<float>>(g, P(w)),
            4 => PackDense<Vector128<float>>(g, P(w)),
            _ => PackDense<float>(g, P(w)),
        };
    }

    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        var g = w.Geometry;
        if (g.OutputLength == 0) return;
        float* weights = ((CpuPackedConv2d)w).Weights;
        if (g.IsDepthwise)
        {
            DepthwisePacked(g, activation, weights, x, b, residual, y);
            return;
        }
        switch (Simd.MaxWidth)
        {
            case 16: DensePacked<Vector512<float>>(g, activation, weights, P(x), P(b), P(residual), P(y)); break;
            case 8: DensePacked<Vector256<float>>(g, activation, weights, P(x), P(b), P(residual), P(y)); break;
            case 4: DensePacked<Vector128<float>>(g, activation, weights, P(x), P(b), P(residual), P(y)); break;
            default: DensePacked<float>(g, activation, weights, P(x), P(b), P(residual), P(y)); break;
        }
    }

    private CpuPackedConv2d PackDense<V>(in Conv2dGeometry g, float* w) where V : unmanaged
    {
        using var taps = TapScratch(g);
        var map = PixelMap.Forward(g, (Tap*)taps.Pointer);
        var memory = _device.Rent(PackedLength<V>(map, g.Groups));
        PackPanels<V>(map, g.Groups, w, ForwardLayout(g), P(memory.View));
        return new CpuPackedConv2d(_device, g, "gathered product", memory);
    }

    private void DensePacked<V>(in Conv2dGeometry g, ActivationKind activation, float* w, float* x, float* b, float* residual, float* y) where V : unmanaged
    {
        using var taps = TapScratch(g);
        // Where the residual lies in y itself, the sums start from it: parts of a long sum are kept in y, and would overwrite it.
        bool inPlace = residual == y;
        var finish = new TileFinish
        {
            Activation = activation,
            HasResidual = residual != null && !inPlace,
            Residual = residual == null ? 0 : (nint)(residual - y),
            AddBias = inPlace && b != null,
        };
        GatherPacked<V>(PixelMap.Forward(g, (Tap*)taps.Pointer), g.Groups, x, w, b, y, accumulate: inPlace, finish, moments: null);
    }

    private void DepthwisePacked(in Conv2dGeometry g, ActivationKind activation, float* w, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        using var copy = _device.Rent(residual == y ? g.OutputLength : 0);
        if (residual == y) Scale(y, copy.View, 1, accumulate: false);
        DepthwiseForward(g, P(x), w, P(b), P(y));
        if (!residual.IsEmpty) Add(y, residual == y ? copy.View : residual, y);
        if (activation != ActivationKind.Identity) ActivationForward(activation, y, y);
    }

    private DeviceBuffer CopyOf(BufferView w)
    {
        var copy = _device.Rent(w.Length);
        Scale(w, copy.View, 1, accumulate: false);
        return copy;
    }

    private sealed class CpuPackedConv2d(CpuDevice device, Conv2dGeometry g, string algorithm, DeviceBuffer memory) : PackedConv2d(g)
    {
        /// <summary>Keeps the device alive, whose pool the memory is from.</summary>
        public CpuDevice Device { get; } = device;

        public float* Weights => P(memory.View);

        public override string Algorithm { get; } = algorithm;

        public override long Bytes => memory.Length * sizeof(float);

        public override void Dispose() => memory.Dispose();
    }
}
