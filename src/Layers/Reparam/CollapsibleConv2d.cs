using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// <c>conv2(conv1(x)) + x</c> as one convolution: <c>W[o,i] = Σ_p W₂[o,p]·W₁[p,i]</c>, plus 1 at the middle tap of W[o,o] where there is a
/// residual, and <c>b = b₂ + W₂·b₁</c>. The 1×1 comes last, so the collapse is exact at the border too, whatever the stride and padding.
/// </summary>
/// <remarks>
/// State: <c>conv1.weight [p, in/g, kh, kw], conv1.bias [p], conv2.weight [out, p/g, 1, 1], conv2.bias [out]</c> (biases where the replaced
/// convolution had one), and <c>conv0.weight [p, in, 1, 1]</c> with a leading 1×1, which then feeds conv1 and has no bias.
/// </remarks>
internal sealed class CollapsibleConv2d : ComputedKernelConv2d
{
    private readonly bool _residual, _expanded, _leading;
    private Tensor? _identity;

    public CollapsibleConv2d(Conv2d conv, ClbOptions options, Initializer init)
        : base(conv)
    {
        (_expanded, _leading, _residual) = (options.Expanded, options.LeadingPointwise, options.Residual && CanBeIdentity(conv));
        int groups = Options.Groups, perGroup = Math.Max((options.Width + groups - 1) / groups, OutChannels / groups);
        int middle = perGroup * groups, leading = Math.Max(options.Width, InChannels);
        var device = conv.Weight.Device;
        if (_leading) Add("conv0", new Conv2d(device, InChannels, leading, (1, 1), new Conv2dOptions(), bias: false));
        Add("conv1", new Conv2d(device, _leading ? leading : InChannels, middle, KernelSize, Options, HasBias));
        Add("conv2", new Conv2d(device, middle, OutChannels, (1, 1), new Conv2dOptions(groups), HasBias));
        if (conv.Bias is { } bias) device.Kernels.Scale(bias.Data, Second.Bias!.Data, 1, accumulate: false);
        var random = init.NextStream();
        if (options.Init == ClbInit.Inherit) Inherit(conv, random);
        else foreach (var (_, module) in Children) Initializer.XavierUniform(((Conv2d)module).Weight, random);
    }

    private Conv2d First => (Conv2d)Child("conv1");

    private Conv2d Second => (Conv2d)Child("conv2");

    public override Tensor EffectiveKernel()
    {
        // To the 1×1 kernel the taps and input channels of the first one are pixels: their product is a convolution with as many groups.
        var (h, w) = KernelSize;
        int inner = First.Weight.Shape[2];
        var kernel = First.Weight.Reshape(new Shape(1, h * w * inner, 1, First.OutChannels)).Conv2d(Second.Weight, null, Second.Options, name: Name)
            .Reshape(new Shape(h, w, inner, OutChannels));
        if (_leading) kernel = ((Conv2d)Child("conv0")).Weight.LeadingProduct(kernel, Name);
        return _residual ? kernel.Add(_identity ??= MakeIdentity(), Name) : kernel;
    }

    public override Tensor? EffectiveBias() => HasBias
        ? First.Bias!.Reshape(new Shape(1, 1, 1, First.OutChannels)).Conv2d(Second.Weight, Second.Bias, Second.Options, name: Name).Reshape(new Shape(OutChannels))
        : null;

    public override Tensor Forward(Tensor x, bool moments)
    {
        if (!_expanded) return base.Forward(x, moments);
        var y = Second.Forward(First.Forward(_leading ? Child("conv0").Forward(x) : x));
        return _residual ? y.Add(x, Name) : y;
    }

    public override Conv2d Merge()
    {
        if (!_expanded) return base.Merge();
        var kernel = KernelAlgebra.ThenPointwise(Kernel.Of(First), Kernel.Of(Second));
        if (_leading) kernel = KernelAlgebra.Then(Kernel.Of((Conv2d)Child("conv0")), kernel, borderIsBias: false); // no bias: its border is 0
        if (_residual) kernel = KernelAlgebra.Add(kernel, KernelAlgebra.Identity(OutChannels, KernelSize.H, KernelSize.W, Options.Groups));
        return kernel.ToConv2d(First.Weight.Device, Options, HasBias);
    }

    protected override void OnCloned() => _identity = null;

    protected override void Dispose(bool disposing)
    {
        if (disposing) _identity?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>The output has the input's shape and the middle tap of the kernel lies on the output's pixel.</summary>
    private static bool CanBeIdentity(Conv2d conv)
    {
        var (o, (h, w)) = (conv.Options, conv.KernelSize);
        int rows = o.DilationH * (h / 2), columns = o.DilationW * (w / 2);
        return conv.InChannels == conv.OutChannels && h % 2 == 1 && w % 2 == 1 && (o.StrideH, o.StrideW) == (1, 1)
            && (o.PadTop, o.PadBottom, o.PadLeft, o.PadRight) == (rows, rows, columns, columns);
    }

    /// <summary>
    /// W₂ (and W₀) random with orthonormal rows, so that their transposes are their inverses from the right, and W₁ = W₂ᵀ·(W − identity)·W₀ᵀ: of all W₁
    /// that collapse to W the smallest.
    /// </summary>
    private void Inherit(Conv2d conv, RandomStream random)
    {
        var device = conv.Weight.Device;
        Second.Weight.FromTorch(OrthonormalRows(OutChannels, Second.InChannels / Options.Groups, OutChannels / Options.Groups, random));
        using var target = conv.Weight.Clone();
        if (_residual) device.Kernels.Scale((_identity ??= MakeIdentity()).Data, target.Data, -1, accumulate: true);
        int inner = InChannels / Options.Groups;
        var collapse = new Conv2dGeometry(1, KernelSize.H * KernelSize.W * inner, 1, First.OutChannels, OutChannels, 1, 1) { Groups = Options.Groups };
        if (!_leading)
        {
            device.Kernels.Conv2dInputGradient(collapse, target.Data, Second.Weight.Data, First.Weight.Data, accumulate: false); // W·W₂ as rows of taps
            return;
        }
        var leading = (Conv2d)Child("conv0");
        // In files [q, in]: columns orthonormal.
        double[] rows = OrthonormalRows(InChannels, leading.OutChannels, InChannels, random), weight = new double[rows.Length];
        for (int i = 0; i < InChannels; i++)
            for (int q = 0; q < leading.OutChannels; q++) weight[(q * InChannels) + i] = rows[(i * leading.OutChannels) + q];
        leading.Weight.FromTorch(weight);
        using var middle = device.Rent(collapse.N * (long)collapse.H * collapse.C);
        device.Kernels.Conv2dInputGradient(collapse, target.Data, Second.Weight.Data, middle.View, accumulate: false);
        var product = new GemmGeometry(leading.OutChannels, First.OutChannels, InChannels, TransposeA: true);
        for (int tap = 0; tap < KernelSize.H * KernelSize.W; tap++)
        {
            device.Kernels.Gemm(product, leading.Weight.Data, middle.View.Slice((long)tap * product.K * product.N, (long)product.K * product.N),
                First.Weight.Data.Slice((long)tap * product.M * product.N, (long)product.M * product.N), accumulate: false);
        }
    }

    /// <summary>Random rows, orthonormal in every run of <paramref name="groupRows"/>: Gram and Schmidt, twice, which is as exact as doubles are.</summary>
    private static double[] OrthonormalRows(int rows, int length, int groupRows, RandomStream random)
    {
        double[] matrix = new double[(long)rows * length];
        for (int i = 0; i < matrix.Length; i++) matrix[i] = random.NextNormal();
        for (int r = 0; r < rows; r++)
        {
            var row = matrix.AsSpan(r * length, length);
            for (int pass = 0; pass < 2; pass++)
            {
                for (int before = r / groupRows * groupRows; before < r; before++)
                {
                    var other = matrix.AsSpan(before * length, length);
                    double along = Dot(row, other);
                    for (int i = 0; i < length; i++) row[i] -= along * other[i];
                }
                double norm = Math.Sqrt(Dot(row, row));
                for (int i = 0; i < length; i++) row[i] /= norm;
            }
        }
        return matrix;

        static double Dot(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
        {
            double sum = 0;
            for (int i = 0; i < a.Length; i++) sum += a[i] * b[i];
            return sum;
        }
    }

    private Tensor MakeIdentity()
    {
        var layout = ParameterLayout.Conv2d(OutChannels, InChannels / Options.Groups, KernelSize.H, KernelSize.W);
        double[] identity = KernelAlgebra.Identity(OutChannels, KernelSize.H, KernelSize.W, Options.Groups).Weight;
        return Tensor.From(First.Weight.Device, layout.ToMemory<double>(identity), layout.MemoryShape);
    }
}
