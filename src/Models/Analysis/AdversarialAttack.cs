using RefConv.Kernels;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Models.Analysis;

/// <summary>How far a picture may be moved to deceive a model, and in how many steps. Values of pictures lie in [0, 1].</summary>
/// <param name="Name"><c>FGSM</c> or <c>PGD</c>.</param>
/// <param name="Epsilon">Largest change of a channel's value.</param>
/// <param name="Steps">Gradient steps.</param>
/// <param name="StepSize">Length of a step.</param>
/// <param name="RandomStart">Begin at a random place of the box instead of at the picture.</param>
public sealed record AttackOptions(string Name, double Epsilon, int Steps, double StepSize, bool RandomStart)
{
    /// <summary>The fast gradient sign method (arXiv 1412.6572): one step to the edge of the box.</summary>
    public static AttackOptions Fgsm(double epsilon) => new("FGSM", epsilon, 1, epsilon, RandomStart: false);

    /// <summary>Projected gradient descent (arXiv 1706.06083) from a random place of the box.</summary>
    /// <param name="epsilon">Half the side of the box.</param>
    /// <param name="steps">Steps.</param>
    /// <param name="stepSize">Length of a step; left out, 2.5·ε/steps, which reaches every corner from everywhere.</param>
    public static AttackOptions Pgd(double epsilon, int steps = 10, double? stepSize = null) => new("PGD", epsilon, steps, stepSize ?? 2.5 * epsilon / steps, RandomStart: true);

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Name}{(Steps > 1 ? $"-{Steps}" : "")}, ε = {255 * Epsilon:0.##}/255");
}

/// <summary>
/// White-box attacks in the maximum norm: x ← x + α·sign(∂L/∂x), brought back into the box of ±ε around the picture and into the range that pictures have,
/// where L is the cross-entropy of the true class and the model is in evaluation mode. Pictures are normalised, so a channel moves by α/std.
/// </summary>
public static class AdversarialAttack
{
    // Streams of one seed are told apart by their highest byte; these belong to this class.
    private const ulong Streams = 0xD6UL << 56;

    /// <summary>How a model does on attacked pictures. The model is put into evaluation mode and back.</summary>
    /// <param name="model">Any form.</param>
    /// <param name="data">Pictures.</param>
    /// <param name="attack">The attack; ε = 0 leaves pictures as they are.</param>
    /// <param name="batchSize">Pictures at a time.</param>
    /// <param name="seed">Seed of random starts: that of a picture does not depend on the batch it is in.</param>
    /// <param name="cancellation">Stops between batches.</param>
    /// <exception cref="ArgumentException">The attack or the pictures make no sense for the model.</exception>
    public static Evaluation Evaluate(Model model, IImageDataset data, AttackOptions attack, int batchSize = 128, ulong seed = 1, CancellationToken cancellation = default)
    {
        Evaluator.CheckFits(model, data);
        bool training = model.Training;
        model.Eval();
        try
        {
            double loss = 0;
            long top1 = 0, top5 = 0;
            int done = 0;
            foreach (var batch in BatchLoader.Evaluation(data, Math.Min(batchSize, data.Count)).Epoch(cancellation: cancellation))
            {
                float[] attacked = Attack(model, batch, data.Statistics, attack, seed, done);
                using var x = Tensor.From(model.Device, attacked, ShapeOf(batch));
                using var labels = Tensor.From(model.Device, batch.Labels, new Shape(batch.Count));
                using var tape = Tape.Inference();
                var scores = model.Forward(x);
                loss += scores.CrossEntropy(labels).Item() * batch.Count;
                float[] values = scores.ToArray();
                top1 += Evaluator.CountCorrect(values, batch.Labels, 1);
                top5 += Evaluator.CountCorrect(values, batch.Labels, 5);
                done += batch.Count;
            }
            return new Evaluation(loss / done, top1 / (double)done, top5 / (double)done, done);
        }
        finally
        {
            if (training) model.Train();
        }
    }

    /// <summary>The attacked pictures of a batch, normalised as the batch is.</summary>
    /// <param name="model">In evaluation mode.</param>
    /// <param name="batch">Pictures and their labels; not changed.</param>
    /// <param name="statistics">What they were normalised with.</param>
    /// <param name="attack">The attack.</param>
    /// <param name="seed">Seed of random starts.</param>
    /// <param name="first">Number of the batch's first picture in its data set.</param>
    public static float[] Attack(Model model, Batch batch, ChannelStatistics statistics, AttackOptions attack, ulong seed = 1, int first = 0)
    {
        if (!(attack.Epsilon >= 0 && attack.Epsilon <= 1) || attack.Steps < 1 || !(attack.StepSize >= 0))
            throw new ArgumentException($"An attack needs an ε between 0 and 1, at least one step, and a step size of at least 0; they are {attack.Epsilon}, {attack.Steps} and {attack.StepSize}.");
        if (model.Training) throw new ArgumentException("An attack needs the model in evaluation mode, where a picture's scores do not depend on the others. Call Eval() first.");
        int size = batch.Height * batch.Width * batch.Channels;
        float[] clean = batch.Images[..(batch.Count * size)], x = [.. clean];
        if (attack.Epsilon == 0) return x;
        if (attack.RandomStart)
        {
            for (int i = 0; i < batch.Count; i++)
            {
                var random = new RandomStream(seed, Streams | (uint)(first + i));
                for (int k = i * size; k < (i + 1) * size; k++) Move(k, random.NextUniform(-attack.Epsilon, attack.Epsilon));
            }
        }
        for (int step = 0; step < attack.Steps; step++)
        {
            double[] gradient = InputGradient(model, x, batch);
            // Where the gradient is 0 or NaN there is no way to go.
            for (int k = 0; k < x.Length; k++) Move(k, gradient[k] > 0 ? attack.StepSize : gradient[k] < 0 ? -attack.StepSize : 0);
        }
        return x;

        void Move(int k, double by)
        {
            double mean = statistics.Mean[k % batch.Channels], std = statistics.Std[k % batch.Channels];
            double moved = Math.Clamp(x[k] + (by / std), clean[k] - (attack.Epsilon / std), clean[k] + (attack.Epsilon / std));
            x[k] = (float)Math.Clamp(moved, (0 - mean) / std, (1 - mean) / std);
        }
    }

    /// <summary>∂L/∂x of the mean cross-entropy, in the order of the pictures. Parameters get no gradient.</summary>
    /// <param name="model">The model, in the mode it is in.</param>
    /// <param name="images">Normalised pictures, as many as the batch has.</param>
    /// <param name="batch">Their shape and labels.</param>
    public static double[] InputGradient(Model model, ReadOnlySpan<float> images, Batch batch)
    {
        using var x = Tensor.From(model.Device, images, ShapeOf(batch), requiresGrad: true);
        using var labels = Tensor.From(model.Device, batch.Labels, new Shape(batch.Count));
        Parameter[] trainable = [.. model.TrainableParameters()];
        try
        {
            foreach (var parameter in trainable) parameter.Trainable = false;
            using var tape = Tape.Train();
            tape.Backward(model.Forward(x).CrossEntropy(labels));
            return x.GradientToDoubleArray();
        }
        finally
        {
            foreach (var parameter in trainable) parameter.Trainable = true;
        }
    }

    private static Shape ShapeOf(Batch batch) => new(batch.Count, batch.Height, batch.Width, batch.Channels);
}
