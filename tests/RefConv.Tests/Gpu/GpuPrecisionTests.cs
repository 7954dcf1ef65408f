using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>
/// Convolutions and matrix products with factors rounded for the tensor cores, on the simulation (its matrix instructions check that every thread holds what the
/// hardware expects of it) and on CUDA. The error may be that of rounding both factors, and must be larger than that of 32 bits: else the tensor cores were not used.
/// </summary>
public sealed class GpuPrecisionTests
{
    private static readonly (GpuPrecision Precision, double Unit)[] s_precisions =
        [(GpuPrecision.Tf32, 1.0 / 2048), (GpuPrecision.BFloat16, 1.0 / 256), (GpuPrecision.Float16, 1.0 / 2048)];

    public static TheoryData<GpuPrecision> Precisions => new(s_precisions.Select(p => p.Precision));

    [GpuTheory("ilgpu-cpu")]
    [MemberData(nameof(Precisions))]
    public void Simulated(GpuPrecision precision) => Agrees("ilgpu-cpu", precision);

    [GpuTheory("cuda")]
    [MemberData(nameof(Precisions))]
    public void Cuda(GpuPrecision precision) => Agrees("cuda", precision);

    [GpuFact("ilgpu-cpu")]
    public void ShapesThatDoNotSuitRunIn32Bits()
    {
        using var device = GpuBackend.Open("ilgpu-cpu", GpuPrecision.Tf32);
        var g = new Conv2dGeometry(1, 2, 2, 3, 5, 1, 1);
        KernelConformance.Compare(Forward(g, 1e-6), device, before: 64);
    }

    private static void Agrees(string kind, GpuPrecision precision)
    {
        using var device = GpuBackend.Open(kind, precision);
        double unit = s_precisions.Single(p => p.Precision == precision).Unit;
        foreach (var row in Rows((2 * unit) + 1e-6)) KernelConformance.Compare(row, device, before: 64);
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => KernelConformance.Compare(Rows(1e-6).First(), device, before: 64));
        Assert.Equal(0, device.Memory.RentedBuffers);
    }

    /// <summary>All three directions: padding, strides with their phases, groups, more than one step of the sum, parts of a tile, bias and accumulation.</summary>
    private static IEnumerable<KernelCase> Rows(double limit)
    {
        yield return Forward(new(1, 6, 7, 20, 36, 1, 1), limit);
        yield return Forward(new(1, 7, 6, 4, 40, 3, 3) { PadTop = 1, PadLeft = 1, PadRight = 1 }, limit);
        yield return InputGradient(new(1, 6, 6, 36, 20, 3, 3) { PadTop = 1, PadLeft = 1, PadBottom = 1 }, limit);
        yield return InputGradient(new(1, 13, 12, 72, 32, 3, 3) { StrideH = 2, StrideW = 2, PadTop = 1, PadLeft = 1, Groups = 2 }, limit);
        yield return WeightGradient(new(1, 5, 5, 4, 36, 3, 3) { PadTop = 1, PadLeft = 1, PadBottom = 1, PadRight = 1 }, limit);
        yield return new KernelCase(nameof(IKernels.Gemm), "40×36×20 accumulate", Tolerance.Terms, limit,
            [new("a", 800, Role.In), new("b", 720, Role.In), new("c", 1440, Role.InOut)], (k, v) => k.Gemm(new(40, 36, 20), v[0], v[1], v[2], true));
    }

    private static KernelCase Forward(Conv2dGeometry g, double limit) => new(nameof(IKernels.Conv2dForward), $"{g} bias", Tolerance.Terms, limit,
        [new("x", g.InputLength, Role.In), new("w", g.WeightLength, Role.In), new("b", g.K, Role.In), new("y", g.OutputLength, Role.Out)],
        (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3]));

    private static KernelCase InputGradient(Conv2dGeometry g, double limit) => new(nameof(IKernels.Conv2dInputGradient), $"{g}", Tolerance.Terms, limit,
        [new("dy", g.OutputLength, Role.In), new("w", g.WeightLength, Role.In), new("dx", g.InputLength, Role.Out)],
        (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], false));

    private static KernelCase WeightGradient(Conv2dGeometry g, double limit) => new(nameof(IKernels.Conv2dWeightGradient), $"{g} accumulate", Tolerance.Terms, limit,
        [new("x", g.InputLength, Role.In), new("dy", g.OutputLength, Role.In), new("dw", g.WeightLength, Role.InOut)],
        (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], true));
}
