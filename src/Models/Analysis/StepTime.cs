using System.Diagnostics;
using RefConv.Optim;

namespace RefConv.Models.Analysis;

/// <summary>How long a training step takes here and now.</summary>
public static class StepTime
{
    /// <summary>Median milliseconds of a training step (forward, loss, backward, SGD) on random pictures. The model itself is not trained.</summary>
    /// <param name="model">Any form.</param>
    /// <param name="batch">Pictures a step.</param>
    /// <param name="steps">Steps measured, after two that are not.</param>
    public static double Milliseconds(Model model, int batch, int steps = 7)
    {
        using var copy = (Model)model.Clone();
        copy.Train();
        using var x = copy.Probe(batch);
        using var labels = Tensor.From(copy.Device, [.. Enumerable.Range(0, batch).Select(i => (float)(i % copy.Spec.Classes))], new Shape(batch));
        using var optimizer = new Sgd([new ParameterGroup([.. copy.NamedParameters().Where(p => p.Parameter.Trainable)], 1e-4)]);
        double[] times = new double[steps];
        for (int i = -2; i < steps; i++)
        {
            long started = Stopwatch.GetTimestamp();
            using (var tape = Tape.Train())
            {
                tape.Backward(copy.Forward(x).CrossEntropy(labels));
                optimizer.Step(0.01);
                optimizer.ZeroGrad();
            }
            if (i >= 0) times[i] = Stopwatch.GetElapsedTime(started).TotalMilliseconds;
        }
        Array.Sort(times);
        return times[steps / 2];
    }
}
