using RefConv.Kernels;
using RefConv.Tests.Gpu;

namespace RefConv.Tests.Engine;

/// <summary>Who runs out of memory is told for what: the operation and its module, or the tensor, beside what the device says.</summary>
public sealed class MemoryNamesTests : DeviceTest
{
    [Fact]
    public void OnTheProcessorTensorsParametersAndOperationsAreNamed() => AreNamed(Cpu);

    [GpuFact("ilgpu-cpu")]
    public void OnAGpuTensorsParametersAndOperationsAreNamed()
    {
        using var device = GpuBackend.Open("ilgpu-cpu");
        string message = AreNamed(device);
        Assert.Matches(@"no device memory for [\d.]+ MB \([\d.]+ MB in use, [\d.]+ MB held, .* free\)", message);
    }

    private static string AreNamed(Device device)
    {
        long before = device.Memory.RentedBuffers;
        var huge = new Shape(1 << 20, 1 << 20, 16); // 64 TB
        Assert.StartsWith("There is no memory for a tensor of shape", Message(() => Tensor.Full(device, huge, 0)), StringComparison.Ordinal);
        using var x = Tensor.Full(device, new Shape(1, 1, 1, 2), 1);
        string message;
        using (Tape.Inference())
        {
            message = Message(() => x.UpsampleNearest(1 << 22, "up.sample"));
        }
        Assert.StartsWith($"There is no memory for UpsampleNearest 'up.sample', whose result is {new Shape(1, 1 << 22, 1 << 22, 2)}. ", message, StringComparison.Ordinal);
        Assert.Equal(message.IndexOf("There is no memory", StringComparison.Ordinal), message.LastIndexOf("There is no memory", StringComparison.Ordinal));
        Assert.Contains("smaller batch", message, StringComparison.Ordinal);
        x.Dispose();
        Assert.Equal(before, device.Memory.RentedBuffers);
        return message;
    }

    private static string Message(Func<Tensor> make) => Assert.Throws<OutOfMemoryException>(make).Message;
}
