namespace RefConv.Layers;

/// <summary>
/// A convolution whose kernel is computed anew every step from what is trained, and is a plain convolution otherwise: one pass over the features, whatever
/// the kernel is made of. Merging writes down the kernel that the forward pass uses, bit for bit.
/// </summary>
internal abstract class ComputedKernelConv2d : Module, IReparameterized, IConvolution
{
    /// <summary>Takes everything but the weights from the convolution it replaces.</summary>
    protected ComputedKernelConv2d(Conv2d conv) =>
        (InChannels, OutChannels, KernelSize, Options, HasBias) = (conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options, conv.Bias != null);

    public int InChannels { get; }

    public int OutChannels { get; }

    public (int H, int W) KernelSize { get; }

    public Conv2dOptions Options { get; }

    public bool HasBias { get; }

    /// <summary>The kernel that is used, [kh, kw, in/g, out], under the current tape.</summary>
    public abstract Tensor EffectiveKernel();

    /// <summary>The bias that is used, or null.</summary>
    public virtual Tensor? EffectiveBias() => Optional("bias");

    public override Tensor Forward(Tensor x) => Forward(x, moments: false);

    public virtual Tensor Forward(Tensor x, bool moments)
    {
        var kernel = EffectiveKernel();
        var y = x.Conv2d(kernel, EffectiveBias(), Options, moments, Name);
        Tape.Current.Release(kernel);
        return y;
    }

    public virtual Conv2d Merge()
    {
        var device = NamedParameters().First().Parameter.Device;
        var conv = new Conv2d(device, InChannels, OutChannels, KernelSize, Options, HasBias);
        using var tape = Tape.Inference();
        device.Kernels.Scale(EffectiveKernel().Data, conv.Weight.Data, 1, accumulate: false);
        if (EffectiveBias() is { } bias) device.Kernels.Scale(bias.Data, conv.Bias!.Data, 1, accumulate: false);
        return conv;
    }

    /// <summary>Takes the bias of the replaced convolution over, under the same key.</summary>
    protected void AddBias(Conv2d conv)
    {
        if (conv.Bias is { } bias) Add("bias", bias.Clone()).Trainable = true;
    }

    /// <summary>What no method that starts from a kernel's direction can take.</summary>
    internal static string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        return conv.Weight.ToArray().All(w => w == 0)
            ? "its kernel is zero, and zero has no direction to normalise. Initialise the model, or load its weights, first."
            : null;
    }
}
