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
            return Run(c, device, absolute: false).Select(v => v.Select(d => (float)d).ToArray()).ToArray();
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
        using var reference = new ReferenceDevice { PoisonBuffers = true };
        double[][] expected = Run(c, reference, absolute: false);
        double[][] terms = c.Tolerance == Tolerance.Terms ? Run(c, reference, absolute: true) : expected;
        double[][] actual = Run(c, device, absolute: false, before);
        for (int o = 0; o < c.Operands.Length; o++)
        {
            if (c.Operands[o].Role is Role.In or Role.None)
            {
                Assert.True(actual[o].AsSpan().SequenceEqual(expected[o]), $"{c}: the kernel changed its input '{c.Operands[o].Name}'");
                continue;
            }
            for (int i = 0; i < expected[o].Length; i++)
            {
                double scale = c.Tolerance switch
                {
                    Tolerance.Terms => Math.Max(Math.Abs(terms[o][i]), 1e-30),
                    Tolerance.Value => Math.Max(1, Math.Abs(expected[o][i])),
                    _ => 1,
                };
                double error = Math.Abs(actual[o][i] - expected[o][i]) / scale;
                bool good = expected[o][i].Equals(actual[o][i]) || error <= c.Limit;
                if (!good) Assert.Fail($"{c}: {c.Operands[o].Name}[{i}] is {actual[o][i]:R}, the reference says {expected[o][i]:R} (error {error:E2}, allowed {c.Limit:E0})");
            }
        }
    }

    internal static KernelCase Find(string row) => ByName.Value[row];

    private static readonly Lazy<Dictionary<string, KernelCase>> ByName =
        new(() => CaseTables.All.DistinctBy(c => c.ToString()).ToDictionary(c => c.ToString()));

    private static double[][] Run(KernelCase c, Device device, bool absolute, int before = 1)
    {
        var buffers = new DeviceBuffer?[c.Operands.Length];
        var views = new BufferView[c.Operands.Length];
        double[][] results = new double[c.Operands.Length][];
        try
        {
            for (int o = 0; o < views.Length; o++)
            {
                var operand = c.Operands[o];
                if (operand.Role == Role.None) continue;
                // Some elements before and 64 after, to see writes outside the view.
                buffers[o] = device.Rent(operand.Length + before + 64);
                device.Write(buffers[o]!.View, Enumerable.Repeat(12345f, (int)operand.Length + before + 64).ToArray());
                views[o] = buffers[o]!.View.Slice(before, operand.Length);
                float[] values = operand.Role == Role.Out ? [.. Enumerable.Repeat(float.NaN, (int)operand.Length)] : c.Values(operand);
                if (absolute) values = [.. values.Select(MathF.Abs)];
                device.Write(views[o], values);
            }
            c.Invoke(device.Kernels, views);
            for (int o = 0; o < views.Length; o++)
            {
                results[o] = new double[views[o].Length];
                if (views[o].IsEmpty) continue;
                device.Read(views[o], results[o]);
                double[] all = new double[buffers[o]!.Length];
                device.Read(buffers[o]!.View, all);
                Assert.True(all.Take(before).Concat(all.Skip((int)c.Operands[o].Length + before)).All(v => v == 12345), $"{c}: wrote outside '{c.Operands[o].Name}'");
            }
            return results;
        }
        finally
        {
            foreach (var buffer in buffers) buffer?.Dispose();
        }
    }
}
