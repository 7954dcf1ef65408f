using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>How a model does on a data set.</summary>
/// <param name="Loss">Mean cross-entropy.</param>
/// <param name="Accuracy">Top-1, in [0, 1].</param>
/// <param name="Top5">Top-5, in [0, 1].</param>
/// <param name="Count">Pictures.</param>
public readonly record struct Evaluation(double Loss, double Accuracy, double Top5, int Count);

/// <summary>Runs a model over a data set in evaluation mode.</summary>
public static class Evaluator
{
    /// <summary>Loss, top-1 and top-5. The model is put into evaluation mode and back into the mode it was in.</summary>
    /// <param name="model">Any form.</param>
    /// <param name="data">Pictures.</param>
    /// <param name="batchSize">Pictures at a time.</param>
    /// <param name="progress">Told the number of pictures done so far.</param>
    /// <param name="cancellation">Stops with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">The pictures do not suit the model.</exception>
    public static Evaluation Evaluate(Model model, IImageDataset data, int batchSize = 128, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        CheckFits(model, data);
        bool training = model.Training;
        model.Eval();
        try
        {
            double loss = 0;
            long top1 = 0, top5 = 0;
            int done = 0;
            foreach (var batch in BatchLoader.Evaluation(data, Math.Min(batchSize, data.Count)).Epoch(cancellation: cancellation))
            {
                using var x = Tensor.From(model.Device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
                using var labels = Tensor.From(model.Device, batch.Labels, new Shape(batch.Count));
                using var tape = Tape.Inference();
                var logits = model.Forward(x);
                loss += logits.CrossEntropy(labels).Item() * batch.Count;
                float[] scores = logits.ToArray();
                top1 += CountCorrect(scores, batch.Labels, 1);
                top5 += CountCorrect(scores, batch.Labels, 5);
                done += batch.Count;
                progress?.Invoke(done);
            }
            return new Evaluation(loss / done, top1 / (double)done, top5 / (double)done, done);
        }
        finally
        {
            if (training) model.Train();
        }
    }

    /// <summary>Rows whose label is among the k largest scores; of equal scores the lower class counts first. A row with NaN is wrong.</summary>
    public static int CountCorrect(ReadOnlySpan<float> scores, ReadOnlySpan<float> labels, int k)
    {
        int classes = scores.Length / labels.Length, correct = 0;
        for (int row = 0; row < labels.Length; row++)
        {
            var s = scores.Slice(row * classes, classes);
            int label = (int)labels[row], rank = 0;
            float own = s[label];
            for (int j = 0; j < classes; j++)
            {
                if (s[j] > own || (s[j] == own && j < label)) rank++;
                else if (float.IsNaN(s[j])) rank = classes + k; // never a hit; adding ranks cannot undo it
            }
            if (rank < k && !float.IsNaN(own)) correct++;
        }
        return correct;
    }

    internal static void CheckFits(Model model, IImageDataset data)
    {
        if (model.Task != ModelTask.Classification)
            throw new ArgumentException($"{model.Spec.Architecture} is no classifier: it enlarges pictures. Train it with --task super-resolution.");
        if (data.Channels != model.Spec.InChannels)
            throw new ArgumentException($"{data.Name} has pictures of {data.Channels} channels, the model takes {model.Spec.InChannels}. Use a model trained on such pictures.");
        if (data.ClassNames.Count != model.Spec.Classes)
            throw new ArgumentException($"{data.Name} has {data.ClassNames.Count} classes, the model {model.Spec.Classes}. Use a model trained on such data.");
    }
}
