using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Models;

namespace RefConv.Bench.Gpu;

/// <summary>Whole training steps and inference, plain and refocused, beside PyTorch's figures where there are some.</summary>
internal static class Models
{
    public static void Run(Settings settings, Results results, Stopwatch clock)
    {
        int batch = settings.Quick ? 2 : settings.Batch;
        foreach (string name in (string[])["mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x1_0", "resnet18"])
        {
            using var device = GpuBackend.Open(settings.Device);
            using var timer = new GpuTimer(device, settings.Quick);
            var spec = settings.Quick ? new ModelSpec(name) { Classes = 10, ImageSize = 32, SmallImages = name is not ("mobilenet_v3_small" or "shufflenet_v2_x1_0"), Width = 1 } : new ModelSpec(name);
            double? plain = null;
            foreach (var (work, form) in ((Work, string)[])[(Work.Train, ModelCase.Plain), (Work.Train, ModelCase.RefConv), (Work.Infer, ModelCase.Plain)])
            {
                string title = $"{work.ToString().ToLowerInvariant()}.{name}{(form == ModelCase.Plain ? "" : "." + form)}.b{batch}";
                if (clock.Elapsed.TotalSeconds > settings.Seconds)
                {
                    results.Note($"{title} was left out: the time was over.");
                    continue;
                }
                using var model = new OwnModel(new ModelCase(title, "", work, spec, batch) { Form = form }, form, device);
                double ms = timer.Milliseconds(_ => model.Run(1), settings.Quick ? 1 : 5);
                if (work == Work.Train && form == ModelCase.Plain) plain = ms;
                var torch = results.Torch.GetValueOrDefault(title);
                results.Add("models", title, form == ModelCase.RefConv ? null : $"{work.ToString().ToLowerInvariant()} {(name == "resnet18" ? "resnet18" : "mobile")} fp32", ms, (double?)torch?["ms"], torch == null ? null : "PyTorch fp32",
                    ("imagesPerSecond", Math.Round(batch * 1e3 / ms)), ("overPlain", form == ModelCase.RefConv && plain is { } p ? Math.Round(ms / p, 3) : null));
            }
        }
    }
}

/// <summary>From the start of a process to the end of its first training step: what starting the driver and compiling the kernels costs.</summary>
internal static class FirstStep
{
    public static void Run(Settings settings, Results results)
    {
        var started = Process.GetCurrentProcess().StartTime;
        using var device = GpuBackend.Open(settings.Device);
        var spec = settings.Quick ? new ModelSpec("mobilenet_v1") { Classes = 10, ImageSize = 32, SmallImages = true, Width = 0.25 } : new ModelSpec("mobilenet_v1");
        using var model = new OwnModel(new ModelCase("first", "", Work.Train, spec, settings.Quick ? 2 : 32), ModelCase.Plain, device);
        model.Run(1);
        GpuBackend.Inspect(device).Synchronize();
        results.Add("start", "from the start of the process to the first training step of MobileNetV1", null, (DateTime.Now - started).TotalMilliseconds);
    }
}
