using System.Diagnostics;
using RefConv.Optim;

namespace RefConv.Models.Analysis;

/// <summary>How long a training step takes here and now.</summary>
public static class StepTime
{
    /// <summary>Median milliseconds of a training step (forward, the loss of its task, backward, SGD) on random pictures. The model itself is not trained.</summary>
    /// <param name="model">Any form.</param>
    /// <param name="batch">Pictures a step.</param>
    /// <param name="steps">Steps measured, after two that are not.</param>
    public static double Milliseconds(Model model, int batch, int steps = 7)
    {
        using var copy = (Model)model.Clone();
        copy.Train();
        using var x = copy.Probe(batch);
        using var target = Target(copy, x);
        using var optimizer = new Sgd([new ParameterGroup([.. copy.NamedParameters().Where(p => p.Parameter.Trainable)], 1e-4)]);
        double[] times = new double[steps];
        for (int i = -2; i < steps; i++)
        {
            long started = Stopwatch.GetTimestamp();
            using (var tape = Tape.Train())
            {
                var y = copy.Forward(x);
                tape.Backward(copy.Task == ModelTask.SuperResolution ? y.L1Loss(target) : y.CrossEntropy(target));
                optimizer.Step(0.01);
                optimizer.ZeroGrad();
            }
            if (i >= 0) times[i] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        }
        Array.Sort(times);
        return times[steps / 2];
    }

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
