using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>Convolution with weights packed once: inference.</summary>
internal sealed unsafe partial class CpuKernels
{
    public PackedConv2d Conv2dPack(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy)
    {
        if (!ReadsStrided(g)) g.MustBeDense();
        if (g.IsDepthwise) return new CpuPackedConv2d(_device, g, PackedKind.Depthwise, CopyOf(w));
        return Simd.MaxWidth switch
        {
            16 => PackDense<Vector512<float>>(g, w, accuracy),
            8 => PackDense<Vector256<float>>(g, w, accuracy),
            4 => PackDense<Vector128<float>>(g, w, accuracy),
            _ => PackDense<float>(g, w, accuracy),
        };
    }

    public void Conv2dPacked(PackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        var packed = (CpuPackedConv2d)w;
        if (w.Geometry.OutputLength == 0) return;
        if (packed.Kind == PackedKind.SmallGroups)
        {
            SmallGroupsPacked(packed, activation, x, b, residual, y);
            return;
        }
        // Where the residual lies in y itself, the sums start from it: parts of a long sum are kept in y, and would overwrite it.
        bool inPlace = residual == y;
        var finish = new TileFinish
        {
            Activation = activation,
            HasResidual = !residual.IsEmpty && !inPlace,
            Residual = residual.IsEmpty ? 0 : (nint)(P(residual) - P(y)),
        };
        if (packed.Kind == PackedKind.Depthwise)
        {
            DepthwiseForward(w.Geometry, P(x), packed.Weights, P(b), P(y), moments: null, finish, accumulate: inPlace);
            return;
        }
        switch (Simd.MaxWidth)
        {
            case 16: DensePacked<Vector512<float>>(packed, P(x), P(b), P(y), finish, inPlace); break;
            case 8: DensePacked<Vector256<float>>(packed, P(x), P(b), P(y), finish, inPlace); break;
            case 4: DensePacked<Vector128<float>>(packed, P(x), P(b), P(y), finish, inPlace); break;
            default: DensePacked<float>(packed, P(x), P(b), P(y), finish, inPlace); break;
        }
    }

    private CpuPackedConv2d PackDense<V>(in Conv2dGeometry g, BufferView w, Conv2dAccuracy accuracy) where V : unmanaged
    {
        if (GroupedFits<V>(g.GroupC, g.GroupK)) return new CpuPackedConv2d(_device, g, PackedKind.SmallGroups, CopyOf(w));
        if (accuracy == Conv2dAccuracy.Fast && WinogradFits(g))
        {
            var transformed = _device.Rent(WinogradPackedLength<V>(g));
            WinogradPack<V>(g, P(w), P(transformed.View));
            return new CpuPackedConv2d(_device, g, PackedKind.Winograd, transformed);
        }
        using var taps = TapScratch(g);
        var map = PixelMap.Forward(g, (Tap*)taps.Pointer);
        var panels = _device.Rent(PackedLength<V>(map, g.Groups));
        PackPanels<V>(map, g.Groups, P(w), ForwardLayout(g), P(panels.View));
        return new CpuPackedConv2d(_device, g, PackedKind.Panels, panels);
    }

    private void DensePacked<V>(CpuPackedConv2d w, float* x, float* b, float* y, TileFinish finish, bool inPlace) where V : unmanaged
    {
        var g = w.Geometry;
        if (w.Kind == PackedKind.Winograd)
        {
            WinogradForward<V>(g, x, w.Weights, b, y, finish, accumulate: inPlace);
            return;
        }
        if (StripsFit(g) && !finish.HasResidual && !inPlace)
        {
            StripForward<V>(g, x, w.Weights, b, y, finish.Activation, moments: null);
            return;
        }
        using var taps = TapScratch(g);
        finish.AddBias = inPlace && b != null;
        GatherPacked<V>(PixelMap.Forward(g, (Tap*)taps.Pointer), g.Groups, x, w.Weights, b, y, accumulate: inPlace, finish, moments: null);
    }

    /// <summary>Small groups, whose few weights are brought into order on the way.</summary>
    private void SmallGroupsPacked(CpuPackedConv2d w, ActivationKind activation, BufferView x, BufferView b, BufferView residual, BufferView y)
    {
        bool inPlace = residual == y;
        using var copy = _device.Rent(inPlace ? w.Geometry.OutputLength : 0);
        if (inPlace) Scale(y, copy.View, 1, accumulate: false);
        Conv2dForward(w.Geometry, x, w.View, b, y, default);
        if (!residual.IsEmpty) Add(y, inPlace ? copy.View : residual, y);
        if (activation != ActivationKind.Identity) ActivationForward(activation, y, y);
    }

    private DeviceBuffer CopyOf(BufferView w)
    {
        var copy = _device.Rent(w.Length);
        Scale(w, copy.View, 1, accumulate: false);
        return copy;
    }

    private enum PackedKind
    {
        /// <summary>[R, S, C], as they are: too few to be worth packing ahead.</summary>
        Depthwise,

        /// <summary>[R, S, C/g, K], as they are.</summary>
        SmallGroups,

        /// <summary>Panels of the gathered product.</summary>
        Panels,

        /// <summary>Transformed.</summary>
        Winograd,
    }

    private sealed class CpuPackedConv2d(CpuDevice device, Conv2dGeometry g, PackedKind kind, DeviceBuffer memory) : PackedConv2d(g)
    {
        public PackedKind Kind { get; } = kind;

        public BufferView View => memory.View;

        /// <summary>Keeps the device alive, whose pool the memory is from.</summary>
        public CpuDevice Device { get; } = device;

        public float* Weights => P(memory.View);

        public override string Algorithm => Kind switch
        {
            PackedKind.Winograd => "Winograd F(4×4, 3×3)",
            PackedKind.Panels => Geometry.IsPointwise ? "matrix product" : "gathered product",
            PackedKind.Depthwise => "depthwise",
            _ => "small groups",
        };

        public override long Bytes => memory.Length * sizeof(float);

        public override void Dispose() => memory.Dispose();
    }
}
