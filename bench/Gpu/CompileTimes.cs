using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Bench.Gpu;

/// <summary>What it takes to make PTX of all kernels of a training step: one after the other, at the same time, and found on disk. Needs no NVIDIA GPU, but some device to learn which kernels they are.</summary>
internal static class CompileTimes
{
    public static void Run(Settings settings, Results results)
    {
        string[] kernels = KernelsOfAStep(settings.Device);
        string folder = Directory.CreateTempSubdirectory("refconv-ptx-").FullName;
        try
        {
            int cores = System.Environment.ProcessorCount;
            Time("one after the other", 1, null);
            Time($"{cores} at a time", cores, new PtxCache(folder));
            Time("found on disk", cores, new PtxCache(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        void Time(string how, int most, PtxCache? cache)
        {
            var compiler = GpuRuntime.NewCompiler("80", most, cache);
            var clock = Stopwatch.StartNew();
            var before = Process.GetCurrentProcess().TotalProcessorTime;
            Parallel.ForEach(kernels, new ParallelOptions { MaxDegreeOfParallelism = most }, k => compiler.Compile(k));
            results.Add("compile", $"PTX of MobileNetV1's step, {how}", null, clock.Elapsed.TotalMilliseconds, null, null, ("kernels", kernels.Length), ("compiled", compiler.Counts.Compiled),
                ("processorMs", Math.Round((Process.GetCurrentProcess().TotalProcessorTime - before).TotalMilliseconds)));
        }
    }

    private static string[] KernelsOfAStep(string name)
    {
        using var device = GpuBackend.Open(name);
        var spec = new ModelSpec("mobilenet_v1") { Classes = 10, ImageSize = 32, SmallImages = true, Width = 0.25 };
        using var model = new OwnModel(new ModelCase("compile", "", Work.Train, spec, 2), ModelCase.Plain, device);
        model.Run(1);
        GpuBackend.Inspect(device).Synchronize();
        return [.. GpuBackend.Inspect(device).Asked.Intersect(GpuRuntime.Kernels)];
    }
}
