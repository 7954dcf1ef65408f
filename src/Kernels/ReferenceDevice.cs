namespace RefConv.Kernels;

/// <summary>
/// The oracle: every kernel as plain loops over 64-bit doubles, one thread, nothing clever. It is the first thing to read about an
/// operation, what the fast kernels are tested against, and a whole device: any model runs on it, slowly and precisely.
/// </summary>
public sealed class ReferenceDevice : Device
{
    private int _rented;
    private long _rentedBytes, _peakBytes;

    /// <summary>Makes a device.</summary>
    public ReferenceDevice() => Kernels = new ReferenceKernels();

    /// <inheritdoc/>
    public override string Name => "reference";

    /// <inheritdoc/>
    public override string Description => "1 thread, plain loops, float64";

    /// <inheritdoc/>
    public override IKernels Kernels { get; }

    /// <inheritdoc/>
    public override MemoryStatistics Memory => new(_rented, _rentedBytes, _peakBytes, _rentedBytes);

    /// <inheritdoc/>
    internal override bool CanReadStrided(in Conv2dGeometry g) => true;

    /// <inheritdoc/>
    public override DeviceBuffer Rent(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        var buffer = new ReferenceBuffer(this, length);
        if (PoisonBuffers) Array.Fill(buffer.Data, double.NaN);
        return buffer;
    }

    /// <inheritdoc/>
    public override void Write(BufferView destination, ReadOnlySpan<float> source)
    {
        var target = Span(destination, source.Length);
        for (int i = 0; i < source.Length; i++) target[i] = source[i];
    }

    /// <inheritdoc/>
    public override void Write(BufferView destination, ReadOnlySpan<double> source) => source.CopyTo(Span(destination, source.Length));

    /// <inheritdoc/>
    public override void Read(BufferView source, Span<float> destination)
    {
        var from = Span(source, destination.Length);
        for (int i = 0; i < from.Length; i++) destination[i] = (float)from[i];
    }

    /// <inheritdoc/>
    public override void Read(BufferView source, Span<double> destination) => Span(source, destination.Length).CopyTo(destination);

    /// <inheritdoc/>
    public override void Trim()
    {
    }

    /// <summary>The elements of a view; empty for an empty view.</summary>
    internal static Span<double> Span(BufferView view) =>
        view.IsEmpty ? [] : ((ReferenceBuffer)view.Buffer).Data.AsSpan(checked((int)view.Offset), checked((int)view.Length));

    private static Span<double> Span(BufferView view, int length)
    {
        if (view.Length != length) throw new ArgumentException($"The device view has {view.Length} elements, the host memory {length}.");
        return Span(view);
    }

    private void Count(int buffers, long length)
    {
        Interlocked.Add(ref _rented, buffers);
        long bytes = Interlocked.Add(ref _rentedBytes, buffers * length * sizeof(double));
        _peakBytes = Math.Max(_peakBytes, bytes);
    }

    private sealed class ReferenceBuffer : DeviceBuffer
    {
        private double[]? _data;

        public ReferenceBuffer(ReferenceDevice device, long length) : base(device, length)
        {
            _data = new double[checked((int)length)];
            device.Count(1, length);
        }

        ~ReferenceBuffer() => Dispose(false);

        public override bool IsDisposed => _data == null;

        public double[] Data
        {
            get
            {
                if (_data == null) throw DeviceBuffer.Disposed();
                return _data;
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (_data == null) return;
            _data = null;
            ((ReferenceDevice)Device).Count(-1, Length);
        }
    }
}

/// <summary>The kernels of <see cref="ReferenceDevice"/>, each in its operation's folder (<c>*.Reference.cs</c>).</summary>
internal sealed partial class ReferenceKernels : IKernels
{
    /// <summary>The elements of a view; empty for an operand that was not given.</summary>
    private static Span<double> S(BufferView view) => ReferenceDevice.Span(view);

    /// <summary>target = value, or target += value.</summary>
    private static void Put(ref double target, double value, bool accumulate) => target = accumulate ? target + value : value;
}
