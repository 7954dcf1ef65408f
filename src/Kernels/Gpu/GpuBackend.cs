namespace RefConv.Kernels;

/// <summary>A GPU device that <c>--device</c> can name, or the reason why it cannot be used.</summary>
/// <param name="Name"><c>cuda:0</c>, <c>opencl:0</c>, <c>ilgpu-cpu</c>; the bare <c>cuda</c> or <c>opencl</c> for a kind that has no device here.</param>
/// <param name="Description">What it is, for people.</param>
/// <param name="Unavailable">Why it cannot be used, and what to do; null for a device that can.</param>
public sealed record GpuDeviceInfo(string Name, string Description, string? Unavailable = null)
{
    /// <summary>It can be opened.</summary>
    public bool IsAvailable => Unavailable == null;
}

/// <summary>How a GPU multiplies. Tensors are 32-bit floats whatever it is, and sums are kept in 32 bits.</summary>
public enum GpuPrecision
{
    /// <summary>32-bit floats throughout.</summary>
    Float32,

    /// <summary>Factors of convolutions and matrix products rounded to 10 bits of mantissa, 8 of exponent (tensor cores).</summary>
    Tf32,

    /// <summary>Factors rounded to bfloat16: 7 bits of mantissa, 8 of exponent.</summary>
    BFloat16,

    /// <summary>Factors rounded to half: 10 bits of mantissa, 5 of exponent. Small gradients vanish unless the loss is scaled.</summary>
    Float16,
}

/// <summary>The GPU devices of this machine. Always there, also in builds without ILGPU: then every device says so.</summary>
public static class GpuBackend
{
    /// <summary>Whether this build has the GPU kernels.</summary>
    public static bool IsBuilt => GpuRuntime.IsBuilt;

    /// <summary>Every device, and for each kind that has none the reason.</summary>
    public static IReadOnlyList<GpuDeviceInfo> Devices => GpuRuntime.Devices;

    /// <summary>The kinds of devices, as their names begin.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["cuda", "opencl", "ilgpu-cpu"];

    /// <summary>Whether a name means a GPU device, there or not.</summary>
    public static bool IsName(string name) => name is "cuda" or "opencl" or "ilgpu-cpu" || name.StartsWith("cuda:", StringComparison.Ordinal) || name.StartsWith("opencl:", StringComparison.Ordinal);

    /// <summary>Names of the kernels in which time is spent.</summary>
    internal static IReadOnlySet<string> HotKernels => GpuRuntime.HotKernels;

    /// <summary>What a benchmark needs to know of a device that <see cref="Open"/> made.</summary>
    internal static IGpuInspector Inspect(Device device) => GpuRuntime.Inspect(device);

    /// <summary>Opens a device.</summary>
    /// <param name="name">As in <see cref="Devices"/>; <c>cuda</c> and <c>opencl</c> mean the first of their kind.</param>
    /// <param name="precision">How it multiplies.</param>
    /// <exception cref="DeviceUnavailableException">It is not there, or cannot do the precision; the message says why and what to do.</exception>
    public static Device Open(string name, GpuPrecision precision = GpuPrecision.Float32)
    {
        string wanted = name is "cuda" or "opencl" && Devices.Any(d => d.Name == name + ":0") ? name + ":0" : name;
        var info = Devices.FirstOrDefault(d => d.Name == wanted) ?? Devices.FirstOrDefault(d => d.Name == wanted.Split(':')[0]);
        if (info is { IsAvailable: true }) return GpuRuntime.Open(info, precision);
        string there = string.Join(", ", Devices.Where(d => d.IsAvailable).Select(d => d.Name));
        throw new DeviceUnavailableException(info != null
            ? $"The device '{name}' cannot be used: {info.Unavailable}"
            : $"There is no device '{name}' on this machine{(there.Length > 0 ? $"; there are {there}" : "")}.");
    }
}

/// <summary>A device that cannot be used; the message says why.</summary>
public sealed class DeviceUnavailableException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The device behind the engine, for benchmarks: its memory as other libraries address it, and its clock.</summary>
internal interface IGpuInspector
{
    /// <summary>The stream on which everything runs, as CUDA knows it; 0 elsewhere.</summary>
    nint Stream { get; }

    /// <summary>Makes the device's context the current one of this thread, for libraries that work with that.</summary>
    void Bind();

    /// <summary>The address of a view's first element, as CUDA knows it.</summary>
    nint Address(BufferView view);

    /// <summary>Copies device memory to device memory, by the driver.</summary>
    void Copy(BufferView from, BufferView to);

    /// <summary>Waits until everything asked for is done.</summary>
    void Synchronize();

    /// <summary>Launches and copies that wait for a kernel to be compiled.</summary>
    int Waiting { get; }

    /// <summary>Kernels that were asked for so far, as <see cref="GpuRuntime.Kernels"/> names them.</summary>
    IReadOnlyCollection<string> Asked { get; }

    /// <summary>Times that the host waited for results.</summary>
    int Reads { get; }

    /// <summary>Bytes of the device's second-level cache; 0 where nobody says.</summary>
    long CacheBytes { get; }

    /// <summary>What the driver made of the kernels that ran: registers of a thread, and bytes of local memory, which should be 0. On CUDA only.</summary>
    IReadOnlyList<(string Kernel, int Registers, int LocalBytes)> Loaded { get; }

    /// <summary>Runs a kernel that is none of the engine's.</summary>
    void Launch<TArguments>(Action<TArguments> kernel, (int X, int Y, int Z) groups, TArguments arguments) where TArguments : struct;

    /// <summary>The time from the beginning to the end of what the work asks the device to do: by the device's events on CUDA, by the host's clock elsewhere.</summary>
    /// <param name="before">Asked of the device first, not timed: it keeps the device busy while the host asks for what is timed, and clears its caches.</param>
    /// <param name="work">What is timed. It must not wait for the device.</param>
    double Milliseconds(Action before, Action work);
}

/// <summary>One kernel compiled to PTX without a device, and what it promises; for tests.</summary>
internal sealed record PtxListing(string Kernel, string Ptx, int Group, int MinGroups, bool Hot, bool Wide, IReadOnlyList<string> Uses);

/// <summary>Compiles kernels to PTX without a device; for tests and measurements.</summary>
internal interface IPtxCompiler
{
    /// <summary>Kernels compiled, and kernels found on disk.</summary>
    (int Compiled, int Found) Counts { get; }

    /// <summary>The PTX of a kernel, as <see cref="GpuRuntime.Kernels"/> names it.</summary>
    string Compile(string kernel);

    /// <summary>The name under which a driver is asked for a kernel.</summary>
    string EntryOf(string kernel);
}
