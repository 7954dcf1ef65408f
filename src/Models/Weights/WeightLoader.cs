using RefConv.IO;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// Brings weights of others into a model of the zoo: takes off the prefixes that wrappers of training loops put on names, translates the names of other
/// repositories, and says in one sentence what does not fit.
/// </summary>
internal static class WeightLoader
{
    /// <summary>Always wrappers: DistributedDataParallel and torch.compile.</summary>
    private static readonly string[] Wrappers = ["module.", "_orig_mod."];

    /// <summary>Perhaps wrappers: taken off where the names fit better without.</summary>
    private static readonly string[] PossibleWrappers = ["model.", "net.", "network.", "backbone."];

    /// <summary>See <see cref="ModelFile.LoadWeights"/>.</summary>
    public static StateMismatch Load(Model model, string path, bool strict, bool classifier)
    {
        using var file = TensorFile.Open(path);
        return Load(model, file, strict, classifier);
    }

    /// <inheritdoc cref="Load(Model, string, bool, bool)"/>
    public static StateMismatch Load(Model model, ITensorFile file, bool strict, bool classifier)
    {
        var state = Named(model, file.Tensors
            .Where(t => !t.Name.StartsWith(ModelFile.TrainingPrefix, StringComparison.Ordinal))
            .ToDictionary(t => t.Name, t => StateEntry.Of(file, t), StringComparer.Ordinal));
        AddCounters(model, state);
        if (Classifier(model) is { } last)
        {
            if (classifier) CheckClasses(model, last, state, file.Path);
            else KeepClassifier(last, state);
        }
        return StateDict.Load(model, state, strict, file.Path);
    }

    /// <summary>A state dict under the model's own names, as far as that can be done.</summary>
    internal static Dictionary<string, StateEntry> Named(Model model, Dictionary<string, StateEntry> state)
    {
        for (string? wrapper; (wrapper = Wrappers.FirstOrDefault(w => AllBegin(state, w))) is not null;) state = Without(state, wrapper);
        var wanted = model.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.TorchShape, StringComparer.Ordinal);
        var (best, most) = (state, Found(state));
        foreach (string prefix in PossibleWrappers.Where(w => AllBegin(state, w)).Prepend(""))
        {
            var plain = Without(state, prefix);
            foreach (var candidate in KeyMaps.For(model.Spec).Select(map => map.Apply(plain, wanted)).Prepend(plain))
            {
                if (candidate is not null && Found(candidate) is var found && found > most) (best, most) = (candidate, found);
            }
        }
        return best;

        int Found(Dictionary<string, StateEntry> names) => names.Keys.Count(wanted.ContainsKey);
    }

    /// <summary>The layer that gives the class scores: the last linear one.</summary>
    private static Linear? Classifier(Model model) =>
        model.NamedModules().Select(m => m.Module).OfType<Linear>().LastOrDefault(l => l.OutFeatures == model.Spec.Classes);

    /// <summary>Weights from before PyTorch 0.4.1 lack the step counters of batch norms, which only matter where a norm averages over all steps: PyTorch starts them at 0, too.</summary>
    private static void AddCounters(Model model, Dictionary<string, StateEntry> state)
    {
        var counters = model.NamedParameters().Where(p => p.Parameter.IsInteger).ToArray();
        if (counters.Any(c => state.ContainsKey(c.Name))) return;
        foreach (var (name, parameter) in counters) state[name] = new StateEntry(parameter.TorchShape, () => new float[parameter.TorchShape.Count]);
    }

    private static void KeepClassifier(Linear classifier, Dictionary<string, StateEntry> state)
    {
        foreach (var (name, parameter) in classifier.NamedParameters()) state[name] = new StateEntry(parameter.TorchShape, parameter.ToTorch);
    }

    /// <summary>The usual mistake has a sentence of its own: all fits but the number of classes.</summary>
    private static void CheckClasses(Model model, Linear classifier, Dictionary<string, StateEntry> state, string path)
    {
        if (!state.TryGetValue(classifier.Name + ".weight", out var weight) || weight.Shape.Rank == 0 || weight.Shape[0] == classifier.OutFeatures) return;
        var mismatch = StateDict.Compare(model, state);
        if (mismatch.Mismatched.Count > classifier.NamedParameters().Count()) return;
        throw new StateDictException(
            $"{path} is for {weight.Shape[0]} classes and the model has {classifier.OutFeatures} ({mismatch}). " +
            $"Build the model with {weight.Shape[0]} classes (--classes {weight.Shape[0]}), or leave the classifier out to train it anew (--no-classifier).", mismatch);
    }

    private static bool AllBegin(Dictionary<string, StateEntry> state, string prefix) => state.Count > 0 && state.Keys.All(k => k.StartsWith(prefix, StringComparison.Ordinal));

    private static Dictionary<string, StateEntry> Without(Dictionary<string, StateEntry> state, string prefix) =>
        state.ToDictionary(e => e.Key[prefix.Length..], e => e.Value, StringComparer.Ordinal);
}
