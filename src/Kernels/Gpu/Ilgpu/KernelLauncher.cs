using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;

namespace RefConv.Kernels;

/// <summary>
/// Marks a GPU kernel: a static method that takes one struct with all its arguments. What it states is what the launcher compiles it for and what the tests
/// of the generated PTX hold it to.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class GpuKernelAttribute(int group) : Attribute
{
    /// <summary>Threads of a group, at most and as launched.</summary>
    public int Group { get; } = group;

    /// <summary>Groups that should fit on a multiprocessor at a time: bounds the registers of a thread to 65536/(Group·this).</summary>
    public int MinGroups { get; init; }

    /// <summary>Time is spent here: no local memory, and nothing else that the tests of the PTX can see.</summary>
    public bool Hot { get; init; }

    /// <summary>It must load and store 128 bits at a time.</summary>
    public bool Wide { get; init; }

    /// <summary>Instructions that must be in its PTX, separated by commas: <c>mma.sync,cp.async</c>.</summary>
    public string Uses { get; init; } = "";

    /// <summary>Needs an NVIDIA GPU, or the simulation: it is written with instructions of PTX.</summary>
    public bool CudaOnly { get; init; }
}

/// <summary>Types with which a generic kernel is used: the tests compile it once for each.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
internal sealed class GpuVariantAttribute(params Type[] types) : Attribute
{
    public Type[] Types { get; } = types;
}

/// <summary>Compiles kernels when they are first asked for, once a process and device, and launches them on the device's one stream.</summary>
internal sealed class KernelLauncher(string deviceName, Accelerator accelerator)
{
    private readonly ConcurrentDictionary<MethodInfo, Lazy<Delegate>> _compiled = new();

    /// <summary>Runs a kernel on groups of the size that its attribute says.</summary>
    public void Launch<TArguments>(Action<TArguments> kernel, (int X, int Y, int Z) grid, TArguments arguments, int? group = null) where TArguments : struct
    {
        if (grid.X == 0 || grid.Y == 0 || grid.Z == 0) return;
        var method = kernel.Method;
        var run = (Action<KernelConfig, TArguments>)_compiled.GetOrAdd(method, m => new Lazy<Delegate>(() => Compile(kernel))).Value;
        try
        {
            run(new KernelConfig(new Index3D(grid.X, grid.Y, grid.Z), new Index3D(group ?? Attribute(method).Group, 1, 1)), arguments);
        }
        catch (Exception e) when (IlgpuDevice.IsDriverError(e))
        {
            throw new DeviceLostException(deviceName, $"the kernel {Name(method)} could not be started with {grid.X}×{grid.Y}×{grid.Z} groups", e);
        }
    }

    /// <summary>Compiles without running, for instance from another thread while the host prepares the first batch.</summary>
    public void Prepare<TArguments>(Action<TArguments> kernel) where TArguments : struct =>
        _ = _compiled.GetOrAdd(kernel.Method, m => new Lazy<Delegate>(() => Compile(kernel))).Value;

    internal static GpuKernelAttribute Attribute(MethodInfo kernel) => kernel.GetCustomAttribute<GpuKernelAttribute>()
        ?? throw new InvalidOperationException($"{Name(kernel)} is launched as a kernel and has no [GpuKernel].");

    internal static KernelSpecialization Specialization(MethodInfo kernel)
    {
        var attribute = Attribute(kernel);
        return new(attribute.Group, attribute.MinGroups > 0 ? attribute.MinGroups : null);
    }

    internal static string Name(MethodInfo kernel) =>
        kernel.IsGenericMethod ? $"{kernel.Name}<{string.Join(", ", kernel.GetGenericArguments().Select(t => t.Name))}>" : kernel.Name;

    private Delegate Compile<TArguments>(Action<TArguments> kernel) where TArguments : struct
    {
        try
        {
            // Launch bounds are CUDA's; the simulation would refuse groups that differ from them.
            var bounds = accelerator.AcceleratorType == AcceleratorType.Cuda ? Specialization(kernel.Method) : KernelSpecialization.Empty;
            var compiled = accelerator.GetBackend().Compile(EntryPointDescription.FromExplicitlyGroupedKernel(kernel.Method), bounds);
            if (compiled is PTXCompiledKernel ptx) PtxRepair.Apply(ptx);
            var run = accelerator.LoadKernel(compiled).CreateLauncherDelegate<Action<AcceleratorStream, KernelConfig, TArguments>>();
            return (Action<KernelConfig, TArguments>)((config, arguments) => run(accelerator.DefaultStream, config, arguments));
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            throw new InvalidOperationException($"The kernel {Name(kernel.Method)} does not compile for {deviceName} ({accelerator.Name}): {e.Message}", e);
        }
    }
}
