using RefConv.Layers;

namespace RefConv.Models;

/// <summary>The names of another repository for the parts of an architecture.</summary>
/// <param name="Source">Whose names they are.</param>
/// <param name="Rows">
/// Module or tensor there, and here. The longest row that a key begins with counts, at dots only; the rest of the key stays. What no row names keeps its name.
/// </param>
internal sealed record KeyMap(string Source, IReadOnlyDictionary<string, string> Rows)
{
    /// <summary>Makes a map of rows.</summary>
    public static KeyMap Of(string source, IEnumerable<(string There, string Here)> rows) => new(source, rows.ToDictionary(r => r.There, r => r.Here, StringComparer.Ordinal));

    /// <summary>What comes before the names are translated, where names are not all that differs; null: nothing.</summary>
    public Func<Dictionary<string, StateEntry>, Dictionary<string, StateEntry>?>? Prepare { get; init; }

    /// <summary>The name here of a key there.</summary>
    public string Rename(string key)
    {
        for (int end = key.Length; end > 0; end = key.LastIndexOf('.', end - 1))
        {
            if (Rows.TryGetValue(key[..end], out string? here)) return here + key[end..];
        }
        return key;
    }

    /// <summary>
    /// A state dict under the names here. Where a renamed tensor has the same elements in another shape it takes the model's shape: a 1×1 convolution is a
    /// linear layer there or here, a vector of channels has axes of 1.
    /// </summary>
    /// <returns>Null when the map is not for such a state dict: two keys would get the same name.</returns>
    public Dictionary<string, StateEntry>? Apply(Dictionary<string, StateEntry> state, IReadOnlyDictionary<string, Shape> wanted)
    {
        if (Prepare is not null)
        {
            if (Prepare(state) is not { } prepared) return null;
            state = prepared;
        }
        Dictionary<string, StateEntry> renamed = new(StringComparer.Ordinal);
        foreach (var (key, entry) in state)
        {
            string name = Rename(key);
            bool reshapes = name != key && wanted.TryGetValue(name, out var shape) && shape.Rank != entry.Shape.Rank && shape.Rank > 0 && entry.Shape.Rank > 0
                && shape[0] == entry.Shape[0] && shape.Sizes.ToArray().Aggregate(1L, (c, s) => c * s) == entry.Shape.Sizes.ToArray().Aggregate(1L, (c, s) => c * s);
            if (!renamed.TryAdd(name, reshapes ? entry with { Shape = wanted[name] } : entry)) return null;
        }
        return renamed;
    }
}
