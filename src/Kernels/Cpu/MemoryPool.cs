namespace RefConv.Kernels;

/// <summary>
/// 64-byte aligned native memory that is kept for the next request. The system's allocator gives large blocks back on every free,
/// and the page faults of taking them again cost more than many of the kernels that run on them.
/// </summary>
/// <remarks>
/// Large and small requests have a <see cref="BlockHeap"/> each: a training step asks for thousands of means and biases, some of which stay, and each would keep two large free
/// blocks from becoming one. Thread-safe.
/// </remarks>
internal sealed unsafe class MemoryPool : IDisposable
{
    /// <summary>The longest request that is looked at; its arithmetic does not overflow.</summary>
    internal const long MostBytes = 1L << 56;

    private const long SmallBytes = 64 << 10, SmallSegmentBytes = 4 << 20, LargeSegmentBytes = 64 << 20;

    private readonly Lock _lock = new();
    private readonly BlockHeap _small = new(), _large = new();
    private long _rentedBytes, _peakBytes;
    private int _rented;
    private bool _disposed;

    public MemoryStatistics Statistics
    {
        get
        {
            lock (_lock) return new MemoryStatistics(_rented, _rentedBytes, _peakBytes, HeldBytes);
        }
    }

    private long HeldBytes => _small.TouchedBytes + _large.TouchedBytes;

    public MemoryBlock Rent(long bytes)
    {
        long size = RoundUp(bytes);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var heap = size < SmallBytes ? _small : _large;
            var block = heap.TryRent(size);
            if (block == null)
            {
                heap.Add(NewSegment(heap, size));
                block = heap.TryRent(size)!;
            }
            _rented++;
            _rentedBytes += block.Bytes;
            _peakBytes = Math.Max(_peakBytes, _rentedBytes);
            return block;
        }
    }

    public void Return(MemoryBlock block)
    {
        lock (_lock)
        {
            _rented--;
            _rentedBytes -= block.Bytes;
            block.Segment.Heap.Return(block);
            if (_disposed) FreeSegments();
        }
    }

    /// <summary>
    /// Gives what is not lent back to the system: whole segments, and on Linux the pages of free blocks between those that are lent, whose addresses stay (they count as held).
    /// </summary>
    public void Trim()
    {
        lock (_lock) TrimLocked();
    }

    /// <summary>Frees what is not lent. Segments of which something is lent are freed when the last of it comes back.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            FreeSegments();
            _disposed = true;
        }
    }

    /// <summary>The address of a lent block.</summary>
    internal static byte* Pointer(MemoryBlock block) => ((NativeSegment)block.Segment).Start + block.Offset;

    /// <summary>
    /// What a request takes: whole lines, and one more, because a kernel may read a vector beyond the end; it also keeps maps whose sizes are powers of two from
    /// beginning at the same place of a page, where loads would wait for stores they have nothing to do with.
    /// </summary>
    internal static long RoundUp(long bytes) => (bytes + (2 * BlockHeap.Line) - 1) / BlockHeap.Line * BlockHeap.Line;

    /// <summary>
    /// As large as can be had without paying: a heap in one piece joins all that is free, one in many pieces does not. Where untouched memory costs nothing, that is
    /// a quarter of what the machine has; elsewhere, an eighth of what is held.
    /// </summary>
    private NativeSegment NewSegment(BlockHeap heap, long size)
    {
        bool large = heap == _large;
        long frugal = Math.Max(size, large ? Math.Max(HeldBytes / 8, LargeSegmentBytes) : SmallSegmentBytes);
        if (large && SystemMemory.IsLazy && Segment(Math.Max(frugal, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4)) is { } reserved) return reserved;
        if (Segment(frugal) is { } segment) return segment;
        TrimLocked();
        return Segment(size) ?? throw new OutOfMemoryException(
            $"No memory for a buffer of {size / 1e6:F1} MB ({_rentedBytes / 1e6:F1} MB in use, {HeldBytes / 1e6:F1} MB held). Use a smaller batch, a narrower model or a smaller image.");

        NativeSegment? Segment(long bytes)
        {
            bytes = bytes / BlockHeap.Line * BlockHeap.Line;
            byte* start = large ? SystemMemory.TryAllocateLarge(bytes) : SystemMemory.TryAllocate(bytes);
            return start == null ? null : new NativeSegment(heap, bytes, start);
        }
    }

    private void TrimLocked()
    {
        FreeSegments();
        foreach (var heap in (ReadOnlySpan<BlockHeap>)[_small, _large]) heap.ForgetFree(block => SystemMemory.Forget(Pointer(block), block.Bytes));
    }

    private void FreeSegments()
    {
        foreach (var heap in (ReadOnlySpan<BlockHeap>)[_small, _large])
        {
            while (heap.TakeFreeSegment() is NativeSegment segment) SystemMemory.Free(segment.Start);
        }
    }

    private sealed class NativeSegment(BlockHeap heap, long bytes, byte* start) : MemorySegment(heap, bytes)
    {
        public byte* Start { get; } = start;
    }
}
