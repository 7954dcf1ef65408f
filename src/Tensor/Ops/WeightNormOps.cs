using RefConv.Kernels;

namespace RefConv;

/// <summary>Filters of a convolution kernel brought to a norm. See <see cref="IKernels.WeightNormForward"/>.</summary>
public sealed class WeightNormOp : Op
{
    private readonly Tensor _v, _scale;
    private BufferView _mean, _norm;

    internal WeightNormOp(Tensor v, Tensor scale, bool center, double eps, string? name)
        : base("WeightNorm", name, v, scale)
    {
        (_v, _scale) = (v, scale);
        int filters = v.Shape[-1];
        if (scale.Shape.Count != filters) throw Bad($"the kernel {v.Shape} has {filters} filters, but there are {scale.Shape.Count} scales. Give one for every filter.");
        Geometry = new WeightNormGeometry(checked((int)(v.Shape.Count / filters)), filters, center, eps);
        if (center && Geometry.FanIn == 1) throw Bad("a filter of one element is zero when its mean is taken away. Leave such layers as they are, or use WN.");
    }

    /// <summary>The whole shape.</summary>
    public WeightNormGeometry Geometry { get; }

    /// <inheritdoc/>
    public override long Macs => 2 * Geometry.Length; // the norm, and the product with its inverse

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(_v.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        // Means and norms are needed on the way; they are kept only where a backward pass will read them.
        using var passing = Output.RequiresGrad ? null : _v.Device.Rent(2L * Geometry.Filters);
        var both = passing?.View ?? Save(2L * Geometry.Filters);
        (_mean, _norm) = (both.Slice(0, Geometry.Filters), both.Slice(Geometry.Filters, Geometry.Filters));
        kernels.WeightNormForward(Geometry, _v.Data, _scale.Data, _mean, _norm, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        bool accumulateV = false, accumulateScale = false;
        var dv = Needs(_v) ? Gradient(_v, out accumulateV) : default;
        var dscale = Needs(_scale) ? Gradient(_scale, out accumulateScale) : default;
        kernels.WeightNormBackward(Geometry, _v.Data, _scale.Data, _mean, _norm, dy, dv, dscale, accumulateV, accumulateScale);
    }
}

/// <summary>Filters of a convolution kernel made orthonormal in groups. See <see cref="IKernels.OrthogonalizeForward"/>.</summary>
public sealed class OrthogonalizeOp : Op
{
    private readonly Tensor _v, _scale;
    private BufferView _state;

    internal OrthogonalizeOp(Tensor v, Tensor scale, int groupSize, string? name)
        : base("Orthogonalize", name, v, scale)
    {
        (_v, _scale) = (v, scale);
        int filters = v.Shape[-1];
        if (scale.Shape.Count != filters) throw Bad($"the kernel {v.Shape} has {filters} filters, but there are {scale.Shape.Count} scales. Give one for every filter.");
        if (groupSize < 1 || filters % groupSize != 0) throw Bad($"groups of {groupSize} filters do not divide the {filters} there are.");
        Geometry = new OrthogonalizeGeometry(checked((int)(v.Shape.Count / filters)), filters, groupSize);
        if (groupSize >= Geometry.FanIn)
            throw Bad($"{groupSize} centred filters of {Geometry.FanIn} elements cannot be orthogonal: centring leaves {Geometry.FanIn - 1} dimensions. Use groups of at most so many.");
    }

    /// <summary>The whole shape.</summary>
    public OrthogonalizeGeometry Geometry { get; }

    /// <inheritdoc/>
    public override long Macs => Geometry.Macs;

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(_v.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        if (Output.RequiresGrad) _state = Save(Geometry.StateLength);
        kernels.OrthogonalizeForward(Geometry, _v.Data, _scale.Data, _state, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        bool accumulateV = false, accumulateScale = false;
        var dv = Needs(_v) ? Gradient(_v, out accumulateV) : default;
        var dscale = Needs(_scale) ? Gradient(_scale, out accumulateScale) : default;
        kernels.OrthogonalizeBackward(Geometry, _v.Data, _scale.Data, _state, dy, dv, dscale, accumulateV, accumulateScale);
    }
}
