using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>Two models that should compute the same, held against each other on real pictures.</summary>
public static class MergeCheck
{
    /// <summary>Largest difference of the scores over a data set, and the largest score; both models are left in evaluation mode.</summary>
    /// <param name="a">One model, say in training form.</param>
    /// <param name="b">The other, say merged.</param>
    /// <param name="data">Pictures.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static (double Difference, double Largest) OnScores(Model a, Model b, IImageDataset data, CancellationToken cancellation = default)
    {
        a.Eval();
        b.Eval();
        double worst = 0, largest = 0;
        foreach (var batch in BatchLoader.Evaluation(data, Math.Min(128, data.Count)).Epoch(cancellation: cancellation))
        {
            using var x = Tensor.From(a.Device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
            using var tape = Tape.Inference();
            float[] ya = a.Forward(x).ToArray(), yb = b.Forward(x).ToArray();
            for (int i = 0; i < ya.Length; i++)
            {
                double d = Math.Abs((double)ya[i] - yb[i]);
                worst = double.IsNaN(d) ? double.PositiveInfinity : Math.Max(worst, d);
                largest = Math.Max(largest, Math.Abs(ya[i]));
            }
        }
        return (worst, largest);
    }
}
