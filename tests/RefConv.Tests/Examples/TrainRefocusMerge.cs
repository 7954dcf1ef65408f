using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Examples;

/// <summary>The README's example: what stands between the markers is shown there line for line, and run by ReadmeTests.</summary>
internal static class TrainRefocusMerge
{
    public static (double Refocused, double Merged, float[] Scores) Run()
    {
        // <example>
        // example: train, refocus, merge
        using var device = new CpuDevice();
        var data = DataSource.Open("shapes", trainLimit: 200, testLimit: 100); // drawn pictures, 32×32, ten classes
        var recipe = new Recipe { Epochs = 2, BatchSize = 20, LearningRate = 0.1 };
        var state = new RunState { Data = data.Spec, Recipe = recipe };

        // 1. Train a plain model.
        var spec = new ModelSpec("mobilenet_v1") { Classes = 10, Width = 0.125, ImageSize = 32, SmallImages = true };
        using var model = Zoo.Create(spec, new Initializer(device, seed: 1));
        using (var trainer = new Trainer(model, data, state)) trainer.Run();

        // 2. Freeze its k×k kernels and train refocusing weights on them, by the same recipe.
        using var refocused = model.Expand(new RefConvMethod());
        using (var trainer = new Trainer(refocused, data, state)) trainer.Run();

        // 3. Merge: a plain model again, of the same size as the first, that computes what the refocused one does.
        refocused.Eval();
        var (merged, report) = refocused.Merge();
        Console.WriteLine($"{refocused.ParameterCount():N0} parameters became {merged.ParameterCount():N0}, largest difference {report.MaxAbsDifference}");
        ModelFile.Save(merged, "merged.safetensors");

        // 4. Use it.
        using var loaded = ModelFile.Load("merged.safetensors", device);
        double accuracy = Evaluator.Evaluate(loaded, data.Test).Accuracy;
        var picture = BatchLoader.Evaluation(data.Test, batchSize: 1).Epoch().First();
        float[] scores = loaded.Predict(picture.Images, batch: 1);
        Console.WriteLine($"Top-1 {accuracy:P0}; the first picture is a {data.Test.ClassNames[Array.IndexOf(scores, scores.Max())]}, says the model.");
        // </example>
        using (merged) return (Evaluator.Evaluate(refocused, data.Test).Accuracy, accuracy, scores);
    }
}
