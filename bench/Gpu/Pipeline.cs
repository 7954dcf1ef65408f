using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Bench.Gpu;

/// <summary>The main job on the GPU and on the processor: train, train again, refocus, merge, evaluate, from the same recipe and seed.</summary>
internal static class Pipeline
{
    public static void Run(Settings settings, Results results)
    {
        var data = settings.Quick ? DataSource.Open("shapes", 64, 32) : DataSource.Open("shapes", 5000, 1000);
        var recipe = new Recipe { Epochs = settings.Quick ? 1 : 8, BatchSize = settings.Quick ? 16 : 64, WarmupEpochs = settings.Quick ? 0 : 1 };
        var spec = new ModelSpec("mobilenet_v1") { Classes = data.Train.ClassNames.Count, ImageSize = data.Train.Height, SmallImages = true, Width = 0.25, InChannels = data.Train.Channels };
        foreach (string name in (string[])[settings.Device, "cpu"])
        {
            using Device device = name == "cpu" ? new CpuDevice() : GpuBackend.Open(name);
            string folder = Directory.CreateTempSubdirectory("refconv-gpu-").FullName;
            try
            {
                var clock = Stopwatch.StartNew();
                var result = new RefocusExperiment { Spec = spec, Data = data, Recipe = recipe, Folder = folder }.Run(device);
                results.Add("pipeline", $"train, retrain, refocus, merge, evaluate on {name}", null, clock.Elapsed.TotalMilliseconds, null, null, ("base", result.Base.Accuracy), ("retrained", result.Retrained.Accuracy),
                    ("refocused", result.Refocused.Accuracy), ("merged", result.Merged.Accuracy), ("mergeError", result.MergeError));
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }
}
