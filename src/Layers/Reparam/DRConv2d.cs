using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// The layer of <see cref="DRConvMethod"/>. F = guide(x), one channel a region; M = argmax F; kernels W₁ … W_m = generator(x); y at a pixel is the window of x
/// there with kernel W_M.
/// </summary>
/// <remarks>
/// State: <c>conv_guide.weight [m, in, kh, kw]</c> (and <c>.bias</c> with the pool generator; neither where the mask is another layer's), <c>bias</c> if the convolution
/// had one, and <c>weight [out·in·kh·kw, E], routing_fc.weight/bias</c> (mixtures) or <c>conv_kernel.1.*, conv_kernel.3.*</c> (pool generator).
/// </remarks>
internal sealed class DRConv2d : Module, IUnmergeable
{
    private readonly int _in, _out;
    private readonly (int H, int W) _size;
    private readonly Conv2dOptions _conv;
    private readonly DRConvOptions _options;
    private readonly string? _maskOf;

    /// <param name="conv">The convolution that is replaced.</param>
    /// <param name="options">How.</param>
    /// <param name="maskOf">Local name of the layer whose mask is used; null for its own.</param>
    /// <param name="init">Device and random numbers.</param>
    internal DRConv2d(Conv2d conv, DRConvOptions options, string? maskOf, Initializer init)
    {
        (_in, _out, _size, _conv, _options, _maskOf) = (conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options, options, maskOf);
        bool pool = options.Generator == DRConvGenerator.PoolGenerator;
        if (maskOf == null || conv.Name.EndsWith("." + maskOf, StringComparison.Ordinal) || conv.Name == maskOf)
        {
            Initializer.TorchDefault(Add("conv_guide.weight", new Parameter(init.Device, ParameterLayout.Conv2d(options.Regions, _in, _size.H, _size.W))), conv.FanIn, init.NextStream());
            if (pool) Initializer.TorchDefault(Add("conv_guide.bias", new Parameter(init.Device, ParameterLayout.Plain(new Shape(options.Regions)))), conv.FanIn, init.NextStream());
        }
        if (pool) AddPoolGenerator(conv, init);
        else AddExperts(conv, init);
        if (conv.Bias is { } bias) Add("bias", bias.Clone()).Trainable = true;
    }

    /// <inheritdoc/>
    public string Reason => "its kernels are made anew from every picture, one for each region";

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var tape = Tape.Current;
        var guide = Guide(x);
        var mask = guide.ArgMax(Name);
        bool pool = _options.Generator == DRConvGenerator.PoolGenerator;
        var kernels = pool ? PooledKernels(x) : MixedKernels(x);
        var y = x.RegionConv2d(guide, mask, kernels, Optional("bias"), _size, _conv, regionsOutside: !pool, softKernels: _options.UseAlpha, Name);
        tape.Release(kernels);
        tape.Release(mask);
        if (_maskOf == null) tape.Release(guide);
        return y;
    }

    /// <summary>F: its own, or that of the layer whose mask is shared, at the pixels that are left of it.</summary>
    private Tensor Guide(Tensor x)
    {
        var tape = Tape.Current;
        if (Optional("conv_guide.weight") is { } weight)
        {
            var own = x.Conv2d(weight, Optional("conv_guide.bias"), _conv, name: Name);
            if (_maskOf != null) tape.Shared[Name] = own;
            return own;
        }
        string source = Name[..(Name.LastIndexOf('.') + 1)] + _maskOf;
        if (!tape.Shared.TryGetValue(source, out var guide))
            throw new InvalidOperationException($"'{Name}' uses the regions of '{source}', which has computed none. That layer must be in DRConv form too, and run first.");
        int height = ((x.Shape[1] - 1) / _conv.StrideH) + 1, width = ((x.Shape[2] - 1) / _conv.StrideW) + 1;
        if ((guide.Shape[1], guide.Shape[2]) == (height, width)) return guide;
        int step = (guide.Shape[1] + height - 1) / height;
        // An average over windows of one pixel takes every step-th pixel, as a convolution of that stride does.
        return guide.AvgPool2d(1, step, name: Name);
    }

    private void AddExperts(Conv2d conv, Initializer init)
    {
        int e = _options.Experts;
        var torch = new Shape(checked((int)conv.Weight.TorchShape.Count), e);
        var weight = Add("weight", new Parameter(init.Device, new ParameterLayout(torch, new Shape(_out, _in, _size.H, _size.W, e), [4, 2, 3, 1, 0])));
        Initializer.Uniform(weight, Math.Sqrt(6.0 / conv.FanIn), init.NextStream());
        if (_options.Inherit) CentreOn(weight, conv.Weight.ToTorchDouble(), e);
        Initializer.Normal(Add("routing_fc.weight", new Parameter(init.Device, ParameterLayout.Linear(_options.Regions * e, _in))), 0.01, init.NextStream());
        Add("routing_fc.bias", new Parameter(init.Device, ParameterLayout.Plain(new Shape(_options.Regions * e))));
    }

    /// <summary>Random experts moved so that their mean, which is what is used before the routing has learned, is the plain kernel.</summary>
    private static void CentreOn(Parameter weight, double[] plain, int experts)
    {
        double[] values = weight.ToTorchDouble();
        for (int i = 0; i < plain.Length; i++)
        {
            var row = values.AsSpan(i * experts, experts);
            double mean = 0;
            foreach (double v in row) mean += v / experts;
            foreach (ref double v in row) v += plain[i] - mean;
        }
        weight.FromTorch(values);
    }

    /// <summary>e = 2·sigmoid(routing(mean of x)) / E, [n·m, E]; kernel = Σ e·expert. Stored [n, m, kh, kw, in, out].</summary>
    private Tensor MixedKernels(Tensor x)
    {
        int e = _options.Experts, rows = x.Shape[0] * _options.Regions;
        var mean = x.GlobalAvgPool2d(Name).Flatten();
        var shares = mean.Linear(Parameter("routing_fc.weight"), Parameter("routing_fc.bias"), Name).Activation(ActivationKind.Sigmoid, Name).Reshape(new Shape(rows, e));
        var experts = Parameter("weight");
        var scaled = shares.Multiply(Tape.Current.Constant(experts.Device, shares.Shape, 2.0 / e), Name);
        return scaled.Linear(experts.Reshape(new Shape(e, checked((int)(experts.Shape.Count / e)))), null, Name);
    }

    private void AddPoolGenerator(Conv2d conv, Initializer init)
    {
        int m = _options.Regions, squared = m * m, all = checked(m * _out * _in);
        bool inherits = _options.Inherit && _size == (1, 1);
        Initializer.TorchDefault(Add("conv_kernel.1.weight", new Parameter(init.Device, ParameterLayout.Conv2d(squared, _in, 1, 1))), _in, init.NextStream());
        Initializer.TorchDefault(Add("conv_kernel.1.bias", new Parameter(init.Device, ParameterLayout.Plain(new Shape(squared)))), _in, init.NextStream());
        // Files count (region, out, in); in memory a region's kernel is [in, out], as every kernel here.
        var weight = Add("conv_kernel.3.weight", new Parameter(init.Device, new ParameterLayout(new Shape(all, m, 1, 1), new Shape(m, _out, _in, m), [3, 0, 2, 1])));
        var bias = Add("conv_kernel.3.bias", new Parameter(init.Device, new ParameterLayout(new Shape(all), new Shape(m, _out, _in), [0, 2, 1])));
        var random = init.NextStream();
        if (inherits)
        {
            double[] plain = conv.Weight.ToTorchDouble();
            bias.FromTorch([.. Enumerable.Range(0, m).SelectMany(_ => plain)]);
            return;
        }
        Initializer.TorchDefault(weight, m, random);
        Initializer.TorchDefault(bias, m, random);
    }

    /// <summary>The picture averaged to the kernel's size, 1×1 to m² channels, sigmoid, 1×1 in m groups. Stored [n, kh, kw, m, in, out].</summary>
    private Tensor PooledKernels(Tensor x)
    {
        int m = _options.Regions;
        var small = x.AdaptiveAvgPool2d(_size.H, _size.W, Name);
        var hidden = small.Conv2d(Parameter("conv_kernel.1.weight"), Parameter("conv_kernel.1.bias"), name: Name).Activation(ActivationKind.Sigmoid, Name);
        var (weight, bias) = (Parameter("conv_kernel.3.weight"), Parameter("conv_kernel.3.bias"));
        int all = (int)bias.Shape.Count;
        return hidden.Conv2d(weight.Reshape(new Shape(1, 1, m, all)), bias.Reshape(new Shape(all)), groups: m, name: Name);
    }
}
