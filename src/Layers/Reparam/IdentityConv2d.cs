using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// A 1×1 convolution that starts as the identity: kernel = stored weight + I, the stored weight starting at 0 (<c>IdentityBasedConv1x1</c> of the
/// Diverse Branch Block's code). Weight decay then pulls it towards the identity and not towards nothing. State: <c>weight</c>.
/// </summary>
internal sealed class IdentityConv2d : Module, IConvolution
{
    private readonly int _channels, _groups;
    private Parameter? _identity;

    public IdentityConv2d(Device device, int channels, int groups)
    {
        (_channels, _groups) = (channels, groups);
        Add("weight", new Parameter(device, ParameterLayout.Conv2d(channels, channels / groups, 1, 1)));
    }

    public Parameter Weight => Parameter("weight");

    public override Tensor Forward(Tensor x) => Forward(x, moments: false);

    public Tensor Forward(Tensor x, bool moments)
    {
        var kernel = Weight.Add(Identity, Name);
        var y = x.Conv2d(kernel, null, new Conv2dOptions(_groups), moments, Name);
        Tape.Current.Release(kernel);
        return y;
    }

    /// <summary>The kernel that is used.</summary>
    public Kernel ToKernel() => KernelAlgebra.Add(
        KernelAlgebra.Identity(_channels, 1, 1, _groups),
        new Kernel(_channels, _channels / _groups, 1, 1, _groups, Weight.ToTorchDouble(), new double[_channels]));

    protected override void OnCloned() => _identity = null;

    protected override void Dispose(bool disposing)
    {
        if (disposing) _identity?.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>I: no state, since it follows from the shape.</summary>
    private Parameter Identity
    {
        get
        {
            if (_identity != null) return _identity;
            _identity = new Parameter(Weight.Device, Weight.Layout, trainable: false);
            _identity.FromTorch(KernelAlgebra.Identity(_channels, 1, 1, _groups).Weight);
            return _identity;
        }
    }
}
