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
        byte[] buffer = new byte[128 << 10];
        (string What, Action Run)[] all =
        [
            ("cat model.safetensors > /dev/null", () => Cat(safe)),
            ("the same by a loop here", () => ReadAll(safe, buffer)),
            ("ModelFile.Load, safetensors", () => ModelFile.Load(safe, device).Dispose()),
            ("  into memory never used before", () => LoadAnew(safe)),
            ("LoadWeights, safetensors", () => ModelFile.LoadWeights(model, safe)),
            ("cat model.pth > /dev/null", () => Cat(torch)),
            ("LoadWeights, .pth", () => ModelFile.LoadWeights(model, torch)),
            ("ModelFile.SaveTorch", () => ModelFile.SaveTorch(model, torch)),
        ];
        const int Rounds = 25;
        var results = all.Select(_ => new List<(double Wall, double Cpu, long Faults)>()).ToArray();
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < all.Length; i++)
            {
                var (cpu, faults) = (Environment.CpuUsage.TotalTime, PageFaults());
                long start = Stopwatch.GetTimestamp();
                all[i].Run();
                double wall = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                results[i].Add((wall, (Environment.CpuUsage.TotalTime - cpu).TotalMilliseconds, PageFaults() - faults));
            }
        }
        output.WriteLine($"{new FileInfo(safe).Length / 1e6:F1} MB, {device.Description}; of {Rounds}: milliseconds least, median; processor's, in this process, least; page faults, median");
        for (int i = 0; i < all.Length; i++)
        {
            var r = results[i];
            output.WriteLine($"{all[i].What,-36} {r.Min(x => x.Wall),8:F1} {r.Select(x => x.Wall).Order().ElementAt(Rounds / 2),8:F1} {r.Min(x => x.Cpu),8:F1} {r.Select(x => x.Faults).Order().ElementAt(Rounds / 2),8}");
        }
    }

    private static void ReadAll(string path, byte[] buffer)
    {
        using var handle = File.OpenHandle(path);
        for (long at = 0, n; (n = RandomAccess.Read(handle, buffer, at)) > 0; at += n)
        {
        }
    }

    private static void LoadAnew(string path)
    {
        using var device = new CpuDevice();
        ModelFile.Load(path, device).Dispose();
    }

    /// <summary>Pages that this process had to be given so far (not from the disk).</summary>
    private static long PageFaults()
    {
        const int MinorFaults = 7; // of the fields behind the name in brackets: see proc(5)
        string stat = File.Exists("/proc/self/stat") ? File.ReadAllText("/proc/self/stat") : "";
        return stat.Length == 0 ? 0 : long.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[MinorFaults], System.Globalization.CultureInfo.InvariantCulture);
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
