using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <remarks>
/// Three families: depthwise (<c>Conv2d.Cpu.Depthwise.cs</c>), and for everything else a product that gathers its rows through pointers
/// (<c>Conv2d.Cpu.Gather.cs</c>: forward and input gradient) and a sum of outer products (<c>Conv2d.Cpu.WeightGradient.cs</c>). Groups of so few channels that a
/// vector covers several have their own of either (<c>Conv2d.Cpu.Grouped*.cs</c>). Where
/// <see cref="CpuDevice.ConvolutionAccuracy"/> allows it, Winograd's algorithm (<c>Conv2d.Cpu.Winograd.cs</c>) takes the place of the gathering product.
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments)
    {
        if (!ReadsStrided(g)) g.MustBeDense();
        if (g.IsDepthwise)
        {
            DepthwiseForward(g, P(x), P(w), P(b), P(y), P(moments));
            return;
        }
        switch (Simd.MaxWidth)
        {
            case 16: DenseForward<Vector512<float>>(g, P(x), P(w), P(b), P(y), P(moments)); break;
            case 8: DenseForward<Vector256<float>>(g, P(x), P(w), P(b), P(y), P(moments)); break;
            case 4: DenseForward<Vector128<float>>(g, P(x), P(w), P(b), P(y), P(moments)); break;
            default: DenseForward<float>(g, P(x), P(w), P(b), P(y), P(moments)); break;
        }
    }

    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate)
    {
        if (!ReadsStrided(g)) g.MustBeDense();
        if (g.IsDepthwise)
        {
            DepthwiseInputGradient(g, P(dy), P(w), P(dx), accumulate);
            return;
        }
        switch (Simd.MaxWidth)
        {
            case 16: DenseInputGradient<Vector512<float>>(g, P(dy), P(w), P(dx), accumulate); break;
            case 8: DenseInputGradient<Vector256<float>>(g, P(dy), P(w), P(dx), accumulate); break;
            case 4: DenseInputGradient<Vector128<float>>(g, P(dy), P(w), P(dx), accumulate); break;
            default: DenseInputGradient<float>(g, P(dy), P(w), P(dx), accumulate); break;
        }
    }

    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate)
    {
        if (!ReadsStrided(g)) g.MustBeDense();
        if (g.IsDepthwise)
        {
            DepthwiseWeightGradient(g, P(x), P(dy), P(dw), accumulate);
            return;
        }
        switch (Simd.MaxWidth)
        {
            case 16: DenseWeightGradient<Vector512<float>>(g, P(x), P(dy), P(dw), accumulate); break;
            case 8: DenseWeightGradient<Vector256<float>>(g, P(x), P(dy), P(dw), accumulate); break;
            case 4: DenseWeightGradient<Vector128<float>>(g, P(x), P(dy), P(dw), accumulate); break;
            default: DenseWeightGradient<float>(g, P(x), P(dy), P(dw), accumulate); break;
        }
    }

    /// <summary>
    /// Shapes whose input, and its gradient, may be a run of channels of a larger map: 1×1 convolutions of one group. The gathered product and the outer products find pixels through pointers, so
    /// it does not matter to them how far apart those lie. See <see cref="Device.CanReadStrided"/>.
    /// </summary>
    internal static bool ReadsStrided(in Conv2dGeometry g) => g is { R: 1, S: 1, Groups: 1 } && !g.IsDepthwise && !SmallGroupsFit(g.C, g.K) && !SmallGroupsFit(g.K, g.C);

    private void DenseForward<V>(in Conv2dGeometry g, float* x, float* w, float* b, float* y, float* moments) where V : unmanaged
    {
        if (_device.ConvolutionAccuracy == Conv2dAccuracy.Fast && WinogradFitsWithPacking(g))
        {
            using var packed = _device.Scratch(WinogradPackedLength<V>(g));
            WinogradPack<V>(g, w, packed.Pointer);
            WinogradForward<V>(g, x, packed.Pointer, b, y, default);
            if (moments != null) WriteMoments(y, (long)g.N * g.P * g.Q, g.K, moments);
            return;
        }
        using var taps = TapScratch(g);
        var map = PixelMap.Forward(g, (Tap*)taps.Pointer);
        if (StripsFit(g))
        {
            using var packed = _device.Scratch(PackedLength<V>(map, groups: 1));
            PackPanels<V>(map, groups: 1, w, ForwardLayout(g), packed.Pointer);
            StripForward<V>(g, x, packed.Pointer, b, y, ActivationKind.Identity, moments);
            return;
        }
        if (!GroupedFits<V>(g.GroupC, g.GroupK))
        {
            GatherProduct<V>(map, g.Groups, x, w, ForwardLayout(g), b, y, accumulate: false, moments);
            return;
        }
        GroupedProduct<V>(map, g.Groups, x, w, ForwardLayout(g), b, y, accumulate: false);
        if (moments != null) WriteMoments(y, (long)g.N * g.P * g.Q, g.K, moments);
    }

    private static WeightLayout ForwardLayout(in Conv2dGeometry g) =>
        new(TapStride: (long)g.GroupC * g.K, RowStride: g.K, ColumnStride: 1, GroupStride: g.GroupK);

    private void DenseInputGradient<V>(in Conv2dGeometry g, float* dy, float* w, float* dx, bool accumulate) where V : unmanaged
    {
        if (_device.ConvolutionAccuracy == Conv2dAccuracy.Fast && WinogradInputGradientFitsWithPacking(g))
        {
            using var packed = _device.Scratch(WinogradTransposedLength<V>(g));
            WinogradPackTransposed<V>(g, w, packed.Pointer);
            WinogradInputGradient<V>(g, dy, packed.Pointer, dx, accumulate);
            return;
        }
        using var taps = TapScratch(g);
        // The same product over dy, with every tap's weight matrix transposed: the sum now runs along k, which is contiguous in w.
        var layout = new WeightLayout(TapStride: (long)g.GroupC * g.K, RowStride: 1, ColumnStride: g.K, GroupStride: g.GroupK);
        for (int phaseH = 0; phaseH < Math.Min(g.StrideH, g.H); phaseH++)
        for (int phaseW = 0; phaseW < Math.Min(g.StrideW, g.W); phaseW++)
        {
            var map = PixelMap.InputGradient(g, phaseH, phaseW, (Tap*)taps.Pointer);
            if (GroupedFits<V>(g.GroupK, g.GroupC)) GroupedProduct<V>(map, g.Groups, dy, w, layout, bias: null, dx, accumulate);
            else GatherProduct<V>(map, g.Groups, dy, w, layout, bias: null, dx, accumulate);
        }
    }

    private void DenseWeightGradient<V>(in Conv2dGeometry g, float* x, float* dy, float* dw, bool accumulate) where V : unmanaged
    {
        if (_device.ConvolutionAccuracy == Conv2dAccuracy.Fast && WinogradWeightGradientFits(g))
        {
            WinogradWeightGradient<V>(g, x, dy, dw, accumulate);
            return;
        }
        if (StripsFit(g))
        {
            StripWeightGradient<V>(g, x, dy, dw, accumulate);
            return;
        }
        using var taps = TapScratch(g);
        var map = PixelMap.Forward(g, (Tap*)taps.Pointer);
        if (GroupedFits<V>(g.GroupC, g.GroupK)) GroupedWeightGradient<V>(map, g.Groups, x, dy, dw, accumulate);
        else OuterProduct<V>(map, g.Groups, x, dy, dw, accumulate);
    }

    /// <summary>Room for the taps of a kernel.</summary>
    private CpuScratch TapScratch(in Conv2dGeometry g) => _device.Scratch((long)g.R * g.S * sizeof(Tap) / sizeof(float));
}
