using System.Diagnostics;

namespace RefConv.Kernels;

/// <summary>Device memory lent by <see cref="Device.Rent"/>. Disposing gives it back to the device's pool.</summary>
public abstract class DeviceBuffer(Device device, long length) : IDisposable
{
    /// <summary>The device whose memory this is.</summary>
    public Device Device { get; } = device;

    /// <summary>Number of elements.</summary>
    public long Length { get; } = length;

    /// <summary>True once the memory was given back.</summary>
    public abstract bool IsDisposed { get; }

    /// <summary>The whole buffer.</summary>
    public BufferView View => new(this, 0, Length);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>What to throw when a buffer is used after its memory was given back.</summary>
    internal static ObjectDisposedException Disposed() => new(null,
        "This tensor's memory was given back: its tape is closed (Tape.Keep keeps a result beyond it), or it was released to the tape, whose backward pass does not read it (Tape.Retain keeps it until the tape closes), or the tensor itself was disposed.");

    /// <summary>Gives the memory back. Runs once, also from the finaliser.</summary>
    protected abstract void Dispose(bool disposing);
}

/// <summary>A run of elements inside a <see cref="DeviceBuffer"/>. The default value is the empty view, used for "not given".</summary>
/// <param name="Buffer">The memory.</param>
/// <param name="Offset">First element.</param>
/// <param name="Length">Number of elements.</param>
public readonly record struct BufferView(DeviceBuffer Buffer, long Offset, long Length)
{
    /// <summary>True for the default value: an optional operand that was not given.</summary>
    public bool IsEmpty => Length == 0;

    /// <summary>A part of this view.</summary>
    public BufferView Slice(long offset, long length)
    {
        Debug.Assert(offset >= 0 && length >= 0 && offset + length <= Length, "slice lies outside the view");
        return new BufferView(Buffer, Offset + offset, length);
    }
}
