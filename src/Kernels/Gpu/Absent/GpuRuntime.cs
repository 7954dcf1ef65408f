namespace RefConv.Kernels;

/// <summary>A build without ILGPU.</summary>
internal static class GpuRuntime
{
    private const string Reason = "this build has no GPU kernels, because no NuGet source supplied ILGPU 1.5.3 when it was built. Build where one does (-p:Ilgpu=true insists on it).";

    public static bool IsBuilt => false;

    public static IReadOnlyList<GpuDeviceInfo> Devices { get; } = [.. GpuBackend.Kinds.Select(k => new GpuDeviceInfo(k, "not in this build", Reason))];

    public static IReadOnlyList<string> Kernels => [];

    public static IReadOnlySet<string> HotKernels { get; } = new HashSet<string>();

    public static PtxListing CompileToPtx(string kernel) => throw new DeviceUnavailableException(Reason);

    public static IPtxCompiler NewCompiler(string instructionSet, int most, PtxCache? cache) => throw new DeviceUnavailableException(Reason);

    public static IGpuInspector Inspect(Device device) => throw new DeviceUnavailableException(Reason);

    public static Device Open(GpuDeviceInfo device, GpuPrecision precision) => throw new DeviceUnavailableException($"The device '{device.Name}' cannot be used: {Reason}");
}
