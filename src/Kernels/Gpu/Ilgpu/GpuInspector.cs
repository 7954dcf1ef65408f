using System.Diagnostics;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

internal sealed class GpuInspector(IlgpuDevice device) : IGpuInspector
{
    private readonly CudaEvent? _start = device.Accelerator is CudaAccelerator a ? new(a) : null, _end = device.Accelerator is CudaAccelerator b ? new(b) : null;

    public nint Stream => device.Accelerator.DefaultStream is CudaStream stream ? stream.StreamPtr : 0;

    public void Bind() => device.Accelerator.Bind();

    public nint Address(BufferView view) => device.Accelerator is CudaAccelerator ? device.View(view).LoadEffectiveAddressAsPtr() : throw new NotSupportedException($"{device.Name} has no addresses that other libraries could use.");

    public void Copy(BufferView from, BufferView to)
    {
        var (source, target) = (device.View(from), device.View(to));
        device.Launcher.InOrder(() => source.CopyTo(device.Accelerator.DefaultStream, target));
    }

    public int Waiting => device.Launcher.Waiting;

    public IReadOnlyCollection<string> Asked => [.. device.Launcher.Asked.Select(KernelLauncher.Name)];

    public int Reads => device.Reads;

    public long CacheBytes => device.Accelerator is CudaAccelerator cuda ? CudaDriver.CacheBytes(cuda) : 0;

    public IReadOnlyList<(string Kernel, int Registers, int LocalBytes)> Loaded
    {
        get
        {
            device.Accelerator.Bind();
            return [.. device.Launcher.Loaded.Where(k => k.Value is CudaKernel).Select(k => (KernelLauncher.Name(k.Key), CudaDriver.Needs((CudaKernel)k.Value))).Select(k => (k.Item1, k.Item2.Registers, k.Item2.LocalBytes)).OrderBy(k => k.Item1, StringComparer.Ordinal)];
        }
    }

    public void Launch<TArguments>(Action<TArguments> kernel, (int X, int Y, int Z) groups, TArguments arguments) where TArguments : struct => device.Launcher.Launch(kernel, groups, arguments);

    public void Synchronize() => device.Synchronize();

    public double Milliseconds(Action before, Action work)
    {
        if (_start == null || _end == null)
        {
            before();
            Synchronize();
            long started = Stopwatch.GetTimestamp();
            work();
            Synchronize();
            return Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        }
        before();
        device.Launcher.Wait();
        _start.Record();
        work();
        device.Launcher.Wait();
        _end.Record();
        _end.Wait();
        return _end.MillisecondsSince(_start);
    }
}
