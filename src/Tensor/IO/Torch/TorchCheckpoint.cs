namespace RefConv.IO;

/// <summary>
/// Finds the state dict in what was saved: itself, or in a checkpoint under one of the usual keys, which may be nested. Averaged weights
/// (<c>ema</c>) are taken only where there are no others.
/// </summary>
internal static class TorchCheckpoint
{
    private const int MostLevels = 4;

    private static readonly string[] Wrappers =
    [
        "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights",
        "state_dict_ema", "model_ema", "ema_state_dict", "ema",
    ];

    /// <summary>The tensors of the state dict, in order; what else is in it is passed over.</summary>
    /// <exception cref="FileFormatException">There is none.</exception>
    public static IReadOnlyList<(string Name, TorchTensor Tensor)> StateDict(string path, object? root)
    {
        var dictionary = root as PickleDictionary
            ?? throw new FileFormatException(path, $"holds {Describe(root)}, not a state dict. Save the weights in Python: torch.save(model.state_dict(), PATH).");
        for (int level = 0; level < MostLevels && Inside(dictionary) is { } inner; level++) dictionary = inner;
        var names = new Dictionary<string, int>(StringComparer.Ordinal);
        List<(string, TorchTensor)> tensors = [];
        foreach (var (key, value) in dictionary.Items)
        {
            if (key is not string name || value is not TorchTensor tensor) continue;
            if (names.TryGetValue(name, out int at)) tensors[at] = (name, tensor);
            else
            {
                names[name] = tensors.Count;
                tensors.Add((name, tensor));
            }
        }
        if (tensors.Count > 0) return tensors;
        string keys = string.Join(", ", dictionary.Items.Take(8).Select(i => i.Key is string text ? text : "?"));
        throw new FileFormatException(path, $"holds no weights that could be found: a dictionary of {dictionary.Items.Count} entries ({keys}). Save the weights in Python: torch.save(model.state_dict(), PATH).");
    }

    /// <summary>The dictionary inside that holds the weights, if this is a wrapper.</summary>
    private static PickleDictionary? Inside(PickleDictionary dictionary)
    {
        foreach (string wrapper in Wrappers)
        {
            if (dictionary.Items.LastOrDefault(i => i.Key is string key && key == wrapper).Value is PickleDictionary inner && (inner.HasTensors || inner.Items.Any(i => i.Value is PickleDictionary { HasTensors: true })))
                return inner;
        }
        if (dictionary.HasTensors) return null;
        var candidates = dictionary.Items.Select(i => i.Value).OfType<PickleDictionary>().Where(d => d.HasTensors).Take(2).ToArray();
        return candidates.Length == 1 ? candidates[0] : null;
    }

    private static string Describe(object? value) => value switch
    {
        null => "nothing (None)",
        TorchTensor => "a single tensor",
        PickleList or PickleTuple => "a list",
        PickleOpaque opaque => $"an object ({opaque.What})",
        string => "text",
        _ => "a number",
    };
}
