using System.Collections.Concurrent;
using System.Reflection;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>Compiling to PTX without a device: every kernel author's tool, and what the tests assert about kernels where there is no GPU.</summary>
internal static partial class GpuRuntime
{
    private static readonly Lazy<Dictionary<string, MethodInfo>> s_kernels = new(FindKernels);

    private static readonly ConcurrentDictionary<(CudaArchitecture, CudaInstructionSet), PtxCompiler> s_compilers = new();

    /// <summary>For tests, which should not depend on what another build left on the disk.</summary>
    private static readonly PtxCompiler s_offline = new(CudaArchitecture.SM_90, CudaInstructionSet.ISA_80, most: 1, cache: null);

    /// <summary>Compilers at work at a time, at most: each has a context of ILGPU, of some 30 MB.</summary>
    private const int MostCompilers = 16;

    private static readonly ConcurrentDictionary<MethodInfo, Lazy<PtxListing>> s_listings = new();

    /// <summary>All kernels, generic ones once for each of their variants.</summary>
    public static IReadOnlyList<string> Kernels => [.. s_kernels.Value.Keys.Order(StringComparer.Ordinal)];

    public static IReadOnlySet<string> HotKernels => s_kernels.Value.Where(k => KernelLauncher.Attribute(k.Value).Hot).Select(k => k.Key).ToHashSet();

    public static PtxListing CompileToPtx(string kernel) => CompileToPtx(s_kernels.Value[kernel]);

    /// <summary>A kernel's PTX; compiled once, because that takes up to seconds and several tests look at it.</summary>
    public static PtxListing CompileToPtx(MethodInfo method) => s_listings.GetOrAdd(method, static m => new Lazy<PtxListing>(() => Compile(m))).Value;

    /// <summary>Who compiles for a kind of GPU: one in the process, whatever number of devices there is.</summary>
    internal static PtxCompiler CompilerFor(CudaArchitecture architecture, CudaInstructionSet instructionSet) =>
        s_compilers.GetOrAdd((architecture, instructionSet), static k => new PtxCompiler(k.Item1, k.Item2, Math.Min(Environment.ProcessorCount, MostCompilers), PtxCache.Ours));

    /// <summary>A compiler of its own for an H100.</summary>
    /// <param name="instructionSet">Version of PTX: 80.</param>
    /// <param name="most">Kernels at a time.</param>
    /// <param name="cache">Or null.</param>
    public static IPtxCompiler NewCompiler(string instructionSet, int most, PtxCache? cache) =>
        new OfflineCompiler(new PtxCompiler(CudaArchitecture.SM_90, (CudaInstructionSet)typeof(CudaInstructionSet).GetField("ISA_" + instructionSet)!.GetValue(null)!, most, cache));

    private sealed class OfflineCompiler(PtxCompiler compiler) : IPtxCompiler
    {
        public (int Compiled, int Found) Counts => compiler.Counts;

        public string Compile(string kernel) => compiler.Compile(s_kernels.Value[kernel]);

        public string EntryOf(string kernel) => PtxCompiler.Kernel(Context, s_kernels.Value[kernel], "").Name;
    }

    private static PtxListing Compile(MethodInfo method)
    {
        var attribute = KernelLauncher.Attribute(method);
        return new(KernelLauncher.Name(method), s_offline.Compile(method), attribute.Group, attribute.MinGroups, attribute.Hot, attribute.Wide && !method.GetGenericArguments().Contains(typeof(Float1)), attribute.Uses.Split(',', StringSplitOptions.RemoveEmptyEntries));
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
