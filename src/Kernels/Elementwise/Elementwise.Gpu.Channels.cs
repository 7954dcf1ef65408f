using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void AddChannels(in BroadcastGeometry g, BufferView x, BufferView b, BufferView y) =>
        MapChannels<SumFunction>(g.N, g.Pixels, g.C, x, b, y, default, accumulate: false);

    public void MultiplyChannels(in BroadcastGeometry g, BufferView x, BufferView s, BufferView y, bool accumulate) =>
        MapChannels<ProductFunction>(g.N, g.Pixels, g.C, x, s, y, default, accumulate);

    public void MultiplyChannelsScaleGradient(in BroadcastGeometry g, BufferView x, BufferView dy, BufferView ds, bool accumulate) =>
        SumColumns<ProductFunction>(new(g.N, g.Pixels, g.C), x, dy, ds, 1, accumulate);

    /// <summary>y[n,p,c] (+)= f(x[n,p,c], s[n,c])</summary>
    private void MapChannels<F>(long images, long pixels, long channels, BufferView x, BufferView s, BufferView y, FunctionParameters parameters, bool accumulate)
        where F : struct, IGpuFunction
    {
        if (images * pixels * channels == 0) return;
        bool wide = IsWide(channels, x, s, y);
        int width = wide ? 4 : 1;
        long image = pixels * channels;
        // Whole images in a launch, as many as fit; of an image that is larger than that, a piece.
        foreach (var (firstImage, imageCount) in Pieces(images, Math.Min(image, MostElements)))
        foreach (var (first, count) in Pieces(pixels, channels))
        {
            var arguments = new ChannelMapArguments
            {
                X = V(Rows(x, (firstImage * pixels) + first, imageCount * count, channels)), S = V(Rows(s, firstImage, imageCount, channels)),
                Y = V(Rows(y, (firstImage * pixels) + first, imageCount * count, channels)), Count = (int)(imageCount * count * channels / width),
                Channels = new(channels / width), Image = new(count * channels / width), Parameters = parameters, Accumulate = accumulate ? 1 : 0,
            };
            if (wide) LaunchElements(ChannelMapKernel<Float4, F>, arguments.Count, arguments);
            else LaunchElements(ChannelMapKernel<Float1, F>, arguments.Count, arguments);
        }
    }

    internal struct ChannelMapArguments
    {
        public ArrayView<float> X, S, Y;
        public int Count, Accumulate;
        public Divisor Channels, Image;
        public FunctionParameters Parameters;
    }

    /// <remarks>Bytes: x and y once; s stays in the caches. Bound by memory like <see cref="MapKernel"/>: the two divisions are six instructions (expected: above 90 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(SumFunction)), GpuVariant(typeof(Float4), typeof(ProductFunction)), GpuVariant(typeof(Float4), typeof(ScaleOtherFunction))]
    [GpuVariant(typeof(Float1), typeof(SumFunction)), GpuVariant(typeof(Float1), typeof(ProductFunction)), GpuVariant(typeof(Float1), typeof(ScaleOtherFunction))]
    private static void ChannelMapKernel<L, F>(ChannelMapArguments a) where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        var y = a.Y.Cast<L>();
        var s = a.S.Cast<L>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int image = a.Image.Divide(i), channel = a.Channels.Rest(i, a.Channels.Divide(i));
            L x = default;
            if (F.ReadsA) x = a.X.Cast<L>()[i];
            L value = F.Apply(a.Parameters, x, s[(image * a.Channels.Value) + channel]);
            if (a.Accumulate != 0) value = y[i] + value;
            y[i] = value;
        }
    }
}
