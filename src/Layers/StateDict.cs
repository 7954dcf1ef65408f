using RefConv.IO;

namespace RefConv.Layers;

/// <summary>One tensor of a state dict.</summary>
/// <param name="Shape">PyTorch's shape.</param>
/// <param name="Read">Values in PyTorch's order.</param>
public sealed record StateEntry(Shape Shape, Func<float[]> Read)
{
    /// <summary>Copies the values straight into a parameter; null where only <see cref="Read"/> gives them.</summary>
    internal Action<Parameter>? CopyTo { get; init; }

    /// <summary>As <see cref="CopyTo"/>, checking the values in the same pass; null where they must be checked before.</summary>
    internal Action<Parameter>? CopyChecked { get; init; }

    /// <summary>Throws when the values cannot be weights, using at most so many threads; null where they need no check.</summary>
    internal Action<int>? Check { get; init; }

    /// <summary>The file it is from, for messages.</summary>
    internal string? Source { get; init; }

    /// <summary>A tensor of an open file: read when it is asked for, and loaded without an array between file and parameter.</summary>
    /// <exception cref="FileFormatException">An axis is longer than any of a model.</exception>
    public static StateEntry Of(ITensorFile file, TensorInfo tensor)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentNullException.ThrowIfNull(tensor);
        int[] sizes = new int[tensor.Shape.Count];
        for (int i = 0; i < sizes.Length; i++)
        {
            long size = tensor.Shape[i];
            if (size > int.MaxValue) throw new FileFormatException(file.Path, $"tensor '{tensor.Name}' has an axis of {size}, more than any model here has. Is it the right file?");
            sizes[i] = (int)size;
        }
        return new StateEntry(new Shape(sizes), () => file.Read(tensor.Name))
        {
            CopyTo = parameter => file.ReadInto(tensor.Name, parameter),
            CopyChecked = parameter => file.ReadFiniteInto(tensor.Name, parameter),
            Check = threads => file.RequireFinite(tensor.Name, threads),
            Source = file.Path,
        };
    }
}

/// <summary>How a state dict and a model disagree: three lists, all empty when they fit.</summary>
/// <param name="Missing">Keys the model has and the state dict lacks.</param>
/// <param name="Unexpected">Keys the state dict has and the model lacks.</param>
/// <param name="Mismatched">Keys both have, with different shapes, each with both.</param>
public sealed record StateMismatch(IReadOnlyList<string> Missing, IReadOnlyList<string> Unexpected, IReadOnlyList<string> Mismatched)
{
    /// <summary>They fit.</summary>
    public bool IsEmpty => Missing.Count + Unexpected.Count + Mismatched.Count == 0;

    /// <inheritdoc/>
    public override string ToString()
    {
        List<string> parts = [];
        Tell("missing", Missing);
        Tell("unexpected", Unexpected);
        Tell("of another shape", Mismatched);
        return parts.Count == 0 ? "everything fits" : string.Join("; ", parts);

        void Tell(string what, IReadOnlyList<string> keys)
        {
            if (keys.Count > 0) parts.Add($"{keys.Count} {what}: {string.Join(", ", keys.Take(8))}{(keys.Count > 8 ? ", …" : "")}");
        }
    }
}

/// <summary>A state dict does not fit the model it is loaded into.</summary>
/// <param name="message">The whole sentence.</param>
/// <param name="mismatch">The lists.</param>
public sealed class StateDictException(string message, StateMismatch mismatch) : Exception(message)
{
    /// <summary>Missing, unexpected and mismatched keys.</summary>
    public StateMismatch Mismatch { get; } = mismatch;
}

/// <summary>State dicts: the parameters and buffers of a module under PyTorch's keys, in PyTorch's shapes and order.</summary>
public static class StateDict
{
    /// <summary>A module's state, read lazily.</summary>
    public static IReadOnlyDictionary<string, StateEntry> Of(Module module) =>
        module.NamedParameters().ToDictionary(p => p.Name, p => new StateEntry(p.Parameter.TorchShape, p.Parameter.ToTorch));

    /// <summary>
    /// Copies values into a module. Keys, shapes and, in files, values (NaN and infinity are no weights) are all checked before the first value is written: a
    /// state dict that does not fit changes nothing.
    /// </summary>
    /// <param name="module">Where to.</param>
    /// <param name="state">From where.</param>
    /// <param name="strict">Missing or unexpected keys are an error. Wrong shapes always are.</param>
    /// <param name="source">What the state is, for the message: a file name.</param>
    /// <returns>The keys that did not fit (empty when strict).</returns>
    /// <exception cref="StateDictException">They do not fit.</exception>
    /// <exception cref="FileFormatException">A weight in the file is NaN or infinite.</exception>
    public static StateMismatch Load(Module module, IReadOnlyDictionary<string, StateEntry> state, bool strict = true, string source = "The state dict")
    {
        var (mismatch, fitting) = Fitting(module, state, strict, source);
        // First all that can fail, then the first change.
        foreach (var (parameter, entry) in fitting) entry.Check?.Invoke(parameter.Device.Threads);
        var read = fitting.Where(f => f.Entry.CopyTo is null).Select(f => (f.Parameter, Values: f.Entry.Read())).ToArray();
        foreach (var (parameter, values) in read) parameter.FromTorch(values);
        foreach (var (parameter, entry) in fitting) entry.CopyTo?.Invoke(parameter);
        return mismatch;
    }

    /// <summary>
    /// Gives a module that was made for it all its values, in one pass where <see cref="Load"/> needs two: when this throws, the module has some of them and must
    /// not be used.
    /// </summary>
    internal static void LoadNew(Module module, IReadOnlyDictionary<string, StateEntry> state, string source)
    {
        foreach (var (parameter, entry) in Fitting(module, state, strict: true, source).Pairs)
        {
            if (entry.CopyChecked is { } copy)
            {
                copy(parameter);
                continue;
            }
            entry.Check?.Invoke(parameter.Device.Threads);
            parameter.FromTorch(entry.Read());
        }
    }

    private sealed record Pair(Parameter Parameter, StateEntry Entry);

    private static (StateMismatch Mismatch, List<Pair> Pairs) Fitting(Module module, IReadOnlyDictionary<string, StateEntry> state, bool strict, string source)
    {
        var mismatch = Compare(module, state);
        if (mismatch.Mismatched.Count > 0 || (strict && !mismatch.IsEmpty))
            throw new StateDictException(Sentence(source, mismatch, module.NamedParameters().Count()), mismatch);
        List<Pair> pairs = [];
        foreach (var (name, parameter) in module.NamedParameters())
        {
            if (state.TryGetValue(name, out var entry)) pairs.Add(new Pair(parameter, entry));
        }
        return (mismatch, pairs);
    }

    /// <summary>Long lists are for what almost fits. Where hardly a name is the same, that is what there is to say.</summary>
    private static string Sentence(string source, StateMismatch mismatch, int tensors) =>
        mismatch.Missing.Count > tensors / 2 && mismatch.Unexpected.Count > 0
            ? $"{source} is of another architecture: of this model's {tensors} tensors {mismatch.Missing.Count} were not found under any prefix and known names (missing, such as {mismatch.Missing[0]}), " +
              $"and it has others, such as {mismatch.Unexpected[0]}. Build the model that it was saved from."
            : $"{source} does not fit this model ({mismatch}). Was it saved from another architecture, width, number of classes, or before refocusing or merging?";

    /// <summary>How a state dict and a module disagree.</summary>
    internal static StateMismatch Compare(Module module, IReadOnlyDictionary<string, StateEntry> state)
    {
        // Loops, not queries: over pairs of references these would be compiled at every start of a process.
        HashSet<string> names = [];
        List<string> missing = [], mismatched = [];
        foreach (var (name, parameter) in module.NamedParameters())
        {
            names.Add(name);
            if (!state.TryGetValue(name, out var entry)) missing.Add(name);
            else if (entry.Shape != parameter.TorchShape) mismatched.Add($"{name} ({entry.Shape} in the file, {parameter.TorchShape} in the model)");
        }
        return new StateMismatch(missing, [.. state.Keys.Where(k => !names.Contains(k))], mismatched);
    }
}
