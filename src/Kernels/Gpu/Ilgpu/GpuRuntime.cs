using ILGPU;
using ILGPU.Algorithms;
using ILGPU.IR;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace RefConv.Kernels;

/// <summary>ILGPU's context, of which a process has one, and the devices it finds.</summary>
internal static partial class GpuRuntime
{
    private static readonly Lazy<Context> s_context = new(MakeContext);

    private static readonly Lazy<IReadOnlyList<(GpuDeviceInfo Info, ILGPU.Runtime.Device? Device)>> s_devices = new(Find);

    public static bool IsBuilt => true;

    public static IReadOnlyList<GpuDeviceInfo> Devices { get; } = [.. s_devices.Value.Select(d => d.Info)];

    /// <summary>For compiling without a device.</summary>
    internal static Context Context => s_context.Value;

    public static Device Open(GpuDeviceInfo device, GpuPrecision precision)
    {
        var found = s_devices.Value.First(d => d.Info == device).Device!;
        IlgpuDevice.CheckPrecision(device, found, precision);
        try
        {
            return new IlgpuDevice(device.Name, found.CreateAccelerator(Context), precision);
        }
        catch (Exception e) when (e is CudaException or CLException)
        {
            throw new DeviceUnavailableException($"The device '{device.Name}' ({device.Description}) was found but does not start: {e.Message}", e);
        }
    }

    public static IGpuInspector Inspect(Device device) => new GpuInspector(device as IlgpuDevice ?? throw new ArgumentException($"{device.Name} is no GPU device.", nameof(device)));

    private static Context MakeContext()
    {
        DriverLibraries.Resolve();
        return Context.Create(builder =>
        {
            Configure(builder);
            builder.CPU(CPUDeviceKind.Nvidia).Cuda().OpenCL(DriverLibraries.Admit);
        });
    }

    /// <summary>What every context has that compiles: below O2 loads and stores would go through generic addresses.</summary>
    internal static void Configure(Context.Builder builder)
    {
        builder.Optimize(OptimizationLevel.O2).EnableAlgorithms();
        TensorCore.Register(builder.GetIntrinsicManager());
    }

    private static IReadOnlyList<(GpuDeviceInfo, ILGPU.Runtime.Device?)> Find()
    {
        List<(GpuDeviceInfo, ILGPU.Runtime.Device?)> found = [];
        var cuda = Context.GetCudaDevices();
        for (int i = 0; i < cuda.Count; i++) found.Add((new($"cuda:{i}", $"{cuda[i].Name}, {cuda[i].MemorySize >> 30} GiB, sm_{cuda[i].Architecture?.Major}{cuda[i].Architecture?.Minor}"), cuda[i]));
        if (cuda.Count == 0) found.Add((new("cuda", "NVIDIA GPUs", DriverLibraries.WhyNoCuda()), null));
        var openCL = Context.GetCLDevices();
        for (int i = 0; i < openCL.Count; i++) found.Add((new($"opencl:{i}", $"{openCL[i].Name}, {openCL[i].MemorySize >> 30} GiB"), openCL[i]));
        if (openCL.Count == 0) found.Add((new("opencl", "OpenCL devices", DriverLibraries.WhyNoOpenCL()), null));
        found.Add((new("ilgpu-cpu", "every GPU thread a thread of the processor: for tests, on tiny shapes"), Context.GetCPUDevices()[0]));
        return found;
    }
}
