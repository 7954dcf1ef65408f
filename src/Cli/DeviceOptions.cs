using System.CommandLine;
using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Cli;

/// <summary>Where to compute, and how: the same options for every command that computes.</summary>
internal sealed class DeviceOptions
{
    private static readonly Dictionary<string, GpuPrecision> s_precisions = new()
    {
        ["fp32"] = GpuPrecision.Float32,
        ["tf32"] = GpuPrecision.Tf32,
        ["bf16"] = GpuPrecision.BFloat16,
        ["fp16"] = GpuPrecision.Float16,
    };

    private readonly Option<int> _threads = Threads();

    private readonly Option<string> _device = new("--device")
    {
        Description = "Where to compute: auto | cpu | cuda:N | opencl:N | ilgpu-cpu | reference (see `refconv devices`). auto is the first NVIDIA GPU, or else the processor.",
        DefaultValueFactory = _ => "auto",
        HelpName = "DEVICE",
    };

    private readonly Option<string> _precision = new("--precision")
    {
        Description = $"How a GPU multiplies in convolutions: {string.Join(" | ", s_precisions.Keys)}. Tensors and sums are 32-bit floats whatever it is.",
        DefaultValueFactory = _ => "fp32",
        HelpName = "PRECISION",
    };

    private readonly Option<string> _convolution = new("--convolution")
    {
        Description = "How the processor computes 3×3 convolutions of stride 1 in training: exact | fast. fast is Winograd's algorithm, about twice as fast, with a rounding error of some 1e-6 of the sum of magnitudes instead of 1e-7.",
        DefaultValueFactory = _ => "exact",
        HelpName = "KIND",
    };

    public DeviceOptions(Command command)
    {
        foreach (var option in All) command.Add(option);
    }

    public IReadOnlyList<Option> All => [_threads, _device, _precision, _convolution];

    public static Option<int> Threads() => Options.Integer("--threads", 0, "Threads of the processor; 0 for all cores.");

    public Device Open(ParseResult parsed)
    {
        string name = parsed.GetValue(_precision)!;
        if (!s_precisions.TryGetValue(name, out var precision))
            throw new ArgumentException($"There is no precision '{name}'.{Suggest.Offer(name, [.. s_precisions.Keys])} Known are {string.Join(", ", s_precisions.Keys)}.");
        var accuracy = parsed.GetValue(_convolution) switch
        {
            "exact" => Conv2dAccuracy.Exact,
            "fast" => Conv2dAccuracy.Fast,
            var other => throw new ArgumentException($"--convolution is exact or fast; it is '{other}'."),
        };
        var device = Devices.Open(parsed.GetValue(_device)!, parsed.GetValue(_threads), precision);
        if (device is CpuDevice cpu) cpu.ConvolutionAccuracy = accuracy;
        else if (accuracy == Conv2dAccuracy.Fast)
        {
            using (device) throw new ArgumentException($"--convolution fast is for the processor (cpu); the device is '{device.Name}'. Leave it out.");
        }
        return device;
    }
}

/// <summary>Devices by name.</summary>
internal static class Devices
{
    /// <summary>The name of the device that <c>auto</c> means: the first NVIDIA GPU, or the processor. OpenCL is never chosen unasked: it may be the processor again, slowly.</summary>
    public static string Default => GpuBackend.Devices.FirstOrDefault(d => d.IsAvailable && d.Name.StartsWith("cuda:", StringComparison.Ordinal))?.Name ?? "cpu";

    public static Device Open(string name, int threads, GpuPrecision precision = GpuPrecision.Float32)
    {
        if (threads is < 0 or > 1024) throw new ArgumentException($"--threads must be between 0 (all cores) and 1024; it is {threads}.");
        if (name == "auto") name = Default;
        if (GpuBackend.IsName(name)) return GpuBackend.Open(name, precision);
        if (precision != GpuPrecision.Float32)
            throw new ArgumentException($"--precision is for GPUs (cuda:N); the device '{name}' computes in its own. Leave it out.");
        return name switch
        {
            "cpu" => new CpuDevice(threads),
            "reference" => new ReferenceDevice(),
            _ => throw new ArgumentException($"There is no device '{name}'.{Suggest.Offer(name, ["auto", "cpu", "reference", .. GpuBackend.Kinds])} Known are auto, cpu, reference, cuda:N, opencl:N, ilgpu-cpu; `refconv devices` tells which of them are here."),
        };
    }
}
