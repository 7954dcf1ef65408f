using System.Diagnostics;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using Xunit.Abstractions;

namespace RefConv.Tests.Formats;

/// <summary>
/// How long weights of 100 MB take to load, beside reading the file. Timings mean something on a quiet machine only, so it runs when asked for (REFCONV_TIMING=1)
/// and prints: <c>REFCONV_TIMING=1 dotnet test -c Release tests/RefConv.Tests --filter LoadingSpeed --logger "console;verbosity=detailed"</c>.
/// </summary>
public sealed class LoadingSpeedTests(ITestOutputHelper output)
{
    [TimingFact]
    public void OneHundredMegabytes()
    {
        using var folder = new TemporaryFolder();
        using var device = new CpuDevice();
        string safe = folder.File("model.safetensors"), torch = folder.File("model.pth");
        var spec = new ModelSpec("resnet18") { Width = 1.5 };
        using (var made = Zoo.Create(spec, new Initializer(device)))
        {
            ModelFile.Save(made, safe);
            ModelFile.SaveTorch(made, torch);
        }
        using var model = Zoo.Create(spec, Initializer.ForLoading(device));
        (string What, Action Run)[] all =
        [
            ("cat safetensors > /dev/null", () => Cat(safe)),
            ("LoadWeights(model, safetensors)", () => ModelFile.LoadWeights(model, safe)),
            ("ModelFile.Load(safetensors)", () => ModelFile.Load(safe, device).Dispose()),
            ("cat pth > /dev/null", () => Cat(torch)),
            ("LoadWeights(model, pth)", () => ModelFile.LoadWeights(model, torch)),
            ("ModelFile.SaveTorch", () => ModelFile.SaveTorch(model, torch)),
        ];
        double[][] times = [.. all.Select(_ => new double[15])];
        for (int round = 0; round < 15; round++)
        {
            for (int i = 0; i < all.Length; i++)
            {
                long start = Stopwatch.GetTimestamp();
                all[i].Run();
                times[i][round] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }
        output.WriteLine($"{new FileInfo(safe).Length / 1e6:F1} MB, {device.Description}; milliseconds: least, median of 15");
        for (int i = 0; i < all.Length; i++) output.WriteLine($"{all[i].What,-34} {times[i].Min(),8:F1} {times[i].Order().ElementAt(7),8:F1}");
    }

    private static void Cat(string path)
    {
        using var process = Process.Start("sh", ["-c", $"cat '{path}' > /dev/null"]);
        process.WaitForExit();
    }
}

/// <summary>A timing: skipped unless asked for.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TimingFactAttribute : FactAttribute
{
    public TimingFactAttribute()
    {
        if (Environment.GetEnvironmentVariable("REFCONV_TIMING") != "1") Skip = "a timing for a quiet machine: set REFCONV_TIMING=1";
        else if (OperatingSystem.IsWindows()) Skip = "compares with cat";
    }
}
