using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace RefConv.Kernels;

/// <summary>
/// Device memory that is kept for the next request: taking it from the driver waits for all work under way. Blocks come in size classes, an eighth of a
/// power of two apart; a request takes a free one of its class, or the smallest that is at most twice as large. Thread-safe.
/// </summary>
/// <remarks>Everything runs on one stream, in order: a block that was given back may be lent again before the kernels that used it have run.</remarks>
/// <param name="accelerator">Whose memory.</param>
/// <param name="synchronize">Waits until everything that was asked for is done, also what has not begun: it may use blocks that were given back.</param>
internal sealed class DeviceMemoryPool(Accelerator accelerator, Action synchronize) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SortedList<long, Stack<MemoryBuffer1D<float, Stride1D.Dense>>> _free = [];
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

    /// <summary>Lends a block.</summary>
    /// <param name="floats">Its least size.</param>
    /// <param name="counted">It shows in <see cref="Statistics"/> as lent; false for what the device keeps for itself.</param>
    public MemoryBuffer1D<float, Stride1D.Dense> Rent(long floats, bool counted = true)
    {
        long size = SizeClasses.Of(checked(floats * sizeof(float)));
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var block = TakeFree(size) ?? Allocate(size);
            if (!counted) return block;
            _rented++;
            _rentedBytes += block.LengthInBytes;
            _peakBytes = Math.Max(_peakBytes, _rentedBytes);
            return block;
        }
    }

    public void Return(MemoryBuffer1D<float, Stride1D.Dense> block, bool counted = true)
    {
        lock (_lock)
        {
            if (counted)
            {
                _rented--;
                _rentedBytes -= block.LengthInBytes;
            }
            if (_disposed)
            {
                Free(block);
                return;
            }
            if (!_free.TryGetValue(block.LengthInBytes, out var stack)) _free[block.LengthInBytes] = stack = new();
            stack.Push(block);
        }
    }

    /// <summary>Gives what is not lent back to the driver. The caller has waited for the device.</summary>
    public void Trim()
    {
        lock (_lock) TrimLocked();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            TrimLocked();
            _disposed = true;
        }
    }

    private MemoryBuffer1D<float, Stride1D.Dense>? TakeFree(long size)
    {
        var sizes = _free.Keys;
        int low = 0, high = sizes.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (sizes[middle] < size) low = middle + 1;
            else high = middle;
        }
        for (; low < sizes.Count && sizes[low] <= 2 * size; low++)
        {
            if (_free.Values[low].TryPop(out var block)) return block;
        }
        return null;
    }

    private MemoryBuffer1D<float, Stride1D.Dense> Allocate(long size)
    {
        if (TryAllocate(size) is { } block) return block;
        synchronize();
        TrimLocked();
        return TryAllocate(size) ?? throw new OutOfMemoryException(
            $"{accelerator.Name}: no device memory for {size / 1e6:F1} MB ({_rentedBytes / 1e6:F1} MB in use, {_heldBytes / 1e6:F1} MB held, {FreeBytes()} free). Use a smaller batch, a narrower model or a smaller image.");
    }

    private MemoryBuffer1D<float, Stride1D.Dense>? TryAllocate(long size)
    {
        try
        {
            var block = accelerator.Allocate1D<float>(size / sizeof(float));
            _heldBytes += block.LengthInBytes;
            return block;
        }
        catch (Exception e) when (e is OutOfMemoryException or CudaException { Error: nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY) } or CLException { Error: CLError.CL_MEM_OBJECT_ALLOCATION_FAILURE or CLError.CL_OUT_OF_RESOURCES or CLError.CL_INVALID_BUFFER_SIZE })
        {
            return null;
        }
    }

    /// <remarks>Only CUDA's driver tells; another one, or one that is failing, leaves the sentence without a number.</remarks>
    private string FreeBytes()
    {
        try
        {
            return accelerator is CudaAccelerator cuda ? $"{cuda.GetFreeMemory() / 1e6:F1} MB" : $"of {accelerator.MemorySize / 1e6:F1} MB, what others leave,";
        }
        catch (CudaException)
        {
            return "an unknown number of MB";
        }
    }

    private void Free(MemoryBuffer1D<float, Stride1D.Dense> block)
    {
        _heldBytes -= block.LengthInBytes;
        block.Dispose();
    }

    private void TrimLocked()
    {
        foreach (var stack in _free.Values)
        {
            while (stack.TryPop(out var block)) Free(block);
        }
    }
}
