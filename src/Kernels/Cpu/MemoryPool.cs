using System.Runtime.InteropServices;

namespace RefConv.Kernels;

/// <summary>
/// 64-byte aligned native memory that is kept for the next request. The system's allocator gives large blocks back on every free,
/// and the page faults of taking them again cost more than many of the kernels that run on them.
/// </summary>
/// <remarks>
/// Blocks come in size classes, an eighth of a power of two apart. A request takes a free block of its class or else the smallest that is at most twice as
/// large: a training step asks for many different sizes, not all at the same time, and with a block of its own for each it would hold twice the memory.
/// Thread-safe.
/// </remarks>
internal sealed unsafe class MemoryPool : IDisposable
{
    /// <summary>The longest request that is looked at; its arithmetic does not overflow.</summary>
    internal const long MostBytes = 1L << 56;

    /// <summary>A block is preceded by a cache line whose first word is its size.</summary>
    private const int Header = 64;

    private readonly Lock _lock = new();
    private readonly List<FreeBlocks> _free = []; // by size
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
            byte* block = TakeFree(size);
            if (block == null)
            {
                block = Allocate(size);
                _heldBytes += size;
            }
            size = SizeOf(block);
            _rented++;
            _rentedBytes += size;
            _peakBytes = Math.Max(_peakBytes, _rentedBytes);
            return block;
        }
    }

    public void Return(byte* block)
    {
        lock (_lock)
        {
            long size = SizeOf(block);
            _rented--;
            _rentedBytes -= size;
            if (_disposed)
            {
                Free(block);
                return;
            }
            int at = FirstOf(size);
            if (at == _free.Count || _free[at].Size != size) _free.Insert(at, new FreeBlocks(size));
            _free[at].Push(block);
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

    private static long SizeOf(byte* block) => *(long*)(block - Header);

    /// <summary>The smallest free block that is large enough and not more than twice as large; null if there is none.</summary>
    private byte* TakeFree(long size)
    {
        for (int i = FirstOf(size); i < _free.Count && _free[i].Size <= 2 * size; i++)
        {
            if (_free[i].Pop() is var block && block != null) return block;
        }
        return null;
    }

    /// <summary>The first class of at least this size.</summary>
    private int FirstOf(long size)
    {
        int low = 0, high = _free.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_free[middle].Size < size) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    private byte* Allocate(long size)
    {
        byte* block = AllocateAligned(size + Header) + Header;
        *(long*)(block - Header) = size;
        return block;
    }

    private void Free(byte* block)
    {
        _heldBytes -= SizeOf(block);
        NativeMemory.AlignedFree(block - Header);
    }

    private byte* AllocateAligned(long size)
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
        foreach (var blocks in _free)
        {
            for (byte* block; (block = blocks.Pop()) != null;) Free(block);
        }
    }

    /// <summary>
    /// The free blocks of one size, the last returned first; there may be none. Each holds the address of the next: a collection of addresses would be one more
    /// instantiation to compile, at every start of every process.
    /// </summary>
    private sealed class FreeBlocks(long size)
    {
        private byte* _first;

        public long Size { get; } = size;

        public void Push(byte* block)
        {
            *(byte**)block = _first;
            _first = block;
        }

        public byte* Pop()
        {
            byte* block = _first;
            if (block != null) _first = *(byte**)block;
            return block;
        }
    }
}
