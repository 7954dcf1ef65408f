using RefConv.Layers;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>One step of a <see cref="LearningRateFinder"/>.</summary>
/// <param name="LearningRate">η of the step.</param>
/// <param name="Loss">The loss before it.</param>
/// <param name="Smoothed">The running average of the losses.</param>
public readonly record struct LearningRatePoint(double LearningRate, double Loss, double Smoothed);

/// <summary>What a sweep found.</summary>
/// <param name="Points">Its steps.</param>
/// <param name="Suggestion">The rate at which the smoothed loss fell fastest; null where it never fell.</param>
/// <param name="LowestAt">The rate at which the smoothed loss was lowest: too much to train with, a bound for what could be.</param>
/// <param name="Stopped">The loss had risen so far that the rest of the sweep was left out.</param>
public sealed record LearningRateSweep(IReadOnlyList<LearningRatePoint> Points, double? Suggestion, double LowestAt, bool Stopped);

/// <summary>
/// Trains a copy of a model for some steps with a learning rate that grows by the same factor at every one (arXiv 1506.01186, in the form of fastai's <c>lr_find</c>): where the
/// loss falls fastest is a good rate. Everything else is the recipe's.
/// </summary>
public sealed class LearningRateFinder
{
    /// <summary>How much of the running average of losses stays in a step: fastai's.</summary>
    private const double Smoothing = 0.98;

    /// <summary>A loss so many times the lowest one ends the sweep: fastai's.</summary>
    private const double Explosion = 4;

    /// <summary>Steps at the beginning that say nothing: the average has few losses yet.</summary>
    private const int SkipFirst = 10;

    /// <summary>The recipe; its learning rate and its schedule are not used.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>Rate of the first step.</summary>
    public double Minimum { get; init; } = 1e-6;

    /// <summary>Rate of the last step.</summary>
    public double Maximum { get; init; } = 10;

    /// <summary>Steps.</summary>
    public int Steps { get; init; } = 100;

    /// <summary>Runs the sweep. The model stays as it is.</summary>
    /// <param name="model">Where to start.</param>
    /// <param name="data">The pictures; when they are used up they come again in another order.</param>
    /// <param name="onStep">Told every step.</param>
    /// <param name="cancellation">Stops with an <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="ArgumentException">The numbers, or the pictures for this model, make no sense.</exception>
    public LearningRateSweep Run(Model model, IImageDataset data, Action<LearningRatePoint>? onStep = null, CancellationToken cancellation = default)
    {
        Recipe.Validate();
        Evaluator.CheckFits(model, data);
        if (!(Minimum > 0 && Minimum < Maximum && double.IsFinite(Maximum))) throw new ArgumentException($"The rates of a sweep must be above 0 and grow; they go from {Minimum} to {Maximum}.");
        if (Steps <= SkipFirst + 2) throw new ArgumentException($"A sweep needs more than {SkipFirst + 2} steps to say anything; it has {Steps}.");
        using var copy = (Model)model.Clone();
        copy.Train();
        using var optimizer = Recipe.MakeOptimizer(copy.NamedParameters());
        using var log = new StepLog(copy.Device);
        var scaler = LossScaler.For(copy.Device, state: null);
        List<LearningRatePoint> points = [];
        double average = 0, lowest = double.PositiveInfinity;
        bool stopped = false;
        foreach (var batch in Batches(data))
        {
            cancellation.ThrowIfCancellationRequested();
            int step = points.Count;
            double rate = Minimum * Math.Pow(Maximum / Minimum, step / (double)(Steps - 1));
            TrainingStep.Run(copy, optimizer, Recipe, batch, step, rate, log, scaler);
            double loss = log.Read()[0].Loss;
            average = (Smoothing * average) + ((1 - Smoothing) * loss);
            double smoothed = average / (1 - Math.Pow(Smoothing, step + 1));
            stopped = !(smoothed <= Explosion * lowest) && step > 0; // NaN too
            if (stopped) break;
            points.Add(new(rate, loss, smoothed));
            onStep?.Invoke(points[^1]);
            lowest = Math.Min(lowest, smoothed);
            if (points.Count == Steps) break;
        }
        if (points.Count == 0 || !double.IsFinite(points[0].Loss)) throw new DivergedException("The loss is no finite number at the very first step. Check the model and the pictures.");
        return new(points, Steepest(points), points.MinBy(p => p.Smoothed).LearningRate, stopped);
    }

    /// <summary>
    /// The rate at which the smoothed loss falls fastest on a logarithmic axis, by central differences; the first steps, where the average is of few losses, and the last, where it may
    /// rise already, do not count.
    /// </summary>
    internal static double? Steepest(IReadOnlyList<LearningRatePoint> points)
    {
        int best = -1;
        double slope = 0;
        for (int i = Math.Min(SkipFirst, points.Count / 4) + 1; i < points.Count - 1; i++)
        {
            double here = (points[i + 1].Smoothed - points[i - 1].Smoothed) / Math.Log(points[i + 1].LearningRate / points[i - 1].LearningRate);
            if (here < slope) (best, slope) = (i, here);
        }
        return best < 0 ? null : points[best].LearningRate;
    }

    private IEnumerable<Batch> Batches(IImageDataset data)
    {
        var loader = BatchLoader.Training(data, Recipe.BatchSize, Recipe.Seed, Augmentation.Of(Recipe));
        for (int epoch = 0; ; epoch++)
        {
            foreach (var batch in loader.Epoch(epoch)) yield return batch;
        }
    }
}
