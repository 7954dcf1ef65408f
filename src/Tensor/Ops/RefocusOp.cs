using RefConv.Kernels;

namespace RefConv;

/// <summary>The refocusing transform of a convolution kernel. See <see cref="IKernels.RefocusForward"/>.</summary>
public sealed class RefocusOp : Op
{
    private readonly Tensor _basis, _map;
    private readonly bool _shortcut;
    private readonly bool _cached;
    private BufferView _unfolded;

    internal RefocusOp(Tensor basis, Tensor map, RefocusGeometry geometry, BufferView unfolded, bool shortcut, string? name)
        : base("Refocus", name, basis, map)
    {
        (_basis, _map, Geometry, _unfolded, _shortcut) = (basis, map, geometry, unfolded, shortcut);
        _cached = !unfolded.IsEmpty;
        if (geometry.MapK % 2 == 0 || geometry.MapK < 1 || geometry.MapK > Math.Min(geometry.R, geometry.S))
            throw Bad($"map_k must be odd and at most {Math.Min(geometry.R, geometry.S)}, the kernel's size; it is {geometry.MapK}.");
        if (basis.Data.Length != geometry.KernelLength) throw Bad($"the basis {basis.Shape} does not have the {geometry.KernelLength} elements of {geometry}.");
        if (map.Data.Length != geometry.MapLength) throw Bad($"the refocus weights {map.Shape} are not the {geometry.MapLength} of {geometry}.");
    }

    /// <summary>The whole shape.</summary>
    public RefocusGeometry Geometry { get; }

    /// <inheritdoc/>
    public override long Macs => Geometry.Macs;

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal Tensor Run() => Run(_basis.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        if (_unfolded.IsEmpty && Geometry.UnfoldedLength > 0)
        {
            _unfolded = Save(Geometry.UnfoldedLength);
            kernels.RefocusUnfold(Geometry, _basis.Data, _unfolded);
        }
        kernels.RefocusForward(Geometry, _basis.Data, _unfolded, _map.Data, Output.Data, _shortcut);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_map))
        {
            // Of a frozen basis, whose unfolded form outlives the tape, the gradient can wait until somebody wants it.
            if (_cached && !Needs(_basis) && !_map.HasGradient) _map.DeferGradient(new MapGradient(this, kernels, dy));
            else kernels.RefocusMapGradient(Geometry, _basis.Data, _unfolded, dy, Gradient(_map, out bool accumulate), accumulate);
        }
        if (Needs(_basis)) kernels.RefocusBasisGradient(Geometry, _map.Data, dy, Gradient(_basis, out bool accumulate), _shortcut, accumulate);
    }

    /// <summary>The gradient of the map: an outer product of the kernel's gradient and the unfolded basis, both of them small beside it.</summary>
    private sealed class MapGradient : DeferredGradient
    {
        private readonly RefocusGeometry _geometry;
        private readonly Tensor _basis;
        private readonly int _version;
        private readonly BufferView _unfolded;
        private readonly DeviceBuffer _dw;

        public MapGradient(RefocusOp op, IKernels kernels, BufferView dw)
        {
            (_geometry, _basis, _version, _unfolded) = (op.Geometry, op._basis, op._basis.Version, op._unfolded);
            _dw = op._basis.Device.Rent(dw.Length);
            kernels.Scale(dw, _dw.View, 1, accumulate: false);
        }

        public override void WriteTo(BufferView gradient) =>
            Kernels.RefocusMapGradient(_geometry, _basis.Data, _unfolded, _dw.View, gradient, accumulate: false);

        public override void Step(in SgdStepGeometry step, BufferView weight, BufferView velocity) =>
            Kernels.RefocusMapStep(_geometry, step, _basis.Data, _unfolded, _dw.View, weight, velocity);

        public override void Dispose() => _dw.Dispose();

        private IKernels Kernels => _basis.Version == _version
            ? _basis.Device.Kernels
            : throw new InvalidOperationException("The basis of a refocusing convolution was changed between the backward pass and the use of its gradient. Load weights before the pass, or call ZeroGrad() after loading.");
    }
}
