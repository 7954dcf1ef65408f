using RefConv.IO;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// Brings weights of others into a model of the zoo: finds them in the file, translates the names of other repositories, tells what else was there, and says in
/// one sentence what does not fit.
/// </summary>
internal static class WeightLoader
{
    /// <summary>Counters that profilers of operations register on every layer (thop).</summary>
    private static readonly string[] s_profilers = ["total_ops", "total_params"];

    /// <summary>See <see cref="ModelFile.LoadWeights"/>.</summary>
    public static StateMismatch Load(Model model, string path, bool strict, bool classifier)
    {
        using var file = TensorFile.Open(path);
        return Load(model, file, new WeightRequest { Strict = strict, Classifier = classifier }, KeyMaps.For(model.Spec), out _);
    }

    /// <summary>Copies weights into a model; nothing is changed when they do not fit.</summary>
    /// <param name="model">Where to.</param>
    /// <param name="file">From where.</param>
    /// <param name="request">Which.</param>
    /// <param name="maps">Names of other repositories that it may have.</param>
    /// <param name="report">What was taken.</param>
    public static StateMismatch Load(Model model, ITensorFile file, WeightRequest request, IEnumerable<KeyMap> maps, out WeightReport report)
    {
        var entries = Entries(file);
        var last = Classifier(model);
        string[] head = last is null ? [] : [.. last.NamedParameters().Select(p => p.Name)];
        var finder = new WeightFinder(entries, [.. maps], Wanted(model));
        string[] all = [.. model.NamedParameters().Where(p => !p.Parameter.IsInteger).Select(p => p.Name)], body = [.. all.Except(head)];
        CheckPrefix(request.Prefix, entries, file.Path);

        var complete = finder.Complete(request.Classifier ? all : body, request.Prefix);
        if (complete.Count == 0) complete = finder.Complete(body, request.Prefix);
        var taken = complete.Count == 0 ? finder.Nearest(request.Prefix) : Choose(complete, request.Prefix, file.Path);
        List<string> notes = [];
        var state = new Dictionary<string, StateEntry>(taken.State, StringComparer.Ordinal);
        string[] apart = last is not null && request.Classifier ? FindClassifier(last, entries, state) : [];
        if (apart.Length > 0) notes.Add($"The classifier is '{WeightReport.Visible(apart[0][..apart[0].LastIndexOf('.')])}'.");
        AddCounters(model, state);
        // Where most of the model is missing, everything that is there is of interest.
        List<string> leftOut = complete.Count == 0 ? [] : RemoveOthers(model, last, request.Classifier, state);
        if (last is not null)
        {
            if (request.Classifier) CheckClasses(model, last, state, file.Path);
            else KeepClassifier(last, state);
        }
        if (complete.Count == 0) CheckReadable(model, file, taken, state);
        var mismatch = StateDict.Load(model, state, request.Strict, file.Path);
        if (taken.IsAverage) notes.Add($"'{WeightReport.Visible(taken.Place)}' is an average of weights over the training, by its name.");
        string[] others = [.. complete.Where(c => c != taken).Select(c => c.Place)];
        report = new WeightReport(taken.Place, taken.Map?.Source)
        {
            NotTaken = others,
            LeftOut = Groups(leftOut.Select(k => taken.Prefix + k).Concat(entries.Keys.Where(k => !k.StartsWith(taken.Prefix, StringComparison.Ordinal))).Except(apart), others, taken.Prefix),
            PassedOver = (file as TorchFile)?.PassedOver.Select(WeightReport.Visible).ToArray() ?? [],
            Notes = notes,
        };
        return mismatch;
    }

    /// <summary>All tensors of a file but those that training here keeps beside the weights.</summary>
    internal static Dictionary<string, StateEntry> Entries(ITensorFile file) => file.Tensors
        .Where(t => !t.Name.StartsWith(ModelFile.TrainingPrefix, StringComparison.Ordinal) && t.Shape.All(s => s <= int.MaxValue))
        .ToDictionary(t => t.Name, t => StateEntry.Of(file, t), StringComparer.Ordinal);

    internal static Dictionary<string, Shape> Wanted(Model model) => model.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.TorchShape, StringComparer.Ordinal);

    /// <summary>One of several places: the weights themselves before averages of them. Anything else is for the user to choose.</summary>
    private static WeightCandidate Choose(List<WeightCandidate> complete, string? within, string path)
    {
        if (complete.Find(c => c.Place == within?.TrimEnd('.')) is { } exact) return exact;
        var plain = complete.FindAll(c => !c.IsAverage);
        return complete.Count == 1 ? complete[0] : plain.Count == 1 ? plain[0] : throw new FileFormatException(path,
            $"holds {complete.Count} sets of weights that fit: {string.Join(", ", complete.Select(c => Quoted(c.Place)))}. Say which one: --prefix {(complete.Find(c => c.Place.Length > 0) ?? complete[0]).Place}, for example.");

        static string Quoted(string place) => place.Length == 0 ? "those without a prefix" : $"'{WeightReport.Visible(place)}'";
    }

    private static void CheckPrefix(string? prefix, Dictionary<string, StateEntry> entries, string path)
    {
        if (prefix is null || entries.Keys.Any(k => prefix.Length == 0 || k.StartsWith(prefix.TrimEnd('.') + ".", StringComparison.Ordinal))) return;
        throw new FileFormatException(path, $"holds nothing under '{prefix}'. Its tensors are under {string.Join(", ", Groups(entries.Keys, []).Take(8))}.");
    }

    /// <summary>The layer that gives the class scores: the last linear one.</summary>
    private static Linear? Classifier(Model model) =>
        model.NamedModules().Select(m => m.Module).OfType<Linear>().LastOrDefault(l => l.OutFeatures == model.Spec.Classes);

    /// <summary>Frameworks that keep the classifier apart (backbone.…, head.fc) name it as the model does, elsewhere. Gives the names in the file.</summary>
    private static string[] FindClassifier(Linear last, Dictionary<string, StateEntry> entries, Dictionary<string, StateEntry> state)
    {
        var parameters = last.NamedParameters().ToArray();
        if (parameters.Any(p => state.ContainsKey(p.Name))) return [];
        string[] places = [.. entries.Keys.Where(k => k.EndsWith("." + parameters[0].Name, StringComparison.Ordinal)).Select(k => k[..^parameters[0].Name.Length])
            .Where(q => parameters.All(p => entries.TryGetValue(q + p.Name, out var e) && e.Shape == p.Parameter.TorchShape))];
        if (places.Length != 1) return [];
        foreach (var (name, _) in parameters) state[name] = entries[places[0] + name];
        return [.. parameters.Select(p => places[0] + p.Name)];
    }

    /// <summary>
    /// The step counters of batch norms matter only where a norm averages over all steps. Files lack them (PyTorch before 0.4.1; other frameworks), and then they start at 0 as
    /// PyTorch's do, or have them as vectors of one.
    /// </summary>
    private static void AddCounters(Model model, Dictionary<string, StateEntry> state)
    {
        foreach (var (name, parameter) in model.NamedParameters().Where(p => p.Parameter.IsInteger))
        {
            if (!state.TryGetValue(name, out var entry)) state[name] = new StateEntry(parameter.TorchShape, () => new float[parameter.TorchShape.Count]);
            else if (entry.Shape != parameter.TorchShape && entry.Shape.Count == parameter.TorchShape.Count) state[name] = entry with { Shape = parameter.TorchShape };
        }
    }

    /// <summary>
    /// Takes out what is clearly no part of the model: names that begin as none of its parts does. What goes on where the model ends (layer1.2 behind layer1.1, layer5 behind
    /// layer4) is another network, of which this one would be a piece.
    /// </summary>
    private static List<string> RemoveOthers(Model model, Linear? classifier, bool takesClassifier, Dictionary<string, StateEntry> state)
    {
        var names = model.NamedParameters().Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        var parts = names.Select(Part).ToHashSet(StringComparer.Ordinal);
        string[] others = [.. state.Keys.Where(k => !names.Contains(k) &&
            (!parts.Contains(Part(k)) || s_profilers.Contains(k[(k.LastIndexOf('.') + 1)..]) || (!takesClassifier && classifier is not null && Part(k) == Part(classifier.Name))))];
        foreach (string key in others) state.Remove(key);
        return [.. others];

        static string Part(string key) => key.Split('.')[0].TrimEnd("0123456789".ToCharArray());
    }

    private static void KeepClassifier(Linear classifier, Dictionary<string, StateEntry> state)
    {
        foreach (var (name, parameter) in classifier.NamedParameters()) state[name] = new StateEntry(parameter.TorchShape, parameter.ToTorch);
    }

    /// <summary>The usual mistakes have sentences of their own: all fits but the number of classes, or there is no classifier.</summary>
    private static void CheckClasses(Model model, Linear classifier, Dictionary<string, StateEntry> state, string path)
    {
        int tensors = classifier.NamedParameters().Count();
        var mismatch = StateDict.Compare(model, state);
        if (!state.TryGetValue(classifier.Name + ".weight", out var weight))
        {
            if (mismatch.Missing.Count == tensors && mismatch.Mismatched.Count == 0)
                throw new StateDictException($"{path} has all of this model but its classifier ({string.Join(", ", mismatch.Missing)}). Leave it out to train it anew: --no-classifier.", mismatch);
            return;
        }
        if (weight.Shape.Rank == 0 || weight.Shape[0] == classifier.OutFeatures || mismatch.Mismatched.Count > tensors) return;
        string background = weight.Shape[0] == 1001 ? " 1001 are ImageNet's 1000 behind a background class, as TensorFlow has them." : "";
        throw new StateDictException(
            $"{path} is for {weight.Shape[0]} classes and the model has {classifier.OutFeatures} ({mismatch}).{background} " +
            $"Build the model with {weight.Shape[0]} classes (--classes {weight.Shape[0]}), or leave the classifier out to train it anew (--no-classifier).", mismatch);
    }

    /// <summary>Where a tensor is missing because it cannot be read, that is what there is to say.</summary>
    private static void CheckReadable(Model model, ITensorFile file, WeightCandidate taken, Dictionary<string, StateEntry> state)
    {
        if (file is not TorchFile { Unreadable: { Count: > 0 } unreadable }) return;
        foreach (var (name, _) in model.NamedParameters())
        {
            if (!state.ContainsKey(name) && unreadable.TryGetValue(taken.Prefix + name, out string? why)) throw new FileFormatException(file.Path, WeightReport.Visible(why));
        }
    }

    /// <summary>Names under one key together, optimizer.… (412 tensors): under the first key that is not on the way to what was taken.</summary>
    private static string[] Groups(IEnumerable<string> names, string[] apart, string taken = "")
    {
        return [.. names.Where(n => !apart.Any(a => a.Length > 0 && n.StartsWith(a + ".", StringComparison.Ordinal))).GroupBy(Key)
            .Select(g => WeightReport.Visible(g.Count() == 1 ? g.First() : s_profilers.Contains(g.Key) ? $"{g.Key} ({g.Count()} counters of a profiler)" : $"{g.Key}.… ({g.Count()} tensors)"))];

        string Key(string name)
        {
            string last = name[(name.LastIndexOf('.') + 1)..];
            if (s_profilers.Contains(last)) return last;
            int dot = name.IndexOf('.');
            while (dot >= 0 && taken.StartsWith(name[..(dot + 1)], StringComparison.Ordinal) && name.IndexOf('.', dot + 1) is var next and >= 0) dot = next;
            return dot < 0 ? name : name[..dot];
        }
    }
}
