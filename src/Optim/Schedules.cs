namespace RefConv.Optim;

/// <summary>Learning rate as a function of the step. Stateless, so a resumed run needs nothing but the step.</summary>
public interface ILearningRateSchedule
{
    /// <summary>η for step <paramref name="step"/>, counted from 0.</summary>
    double At(long step);
}

/// <summary>
/// Linear warm-up: for step i of W <c>η·(f + (1−f)·i/W)</c>. What comes after it is the derived class's.
/// </summary>
/// <param name="learningRate">η: the learning rate after the warm-up.</param>
/// <param name="warmupSteps">W</param>
/// <param name="warmupStart">f: the first step's share of η.</param>
public abstract class WarmupSchedule(double learningRate, long warmupSteps, double warmupStart) : ILearningRateSchedule
{
    /// <summary>η</summary>
    protected double LearningRate { get; } = learningRate;

    /// <inheritdoc/>
    public double At(long step) => step < warmupSteps ? LearningRate * (warmupStart + ((1 - warmupStart) * step / warmupSteps)) : After(step - warmupSteps);

    /// <summary>η for a step after the warm-up, counted from its end.</summary>
    protected abstract double After(long step);
}

/// <summary>
/// Warm-up, then half a cosine: for step j of the remaining R <c>η_min + ½(η − η_min)(1 + cos(π·j/R))</c>. The recipe of RefConv's
/// experiments has f = 5e-6 and η_min = 5e-7.
/// </summary>
/// <param name="learningRate">η</param>
/// <param name="totalSteps">Steps of the whole run, warm-up included.</param>
/// <param name="warmupSteps">W</param>
/// <param name="minimum">η_min</param>
/// <param name="warmupStart">f: the first step's share of η.</param>
public sealed class WarmupCosine(double learningRate, long totalSteps, long warmupSteps = 0, double minimum = 5e-7, double warmupStart = 5e-6)
    : WarmupSchedule(learningRate, warmupSteps, warmupStart)
{
    private readonly long _rest = Math.Max(1, totalSteps - warmupSteps);

    /// <inheritdoc/>
    protected override double After(long step)
    {
        // One step past the end would start the cosine upwards again: stay at the minimum.
        double progress = Math.Min(1, step / (double)_rest);
        return minimum + (0.5 * (LearningRate - minimum) * (1 + Math.Cos(Math.PI * progress)));
    }
}

/// <summary>
/// Warm-up, then <c>η_min + (η − η_min)(1 − j/R)^p</c> for step j of the remaining R (with η_min = 0 <c>torch.optim.lr_scheduler.PolynomialLR</c>, by step);
/// with p = 1 a straight line.
/// </summary>
/// <param name="learningRate">η</param>
/// <param name="totalSteps">Steps of the whole run, warm-up included.</param>
/// <param name="warmupSteps">W</param>
/// <param name="power">p</param>
/// <param name="minimum">η_min</param>
/// <param name="warmupStart">f: the first step's share of η.</param>
public sealed class WarmupPolynomial(double learningRate, long totalSteps, long warmupSteps = 0, double power = 1, double minimum = 0, double warmupStart = 5e-6)
    : WarmupSchedule(learningRate, warmupSteps, warmupStart)
{
    private readonly long _rest = Math.Max(1, totalSteps - warmupSteps);

    /// <inheritdoc/>
    protected override double After(long step) => minimum + ((LearningRate - minimum) * Math.Pow(1 - Math.Min(1, step / (double)_rest), power));
}

/// <summary>
/// Warm-up, then η times γ for every milestone passed (<c>torch.optim.lr_scheduler.MultiStepLR</c>); without milestones η stays.
/// </summary>
/// <param name="learningRate">η</param>
/// <param name="milestones">Steps of the run, warm-up included, from which on η is multiplied by γ once more.</param>
/// <param name="factor">γ</param>
/// <param name="warmupSteps">W</param>
/// <param name="warmupStart">f: the first step's share of η.</param>
public sealed class WarmupMultiStep(double learningRate, IReadOnlyList<long> milestones, double factor = 0.1, long warmupSteps = 0, double warmupStart = 5e-6)
    : WarmupSchedule(learningRate, warmupSteps, warmupStart)
{
    private readonly long[] _milestones = [.. milestones.Select(m => m - warmupSteps)];

    /// <inheritdoc/>
    protected override double After(long step) => LearningRate * Math.Pow(factor, _milestones.Count(m => m <= step));
}
