using System.CommandLine;
using RefConv.Kernels;

namespace RefConv.Bench.Ladder;

/// <summary>Climbs the ladder of docs/gpu.md: the matrix product from naive to fast, every step checked.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        Option<string> deviceName = new("--device") { Description = "cuda:N, opencl:N or ilgpu-cpu.", DefaultValueFactory = _ => "cuda", HelpName = "NAME" };
        Option<int> size = new("--size") { Description = "Rows and columns, a multiple of 128; 0: 4096 on CUDA, 256 on OpenCL, 128 in the simulation.", HelpName = "N" };
        Option<string[]> only = new("--step") { Description = $"Only these: {string.Join(", ", Rungs.All.Select(s => s.Name))}.", DefaultValueFactory = _ => [], AllowMultipleArgumentsPerToken = true, HelpName = "NAME" };
        Option<bool> ptx = new("--ptx") { Description = "Show what the steps' PTX has, and run nothing. Needs no device." };
        var root = new RootCommand("The matrix product on a GPU in steps, from naive to tensor cores: what each computes is checked, then it is timed.") { deviceName, size, only, ptx };
        root.SetAction(parsed =>
        {
            string[] names = parsed.GetValue(only)!;
            if (names.FirstOrDefault(n => Rungs.All.All(s => s.Name != n)) is { } unknown)
            {
                Console.Error.WriteLine($"There is no step '{unknown}'; there are {string.Join(", ", Rungs.All.Select(s => s.Name))}.");
                return 2;
            }
            var steps = Rungs.All.Where(s => names.Length == 0 || names.Contains(s.Name));
            if (parsed.GetValue(ptx))
            {
                foreach (var step in steps) Console.WriteLine($"{step.Name,-10} {step.What}: {Climb.Facts(step)}");
                return 0;
            }
            try
            {
                return Run([.. steps], parsed.GetValue(deviceName)!, parsed.GetValue(size));
            }
            catch (Exception e) when (e is DeviceUnavailableException or ArgumentException)
            {
                Console.Error.WriteLine(e.Message);
                return 1;
            }
        });
        return root.Parse(args).Invoke();
    }

    private static int Run(Step[] steps, string name, int size)
    {
        using var device = (IlgpuDevice)GpuBackend.Open(name);
        bool onCuda = device.Name.StartsWith("cuda", StringComparison.Ordinal);
        if (size == 0) size = device.IsSimulated ? 128 : onCuda ? 4096 : 256;
        Console.WriteLine($"{device.Name}: {device.Description}; {size}×{size} matrices");
        bool right = true;
        foreach (var step in steps)
        {
            if (step.CudaOnly && !onCuda && !device.IsSimulated)
            {
                Console.WriteLine($"{step.Name,-10} left out: it is written with instructions of NVIDIA GPUs");
                continue;
            }
            var (error, milliseconds) = Climb.Run(step, device, size);
            right &= error <= step.Accuracy;
            Console.WriteLine(Climb.Row(step, size, error, milliseconds, onCuda));
        }
        return right ? 0 : 1;
    }
}
