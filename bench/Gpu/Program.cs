using System.CommandLine;
using RefConv.Bench.Gpu;
using RefConv.Kernels;

// gpubench: everything that only a machine with a GPU can show, in one run. See bench/README.md.
var root = new RootCommand("The GPU kernels on a GPU: conformance, then layers beside cuDNN, whole training steps and inference, then the pipeline. The last thing printed is a table.");
Option<string> device = new("--device") { Description = "cuda:N, or opencl:N and ilgpu-cpu to try the program itself.", DefaultValueFactory = _ => "cuda:0" };
Option<string[]> parts = new("--parts") { Description = "What to run, in this order.", DefaultValueFactory = _ => Parts.All, AllowMultipleArgumentsPerToken = true };
Option<string?> to = new("--out") { Description = "Write all figures there, as JSON." };
Option<string?> torch = new("--torch") { Description = "Figures of bench/Peers/torch_gpu.py (JSON lines) to show beside ours." };
Option<int> batch = new("--batch") { Description = "Images a step, in layers and models.", DefaultValueFactory = _ => 128 };
Option<double> seconds = new("--seconds") { Description = "Time for all parts, shared among them; a part begins nothing new when its share is over.", DefaultValueFactory = _ => 340 };
Option<bool> quick = new("--quick") { Description = "Small shapes: to try the program on a slow device." };
foreach (var option in (ReadOnlySpan<Option>)[device, parts, to, torch, batch, seconds, quick]) root.Add(option);
root.SetAction(parsed =>
{
    string[] wanted = parsed.GetValue(parts)!;
    if (wanted.Except([.. Parts.All, Parts.Compile]).FirstOrDefault() is { } unknown)
    {
        Console.Error.WriteLine($"gpubench: there is no part '{unknown}'. Known are {string.Join(", ", Parts.All)}, {Parts.Compile}.");
        return 2;
    }
    try
    {
        var settings = new Settings(parsed.GetValue(device)!, parsed.GetValue(batch), parsed.GetValue(seconds), parsed.GetValue(quick));
        return Parts.Run(settings, wanted, parsed.GetValue(torch), parsed.GetValue(to));
    }
    catch (DeviceUnavailableException e)
    {
        Console.Error.WriteLine($"gpubench: {e.Message}");
        return 1;
    }
});
return root.Parse(args).Invoke();
