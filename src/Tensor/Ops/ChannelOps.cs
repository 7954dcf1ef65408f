using RefConv.Kernels;

namespace RefConv;

/// <summary>Maps of the same pixels side by side in channels.</summary>
public sealed class ConcatOp : Op
{
    private readonly int _channels;

    internal ConcatOp(Tensor[] inputs, string? name)
        : base("Concat", name, inputs)
    {
        foreach (var t in inputs)
        {
            _channels += t.Shape[-1];
            if (!t.Shape.Sizes[..^1].SequenceEqual(inputs[0].Shape.Sizes[..^1]))
                throw Bad($"all axes but the last must agree: {inputs[0].Shape} and {t.Shape}.");
        }
    }

    internal Tensor Run() => Run(new Shape([.. Inputs[0].Shape.Sizes[..^1], _channels]));

    /// <inheritdoc/>
    internal override bool ReadsStrided(Tensor input) => true;

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => ForEach((t, offset, rows) =>
    {
        var from = t.Strided;
        kernels.CopyChannels(new ChannelsGeometry(rows, t.Shape[-1], from.Pitch, from.Offset, _channels, offset), from.Data, Output.Data, accumulate: false);
    });

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => ForEach((t, offset, rows) =>
    {
        if (!Needs(t)) return;
        var to = StridedGradient(t, out bool accumulate);
        kernels.CopyChannels(new ChannelsGeometry(rows, t.Shape[-1], _channels, offset, to.Pitch, to.Offset), dy, to.Data, accumulate);
    });

    private void ForEach(Action<Tensor, int, long> action)
    {
        long rows = Output.Shape.Count / _channels;
        int offset = 0;
        foreach (var t in Inputs)
        {
            action(t, offset, rows);
            offset += t.Shape[-1];
        }
    }
}

/// <summary>
/// A run of channels of a map. It stays where it is as long as its readers can step over the other channels (<see cref="Tensor.Strided"/>), and is copied once, when somebody reads it as
/// dense memory. Its gradient is a part of the map's.
/// </summary>
public sealed class SliceOp : Op
{
    private readonly Tensor _x;
    private readonly int _start, _count;

    internal SliceOp(Tensor x, int start, int count, string? name)
        : base("Slice", name, x)
    {
        (_x, _start, _count) = (x, start, count);
        if (start < 0 || count < 1 || start + count > x.Shape[-1])
            throw Bad($"channels {start} to {start + count} do not lie inside the {x.Shape[-1]} channels of {x.Shape}.");
    }

    /// <inheritdoc/>
    public override string Attributes => $"{_start}..{_start + _count}";

    /// <summary>First channel taken, and how many.</summary>
    internal (int Start, int Count) Channels => (_start, _count);

    /// <summary>The tensor that is no run of channels itself, and the first channel of it.</summary>
    internal (Tensor Source, int First) Origin
    {
        get
        {
            if (_x.Producer is not SliceOp outer) return (_x, _start);
            var (source, first) = outer.Origin;
            return (source, first + _start);
        }
    }

    /// <summary>The run where it lies.</summary>
    internal StridedRows InSource => _x.Strided is var source ? source with { Offset = source.Offset + _start } : default;

    /// <inheritdoc/>
    internal override bool CanBorrow => _x.Producer is not SliceOp; // of a run's run a copy: it would have to outlive what it lies in

    /// <inheritdoc/>
    internal override bool ReadsStrided(Tensor input) => true;

    internal Tensor Run() => Run(new Shape([.. _x.Shape.Sizes[..^1], _count]));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => Recompute(kernels, Output.Data);

    /// <inheritdoc/>
    internal override void Recompute(IKernels kernels, BufferView result)
    {
        var from = InSource;
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, from.Pitch, from.Offset, _count, 0), from.Data, result, accumulate: false);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        var to = StridedGradient(Output, out bool accumulate);
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _count, 0, to.Pitch, to.Offset), dy, to.Data, accumulate);
    }

    private long Rows => _x.Shape.Count / _x.Shape[-1];
}

/// <summary>Channel shuffle. See <see cref="IKernels.ChannelShuffle"/>.</summary>
public sealed class ChannelShuffleOp : Op
{
    private readonly Tensor _x;
    private readonly int _groups, _channels;

    internal ChannelShuffleOp(Tensor x, int groups, string? name)
        : base("ChannelShuffle", name, x)
    {
        (_x, _groups, _channels) = (x, groups, x.Shape[-1]);
        if (groups < 1 || _channels % groups != 0) throw Bad($"groups={groups} must divide the {_channels} channels.");
    }

    /// <inheritdoc/>
    public override string Attributes => $"g{_groups}";

    internal int Groups => _groups;

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) =>
        kernels.ChannelShuffle(_x.Shape.Count / _channels, _channels, _groups, _x.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.ChannelShuffle(_x.Shape.Count / _channels, _channels, _channels / _groups, dy, Gradient(_x, out bool accumulate), accumulate);
}

/// <summary>The same elements under another shape.</summary>
public sealed class ReshapeOp : Op
{
    private readonly Tensor _x;
    private readonly Shape _shape;

    internal ReshapeOp(Tensor x, Shape shape, string? name)
        : base("Reshape", name, x)
    {
        (_x, _shape) = (x, shape);
        if (shape.Count != x.Shape.Count) throw Bad($"{x.Shape} has {x.Shape.Count} elements, {shape} has {shape.Count}.");
    }

    /// <inheritdoc/>
    public override bool IsView => true;

    internal Tensor Run() => Run(_shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => PassGradient(kernels, _x);
}
