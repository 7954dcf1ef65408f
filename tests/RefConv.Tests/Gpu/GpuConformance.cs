using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>
/// Every GPU kernel against the reference: on ILGPU's simulation the small rows, on OpenCL (PoCL) all but the largest, on CUDA all. Operands begin on a
/// multiple of 16 bytes, where wide loads are possible, and once more off it. One test is all rows of a kernel: devices are opened once and used by one test at a time.
/// </summary>
public sealed class GpuConformance
{
    public static TheoryData<string> Kernels => new(typeof(IKernels).GetMethods().Select(m => m.Name).Order(StringComparer.Ordinal));

    [GpuTheory("ilgpu-cpu")]
    [MemberData(nameof(Kernels))]
    public void Simulated(string kernel) => Agrees("ilgpu-cpu", kernel);

    [GpuTheory("opencl")]
    [MemberData(nameof(Kernels))]
    public void OpenCL(string kernel) => Agrees("opencl", kernel);

    [GpuTheory("cuda")]
    [MemberData(nameof(Kernels))]
    public void Cuda(string kernel) => Agrees("cuda", kernel);

    private static void Agrees(string kind, string kernel)
    {
        var device = GpuDevices.Open(kind);
        var rows = CaseTables.All.Where(c => c.Kernel == kernel && !c.BenchmarkOnly && c.IsFor(device) && GpuDevices.IsFor(kind, c)).ToArray();
        Assert.NotEmpty(rows);
        lock (device)
        {
            foreach (var row in rows)
            {
                KernelConformance.Compare(row, device, before: 64);
                KernelConformance.Compare(row, device, before: 1);
                Assert.Equal(0, device.Memory.RentedBuffers);
            }
        }
    }
}
