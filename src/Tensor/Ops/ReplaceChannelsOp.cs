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

    /// <inheritdoc/>
    internal override bool ReadsStrided(Tensor input) => input != _x;

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        foreach (var (first, count) in Kept) kernels.CopyChannels(Same(first, count), _x.Data, Output.Data, accumulate: false);
        var part = _part.Strided;
        kernels.CopyChannels(new ChannelsGeometry(Rows, _count, part.Pitch, part.Offset, _channels, _start), part.Data, Output.Data, accumulate: false);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => false;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        if (Needs(_part))
        {
            var to = StridedGradient(_part, out bool accumulate);
            kernels.CopyChannels(new ChannelsGeometry(Rows, _count, _channels, _start, to.Pitch, to.Offset), dy, to.Data, accumulate);
        }
        if (!Needs(_x)) return;
        // The channels that were replaced have gradient 0, unless somebody else reads them.
        foreach (var (first, count) in Kept)
        {
            var dx = _x.GradientTarget(first, count, out bool accumulate);
            kernels.CopyChannels(Same(first, count), dy, dx, accumulate);
        }
    }

    private long Rows => _x.Shape.Count / _channels;

    /// <summary>The channels before and after the replaced ones.</summary>
    private IEnumerable<(int First, int Count)> Kept =>
        new[] { (First: 0, Count: _start), (First: _start + _count, Count: _channels - _start - _count) }.Where(run => run.Count > 0);

    private ChannelsGeometry Same(int first, int count) => new(Rows, count, _channels, first, _channels, first);
}
