namespace RefConv.Kernels;

/// <remarks>
/// Depthwise convolution does 2·R·S operations on every 8 bytes: it is bound by memory up to 7×7, and the kernels are about reading each value once. A thread has four
/// channels and a few neighbouring results; what the windows of neighbouring threads share comes from the first-level cache, because a group is a compact tile.
/// <list type="bullet">
/// <item>Windows 3, 5 or 7 wide, stride 1 or 2: <c>Depthwise.Rows.cs</c>. The input gradient of stride 1 is the same with the kernel turned round.</item>
/// <item>The input gradient of stride 2, windows 3 or 5 wide: <c>Depthwise.Spread.cs</c>.</item>
/// <item>The weight gradient of the same windows: <c>Depthwise.Weights.cs</c>.</item>
/// <item>Everything else: <c>Depthwise.Any.cs</c>.</item>
/// </list>
/// </remarks>
internal sealed partial class GpuKernels
{
    /// <summary>y = activation(conv(x) + b + residual); the residual may be the memory of y.</summary>
    private void DepthwiseForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView residual, ActivationKind activation, BufferView y) =>
        DepthwiseProduct(g, x, w, b, residual, activation, y, turned: false);

    private void DepthwiseInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate)
    {
        if (g.InputLength == 0) return;
        if (g.StrideH == 1 && g.StrideW == 1)
        {
            DepthwiseProduct(Turned(g), dy, w, default, accumulate ? dx : default, ActivationKind.Identity, dx, turned: true);
            return;
        }
        bool wide = IsWide(g.C, dy, w, dx);
        foreach (var (first, count) in DepthwisePieces(g))
        {
            var arguments = DepthwiseArgumentsOf(g, wide, count);
            arguments.X = V(Rows(dy, first, count, (long)g.P * g.Q * g.C));
            arguments.Weights = V(w);
            arguments.Y = V(Rows(dx, first, count, (long)g.H * g.W * g.C));
            arguments.Residual = arguments.Y;
            arguments.HasResidual = accumulate ? 1 : 0;
            bool done = wide ? LaunchDepthwiseSpread<Float4>(g, arguments) : LaunchDepthwiseSpread<Float1>(g, arguments);
            if (done) continue;
            long elements = count * g.H * g.W * arguments.Channels.Value;
            if (wide) LaunchElements(DepthwiseAnyInputGradientKernel<Float4>, elements, arguments);
            else LaunchElements(DepthwiseAnyInputGradientKernel<Float1>, elements, arguments);
        }
    }

    /// <summary>The forward product; with <paramref name="turned"/>, of the kernel turned by half a circle.</summary>
    private void DepthwiseProduct(
        in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView residual, ActivationKind activation, BufferView y, bool turned)
    {
        if (g.OutputLength == 0) return;
        bool wide = IsWide(g.C, x, w, b, residual, y);
        foreach (var (first, count) in DepthwisePieces(g))
        {
            var arguments = DepthwiseArgumentsOf(g, wide, count);
            arguments.X = V(Rows(x, first, count, (long)g.H * g.W * g.C));
            arguments.Weights = V(w);
            arguments.Bias = V(b);
            arguments.Residual = V(Rows(residual, first, count, (long)g.P * g.Q * g.C));
            arguments.Y = V(Rows(y, first, count, (long)g.P * g.Q * g.C));
            arguments.HasBias = b.IsEmpty ? 0 : 1;
            arguments.HasResidual = residual.IsEmpty ? 0 : 1;
            arguments.Activation = activation;
            if (turned) arguments.Turn();
            bool done = wide ? LaunchDepthwiseRows<Float4>(g, arguments) : LaunchDepthwiseRows<Float1>(g, arguments);
            if (done) continue;
            long elements = count * g.P * g.Q * arguments.Channels.Value;
            if (wide) LaunchElements(DepthwiseAnyKernel<Float4>, elements, arguments);
            else LaunchElements(DepthwiseAnyKernel<Float1>, elements, arguments);
        }
    }

    /// <summary>The convolution of dy that is the input gradient at stride 1: the maps change places, and a window begins where the last one that reaches it ended.</summary>
    private static Conv2dGeometry Turned(in Conv2dGeometry g)
    {
        int reachH = g.DilationH * (g.R - 1), reachW = g.DilationW * (g.S - 1);
        return g with
        {
            H = g.P, W = g.Q, PadTop = reachH - g.PadTop, PadBottom = reachH - g.PadBottom, PadLeft = reachW - g.PadLeft, PadRight = reachW - g.PadRight,
        };
    }

    private static IEnumerable<(long First, long Count)> DepthwisePieces(in Conv2dGeometry g) =>
        Pieces(g.N, Math.Max((long)g.H * g.W, (long)g.P * g.Q) * g.C, MostGroups);

    private static DepthwiseArguments DepthwiseArgumentsOf(in Conv2dGeometry g, bool wide, long images)
    {
        int channels = wide ? g.C / 4 : g.C;
        return new()
        {
            N = (int)images, H = g.H, W = g.W, P = g.P, Q = g.Q, R = g.R, S = g.S, Channels = new(channels),
            StrideH = g.StrideH, StrideW = g.StrideW, DilationH = g.DilationH, DilationW = g.DilationW, PadTop = g.PadTop, PadLeft = g.PadLeft,
            WeightRow = g.S * channels, WeightColumn = channels,
        };
    }

    internal struct DepthwiseArguments
    {
        public ILGPU.ArrayView<float> X, Weights, Bias, Residual, Y;
        public int N, H, W, P, Q, R, S, StrideH, StrideW, DilationH, DilationW, PadTop, PadLeft;

        /// <summary>In lanes, as all that is counted in channels here.</summary>
        public Divisor Channels;

        /// <summary>Where w[0, 0] is, and how far the next row and the next column are.</summary>
        public int WeightFirst, WeightRow, WeightColumn;
        public int HasBias, HasResidual;
        public ActivationKind Activation;
        public DepthwiseTile Tile;

        /// <summary>From the last weight to the first.</summary>
        public void Turn()
        {
            WeightFirst = ((R * S) - 1) * Channels.Value;
            WeightRow = -WeightRow;
            WeightColumn = -WeightColumn;
        }
    }
}
