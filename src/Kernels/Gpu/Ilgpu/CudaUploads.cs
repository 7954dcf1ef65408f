using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>
/// Copies to a CUDA device that do not wait for it: values go to page-locked memory first, from which the device fetches them when its turn comes. Some such
/// blocks are used in turn, and only one whose copy is still under way is waited for: the host is then that many copies ahead.
/// </summary>
internal sealed class CudaUploads(CudaAccelerator accelerator) : IDisposable
{
    private readonly Slot[] _slots = [new(), new(), new(), new()];
    private int _next;

    public void Write(ArrayView<float> target, ReadOnlySpan<float> source)
    {
        var slot = _slots[_next];
        _next = (_next + 1) % _slots.Length;
        slot.Event?.Wait();
        if (slot.Memory == null || slot.Memory.Length < source.Length)
        {
            slot.Memory?.Dispose();
            slot.Memory = accelerator.AllocatePageLocked1D<float>(Math.Max(source.Length, 1024));
        }
        source.CopyTo(slot.Memory.Span);
        target.CopyFrom(accelerator.DefaultStream, slot.Memory.ArrayView.SubView(0, source.Length));
        (slot.Event ??= new CudaEvent(accelerator)).Record();
    }

    public void Dispose()
    {
        foreach (var slot in _slots)
        {
            slot.Event?.Wait();
            slot.Event?.Dispose();
            slot.Memory?.Dispose();
        }
    }

    private sealed class Slot
    {
        public PageLockedArray1D<float>? Memory;
        public CudaEvent? Event;
    }
}
