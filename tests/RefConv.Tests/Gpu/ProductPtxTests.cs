using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>What the speed of the product kernels hangs on, read off the loop of their PTX: multiply-adds, how they are fed, and how little else there is.</summary>
public sealed partial class ProductPtxTests
{
    public static TheoryData<string> Tiles => Of("ProductLarge", "ProductMedium", "ProductThin");

    public static TheoryData<string> Tensors => Of("ProductTf32", "ProductBFloat16", "ProductFloat16");

    [GpuTheory("")]
    [MemberData(nameof(Tiles))]
    public void ATileIsMultipliedFromSharedMemory(string kernel)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        var loop = PtxLoop.AroundBarrier(ptx);
        // Two terms of 64 sums, fed by eight reads of 128 bits; the loop over a step's terms runs four times.
        Assert.Equal(128, loop.Count("mul.f32"));
        Assert.Equal(128, loop.Count("add.f32"));
        Assert.Equal(8, loop.Count("ld.shared.v4.f32"));
        Assert.Equal(8, loop.Count("ld.shared"));
        Assert.Equal(1, loop.Count("bar"));
        Stays(loop, ptx, others: 280);
    }

    [GpuTheory("")]
    [MemberData(nameof(Tensors))]
    public void AWarpMultipliesOnTensorCores(string kernel)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        var loop = PtxLoop.AroundBarrier(ptx);
        bool isPaired = !kernel.Contains("Tf32", StringComparison.Ordinal);
        // A step of 16 terms: a fragment is read once and used four (left) or four (right) times.
        Assert.Equal(isPaired ? 16 : 32, loop.Count("mma.sync.aligned"));
        Assert.Equal(48, loop.Count("ld.shared"));
        Assert.Equal(isPaired ? 24 : 48, loop.Count("cvt.r"));
        Assert.Equal(4, loop.Count("cp.async.cg.shared.global"));
        Assert.Equal(1, loop.Count("cp.async.wait_all"));
        Assert.Equal(0, loop.Count("ld.global"));
        Stays(loop, ptx, others: 540);
    }

    /// <summary>No division, nothing that is stored outside, shared memory on 16 bytes, and not too many other instructions.</summary>
    private static void Stays(PtxLoop loop, string ptx, int others)
    {
        Assert.Equal(0, loop.Count("div") + loop.Count("rem") + loop.Count("st.global"));
        Assert.All(SharedAlignment().Matches(ptx), m => Assert.Equal("16", m.Groups[1].Value));
        // Moves are how ILGPU passes values on from block to block; the driver's compiler makes them the same register.
        int arithmetic = loop.Count("mul.f32") + loop.Count("add.f32") + loop.Count("mma") + loop.Count("ld.shared") + loop.Count("mov");
        Assert.InRange(loop.Instructions.Count - arithmetic, 0, others);
    }

    private static TheoryData<string> Of(params string[] names) =>
        new(GpuRuntime.Kernels.Where(k => names.Any(n => k.StartsWith(n, StringComparison.Ordinal))).DefaultIfEmpty("none in this build"));

    [GeneratedRegex(@"\.shared \.align (\d+)")]
    private static partial Regex SharedAlignment();
}
