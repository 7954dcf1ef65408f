namespace RefConv.Layers;

/// <summary>The two verbs on whole models: <see cref="Expand"/> to the training form, <see cref="Merge"/> back. Neither changes the model it is given.</summary>
public static class Reparameterization
{
    /// <summary>Whether a layer is the training form of a plain one, which merging takes back.</summary>
    public static bool IsTrainingForm(Module layer) => layer is IReparameterized or IReparameterizedNorm;

    /// <summary>
    /// A copy of the model in which every layer the policy selects, and the method accepts, has its training form.
    /// Everything else (norms, 1×1 convolutions, classifier) is inherited and keeps training.
    /// </summary>
    /// <param name="model">The plain model, trained or new; or one that another method expanded.</param>
    /// <param name="method">How.</param>
    /// <param name="policy">Which layers. All of them must suit the method; left out, it takes those of its <see cref="IReparameterization.DefaultPolicy"/> that do.</param>
    /// <param name="seed">Seed of the new weights.</param>
    /// <param name="input">Shape of the model's input. Methods that look at the batch norm behind a convolution need it.</param>
    /// <exception cref="ArgumentException">The policy selects nothing, or names a layer that is not there or that the method refuses; or the method needs <paramref name="input"/>.</exception>
    public static TModule Expand<TModule>(TModule model, IReparameterization method, LayerPolicy? policy = null, ulong seed = 0, Shape? input = null) where TModule : Module =>
        ExpandLayers(model, method, policy, seed, input, out _);

    /// <summary>As <see cref="Expand"/>, telling which layers were taken.</summary>
    internal static TModule ExpandLayers<TModule>(TModule model, IReparameterization method, LayerPolicy? policy, ulong seed, Shape? input, out IReadOnlyList<string> layers)
        where TModule : Module
    {
        if (method.Place != ReparameterizationPlace.Convolution && input == null)
            throw new ArgumentException($"{method.Name} looks at the batch norm behind a convolution, and to find it the shape of the model's input is needed. Give it as `input`.");
        var selected = Select(ConvSites.Of(model, input), method, policy);
        layers = [.. selected.Select(s => s.Name)];
        var names = layers.ToHashSet();
        var expanded = (TModule)model.Clone();
        var init = new Initializer(model.NamedParameters().First().Parameter.Device, seed);
        try
        {
            foreach (var site in selected)
            {
                expanded.Replace((method.Place == ReparameterizationPlace.Norm ? site.NormName : null) ?? site.Name, method.Expand(site with { Selected = names }, init)).Dispose();
                if (method.Place == ReparameterizationPlace.ConvolutionAndNorm && site.Norm is BatchNorm2d norm)
                    expanded.Replace(site.NormName!, new AbsorbedNorm(site, norm)).Dispose();
            }
            return expanded;
        }
        catch
        {
            expanded.Dispose();
            throw;
        }
    }

    private static List<ConvSite> Select(IReadOnlyList<ConvSite> sites, IReparameterization method, LayerPolicy? policy)
    {
        if (policy?.Names.FirstOrDefault(n => sites.All(s => s.Name != n)) is { } unknown)
            throw new ArgumentException($"The model has no convolution named '{unknown}'. Its convolutions are {string.Join(", ", sites.Select(s => s.Name))}.");
        List<ConvSite> wanted = [.. sites.Where((policy ?? method.DefaultPolicy).Selects)];
        if (wanted.Count == 0 && (policy ?? method.DefaultPolicy).Otherwise is { } otherwise) wanted = [.. sites.Where(otherwise.Selects)];
        if (wanted.Count == 0)
            throw new ArgumentException($"No convolution of this model is selected by '{(policy ?? method.DefaultPolicy).Description}', so {method.Name} would change nothing. Choose other layers, or another method.");
        var suitable = wanted.FindAll(s => method.Refusal(s) == null);
        // Whoever says which layers means all of them; whoever leaves the choice to the method gets those that it can take.
        if (suitable.Count == 0 || (policy != null && suitable.Count < wanted.Count))
        {
            var refused = wanted.Find(s => method.Refusal(s) != null)!;
            throw new ArgumentException($"{method.Name} cannot take over '{refused.Name}': {method.Refusal(refused)}");
        }
        return suitable;
    }

    /// <summary>
    /// The plain model that computes the same: a copy in which every training form is merged. It then checks itself: every merged layer is run
    /// on what it sees when the model runs on the probe, and so are the two models as a whole.
    /// </summary>
    /// <param name="model">A model in evaluation mode.</param>
    /// <param name="probe">A batch to check on, of the shape the model takes.</param>
    /// <param name="tolerance">The largest difference of a layer (and ten times as much of the whole) allowed, relative to its largest value.</param>
    /// <exception cref="InvalidOperationException">The model is in training mode, or has nothing to merge, or the merged model differs.</exception>
    public static (TModule Merged, MergeReport Report) Merge<TModule>(TModule model, Tensor probe, double tolerance = 1e-5) where TModule : Module
    {
        if (model.NamedModules().FirstOrDefault(m => m.Module.Training) is { Module: not null } training)
            throw new InvalidOperationException($"Merge needs the model in evaluation mode, but {(training.Name.Length == 0 ? "it" : $"'{training.Name}'")} is in training mode, where batch norms depend on the batch. Call Eval() first.");
        var merged = (TModule)model.Clone();
        List<MergedPart> parts;
        try
        {
            parts = ModelMerge.Apply(merged, probe.Shape);
            if (parts.Count == 0) throw new InvalidOperationException(WhyNothing(model));
            merged.Eval();
            var report = Compare(model, merged, parts, probe);
            var worst = report.Layers.FirstOrDefault(l => !(l.RelativeDifference <= (l.Name == "output" ? 10 * tolerance : tolerance)));
            if (worst.Name != null)
                throw new InvalidOperationException(
                    $"The merged model differs at '{worst.Name}' by {worst.MaxAbsDifference:E2} (largest value {worst.MaxAbsValue:E2}), more than {tolerance:E0} of it. Please report this: the merge is wrong.");
            return (merged, report);
        }
        catch
        {
            merged.Dispose();
            throw;
        }
    }

    private static string WhyNothing(Module model)
    {
        var stays = model.NamedModules().Where(m => m.Module is IUnmergeable).ToArray();
        return stays.Length == 0
            ? "Nothing to merge: the model has no re-parameterised layer that can be. Is it merged already?"
            : $"Nothing to merge: '{stays[0].Name}'{(stays.Length == 1 ? "" : $" and {stays.Length - 1} more")} ({stays[0].Module.GetType().Name}) stay{(stays.Length == 1 ? "s" : "")} as it is, because {((IUnmergeable)stays[0].Module).Reason}. Use the model in this form.";
    }

    private static MergeReport Compare(Module model, Module merged, List<MergedPart> parts, Tensor probe)
    {
        using var tape = Tape.Trace();
        float[] output = model.Forward(probe).ToArray();
        List<LayerDifference> layers = [];
        foreach (var part in parts)
        {
            var input = InputOf(part.Paths[0], tape.Nodes, probe);
            using var inner = Tape.Inference();
            layers.Add(Difference(part.Paths[0], Run(model, part.Paths, input), Run(merged, part.Paths, input)));
        }
        using var last = Tape.Inference();
        layers.Add(Difference("output", output, merged.Forward(probe).ToArray()));
        return new MergeReport(layers);
    }

    private static float[] Run(Module model, IReadOnlyList<string> paths, Tensor x) =>
        paths.Aggregate(x, (y, path) => model.Find(path).Forward(y)).ToArray();

    /// <summary>What a module read: the first thing its operations took that neither they nor its parameters made.</summary>
    private static Tensor InputOf(string path, IReadOnlyList<Op> nodes, Tensor probe)
    {
        bool Inside(Op? op) => op != null && (op.Name == path || op.Name.StartsWith(path + ".", StringComparison.Ordinal));
        HashSet<Tensor> data = [probe];   // what depends on the probe
        foreach (var node in nodes)
        {
            if (!node.Inputs.Any(data.Contains)) continue;
            if (Inside(node)) return node.Inputs.First(data.Contains);
            data.Add(node.Output);
        }
        throw new InvalidOperationException($"'{path}' did not run when the model ran on the probe, so its merge cannot be checked. Give a probe that reaches it.");
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
