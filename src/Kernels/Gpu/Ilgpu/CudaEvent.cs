using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>A mark in a device's stream: the host can wait for the device to come by, and the time between two is measured by the device.</summary>
internal sealed class CudaEvent : IDisposable
{
    private readonly CudaAccelerator _accelerator;
    private readonly nint _event;

    public CudaEvent(CudaAccelerator accelerator)
    {
        _accelerator = accelerator;
        using var binding = accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.CreateEvent(out _event, CudaEventFlags.CU_EVENT_DEFAULT));
    }

    public void Record()
    {
        using var binding = _accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.RecordEvent(_event, ((CudaStream)_accelerator.DefaultStream).StreamPtr));
    }

    /// <summary>The device has come by.</summary>
    public bool IsReached
    {
        get
        {
            using var binding = _accelerator.BindScoped();
            return CudaAPI.CurrentAPI.QueryEvent(_event) == CudaError.CUDA_SUCCESS;
        }
    }

    public void Wait()
    {
        using var binding = _accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.SynchronizeEvent(_event));
    }

    public double MillisecondsSince(CudaEvent start)
    {
        using var binding = _accelerator.BindScoped();
        CudaException.ThrowIfFailed(CudaAPI.CurrentAPI.ElapsedTime(out float milliseconds, start._event, _event));
        return milliseconds;
    }

    public void Dispose()
    {
        using var binding = _accelerator.BindScoped();
        _ = CudaAPI.CurrentAPI.DestroyEvent(_event);
    }
}
