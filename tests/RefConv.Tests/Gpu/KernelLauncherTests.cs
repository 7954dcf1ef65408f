using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>Kernels are compiled while the host goes on: what it asked for meanwhile happens all the same in the order in which it was asked for.</summary>
public sealed partial class KernelLauncherTests
{
    [GpuFact("ilgpu-cpu")]
    public void WhatIsAskedForWhileKernelsCompileHappensInOrder()
    {
        using var device = GpuBackend.Open("ilgpu-cpu"); // has compiled nothing
        var inspector = GpuBackend.Inspect(device);
        using var a = device.Rent(8);
        using var b = device.Rent(8);
        float[] values = [1, 2, 3, 4, 5, 6, 7, 8];
        device.Kernels.Fill(a.View, 9);
        Assert.True(inspector.Waiting > 0, "the launch waited for the compiler");
        device.Write(a.View, values);
        device.Kernels.Scale(a.View, b.View, 2, accumulate: false);
        device.Write(a.View, values.Reverse().ToArray());
        Array.Clear(values); // memory of the caller's: what he wrote was written
        Assert.True(inspector.Waiting > 1);
        Assert.Equal([2, 4, 6, 8, 10, 12, 14, 16], Read(device, b));
        Assert.Equal(0, inspector.Waiting);
        Assert.Equal([8, 7, 6, 5, 4, 3, 2, 1], Read(device, a));
        device.Kernels.Fill(a.View, 3);
        Assert.Equal(0, inspector.Waiting); // compiled: launched at once
        Assert.Equal([3, 3, 3, 3, 3, 3, 3, 3], Read(device, a));
    }

    [GpuFact("ilgpu-cpu")]
    public void KernelsThatDoNotCompileAreNamedWithTheirLaunch()
    {
        using var device = GpuBackend.Open("ilgpu-cpu");
        using var a = device.Rent(4);
        GpuBackend.Inspect(device).Launch(Hopeless, (3, 2, 1), 5);
        device.Kernels.Fill(a.View, 1);
        string message = Assert.Throws<InvalidOperationException>(() => Read(device, a)).Message;
        Assert.Contains("The kernel Hopeless, wanted for 3×2×1 groups of 32 threads, does not compile for ilgpu-cpu", message, StringComparison.Ordinal);
        device.Kernels.Fill(a.View, 7); // the device goes on
        Assert.Equal([7, 7, 7, 7], Read(device, a));
    }

    /// <summary>Each kernel has a context for itself: beside others, and after others, it becomes what it becomes alone.</summary>
    [GpuFact("")]
    public void CompiledAtTheSameTimeKernelsAreWhatTheyAreOneByOne()
    {
        var together = GpuRuntime.NewCompiler("80", 3, cache: null);
        string[] kernels = [.. GpuRuntime.Kernels.Where((_, i) => i % 19 == 0)];
        Assert.True(kernels.Length >= 6);
        string[] ptx = new string[kernels.Length];
        Parallel.For(0, kernels.Length, new ParallelOptions { MaxDegreeOfParallelism = 3 }, i => ptx[i] = together.Compile(kernels[i]));
        for (int i = 0; i < kernels.Length; i++) Assert.Equal(Opcodes(GpuRuntime.CompileToPtx(kernels[i]).Ptx), Opcodes(ptx[i]));
        Assert.Equal((kernels.Length, 0), together.Counts);
    }

    [GpuFact("")]
    public void PtxOfAnEarlierProcessIsTakenAndDamageIsNot()
    {
        string folder = Directory.CreateTempSubdirectory("refconv-ptx-").FullName, kernel = "SumsFinishKernel";
        try
        {
            IPtxCompiler Process(string isa) => GpuRuntime.NewCompiler(isa, 1, new PtxCache(folder));
            var first = Process("80");
            string ptx = first.Compile(kernel);
            Assert.Equal((1, 0), first.Counts);
            string file = Assert.Single(Directory.GetFiles(folder));
            var second = Process("80");
            Assert.Equal(ptx, second.Compile(kernel));
            Assert.Equal((0, 1), second.Counts);
            Assert.Contains($".entry {first.EntryOf(kernel)}(", ptx, StringComparison.Ordinal); // the name under which the driver is asked for it
            string kept = File.ReadAllText(file);
            foreach (string damaged in new[] { kept[..(kept.Length / 2)], kept.Replace("ret;", "rot;", StringComparison.Ordinal), "", "// refconv" })
            {
                File.WriteAllText(file, damaged);
                var third = Process("80");
                Assert.Equal(Opcodes(ptx), Opcodes(third.Compile(kernel)));
                Assert.Equal((1, 0), third.Counts);
                Assert.StartsWith("// refconv ", File.ReadAllText(file), StringComparison.Ordinal);
                Assert.Single(Directory.GetFiles(folder)); // nothing temporary is left
            }
            var other = Process("71");
            Assert.Contains(".version 7.1", other.Compile(kernel), StringComparison.Ordinal);
            Assert.Equal((1, 0), other.Counts);
            Assert.Equal(2, Directory.GetFiles(folder).Length);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [GpuFact("")]
    public void AFolderThatCannotBeMadeIsNoError()
    {
        var cache = new PtxCache(Path.Combine(Path.GetTempFileName(), "below-a-file"));
        cache.Keep("key", "text");
        Assert.Null(cache.Read("key"));
        Assert.Null(PtxCache.Open("off", "/somewhere"));
        Assert.Null(PtxCache.Open(null, ""));
        Assert.NotNull(PtxCache.Open(null, "/somewhere"));
    }

    [GpuKernel(32)]
    private static void Hopeless(int a) => Console.WriteLine(a); // ILGPU has no console

    private static float[] Read(Device device, DeviceBuffer buffer)
    {
        float[] values = new float[buffer.Length];
        device.Read(buffer.View, values);
        return values;
    }

    /// <summary>Registers and labels are numbered as they come in a context: what remains is the code.</summary>
    private static string Opcodes(string ptx) => string.Join('\n', ptx.Split('\n').Select(l => Digits().Replace(l, "#")));

    [GeneratedRegex(@"\d{2,}|(?<=[A-Za-z_])\d+")]
    private static partial Regex Digits();
}
