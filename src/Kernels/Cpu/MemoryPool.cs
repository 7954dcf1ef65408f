using System.Runtime.InteropServices;

namespace RefConv.Kernels;

/// <summary>
/// 64-byte aligned native memory that is kept for the next request. The system's allocator gives large blocks back on every free,
/// and the page faults of taking them again cost more than many of the kernels that run on them.
/// </summary>
/// <remarks>Blocks come in size classes (an eighth of a power of two apart), so a request wastes at most 12.5 %. Thread-safe.</remarks>
internal sealed unsafe class MemoryPool : IDisposable
{
    /// <summary>The longest request that is looked at; its arithmetic does not overflow.</summary>
    internal const long MostBytes = 1L << 56;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Stack<nint>> _free = [];
    private long _rentedBytes, _peakBytes, _heldBytes;
    private int _rented;
    private bool _disposed;

    public MemoryStatistics Statistics
    {
        get
        {
            lock (_lock) return new MemoryStatistics(_rented, _rentedBytes, _peakBytes, _heldBytes);
        }
    }

    public byte* Rent(long bytes)
    {
        long size = SizeClass(bytes);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            byte* block;
            if (_free.TryGetValue(size, out var stack) && stack.Count > 0)
            {
                block = (byte*)stack.Pop();
            }
            else
            {
                block = Allocate(size);
                _heldBytes += size;
            }
            _rented++;
            _rentedBytes += size;
            _peakBytes = Math.Max(_peakBytes, _rentedBytes);
            return block;
        }
    }

    public void Return(byte* block, long bytes)
    {
        long size = SizeClass(bytes);
        lock (_lock)
        {
            _rented--;
            _rentedBytes -= size;
            if (_disposed)
            {
                NativeMemory.AlignedFree(block);
                _heldBytes -= size;
                return;
            }
            if (!_free.TryGetValue(size, out var stack)) _free[size] = stack = new Stack<nint>();
            stack.Push((nint)block);
        }
    }

    public void Trim()
    {
        lock (_lock) TrimLocked();
    }

    /// <summary>Frees what is not lent. Blocks still lent are freed when they come back.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            TrimLocked();
            _disposed = true;
        }
    }

    /// <summary>Rounds up to a multiple of an eighth of the power of two below; at least one cache line more than asked for.</summary>
    internal static long SizeClass(long bytes)
    {
        long wanted = Math.Max(bytes + 64, 256);
        long step = 1L << (int)(63 - long.LeadingZeroCount(wanted) - 3); // an eighth of the highest power of two in it
        return (wanted + step - 1) / step * step;
    }

    private byte* Allocate(long size)
    {
        try
        {
            return (byte*)NativeMemory.AlignedAlloc((nuint)size, 64);
        }
        catch (OutOfMemoryException)
        {
            TrimLocked();
        }
        try
        {
            return (byte*)NativeMemory.AlignedAlloc((nuint)size, 64);
        }
        catch (OutOfMemoryException)
        {
            throw new OutOfMemoryException(
                $"No memory for a buffer of {size / 1e6:F1} MB ({_rentedBytes / 1e6:F1} MB in use, {_heldBytes / 1e6:F1} MB held). Use a smaller batch, a narrower model or a smaller image.");
        }
    }

    private void TrimLocked()
    {
        foreach (var (size, stack) in _free)
        {
            while (stack.Count > 0)
            {
                NativeMemory.AlignedFree((void*)stack.Pop());
                _heldBytes -= size;
            }
        }
    }
}
