using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime.OpenCL;

namespace RefConv.Kernels;

/// <summary>The drivers' libraries: found under the names that they have where only the run-time packages are installed, and asked why there is no device.</summary>
internal static unsafe class DriverLibraries
{
    /// <summary>Oldest CUDA driver that takes the code which ILGPU emits for the newest architectures it knows (PTX ISA 7.0).</summary>
    private const int OldestCudaDriver = 11000;

    /// <summary>Lets ILGPU find <c>libcuda.so.1</c> and <c>libOpenCL.so.1</c>: it asks for names that only development packages install. Once, before its first use.</summary>
    public static void Resolve()
    {
        try
        {
            NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, static (name, _, _) =>
                Soname(name) is { } other && NativeLibrary.TryLoad(other, out nint library) ? library : 0);
        }
        catch (InvalidOperationException)
        {
            // ILGPU has set one of its own (it does under WSL), which knows better.
        }
    }

    /// <summary>
    /// Which OpenCL devices to offer: all. ILGPU refuses drivers that do not announce generic address spaces as a feature of version 3, though our
    /// kernels work without announcing (PoCL).
    /// </summary>
    public static bool Admit(CLDevice device)
    {
        typeof(CLCapabilityContext).GetProperty(nameof(CLCapabilityContext.GenericAddressSpace), BindingFlags.Public | BindingFlags.Instance)?.SetValue(device.Capabilities, true);
        return true;
    }

    /// <summary>Why there is no CUDA device, and what to do.</summary>
    public static string WhyNoCuda()
    {
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint library))
            return "there is no NVIDIA driver on this machine (libcuda is missing). Install the driver of the GPU; the CUDA toolkit is not needed.";
        try
        {
            int error = ((delegate* unmanaged<uint, int>)NativeLibrary.GetExport(library, "cuInit"))(0);
            if (error != 0) return $"the NVIDIA driver does not start (cuInit says {error}{(error == 100 ? ": no device" : "")}). Is there a GPU, and may this user or container see it?";
            int version = 0, count = 0;
            _ = ((delegate* unmanaged<int*, int>)NativeLibrary.GetExport(library, "cuDriverGetVersion"))(&version);
            if (version is > 0 and < OldestCudaDriver)
                return $"the NVIDIA driver is too old: it knows CUDA {version / 1000}.{version % 1000 / 10}, and {OldestCudaDriver / 1000}.0 is needed. Install a newer driver.";
            _ = ((delegate* unmanaged<int*, int>)NativeLibrary.GetExport(library, "cuDeviceGetCount"))(&count);
            return count > 0
                ? $"the driver shows {count} device{(count == 1 ? "" : "s")}, but none that ILGPU {typeof(Context).Assembly.GetName().Version} can use."
                : "the driver is there and shows no device. May this user or container see the GPU (CUDA_VISIBLE_DEVICES)?";
        }
        catch (EntryPointNotFoundException)
        {
            return "the library libcuda that is here is no NVIDIA driver. Install the driver of the GPU.";
        }
        finally
        {
            NativeLibrary.Free(library);
        }
    }

    /// <summary>Why there is no OpenCL device.</summary>
    public static string WhyNoOpenCL() => NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "OpenCL.dll" : "libOpenCL.so.1", out _)
        ? "the OpenCL loader is there, but no driver shows a device. Install the driver of the GPU, or PoCL (pocl-opencl-icd)."
        : "there is no OpenCL on this machine (libOpenCL is missing). Install a driver, or PoCL (ocl-icd-libopencl1, pocl-opencl-icd).";

    private static string? Soname(string name) => OperatingSystem.IsLinux()
        ? name switch
        {
            _ when name.Contains("OpenCL", StringComparison.Ordinal) => "libOpenCL.so.1",
            _ when name.Contains("cuda", StringComparison.Ordinal) => "libcuda.so.1",
            _ => null,
        }
        : null;

}
