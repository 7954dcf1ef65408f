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
    protected override void Forward(IKernels kernels) =>
        ForEach((t, offset, rows) => kernels.CopyChannels(new ChannelsGeometry(rows, t.Shape[-1], t.Shape[-1], 0, _channels, offset), t.Data, Output.Data, accumulate: false));

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) => ForEach((t, offset, rows) =>
    {
        if (!Needs(t)) return;
        kernels.CopyChannels(new ChannelsGeometry(rows, t.Shape[-1], _channels, offset, t.Shape[-1], 0), dy, Gradient(t, out bool accumulate), accumulate);
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

/// <summary>A run of channels of a map.</summary>
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

    internal Tensor Run() => Run(new Shape([.. _x.Shape.Sizes[..^1], _count]));

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) =>
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _x.Shape[-1], _start, _count, 0), _x.Data, Output.Data, accumulate: false);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        var dx = Gradient(_x, out bool accumulate);
        if (!accumulate) kernels.Fill(dx, 0); // the channels outside the slice have gradient 0
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _count, 0, _x.Shape[-1], _start), dy, dx, accumulate: true);
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
