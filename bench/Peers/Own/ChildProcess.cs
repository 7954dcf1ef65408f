using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Bench;

/// <summary>What has to be measured in a process of its own: this program starts itself with the hidden option <c>--child</c>.</summary>
internal static class ChildProcess
{
    /// <summary>Steps after which memory has reached its peak: the optimiser's state comes with the first.</summary>
    private const int MemorySteps = 3;

    /// <summary>Peak memory of our training step, as the process itself saw it.</summary>
    /// <param name="AboveIdle">Peak of the process above what it had with the model built: megabytes.</param>
    /// <param name="Peak">Peak of the process.</param>
    /// <param name="Device">Most that tensors ever took at once, the parameters among them.</param>
    public sealed record PeakMemory(double AboveIdle, double Peak, double Device);

    /// <summary>How to start this program: the tool, or this project's own.</summary>
    public static ProcessStartInfo StartInfo(int threads, params string[] child)
    {
        var entry = Assembly.GetEntryAssembly();
        bool isTool = entry?.GetName().Name == "refconv", isOurs = isTool || entry == typeof(ChildProcess).Assembly;
        string program = Environment.ProcessPath ?? "dotnet";
        bool hosted = !isOurs || Path.GetFileNameWithoutExtension(program) == "dotnet";
        string assembly = Path.Combine(AppContext.BaseDirectory, (isOurs ? entry! : typeof(ChildProcess).Assembly).GetName().Name + ".dll");
        List<string> arguments = [];
        if (hosted) arguments.Add(assembly);
        if (isTool) arguments.Add("bench");
        foreach (string word in child) arguments.AddRange(["--child", word]);
        arguments.AddRange(["--threads", threads.ToString(CultureInfo.InvariantCulture)]);
        return new ProcessStartInfo(hosted && !isOurs ? "dotnet" : program, arguments);
    }

    /// <summary>The child's side: does what it was started for and prints one line.</summary>
    public static void Run(IReadOnlyList<string> words, int threads)
    {
        switch (words)
        {
            case ["memory", var name]: Console.Out.WriteLine(JsonSerializer.Serialize(Measure(ModelCase.All.Single(c => c.Name == name), threads))); break;
            case ["answer", var model, var images]: Console.Out.WriteLine(Answer(model, images, threads).ToJsonString()); break;
            default: throw new ArgumentException($"--child is for the benchmark's own use; it knows no '{string.Join(' ', words)}'.");
        }
    }

    private static PeakMemory Measure(ModelCase row, int threads)
    {
        using var device = new CpuDevice(threads);
        using var engine = new OwnModel(row, ModelCase.Plain, device);
        GC.Collect();
        ForgetPeak();
        double idle = Resident("VmRSS:");
        for (int i = 0; i < MemorySteps; i++) engine.Run(1);
        double peak = Resident("VmHWM:");
        return new(peak - idle, peak, device.Memory.PeakRentedBytes / 1048576.0);
    }

    /// <summary>The first answer of a fresh process: a model from its file, one batch from another.</summary>
    private static JsonObject Answer(string model, string images, int threads)
    {
        using var device = new CpuDevice(threads);
        using var net = ModelFile.Load(model, device);
        net.Eval();
        using var plan = net.Compile();
        using var x = Tensor.From(device, MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(images)), plan.InputShape);
        float[] scores = plan.Run(x).ToArray();
        return new JsonObject { ["scores"] = new JsonArray([.. scores.Take(10).Select(v => (JsonNode)v)]) };
    }

    /// <summary>Megabytes of this process: now (VmRSS) or at most (VmHWM). Elsewhere than on Linux the runtime's figures.</summary>
    private static double Resident(string what)
    {
        if (File.Exists("/proc/self/status"))
        {
            string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(what, StringComparison.Ordinal));
            return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) / 1024;
        }
        using var self = Process.GetCurrentProcess();
        return (what == "VmRSS:" ? self.WorkingSet64 : self.PeakWorkingSet64) / 1048576.0;
    }

    /// <summary>The peak of building the model is not the step's.</summary>
    private static void ForgetPeak()
    {
        try
        {
            if (OperatingSystem.IsLinux()) File.WriteAllText("/proc/self/clear_refs", "5");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Then the peak includes it: never too low.
        }
    }
}
