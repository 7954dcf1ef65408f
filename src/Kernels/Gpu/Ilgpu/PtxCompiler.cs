using System.Reflection;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>
/// Makes PTX of kernels, several at a time, each in an ILGPU context of its own. A context reads IL and optimises under a lock, and copies methods out of what another thread may be changing; and it
/// keeps the methods of the kernels before, optimised once more for each kernel that calls them, so that the text of a kernel would depend on which were compiled earlier. A new context makes the
/// same text always, for 0.05 s more a kernel.
/// </summary>
/// <param name="architecture">Of the GPU.</param>
/// <param name="instructionSet">Version of PTX that the driver reads.</param>
/// <param name="most">Kernels under way at a time, at most.</param>
/// <param name="cache">Asked first; null for none.</param>
internal sealed class PtxCompiler(CudaArchitecture architecture, CudaInstructionSet instructionSet, int most, PtxCache? cache)
{
    private readonly SemaphoreSlim _places = new(most);
    private int _compiled, _found;

    /// <summary>Kernels compiled, and kernels found in the cache.</summary>
    public (int Compiled, int Found) Counts => (_compiled, _found);

    /// <summary>The kernel's PTX, repaired.</summary>
    public string Compile(MethodInfo kernel)
    {
        string key = Key(kernel);
        if (cache?.Read(key) is { } kept)
        {
            Interlocked.Increment(ref _found);
            return kept;
        }
        _places.Wait();
        try
        {
            using var context = Context.Create(GpuRuntime.Configure);
            using var backend = new PTXBackend(context, architecture, instructionSet, null!);
            var compiled = (PTXCompiledKernel)backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(kernel), KernelLauncher.Specialization(kernel));
            string ptx = PtxRepair.Apply(compiled.PTXAssembly);
            Interlocked.Increment(ref _compiled);
            cache?.Keep(key, ptx);
            return ptx;
        }
        finally
        {
            _places.Release();
        }
    }

    /// <summary>A kernel as ILGPU loads it, of PTX that some context made.</summary>
    public static PTXCompiledKernel Kernel(Context context, MethodInfo kernel, string ptx) =>
        NewKernel(context, new EntryPoint(EntryPointDescription.FromExplicitlyGroupedKernel(kernel), new SharedMemorySpecification(0, false), KernelLauncher.Specialization(kernel)), null, ptx);

    /// <summary>All that the text depends on: the code of the kernel and of what it calls (both are in its assembly), what is promised of its launches, and who translates for what.</summary>
    private string Key(MethodInfo kernel)
    {
        var attribute = KernelLauncher.Attribute(kernel);
        return $"{typeof(Context).Assembly.GetName().Version} {typeof(XMath).Assembly.GetName().Version} {typeof(PtxCompiler).Module.ModuleVersionId} {kernel.Module.ModuleVersionId} {architecture} {instructionSet} {kernel.DeclaringType} {kernel} {attribute.Group} {attribute.MinGroups}";
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern PTXCompiledKernel NewKernel(Context context, EntryPoint entryPoint, CompiledKernel.KernelInfo? info, string ptx);
}
