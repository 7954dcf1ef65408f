using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// A map in which a run of channels is another map's: what a partial convolution (FasterNet) makes of its input. Beside slice and concatenation it
/// saves the copy of the channels that nobody touches.
/// </summary>
public sealed class ReplaceChannelsOp : Op
{
    private readonly Tensor _x, _part;
    private readonly int _start, _count, _channels;

    internal ReplaceChannelsOp(Tensor x, Tensor part, int start, string? name)
        : base("ReplaceChannels", name, x, part)
    {
        (_x, _part, _start, _count, _channels) = (x, part, start, part.Shape[-1], x.Shape[-1]);
        if (!x.Shape.Sizes[..^1].SequenceEqual(part.Shape.Sizes[..^1])) throw Bad($"all axes but the last must agree: {x.Shape} and {part.Shape}.");
        if (start < 0 || start + _count > _channels) throw Bad($"channels {start} to {start + _count} do not lie inside the {_channels} channels of {x.Shape}.");
    }

    /// <inheritdoc/>
    public override string Attributes => $"{_start}..{_start + _count}";

    /// <summary>The first channel replaced.</summary>
    public int Start => _start;

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        Keep(kernels, _x.Data, Output.Data, accumulate: false);
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _count, 0, _channels, _start), _part.Data, Output.Data, accumulate: false);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_part))
            kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _channels, _start, _count, 0), dy, Gradient(_part, out bool accumulatePart), accumulatePart);
        if (!Needs(_x)) return;
        var dx = Gradient(_x, out bool accumulate);
        if (!accumulate) kernels.Fill(dx, 0); // the channels that were replaced have gradient 0
        Keep(kernels, dy, dx, accumulate: true);
    }

    private long Rows => _x.Shape.Count / _channels;

    /// <summary>The channels before and after the replaced ones.</summary>
    private void Keep(IKernels kernels, BufferView from, BufferView to, bool accumulate)
    {
        int end = _start + _count;
        if (_start > 0) kernels.CopyChannels(new ChannelsGeometry(Rows, _start, _channels, 0, _channels, 0), from, to, accumulate);
        if (end < _channels) kernels.CopyChannels(new ChannelsGeometry(Rows, _channels - end, _channels, end, _channels, end), from, to, accumulate);
    }
}
