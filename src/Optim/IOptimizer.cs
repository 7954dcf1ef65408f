namespace RefConv.Optim;

/// <summary>Parameters that share their weight decay and learning-rate factor.</summary>
/// <param name="Parameters">With their state-dict keys.</param>
/// <param name="WeightDecay">λ, added to the gradient as λ·w.</param>
/// <param name="LearningRateFactor">Multiplies the learning rate of this group.</param>
public sealed record ParameterGroup(IReadOnlyList<(string Name, Parameter Parameter)> Parameters, double WeightDecay = 0, double LearningRateFactor = 1);

/// <summary>Moves parameters along their gradients. The learning rate is given at every step: a schedule says it, and nothing of it is state.</summary>
public interface IOptimizer : IDisposable
{
    /// <summary>What it trains.</summary>
    IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>Moves every parameter that has a gradient by one step. Gradients stay; clear them with <c>ZeroGrad</c>.</summary>
    /// <param name="learningRate">η</param>
    void Step(double learningRate);

    /// <summary>
    /// Everything that resuming needs, under keys <c>KIND.KEY</c> of what is kept and for which parameter (its state-dict key), in the shape and order that the parameter
    /// has in files. Parameters that took no step yet have nothing.
    /// </summary>
    IEnumerable<(string Key, Shape Shape, float[] Values)> State();

    /// <summary>Takes up what <see cref="State"/> gave, or a part of it.</summary>
    /// <exception cref="ArgumentException">It belongs to other parameters, or to another optimiser.</exception>
    void Load(IReadOnlyDictionary<string, float[]> state);

    /// <summary>Clears the gradients of what it trains.</summary>
    void ZeroGrad();
}

internal static class ParameterGroups
{
    /// <summary>Refuses parameters that an optimiser must not have.</summary>
    /// <exception cref="ArgumentException">A parameter is frozen or listed twice.</exception>
    public static void CheckTrainable(this IReadOnlyList<ParameterGroup> groups)
    {
        var seen = new HashSet<Parameter>();
        foreach (var (name, parameter) in groups.SelectMany(g => g.Parameters))
        {
            if (!parameter.Trainable) throw new ArgumentException($"'{name}' is frozen and does not belong into an optimiser. Give it Module.TrainableParameters().");
            if (!seen.Add(parameter)) throw new ArgumentException($"'{name}' is listed twice.");
        }
    }

    /// <summary>Clears the gradients.</summary>
    public static void ZeroGrad(this IReadOnlyList<ParameterGroup> groups)
    {
        foreach (var (_, parameter) in groups.SelectMany(g => g.Parameters)) parameter.ZeroGrad();
    }
}
