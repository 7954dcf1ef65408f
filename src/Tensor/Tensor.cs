using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// An n-dimensional array on a device. Results of operations belong to the <see cref="Tape"/> they were computed under and
/// end with it; tensors made by the factories below belong to whoever made them.
/// </summary>
/// <remarks>
/// Disposing an own tensor gives its memory back at once; forgetting to is not an error, the finaliser does it later.
/// Feature maps are <c>[n, h, w, c]</c>.
/// </remarks>
public class Tensor : IDisposable
{
    private BufferView _data;
    private DeviceBuffer? _gradient;
    private DeferredGradient? _deferred;

    // While a gradient is written run by run of its channels: the runs that are there. Null when it is whole, or not there at all.
    private List<(int First, int End)>? _written;

    /// <summary>Wraps memory as a tensor.</summary>
    internal Tensor(Shape shape, BufferView data, bool requiresGrad = false)
    {
        Shape = shape;
        Data = data;
        RequiresGrad = requiresGrad;
    }

    /// <summary>Sizes of the axes.</summary>
    public Shape Shape { get; }

    /// <summary>The device that holds it.</summary>
    public Device Device => _data.Buffer.Device;

    /// <summary>The elements, for kernels.</summary>
    public BufferView Data
    {
        get
        {
            if (!IsDropped) return _data;
            _data = Producer!.Recompute();
            IsDropped = false;
            return _data;
        }
        internal set => _data = value;
    }

    /// <summary>
    /// It has no memory of its own at the moment, because that was given back or because it is a run of channels that nobody needed as dense memory yet; whoever reads <see cref="Data"/> has it computed.
    /// </summary>
    internal bool IsDropped { get; set; }

    /// <summary>Another tensor shows its memory, and would not notice that it was computed again elsewhere.</summary>
    internal bool HasView { get; set; }

    /// <summary>The elements where they lie: inside another tensor while nobody needed a dense copy, for readers that can step over the channels between.</summary>
    internal StridedRows Strided => IsDropped && Producer is SliceOp slice ? slice.InSource : new(Data, Shape[-1], 0);

    /// <summary>The memory it has, or its source's; without computing anything.</summary>
    internal DeviceBuffer HeldIn => _data.Buffer;

    /// <summary>It has no values: it stands for what an <see cref="InferencePlan"/> will be given, or depends on it.</summary>
    internal bool IsSymbolic { get; init; }

    /// <summary>Gradients of this tensor are wanted.</summary>
    public bool RequiresGrad { get; internal set; }

    /// <summary>The operation whose result this is; null for inputs and parameters.</summary>
    public Op? Producer { get; internal set; }

    /// <summary>Mean and variance of every channel, [2, c], where the operation that made this tensor found them on the way; or empty.</summary>
    internal BufferView Moments { get; set; }

    /// <summary>
    /// True once a backward pass wrote this tensor's gradient and nobody cleared it. Parameters keep theirs until <see cref="ZeroGrad"/>.
    /// </summary>
    public bool HasGradient { get; private set; }

    /// <summary>The gradient's elements; only where <see cref="HasGradient"/>.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public BufferView GradientData
    {
        get
        {
            if (!HasGradient) throw new InvalidOperationException("This tensor has no gradient: call Tape.Backward first, and mark inputs whose gradient you want with requiresGrad.");
            WriteDeferred();
            WriteMissing();
            return _gradient!.View;
        }
    }

    /// <summary>The gradient as something still to be computed, which an optimiser can do in the pass of its step; null if it is in memory.</summary>
    public DeferredGradient? Deferred => HasGradient ? _deferred : null;

    /// <summary>A tensor with the given elements.</summary>
    /// <param name="device">Where to put it.</param>
    /// <param name="values">Elements, last axis fastest.</param>
    /// <param name="shape">Sizes.</param>
    /// <param name="requiresGrad">Gradients of it will be wanted.</param>
    /// <exception cref="ShapeException">The number of values is not the product of the sizes.</exception>
    public static Tensor From(Device device, ReadOnlySpan<float> values, Shape shape, bool requiresGrad = false)
    {
        CheckCount(values.Length, shape);
        var tensor = Empty(device, shape, requiresGrad);
        device.Write(tensor.Data, values);
        return tensor;
    }

    /// <inheritdoc cref="From(Device, ReadOnlySpan{float}, Shape, bool)"/>
    public static Tensor From(Device device, ReadOnlySpan<double> values, Shape shape, bool requiresGrad = false)
    {
        CheckCount(values.Length, shape);
        var tensor = Empty(device, shape, requiresGrad);
        device.Write(tensor.Data, values);
        return tensor;
    }

    /// <summary>A tensor with every element the same.</summary>
    public static Tensor Full(Device device, Shape shape, double value, bool requiresGrad = false)
    {
        var tensor = Empty(device, shape, requiresGrad);
        device.Kernels.Fill(tensor.Data, value);
        return tensor;
    }

    /// <summary>
    /// Counts the times the elements were overwritten, so that what was computed from them once (an unfolded basis, packed weights) can be cached.
    /// </summary>
    public int Version { get; private set; }

    /// <summary>Overwrites the elements.</summary>
    public void CopyFrom(ReadOnlySpan<float> values)
    {
        Device.Write(Data, values);
        MarkChanged();
    }

    /// <inheritdoc cref="CopyFrom(ReadOnlySpan{float})"/>
    public void CopyFrom(ReadOnlySpan<double> values)
    {
        Device.Write(Data, values);
        MarkChanged();
    }

    /// <summary>Says that the elements were changed through <see cref="Data"/>, as an optimiser does.</summary>
    public void MarkChanged() => Version++;

    /// <summary>Elements as floats, last axis fastest.</summary>
    public float[] ToArray()
    {
        float[] values = new float[Data.Length];
        Device.Read(Data, values);
        return values;
    }

    /// <summary>Elements as doubles, last axis fastest.</summary>
    public double[] ToDoubleArray()
    {
        double[] values = new double[Data.Length];
        Device.Read(Data, values);
        return values;
    }

    /// <summary>The value of a tensor of one element. Waits for the device.</summary>
    /// <exception cref="InvalidOperationException">It has not exactly one element.</exception>
    public double Item() => Data.Length == 1
        ? ToDoubleArray()[0]
        : throw new InvalidOperationException($"Item() reads a tensor of one element; this one is {Shape}. Use ToArray().");

    /// <summary>The gradient as doubles, in the order of the elements.</summary>
    public double[] GradientToDoubleArray()
    {
        double[] values = new double[Shape.Count];
        Device.Read(GradientData, values);
        return values;
    }

    /// <summary>Forgets the gradient; the next backward pass starts it anew. Its memory is kept for that.</summary>
    public void ZeroGrad()
    {
        HasGradient = false;
        _written = null;
        _deferred?.Dispose();
        _deferred = null;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{GetType().Name} {Shape} on {Device}";

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Uninitialised memory as a tensor.</summary>
    internal static Tensor Empty(Device device, Shape shape, bool requiresGrad = false)
    {
        try
        {
            return new(shape, device.Rent(shape.Count).View, requiresGrad);
        }
        catch (OutOfMemoryException e)
        {
            throw MemoryNames.Of(e, $"a tensor of shape {shape}");
        }
    }

    /// <summary>Where to write this tensor's gradient, and whether something is there already that must be added to.</summary>
    internal BufferView GradientTarget(out bool accumulate)
    {
        WriteDeferred();
        WriteMissing();
        accumulate = HasGradient;
        _gradient ??= Device.Rent(Shape.Count); // not Data's: what was given back or dropped stays so
        HasGradient = true;
        return _gradient.View;
    }

    /// <summary>
    /// The same for a run of channels only, whose place is in the gradient of the whole tensor. Channels that nobody writes become zero when the gradient is read, so runs that together are all
    /// of it are written once each, and nothing is filled before.
    /// </summary>
    internal BufferView GradientTarget(int first, int count, out bool accumulate)
    {
        WriteDeferred();
        _gradient ??= Device.Rent(Shape.Count);
        if (!HasGradient) (_written, HasGradient) = ([], true);
        if (_written != null && _written.Exists(run => run.First < first + count && first < run.End)) WriteMissing();
        accumulate = _written == null;
        _written?.Add((first, first + count));
        if (_written?.Sum(run => run.End - run.First) == Shape[-1]) _written = null;
        return _gradient.View;
    }

    /// <summary>Takes over a gradient that will be computed when somebody asks for it. There must be none yet.</summary>
    internal void DeferGradient(DeferredGradient gradient)
    {
        (_deferred, HasGradient) = (gradient, true);
        // What earlier steps may have left is not needed now.
        _gradient?.Dispose();
        _gradient = null;
    }

    /// <summary>Hands the gradient's memory to another tensor of as many elements that has none yet.</summary>
    internal bool TryMoveGradientTo(Tensor other)
    {
        if (_deferred != null || other.HasGradient || other._gradient != null || other.Producer == null) return false;
        (other._gradient, other.HasGradient, _gradient, HasGradient) = (_gradient, true, null, false);
        return true;
    }

    /// <summary>Computes a deferred gradient.</summary>
    private void WriteDeferred()
    {
        if (_deferred is not { } deferred) return;
        _gradient ??= Device.Rent(Shape.Count);
        deferred.WriteTo(_gradient.View);
        deferred.Dispose();
        _deferred = null;
    }

    /// <summary>The channels of a gradient that nobody wrote are zero.</summary>
    private void WriteMissing()
    {
        if (_written is not { } written) return;
        _written = null;
        int channels = Shape[-1], end = 0;
        long rows = Shape.Count / channels;
        foreach (var run in written.Append((First: channels, End: channels)).OrderBy(run => run.First))
        {
            if (run.First > end)
            {
                using var zeros = Device.Rent(rows * (run.First - end));
                Device.Kernels.Fill(zeros.View, 0);
                Device.Kernels.CopyChannels(new ChannelsGeometry(rows, run.First - end, run.First - end, 0, channels, end), zeros.View, _gradient!.View, accumulate: false);
            }
            end = run.End;
        }
    }

    /// <summary>Gives the gradient's memory back.</summary>
    internal void ReleaseGradient()
    {
        _written = null;
        _deferred?.Dispose();
        _deferred = null;
        _gradient?.Dispose();
        _gradient = null;
        HasGradient = false;
    }

    /// <summary>Gives memory back.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing) return;
        ReleaseGradient();
        if (!IsDropped) _data.Buffer.Dispose();
    }

    private static void CheckCount(int count, Shape shape)
    {
        if (count != shape.Count) throw new ShapeException($"A tensor of shape {shape} has {shape.Count} elements, but {count} values were given.");
    }
}
