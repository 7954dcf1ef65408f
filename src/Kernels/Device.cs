namespace RefConv.Kernels;

/// <summary>
/// A place where tensors live and kernels run: memory from a pool that keeps what it was given, and one
/// <see cref="IKernels"/> that works on it.
/// </summary>
/// <remarks>
/// Elements are stored in the device's own type: 32-bit floats on <c>cpu</c>, 64-bit doubles on <c>reference</c>.
/// Code above the kernels never sees which, it reads and writes through <see cref="Read(BufferView, Span{float})"/>
/// and <see cref="Write(BufferView, ReadOnlySpan{float})"/>.
/// </remarks>
public abstract class Device : IDisposable
{
    /// <summary>Short name as given to <c>--device</c>: <c>cpu</c>, <c>reference</c>.</summary>
    public abstract string Name { get; }

    /// <summary>One line for people: threads, SIMD level, element type.</summary>
    public abstract string Description { get; }

    /// <summary>How many threads its kernels use.</summary>
    public virtual int Threads => 1;

    /// <summary>Kernels run some time after they were asked for, in order; reading waits for them.</summary>
    public virtual bool IsAsynchronous => false;

    /// <summary>
    /// Whether a convolution in all its directions, packed or not, reads an input whose pixels lie apart, or writes its gradient so (<see cref="Conv2dGeometry.InputPitch"/>, whatever it is in
    /// <paramref name="g"/>): a run of the channels of a larger map, where it lies. If not, it refuses it, and the channels have to be copied.
    /// </summary>
    /// <param name="g">Shape.</param>
    internal virtual bool CanReadStrided(in Conv2dGeometry g) => false;

    /// <summary>Begins, in the background, to make ready what most models ask a device for first. Harmless and cheap when that was done before.</summary>
    public virtual void CompileAhead()
    {
    }

    /// <summary>Factors of products are rounded to halves, in which small gradients vanish: the loss has to be scaled for training.</summary>
    public virtual bool NeedsLossScaling => false;

    /// <summary>The operations this device can do.</summary>
    public abstract IKernels Kernels { get; }

    /// <summary>Memory held and lent at this moment, and the most ever lent.</summary>
    public abstract MemoryStatistics Memory { get; }

    /// <summary>Fill every buffer with NaN when it is lent, so that reading what was never written shows up. For tests.</summary>
    public bool PoisonBuffers { get; set; }

    /// <summary>Lends a buffer of <paramref name="length"/> elements. Its contents are undefined. Dispose it to give it back.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    /// <exception cref="OutOfMemoryException">The system has no more memory; the message says how much was asked for and held.</exception>
    public abstract DeviceBuffer Rent(long length);

    /// <summary>Copies host floats into the device.</summary>
    public abstract void Write(BufferView destination, ReadOnlySpan<float> source);

    /// <summary>Copies host doubles into the device, rounded to its element type.</summary>
    public abstract void Write(BufferView destination, ReadOnlySpan<double> source);

    /// <summary>Copies device elements to the host as floats.</summary>
    public abstract void Read(BufferView source, Span<float> destination);

    /// <summary>Copies device elements to the host as doubles.</summary>
    public abstract void Read(BufferView source, Span<double> destination);

    /// <summary>Gives memory that is not lent at this moment back to the system.</summary>
    public abstract void Trim();

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the device holds.</summary>
    protected virtual void Dispose(bool disposing)
    {
    }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>What a device's pool holds.</summary>
/// <param name="RentedBuffers">Buffers lent and not yet given back.</param>
/// <param name="RentedBytes">Their bytes.</param>
/// <param name="PeakRentedBytes">The most bytes ever lent at once.</param>
/// <param name="HeldBytes">Bytes taken from the system, lent or not.</param>
public readonly record struct MemoryStatistics(int RentedBuffers, long RentedBytes, long PeakRentedBytes, long HeldBytes);

/// <summary>A device that stopped working: unplugged, reset, or a kernel failed on it. What was in its memory is lost; files are not.</summary>
public sealed class DeviceLostException : Exception
{
    /// <param name="device">Its name.</param>
    /// <param name="what">What was being done.</param>
    /// <param name="inner">What the driver said.</param>
    public DeviceLostException(string device, string what, Exception inner) : this($"The device {device} stopped working: {what} ({inner.Message}).", inner)
    {
    }

    /// <param name="message">The whole sentence.</param>
    /// <param name="inner">What led to it.</param>
    internal DeviceLostException(string message, Exception inner) : base(message, inner)
    {
    }
}
