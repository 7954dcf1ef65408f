using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// 2-d convolution (<c>torch.nn.Conv2d</c>): [n, h, w, in] to [n, p, q, out]. State: <c>weight [out, in/groups, kh, kw]</c>, <c>bias [out]</c>.
/// </summary>
public sealed class Conv2d : Module, IConvolution
{
    /// <summary>Makes a convolution with a square kernel and PyTorch's default initial values.</summary>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="inChannels">Channels of the input.</param>
    /// <param name="outChannels">Channels of the result.</param>
    /// <param name="kernelSize">Rows and columns of the kernel.</param>
    /// <param name="stride">Step.</param>
    /// <param name="padding">Zeros on every side.</param>
    /// <param name="dilation">Distance between kernel elements.</param>
    /// <param name="groups">Channel groups.</param>
    /// <param name="bias">With a bias per output channel.</param>
    /// <exception cref="ShapeException">Groups do not divide the channels, or a size is below 1.</exception>
    public Conv2d(Initializer init, int inChannels, int outChannels, int kernelSize, int stride = 1, int padding = 0, int dilation = 1, int groups = 1, bool bias = true)
        : this(init.Device, inChannels, outChannels, (kernelSize, kernelSize), new Conv2dOptions(stride, padding, dilation, groups), bias)
    {
        ResetParameters(init.NextStream());
    }

    /// <summary>Makes a convolution whose values are all zero, to be filled by the caller.</summary>
    /// <exception cref="ShapeException">Groups do not divide the channels, or a size is below 1.</exception>
    public Conv2d(Device device, int inChannels, int outChannels, (int H, int W) kernelSize, Conv2dOptions options, bool bias)
    {
        if (inChannels < 1 || outChannels < 1 || kernelSize.H < 1 || kernelSize.W < 1)
            throw new ShapeException($"Conv2d: channels {inChannels}→{outChannels} and kernel {kernelSize.H}×{kernelSize.W} must be at least 1.");
        if (options.Groups < 1 || inChannels % options.Groups != 0 || outChannels % options.Groups != 0)
            throw new ShapeException($"Conv2d: groups={options.Groups} must divide the {inChannels} input and {outChannels} output channels.");
        (InChannels, OutChannels, KernelSize, Options) = (inChannels, outChannels, kernelSize, options);
        Add("weight", new Parameter(device, ParameterLayout.Conv2d(outChannels, inChannels / options.Groups, kernelSize.H, kernelSize.W)));
        if (bias) Add("bias", new Parameter(device, ParameterLayout.Plain(new Shape(outChannels))));
    }

    /// <summary>Channels of the input.</summary>
    public int InChannels { get; }

    /// <summary>Channels of the result.</summary>
    public int OutChannels { get; }

    /// <summary>Rows and columns of the kernel.</summary>
    public (int H, int W) KernelSize { get; }

    /// <summary>Stride, padding, dilation, groups.</summary>
    public Conv2dOptions Options { get; }

    /// <summary>The kernel.</summary>
    public Parameter Weight => Parameter("weight");

    /// <summary>The bias, or null.</summary>
    public Parameter? Bias => Optional("bias");

    /// <summary>Inputs that one output sees: in/groups · kh · kw.</summary>
    public long FanIn => (long)InChannels / Options.Groups * KernelSize.H * KernelSize.W;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, moments: false);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, bool moments) => x.Conv2d(Weight, Bias, Options, moments, Name);

    private void ResetParameters(RandomStream random)
    {
        Initializer.TorchDefault(Weight, FanIn, random);
        if (Bias is { } bias) Initializer.TorchDefault(bias, FanIn, random);
    }
}

/// <summary>A module whose result is that of a convolution, which can find the mean and variance of its channels on the way.</summary>
public interface IConvolution
{
    /// <summary>Computes the result under the current tape.</summary>
    /// <param name="x">[n, h, w, in]</param>
    /// <param name="moments">A batch norm in training reads the result next.</param>
    Tensor Forward(Tensor x, bool moments);
}
