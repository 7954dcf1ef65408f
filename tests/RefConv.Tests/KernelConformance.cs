using System.Runtime.InteropServices;
using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>Every kernel of every device against the reference, on every row of the case tables.</summary>
public sealed class KernelConformance
{
    public static TheoryData<string> Rows => new(CaseTables.All.Where(c => !c.BenchmarkOnly).Select(c => c.ToString()).Distinct());

    [Theory]
    [MemberData(nameof(Rows))]
    public void Cpu(string row)
    {
        var c = Find(row);
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        Compare(c, device);
        Assert.Equal(0, device.Memory.RentedBuffers);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void CpuGivesTheSameBitsForAnyNumberOfThreads(string row)
    {
        var c = Find(row);
        float[][][] results = [.. new[] { 1, 2, 3 }.Select(threads =>
        {
            using var device = new CpuDevice(threads);
            return KernelComparison.Run(c, device).Select(v => v.Select(d => (float)d).ToArray()).ToArray();
        })];
        for (int i = 0; i < c.Operands.Length; i++)
        {
            var one = MemoryMarshal.Cast<float, int>(results[0][i]);
            Assert.True(one.SequenceEqual(MemoryMarshal.Cast<float, int>(results[1][i])), $"{c}: {c.Operands[i].Name} differs between 1 and 2 threads");
            Assert.True(one.SequenceEqual(MemoryMarshal.Cast<float, int>(results[2][i])), $"{c}: {c.Operands[i].Name} differs between 1 and 3 threads");
        }
    }

    [Fact]
    public void EveryKernelHasARow()
    {
        var covered = CaseTables.All.Where(c => !c.BenchmarkOnly).Select(c => c.Kernel).ToHashSet();
        var missing = typeof(IKernels).GetMethods().Select(m => m.Name).Where(n => !covered.Contains(n)).ToArray();
        Assert.True(missing.Length == 0, "Kernels without a conformance row: " + string.Join(", ", missing));
    }

    [Fact]
    public void RowNamesAreUnique()
    {
        var twice = CaseTables.All.GroupBy(c => c.ToString()).Where(g => g.Count() > 1).Select(g => g.Key).ToArray();
        Assert.True(twice.Length == 0, "Rows with the same name: " + string.Join(", ", twice));
    }

    internal static void Compare(KernelCase c, Device device, int before = 1)
    {
        if (KernelComparison.Check(c, device, before) is { } problem) Assert.Fail(problem);
    }

    internal static KernelCase Find(string row) => ByName.Value[row];

    private static readonly Lazy<Dictionary<string, KernelCase>> ByName =
        new(() => CaseTables.All.DistinctBy(c => c.ToString()).ToDictionary(c => c.ToString()));
}
