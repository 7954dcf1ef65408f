using System.Reflection;
using System.Runtime.InteropServices;

namespace RefConv.Bench.Cudnn;

/// <summary>Finds cuDNN and cuBLAS under the names that they are installed by; <c>LD_LIBRARY_PATH</c> says where, for instance in PyTorch's folders.</summary>
public static class NativeLibraries
{
    internal const string Cudnn = "cudnn", Cublas = "cublas";

    private static readonly Dictionary<string, string[]> s_names = new()
    {
        [Cudnn] = OperatingSystem.IsWindows() ? ["cudnn64_9.dll"] : ["libcudnn.so.9", "libcudnn.so"],
        [Cublas] = OperatingSystem.IsWindows() ? ["cublas64_13.dll", "cublas64_12.dll"] : ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"],
    };

    static NativeLibraries() => NativeLibrary.SetDllImportResolver(Assembly.GetExecutingAssembly(), static (name, _, _) => Load(name));

    /// <summary>Why the baselines cannot run here, or null.</summary>
    public static string? Missing()
    {
        string[] absent = [.. s_names.Keys.Where(n => Load(n) == 0).Select(n => s_names[n][0])];
        return absent.Length == 0 ? null : $"{string.Join(" and ", absent)} cannot be loaded. Name the folders that hold them in LD_LIBRARY_PATH (PyTorch brings them along: nvidia/cudnn/lib, nvidia/cublas/lib or nvidia/cu13/lib beside its package).";
    }

    private static nint Load(string name)
    {
        foreach (string file in s_names.GetValueOrDefault(name, []))
        {
            if (NativeLibrary.TryLoad(file, out nint library)) return library;
        }
        return 0;
    }
}
