namespace RefConv.Optim;

/// <summary>Learning rate as a function of the step. Stateless, so a resumed run needs nothing but the step.</summary>
public interface ILearningRateSchedule
{
    /// <summary>η for step <paramref name="step"/>, counted from 0.</summary>
    double At(long step);
}

/// <summary>
/// Linear warm-up, then half a cosine: for step i of W warm-up steps <c>η·(f + (1−f)·i/W)</c>, then for step j of the remaining R
/// <c>η_min + ½(η − η_min)(1 + cos(π·j/R))</c>. The recipe of RefConv's experiments has f = 5e-6 and η_min = 5e-7.
/// </summary>
/// <param name="learningRate">η</param>
/// <param name="totalSteps">Steps of the whole run, warm-up included.</param>
/// <param name="warmupSteps">W</param>
/// <param name="minimum">η_min</param>
/// <param name="warmupStart">f: the first step's share of η.</param>
public sealed class WarmupCosine(double learningRate, long totalSteps, long warmupSteps = 0, double minimum = 5e-7, double warmupStart = 5e-6) : ILearningRateSchedule
{
    /// <inheritdoc/>
    public double At(long step)
    {
        if (step < warmupSteps) return learningRate * (warmupStart + ((1 - warmupStart) * step / warmupSteps));
        long rest = Math.Max(1, totalSteps - warmupSteps);
        // One step past the end would start the cosine upwards again: stay at the minimum.
        double progress = Math.Min(1, (step - warmupSteps) / (double)rest);
        return minimum + (0.5 * (learningRate - minimum) * (1 + Math.Cos(Math.PI * progress)));
    }
}
