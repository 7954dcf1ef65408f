using System.Collections.Concurrent;
using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>The GPU devices of this machine, each opened once: kernels are compiled when they are first used, and that takes longer than running them.</summary>
internal static class GpuDevices
{
    private static readonly ConcurrentDictionary<string, Lazy<Device>> s_open = new();

    /// <summary>Kinds of devices that tests run on, in the order of their names.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["ilgpu-cpu", "opencl", "cuda"];

    /// <summary>Why tests on this kind of device are skipped, or null.</summary>
    public static string? WhyNot(string kind) =>
        GpuBackend.Devices.Any(d => d.IsAvailable && d.Name.StartsWith(kind, StringComparison.Ordinal)) ? null : GpuBackend.Devices.First(d => d.Name == kind).Unavailable;

    public static Device Open(string kind) => s_open.GetOrAdd(kind, k => new Lazy<Device>(() => GpuBackend.Open(k))).Value;

    /// <summary>
    /// Whether a row is small enough for a device: the simulation has a thread of the system for every GPU thread and takes milliseconds for a barrier; PoCL runs
    /// at a small part of the processor's speed.
    /// </summary>
    public static bool IsFor(string kind, KernelCase c) => Work(c) <= kind switch
    {
        "ilgpu-cpu" => 20_000,
        "opencl" => 2_000_000,
        _ => double.PositiveInfinity,
    };

    private static double Work(KernelCase c) => c.Operands.Sum(o => (double)o.Length) + (c.Flops / 10);
}

/// <summary>A test that needs a kind of GPU device, or with "" only the GPU kernels in the build; skipped, with the reason, where that is not there.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuTheoryAttribute : TheoryAttribute
{
    public GpuTheoryAttribute(string kind) => Skip = kind.Length > 0 ? GpuDevices.WhyNot(kind) : GpuBackend.IsBuilt ? null : GpuBackend.Devices[0].Unavailable;
}

/// <summary>As <see cref="GpuTheoryAttribute"/>, for a test without data.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuFactAttribute : FactAttribute
{
    public GpuFactAttribute(string kind) => Skip = kind.Length > 0 ? GpuDevices.WhyNot(kind) : GpuBackend.IsBuilt ? null : GpuBackend.Devices[0].Unavailable;
}
