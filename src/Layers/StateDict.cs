namespace RefConv.Layers;

/// <summary>One tensor of a state dict.</summary>
/// <param name="Shape">PyTorch's shape.</param>
/// <param name="Read">Values in PyTorch's order.</param>
public sealed record StateEntry(Shape Shape, Func<float[]> Read);

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
    /// Copies values into a module. Keys and shapes are all checked before the first value is written: a state dict that does not fit changes nothing.
    /// </summary>
    /// <param name="module">Where to.</param>
    /// <param name="state">From where.</param>
    /// <param name="strict">Missing or unexpected keys are an error. Wrong shapes always are.</param>
    /// <param name="source">What the state is, for the message: a file name.</param>
    /// <returns>The keys that did not fit (empty when strict).</returns>
    /// <exception cref="StateDictException">They do not fit.</exception>
    public static StateMismatch Load(Module module, IReadOnlyDictionary<string, StateEntry> state, bool strict = true, string source = "The state dict")
    {
        var parameters = module.NamedParameters().ToArray();
        var names = parameters.Select(p => p.Name).ToHashSet();
        var mismatch = new StateMismatch(
            [.. names.Where(n => !state.ContainsKey(n))],
            [.. state.Keys.Where(k => !names.Contains(k))],
            [.. parameters.Where(p => state.TryGetValue(p.Name, out var e) && e.Shape != p.Parameter.TorchShape)
                .Select(p => $"{p.Name} ({state[p.Name].Shape} in the file, {p.Parameter.TorchShape} in the model)")]);
        if (mismatch.Mismatched.Count > 0 || (strict && !mismatch.IsEmpty))
            throw new StateDictException($"{source} does not fit this model ({mismatch}). Was it saved from another architecture, width, number of classes, or before refocusing or merging?", mismatch);
        var values = parameters.Where(p => state.ContainsKey(p.Name)).Select(p => (p.Parameter, Values: state[p.Name].Read())).ToArray();
        foreach (var (parameter, v) in values) parameter.FromTorch(v);
        return mismatch;
    }
}
