using RefConv.IO;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// Weights of batch norms with one ε for batch norms with another, computing the same in evaluation. The difference goes into the running variance, where it
/// stays at or above zero; what is left goes into γ.
/// </summary>
internal static class NormEpsilon
{
    private const string Variance = ".running_var", Weight = ".weight";

    /// <summary>The state dict with all its batch norms changed.</summary>
    /// <param name="state">Under any names.</param>
    /// <param name="there">ε that the weights were trained with.</param>
    /// <param name="here">ε of the model they go into.</param>
    public static Dictionary<string, StateEntry> Change(Dictionary<string, StateEntry> state, double there, double here)
    {
        Dictionary<string, StateEntry> changed = new(state, StringComparer.Ordinal);
        foreach (var (key, variance) in state.Where(e => e.Key.EndsWith(Variance, StringComparison.Ordinal)))
        {
            string norm = key[..^Variance.Length];
            if (!state.TryGetValue(norm + Weight, out var weight) || weight.Shape != variance.Shape) continue;
            var both = new Lazy<(float[] Weight, float[] Variance)>(() => Change(weight, variance, key, there, here));
            changed[key] = new StateEntry(variance.Shape, () => both.Value.Variance) { Check = variance.Check };
            changed[norm + Weight] = new StateEntry(weight.Shape, () => both.Value.Weight) { Check = weight.Check };
        }
        return changed;
    }

    private static (float[] Weight, float[] Variance) Change(StateEntry weight, StateEntry variance, string key, double there, double here)
    {
        float[] gammas = [.. weight.Read()], variances = [.. variance.Read()];
        for (int c = 0; c < variances.Length; c++)
        {
            double sum = variances[c] + there, rest = sum - here;
            if (!(sum > 0)) throw new FileFormatException(variance.Source ?? "The state dict", $"'{key}' holds a variance below zero. Use an earlier checkpoint.");
            variances[c] = (float)Math.Max(rest, 0);
            if (rest < 0) gammas[c] = (float)(gammas[c] * Math.Sqrt(here / sum));
        }
        return (gammas, variances);
    }
}
