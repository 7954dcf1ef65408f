using System.Diagnostics;
using RefConv.Cases;
using RefConv.Kernels;

namespace RefConv.Bench.Gpu;

/// <summary>Every row of every kernel against the reference: the tests' rows, on a machine that cannot build tests.</summary>
internal static class Conformance
{
    public static void Run(Settings settings, Results results, Stopwatch clock)
    {
        using var device = GpuBackend.Open(settings.Device);
        int passed = 0, failed = 0, left = 0;
        var rows = CaseTables.All.Where(c => !c.BenchmarkOnly && (!settings.Quick || c.Operands.Sum(o => o.Length) < 20_000)).ToArray();
        var started = Stopwatch.StartNew();
        foreach (var row in rows)
        {
            if (clock.Elapsed.TotalSeconds > settings.Seconds)
            {
                left++;
                continue;
            }
            foreach (int before in (int[])[64, 1])
            {
                string? problem;
                try
                {
                    problem = KernelComparison.Check(row, device, before);
                }
                catch (Exception e) when (e is InvalidOperationException or NotSupportedException)
                {
                    problem = $"{row}: {e.Message}";
                }
                catch (DeviceLostException e)
                {
                    // After that the context is of no use any more.
                    results.Note($"{row}: {e.Message} The rows after it were not run.");
                    results.Failed = true;
                    return;
                }
                if (problem == null) passed++;
                else
                {
                    failed++;
                    if (failed <= 40) results.Note(problem);
                }
            }
        }
        Spills(device, results);
        results.Failed |= failed > 0;
        results.Add("conformance", "all kernels", null, started.Elapsed.TotalMilliseconds, null, null, ("passed", passed), ("failed", failed), ("leftOut", left));
        if (failed > 0) results.Note($"{failed} of {passed + failed} conformance rows failed.");
    }

    /// <summary>What the driver's compiler made of the kernels: local memory in one that is hot is a failure that no result shows.</summary>
    private static void Spills(Device device, Results results)
    {
        var hot = GpuBackend.HotKernels;
        foreach (var (kernel, registers, bytes) in GpuBackend.Inspect(device).Loaded)
        {
            results.Kernel(kernel, registers, bytes);
            if (bytes > 0 && hot.Contains(kernel)) results.Note($"{kernel} keeps {bytes} bytes a thread in local memory ({registers} registers).");
        }
    }
}
