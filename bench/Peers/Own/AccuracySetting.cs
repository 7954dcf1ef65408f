using RefConv.Kernels;

namespace RefConv.Bench;

/// <summary>Lets a device's convolutions round more for speed until it is disposed. Devices that know no such choice are left alone.</summary>
internal readonly struct AccuracySetting : IDisposable
{
    private readonly CpuDevice? _device;
    private readonly Conv2dAccuracy _before;

    public AccuracySetting(Device device, Conv2dAccuracy accuracy)
    {
        _device = (device is ProfilingDevice profiling ? profiling.Inner : device) as CpuDevice;
        if (_device == null) return;
        _before = _device.ConvolutionAccuracy;
        _device.ConvolutionAccuracy = accuracy;
    }

    public void Dispose()
    {
        if (_device != null) _device.ConvolutionAccuracy = _before;
    }
}
