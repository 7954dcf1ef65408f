using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace RefConv.Kernels;

/// <summary>Questions to NVIDIA's driver that ILGPU does not ask. A driver that does not know an answer gives 0: nothing depends on one.</summary>
internal static unsafe class CudaDriver
{
    private const int L2CacheSize = 38, LocalSizeBytes = 3, NumRegisters = 4;

    private static readonly Lazy<nint> s_library = new(() => NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint library) ? library : 0);

    /// <summary>Bytes of the second-level cache.</summary>
    public static int CacheBytes(CudaAccelerator accelerator) => Ask("cuDeviceGetAttribute", L2CacheSize, accelerator.DeviceId);

    /// <summary>Registers of a thread and bytes of local memory, which is where registers go that did not fit.</summary>
    public static (int Registers, int LocalBytes) Needs(CudaKernel kernel) =>
        (Ask("cuFuncGetAttribute", NumRegisters, kernel.FunctionPtr), Ask("cuFuncGetAttribute", LocalSizeBytes, kernel.FunctionPtr));

    private static int Ask(string function, int attribute, nint of)
    {
        int value = 0;
        if (s_library.Value == 0 || !NativeLibrary.TryGetExport(s_library.Value, function, out nint address)) return 0;
        return ((delegate* unmanaged<int*, int, nint, int>)address)(&value, attribute, of) == 0 ? value : 0;
    }
}
