using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>Runs small enough for a test: 40 drawn pictures, four steps an epoch, channels at their minimum.</summary>
internal static class TrainingBench
{
    public const int Images = 40, TestImages = 20, BatchSize = 10, StepsPerEpoch = Images / BatchSize;

    public static DataSource Pictures { get; } = DataSource.Open("shapes", Images, TestImages);

    public static Recipe Short { get; } = new() { Epochs = 4, BatchSize = BatchSize, LearningRate = 0.05, Seed = 11, CropPadding = 0, HorizontalFlip = false };

    public static ModelSpec Spec(string architecture) => new(architecture) { Classes = 10, Width = 0.0625, SmallImages = true, ImageSize = 32 };

    public static RunState State(Recipe? recipe = null) => new() { Data = "shapes", Limit = Images, TestLimit = TestImages, Recipe = recipe ?? Short };

    /// <summary>A model at the beginning of a run, refocused if asked for.</summary>
    public static Model Model(Device device, string architecture, bool refocused = false)
    {
        var model = Zoo.Create(Spec(architecture), new Initializer(device, Short.Seed));
        if (!refocused) return model;
        using (model) return model.Expand(new RefConvMethod(), LayerPolicy.LargerThan1, seed: 5);
    }

    /// <summary>Begins a run in a folder and stops it where it is told to.</summary>
    /// <returns>Whether it came to its end.</returns>
    public static bool Start(Device device, string architecture, bool refocused, Recipe recipe, string folder, int? stopAfter = null, int? cancelAfterStep = null)
    {
        using var model = Model(device, architecture, refocused);
        var run = new RunFolder(folder);
        run.Create();
        using var trainer = new Trainer(model, Pictures, State(recipe), run);
        return Go(trainer, stopAfter, cancelAfterStep);
    }

    /// <summary>Goes on with it.</summary>
    public static bool Resume(Device device, string folder, int? stopAfter = null, int? cancelAfterStep = null)
    {
        using var trainer = Trainer.Resume(new RunFolder(folder), device);
        using (trainer.Model) return Go(trainer, stopAfter, cancelAfterStep);
    }

    /// <summary>The bits of every tensor of a file.</summary>
    public static SortedDictionary<string, int[]> Tensors(string file)
    {
        using var tensors = SafeTensorsFile.Open(file);
        return new(tensors.Entries.ToDictionary(e => e.Name, e => tensors.Read(e.Name).Select(BitConverter.SingleToInt32Bits).ToArray()), StringComparer.Ordinal);
    }

    /// <summary>The epochs of a run, without the time they took.</summary>
    public static EpochResult[] History(string folder)
    {
        using var file = SafeTensorsFile.Open(new RunFolder(folder).LastFile);
        return [.. RunState.FromJson(file.Metadata["refconv.run"], folder).History.Select(h => h with { Seconds = 0 })];
    }

    /// <summary>Fails unless two runs ended with the same weights, statistics, velocities and epochs.</summary>
    public static void AssertSameRun(string expected, string actual)
    {
        var a = Tensors(new RunFolder(expected).LastFile);
        var b = Tensors(new RunFolder(actual).LastFile);
        Assert.Equal(a.Keys, b.Keys);
        Assert.Contains(a.Keys, k => k.StartsWith(ModelFile.TrainingPrefix, StringComparison.Ordinal));
        foreach (var (key, bits) in a) Assert.True(bits.AsSpan().SequenceEqual(b[key]), $"'{key}' differs");
        Assert.Equal(History(expected), History(actual));
    }

    private static bool Go(Trainer trainer, int? stopAfter, int? cancelAfterStep)
    {
        using var stop = new CancellationTokenSource();
        int steps = 0;
        trainer.Observer = new Observer(() =>
        {
            if (++steps == cancelAfterStep) stop.Cancel();
        });
        return trainer.Run(stopAfter, stop.Token);
    }

    internal sealed class Observer(Action onStep) : ITrainingObserver
    {
        public List<TrainingProgress> Steps { get; } = [];

        public List<EpochResult> Epochs { get; } = [];

        public void OnStep(in TrainingProgress progress)
        {
            Steps.Add(progress);
            onStep();
        }

        public void OnEpoch(EpochResult result) => Epochs.Add(result);
    }
}
