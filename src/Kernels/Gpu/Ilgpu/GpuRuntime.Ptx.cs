using System.Collections.Concurrent;
using System.Reflection;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>Compiling to PTX without a device: every kernel author's tool, and what the tests assert about kernels where there is no GPU.</summary>
internal static partial class GpuRuntime
{
    private static readonly Lazy<Dictionary<string, MethodInfo>> s_kernels = new(FindKernels);

    private static readonly Lazy<PTXBackend> s_ptx = new(() => new PTXBackend(Context, CudaArchitecture.SM_90, CudaInstructionSet.ISA_80, null!));

    private static readonly ConcurrentDictionary<MethodInfo, Lazy<PtxListing>> s_listings = new();

    /// <summary>All kernels, generic ones once for each of their variants.</summary>
    public static IReadOnlyList<string> Kernels => [.. s_kernels.Value.Keys.Order(StringComparer.Ordinal)];

    public static PtxListing CompileToPtx(string kernel) => CompileToPtx(s_kernels.Value[kernel]);

    /// <summary>A kernel's PTX; compiled once, because that takes up to seconds and several tests look at it.</summary>
    public static PtxListing CompileToPtx(MethodInfo method) => s_listings.GetOrAdd(method, static m => new Lazy<PtxListing>(() => Compile(m))).Value;

    private static PtxListing Compile(MethodInfo method)
    {
        var attribute = KernelLauncher.Attribute(method);
        lock (s_ptx)
        {
            var compiled = (PTXCompiledKernel)s_ptx.Value.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(method), KernelLauncher.Specialization(method));
            PtxRepair.Apply(compiled);
            return new(KernelLauncher.Name(method), compiled.PTXAssembly, attribute.Group, attribute.MinGroups, attribute.Hot, attribute.Wide && !method.GetGenericArguments().Contains(typeof(Float1)), attribute.Uses.Split(',', StringSplitOptions.RemoveEmptyEntries));
        }
    }

    private static Dictionary<string, MethodInfo> FindKernels()
    {
        Dictionary<string, MethodInfo> kernels = [];
        foreach (var method in typeof(GpuRuntime).Assembly.GetTypes().SelectMany(t => t.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)))
        {
            if (method.GetCustomAttribute<GpuKernelAttribute>() == null) continue;
            if (!method.IsGenericMethodDefinition)
            {
                kernels.Add(method.Name, method);
                continue;
            }
            foreach (var variant in method.GetCustomAttributes<GpuVariantAttribute>())
            {
                var closed = method.MakeGenericMethod(variant.Types);
                kernels.Add(KernelLauncher.Name(closed), closed);
            }
        }
        return kernels;
    }
}
