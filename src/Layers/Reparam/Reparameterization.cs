namespace RefConv.Layers;

/// <summary>The two verbs on whole models: <see cref="Expand"/> to the training form, <see cref="Merge"/> back. Neither changes the model it is given.</summary>
public static class Reparameterization
{
    /// <summary>
    /// A copy of the model in which every convolution the policy selects, and the method accepts, has its training form.
    /// Everything else (norms, 1×1 convolutions, classifier) is inherited and keeps training.
    /// </summary>
    /// <param name="model">A trained model.</param>
    /// <param name="method">How.</param>
    /// <param name="policy">Which layers; <see cref="LayerPolicy.AtLeast3"/> if not given.</param>
    /// <param name="seed">Seed of the new weights.</param>
    /// <exception cref="ArgumentException">The policy selects nothing, or names a layer that is not there or that the method refuses.</exception>
    public static TModule Expand<TModule>(TModule model, IReparameterization method, LayerPolicy? policy = null, ulong seed = 0) where TModule : Module
    {
        policy ??= LayerPolicy.AtLeast3;
        var convs = model.NamedModules().Where(m => m.Module is Conv2d).Select(m => (m.Name, Conv: (Conv2d)m.Module)).ToArray();
        if (policy.Names.FirstOrDefault(n => convs.All(c => c.Name != n)) is { } unknown)
            throw new ArgumentException($"The model has no convolution named '{unknown}'. Its convolutions are {string.Join(", ", convs.Select(c => c.Name))}.");
        var selected = convs.Where(c => policy.Selects(c.Name, c.Conv)).ToArray();
        if (selected.Length == 0)
            throw new ArgumentException($"No convolution of this model is selected by '{policy.Description}', so {method.Name} would change nothing.");
        foreach (var (name, conv) in selected)
        {
            if (method.Refusal(conv) is { } reason) throw new ArgumentException($"{method.Name} cannot take over '{name}': {reason}");
        }
        var expanded = (TModule)model.Clone();
        var init = new Initializer(selected[0].Conv.Weight.Device, seed);
        foreach (var (name, conv) in selected) expanded.Replace(name, method.Expand(conv, init)).Dispose();
        return expanded;
    }

    /// <summary>
    /// The plain model that computes the same: a copy in which every training form is merged. It then checks itself: both models run on
    /// the probe, and the outputs of every merged layer are compared.
    /// </summary>
    /// <param name="model">A model in evaluation mode.</param>
    /// <param name="probe">A batch to check on, of the shape the model takes.</param>
    /// <param name="tolerance">The largest difference of a layer allowed, relative to its largest value.</param>
    /// <exception cref="InvalidOperationException">The model is in training mode, or has nothing to merge, or the merged model differs.</exception>
    public static (TModule Merged, MergeReport Report) Merge<TModule>(TModule model, Tensor probe, double tolerance = 1e-5) where TModule : Module
    {
        if (model.NamedModules().FirstOrDefault(m => m.Module.Training) is { Module: not null } training)
            throw new InvalidOperationException($"Merge needs the model in evaluation mode, but {(training.Name.Length == 0 ? "it" : $"'{training.Name}'")} is in training mode, where batch norms depend on the batch. Call Eval() first.");
        // The outermost training forms: what is nested in one is merged by it.
        List<string> names = [];
        foreach (var (name, module) in model.NamedModules())
        {
            if (module is IReparameterized && !names.Exists(outer => name.StartsWith(outer + ".", StringComparison.Ordinal))) names.Add(name);
        }
        if (names.Count == 0) throw new InvalidOperationException("Nothing to merge: the model has no re-parameterised layer. Is it merged already?");

        var merged = (TModule)model.Clone();
        foreach (string name in names)
        {
            using var form = merged.Replace(name, ((IReparameterized)model.Find(name)).Merge());
        }
        merged.Eval();
        var report = Compare(model, merged, names, probe);
        return report.Worst.RelativeDifference <= tolerance
            ? (merged, report)
            : throw new InvalidOperationException(
                $"The merged model differs at '{report.Worst.Name}' by {report.Worst.MaxAbsDifference:E2} (largest value {report.Worst.MaxAbsValue:E2}), more than {tolerance:E0} of it. Please report this: the merge is wrong.");
    }

    private static MergeReport Compare(Module model, Module merged, List<string> names, Tensor probe)
    {
        var before = Run(model, names, probe);
        var after = Run(merged, names, probe);
        return new MergeReport([.. before.Select(b => Difference(b.Key, b.Value, after[b.Key]))]);
    }

    /// <summary>Output of each named layer and, as "output", of the model. A layer's output is that of the last operation that bears its name.</summary>
    private static Dictionary<string, float[]> Run(Module model, List<string> names, Tensor probe)
    {
        using var tape = Tape.Trace();
        var output = model.Forward(probe);
        var outputs = new Dictionary<string, float[]>();
        foreach (string name in names) outputs[name] = tape.Nodes.Last(n => n.Name == name).Output.ToArray();
        outputs["output"] = output.ToArray();
        return outputs;
    }

    private static LayerDifference Difference(string name, float[] a, float[] b)
    {
        double difference = 0, largest = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double d = Math.Abs((double)a[i] - b[i]);
            difference = double.IsNaN(d) ? double.PositiveInfinity : Math.Max(difference, d);
            largest = Math.Max(largest, Math.Abs(a[i]));
        }
        return new LayerDifference(name, difference, largest);
    }
}

/// <summary>How much one layer's output changed by merging.</summary>
/// <param name="Name">Layer, or "output" for the model.</param>
/// <param name="MaxAbsDifference">Largest difference.</param>
/// <param name="MaxAbsValue">Largest value before merging.</param>
public readonly record struct LayerDifference(string Name, double MaxAbsDifference, double MaxAbsValue)
{
    /// <summary>Difference relative to the largest value.</summary>
    public double RelativeDifference => MaxAbsDifference == 0 ? 0 : MaxAbsDifference / MaxAbsValue;
}

/// <summary>What <see cref="Reparameterization.Merge"/> found when it checked itself.</summary>
/// <param name="Layers">Every merged layer, in order, and last the model's output.</param>
public sealed record MergeReport(IReadOnlyList<LayerDifference> Layers)
{
    /// <summary>The layer that changed most.</summary>
    public LayerDifference Worst => Layers.MaxBy(l => l.RelativeDifference);

    /// <summary>Difference of the model's output.</summary>
    public double MaxAbsDifference => Layers[^1].MaxAbsDifference;
}
