using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Models.Train;
using RefConv.Optim;

namespace RefConv.Models.Analysis;

/// <summary>How long a training step takes here and now.</summary>
public static class StepTime
{
    /// <summary>Small enough for any optimiser to stay finite for some steps on random pictures.</summary>
    private const double LearningRate = 1e-3;

    /// <summary>
    /// Median milliseconds of a training step (forward, the loss of its task, backward, and what the recipe does then: clipping, the optimiser's step, the average of the weights) on random pictures.
    /// The model itself is not trained.
    /// </summary>
    /// <param name="model">Any form.</param>
    /// <param name="batch">Pictures a step.</param>
    /// <param name="steps">Steps measured, after two that are not.</param>
    /// <param name="recipe">Says what a step is; the default recipe (SGD) if not given. Its batch size, schedule and changes of pictures play no part.</param>
    public static double Milliseconds(Model model, int batch, int steps = 7, Recipe? recipe = null)
    {
        recipe ??= new Recipe();
        using var copy = (Model)model.Clone();
        copy.Train();
        using var x = copy.Probe(batch);
        using var target = Target(copy, x);
        using var optimizer = recipe.MakeOptimizer(copy.NamedParameters());
        using var average = recipe.EmaDecay > 0 ? new ModelEma(copy, recipe.EmaDecay, recipe.EmaWarmup) : null;
        double[] times = new double[steps];
        for (int i = -2; i < steps; i++)
        {
            long started = Stopwatch.GetTimestamp();
            using (var tape = Tape.Train(saveMemory: recipe.SaveMemory))
            {
                var y = copy.Forward(x);
                tape.Backward(copy.Task == ModelTask.SuperResolution ? y.L1Loss(target) : y.CrossEntropy(target, recipe.LabelSmoothing));
                if (recipe.ClipNorm > 0) GradientClipping.ClipNorm(optimizer.Groups.SelectMany(g => g.Parameters).Select(p => p.Parameter), recipe.ClipNorm);
                optimizer.Step(LearningRate);
                optimizer.ZeroGrad();
            }
            average?.Update(i + 2);
            Wait(x);
            if (i >= 0) times[i] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        }
        Array.Sort(times);
        return times[steps / 2];
    }

    /// <summary>Until the device has done all that it was asked for: reading waits for everything before it.</summary>
    internal static void Wait(Tensor any) => any.Device.Read(any.Data.Slice(0, 1), new double[1]);

    /// <summary>Something to learn: labels, or for super-resolution, whose loss is L1, pictures of the size that comes out.</summary>
    private static Tensor Target(Model model, Tensor x)
    {
        int batch = x.Shape[0];
        if (model.Task == ModelTask.Classification)
            return Tensor.From(model.Device, [.. Enumerable.Range(0, batch).Select(i => (float)(i % model.Spec.Classes))], new Shape(batch));
        using var tape = Tape.Inference();
        var shape = model.Forward(x).Shape;
        return Tensor.From(model.Device, new float[shape.Count], shape);
    }
}
