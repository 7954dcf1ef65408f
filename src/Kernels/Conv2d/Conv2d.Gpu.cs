namespace RefConv.Kernels;

/// <remarks>
/// Depthwise convolutions are bound by memory and have kernels of their own (<c>Conv2d.Gpu.Depthwise.cs</c>). Groups of few channels
/// have theirs too (<c>Conv2d.Gpu.SmallGroups.cs</c>). All others are matrix products that gather one factor while they run (<c>Gemm.Gpu.Product.cs</c>; on tensor cores
/// <c>Gemm.Gpu.Tensor.cs</c>): nothing is unfolded in memory. Here it is said what is gathered, and in which order.
/// </remarks>
internal sealed partial class GpuKernels
{
    public void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments)
    {
        g.MustBeDense();
        if (g.OutputLength > 0)
        {
            if (g.IsDepthwise) DepthwiseForward(g, x, w, b, default, ActivationKind.Identity, y);
            else DenseForward(g, x, w, y, new(b, default, ActivationKind.Identity));
        }
        if (!moments.IsEmpty) WriteMoments((long)g.N * g.P * g.Q, g.K, y, moments);
    }

    public void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate)
    {
        g.MustBeDense();
        if (g.InputLength == 0) return;
        if (g.IsDepthwise) DepthwiseInputGradient(g, dy, w, dx, accumulate);
        else DenseInputGradient(g, dy, w, dx, accumulate);
    }

    public void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate)
    {
        g.MustBeDense();
        if (g.WeightLength == 0) return;
        if (g.IsDepthwise) DepthwiseWeightGradient(g, x, dy, dw, accumulate);
        else DenseWeightGradient(g, x, dy, dw, accumulate);
    }

    private void DenseForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView y, ProductEpilogue epilogue)
    {
        if (FirstHalf(g) is { } half)
        {
            var rest = g with { N = g.N - half.N };
            DenseForward(half, x.Slice(0, half.InputLength), w, y.Slice(0, half.OutputLength), epilogue with { Residual = Part(epilogue.Residual, 0, half.OutputLength) });
            DenseForward(rest, x.Slice(half.InputLength, rest.InputLength), w, y.Slice(half.OutputLength, rest.OutputLength),
                epilogue with { Residual = Part(epilogue.Residual, half.OutputLength, rest.OutputLength) });
            return;
        }
        bool isWide = IsProductWide(g.GroupC, g.GroupK, x, w, y, epilogue.Bias, epilogue.Residual);
        if (isWide && AreSmallGroups(g)) SmallGroups<ForwardForm>([ForwardArguments(g, x, w)], g.Groups, y, epilogue);
        else RunProduct<ForwardForm, NarrowForwardForm>([ForwardArguments(g, x, w)], g.Groups, isWide, y, epilogue);
    }

    private void DenseInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate)
    {
        if (FirstHalf(g) is { } half)
        {
            var rest = g with { N = g.N - half.N };
            DenseInputGradient(half, dy.Slice(0, half.OutputLength), w, dx.Slice(0, half.InputLength), accumulate);
            DenseInputGradient(rest, dy.Slice(half.OutputLength, rest.OutputLength), w, dx.Slice(half.InputLength, rest.InputLength), accumulate);
            return;
        }
        bool isWide = IsProductWide(g.GroupC, g.GroupK, dy, w, dx);
        var epilogue = accumulate ? ProductEpilogue.AddTo(dx) : default;
        if (isWide && AreSmallGroups(g)) SmallGroups<InputGradientForm>(InputGradientArguments(g, dy, w), g.Groups, dx, epilogue);
        else RunProduct<InputGradientForm, NarrowInputGradientForm>(InputGradientArguments(g, dy, w), g.Groups, isWide, dx, epilogue);
    }

    private void DenseWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate)
    {
        if (FirstHalf(g) is { } half)
        {
            var rest = g with { N = g.N - half.N };
            DenseWeightGradient(half, x.Slice(0, half.InputLength), dy.Slice(0, half.OutputLength), dw, accumulate);
            DenseWeightGradient(rest, x.Slice(half.InputLength, rest.InputLength), dy.Slice(half.OutputLength, rest.OutputLength), dw, true);
            return;
        }
        bool isWide = IsProductWide(g.GroupC, g.GroupK, x, dy, dw);
        if (isWide && AreSmallGroups(g)) SmallGroupsWeightGradient(WeightGradientArguments(g, x, dy), g.Groups, dw, accumulate);
        else RunProduct<WeightGradientForm, NarrowWeightGradientForm>([WeightGradientArguments(g, x, dy)], g.Groups, isWide, dw, accumulate ? ProductEpilogue.AddTo(dw) : default);
    }

    /// <summary>The first half of the images where a map has more elements than the kernels' 32-bit indices reach; otherwise nothing.</summary>
    private static Conv2dGeometry? FirstHalf(in Conv2dGeometry g) =>
        Math.Max(g.InputLength, g.OutputLength) > LongestMap && g.N > 1 ? g with { N = g.N / 2 } : null;

    /// <summary>Leaves room for the tile that reaches beyond the end.</summary>
    private const long LongestMap = int.MaxValue - (1 << 24);

    private static BufferView Part(BufferView view, long offset, long length) => view.IsEmpty ? view : view.Slice(offset, length);

    private ProductArguments ForwardArguments(in Conv2dGeometry g, BufferView x, BufferView w) => new()
    {
        A = V(x), B = V(w), Pixels = ForwardPixels(g),
        Rows = g.N * g.P * g.Q, Columns = g.GroupK, Depth = g.R * g.S * g.GroupC,
        GroupA = g.GroupC, GroupB = g.GroupK, GroupY = g.GroupK,
        PitchB = g.K, IsDense = 1, PitchY = g.K, ColumnY = 1,
    };

    private ProductArguments WeightGradientArguments(in Conv2dGeometry g, BufferView x, BufferView dy) => new()
    {
        A = V(x), B = V(dy), Pixels = ForwardPixels(g),
        Rows = g.R * g.S * g.GroupC, Columns = g.GroupK, Depth = g.N * g.P * g.Q,
        GroupA = g.GroupC, GroupB = g.GroupK, GroupY = g.GroupK,
        PitchB = g.K, IsDense = 1, PitchY = g.K, ColumnY = 1,
    };

    private static PixelGrid ForwardPixels(in Conv2dGeometry g) => new()
    {
        H = Math.Max(1, g.P), W = Math.Max(1, g.Q), SourceH = g.H, SourceW = g.W, SourceC = g.C,
        StrideH = g.StrideH, StrideW = g.StrideW, OffsetH = -g.PadTop, OffsetW = -g.PadLeft, StepH = g.DilationH, StepW = g.DilationW,
        TapsW = g.S, Channels = g.GroupC,
    };

    /// <summary>
    /// One product for every remainder of input pixels by the stride: only some taps meet them, the same for all, and among them the map steps by one. No product with
    /// a zero between strides is ever computed.
    /// </summary>
    private ProductArguments[] InputGradientArguments(in Conv2dGeometry g, BufferView dy, BufferView w)
    {
        List<ProductArguments> phases = [];
        for (int phaseH = 0; phaseH < Math.Min(g.StrideH, g.H); phaseH++)
        for (int phaseW = 0; phaseW < Math.Min(g.StrideW, g.W); phaseW++)
        {
            var vertical = Phase.Of(phaseH, g.StrideH, g.DilationH, g.PadTop, g.R);
            var horizontal = Phase.Of(phaseW, g.StrideW, g.DilationW, g.PadLeft, g.S);
            int h = DivideUp(g.H - phaseH, g.StrideH), width = DivideUp(g.W - phaseW, g.StrideW);
            phases.Add(new()
            {
                A = V(dy), B = V(w),
                Pixels = new()
                {
                    H = h, W = width, SourceH = g.P, SourceW = g.Q, SourceC = g.K, StrideH = 1, StrideW = 1,
                    OffsetH = vertical.Offset, OffsetW = horizontal.Offset, StepH = vertical.Step, StepW = horizontal.Step,
                    TapsW = Math.Max(1, horizontal.Taps), Channels = g.GroupK,
                },
                Rows = g.N * h * width, Columns = g.GroupC, Depth = vertical.Taps * horizontal.Taps * g.GroupK,
                GroupA = g.GroupK, GroupB = g.GroupK, GroupY = g.GroupC, PitchB = g.K,
                FirstTap = ((vertical.First * g.S) + horizontal.First) * g.GroupC * g.K,
                TapStrideH = vertical.Apart * g.S * g.GroupC * g.K, TapStrideW = horizontal.Apart * g.GroupC * g.K,
                IsDense = g.StrideH == 1 && g.StrideW == 1 ? 1 : 0, PitchY = g.C, ColumnY = 1,
                FirstY = ((phaseH * g.W) + phaseW) * g.C, ImageY = g.H * g.W * g.C, StrideYH = g.StrideH * g.W * g.C, StrideYW = g.StrideW * g.C,
            });
        }
        return [.. phases];
    }

    /// <summary>Taps that meet the pixels of one remainder along one axis: the first, how many apart they are, how many; and where they look in the result's gradient.</summary>
    private readonly record struct Phase(int First, int Apart, int Taps, int Offset, int Step)
    {
        /// <remarks>Row p of the result touches input row h by tap r when p·stride = h + pad − r·dilation, so the right side must be a multiple of the stride.</remarks>
        public static Phase Of(int phase, int stride, int dilation, int pad, int taps)
        {
            int apart = stride / (int)System.Numerics.BigInteger.GreatestCommonDivisor(stride, dilation);
            for (int first = 0; first < Math.Min(apart, taps); first++)
            {
                int distance = phase + pad - (first * dilation);
                if (distance % stride == 0) return new(first, apart, ((taps - 1 - first) / apart) + 1, distance / stride, -(apart * dilation / stride));
            }
            return default;
        }
    }
}
