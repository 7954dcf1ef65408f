using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>An activation function as a layer (<c>torch.nn.ReLU</c> and the like).</summary>
/// <param name="function">Which.</param>
public sealed class Activation(ActivationKind function) : Module
{
    /// <summary>Which function.</summary>
    public ActivationKind Function { get; } = function;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Activation(Function, Name);
}

/// <summary>Passes its input on.</summary>
public sealed class Identity : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x;
}

/// <summary>Average over windows (<c>torch.nn.AvgPool2d</c>).</summary>
public sealed class AvgPool2d(int kernelSize, int stride, int padding = 0, bool countIncludePad = true) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.AvgPool2d(kernelSize, stride, padding, countIncludePad, Name);
}

/// <summary>Maximum over windows (<c>torch.nn.MaxPool2d</c>).</summary>
public sealed class MaxPool2d(int kernelSize, int stride, int padding = 0) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.MaxPool2d(kernelSize, stride, padding, Name);
}

/// <summary>Mean over all pixels, [n, h, w, c] to [n, 1, 1, c] (<c>torch.nn.AdaptiveAvgPool2d(1)</c>).</summary>
public sealed class GlobalAvgPool2d : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.GlobalAvgPool2d(Name);
}

/// <summary>Every pixel repeated (<c>torch.nn.Upsample(scale_factor=…)</c>, mode nearest).</summary>
public sealed class Upsample(int scaleFactor) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.UpsampleNearest(scaleFactor, Name);
}

/// <summary>Channels become pixels, in PyTorch's order (<c>torch.nn.PixelShuffle</c>) or TensorFlow's.</summary>
public sealed class PixelShuffle(int upscaleFactor, DepthToSpaceMode mode = DepthToSpaceMode.CRD) : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.DepthToSpace(upscaleFactor, mode, Name);
}

/// <summary>[n, …] to [n, everything else] (<c>torch.nn.Flatten</c>; see <see cref="ParameterLayout.Linear"/> on the order).</summary>
public sealed class Flatten : Module
{
    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Flatten();
}

/// <summary>
/// Modules one after another (<c>torch.nn.Sequential</c>), named 0, 1, 2 … A convolution finds the statistics for a batch norm after it, and a batch
/// norm followed by an activation that it <see cref="BatchNormGeometry.Fuses"/> is computed with it in one pass.
/// </summary>
public sealed class Sequential : Module
{
    /// <summary>Makes a chain.</summary>
    public Sequential(params ReadOnlySpan<Module> modules)
    {
        for (int i = 0; i < modules.Length; i++) Add($"{i}", modules[i]);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, null);

    /// <summary>The chain's result plus a residual, which a batch norm at the end (of a chain in the last place, too) adds in its own pass.</summary>
    /// <param name="x">Input of the first part.</param>
    /// <param name="residual">Of the result's shape, or null.</param>
    public Tensor Forward(Tensor x, Tensor? residual)
    {
        var input = x;
        Module[] parts = [.. Children.Select(c => c.Value).Where(m => m is not Identity)];
        for (int i = 0; i < parts.Length; i++)
        {
            var next = i + 1 < parts.Length ? parts[i + 1] : null;
            Tensor y;
            if (parts[i] is INormalizedConvolution block && next is AbsorbedNorm)
            {
                i++;
                var (activation, sum) = Fused(ref i, ConvNorm.CanFuse);
                y = block.Forward(x, activation, sum);
            }
            else if (parts[i] is INormalization norm)
            {
                var (activation, sum) = Fused(ref i, f => BatchNormGeometry.Fuses(f, hasResidual: false));
                y = norm.Forward(x, activation, sum);
            }
            else if (i == parts.Length - 1 && parts[i] is Sequential inner)
            {
                y = inner.Forward(x, residual);
                residual = null;
            }
            else
            {
                y = next is INormalization { Training: true } && parts[i] is IConvolution conv ? conv.Forward(x, moments: true) : parts[i].Forward(x);
            }
            x = Step(input, x, y);
        }
        return residual == null ? x : Step(input, x, x.Add(residual, Name));

        // What the norm at i can do in its own pass: the activation behind it, or, at the chain's end, the residual.
        (ActivationKind, Tensor?) Fused(ref int i, Func<ActivationKind, bool> fuses)
        {
            if (i + 1 < parts.Length && parts[i + 1] is Activation { Function: var function } && fuses(function))
            {
                i++;
                return (function, null);
            }
            var sum = i == parts.Length - 1 ? residual : null;
            if (sum != null) residual = null;
            return (ActivationKind.Identity, sum);
        }
    }

    /// <summary>Nothing else reads what flowed between two parts of the chain: give it back as soon as it was read.</summary>
    private static Tensor Step(Tensor input, Tensor x, Tensor y)
    {
        if (x != input && x.HeldIn != y.HeldIn && x.HeldIn != input.HeldIn) Tape.Current.Release(x);
        return y;
    }
}

/// <summary>
/// Squeeze-excitation: channels scaled by gate(W₂·act(W₁·mean(x))), the two products being 1×1 convolutions with bias named
/// <c>fc1</c> and <c>fc2</c> (torchvision's <c>SqueezeExcitation</c>).
/// </summary>
public sealed class SqueezeExcitation : Module
{
    private readonly ActivationKind _activation, _gate;
    private readonly string _squeeze, _expand;

    /// <summary>Makes the block.</summary>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="channels">Channels of the map.</param>
    /// <param name="squeezeChannels">Channels in the middle.</param>
    /// <param name="activation">Between the two products.</param>
    /// <param name="gate">After them: Sigmoid or Hardsigmoid.</param>
    public SqueezeExcitation(Initializer init, int channels, int squeezeChannels, ActivationKind activation = ActivationKind.ReLU, ActivationKind gate = ActivationKind.Sigmoid)
        : this(init, channels, squeezeChannels, activation, gate, "fc1", "fc2")
    {
    }

    /// <summary>With other names for its two convolutions than torchvision's.</summary>
    internal SqueezeExcitation(Initializer init, int channels, int squeezeChannels, ActivationKind activation, ActivationKind gate, string squeeze, string expand)
    {
        (_activation, _gate, _squeeze, _expand) = (activation, gate, squeeze, expand);
        Add(squeeze, new Conv2d(init, channels, squeezeChannels, 1));
        Add(expand, new Conv2d(init, squeezeChannels, channels, 1));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var scale = Child(_expand).Forward(Child(_squeeze).Forward(x.GlobalAvgPool2d(Name)).Activation(_activation, Name)).Activation(_gate, Name);
        return x.Multiply(scale, Name);
    }
}
