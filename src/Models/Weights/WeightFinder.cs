using RefConv.Layers;

namespace RefConv.Models;

/// <summary>A place in a file under which weights of a model may be.</summary>
/// <param name="Prefix">What comes before the names, a dot at its end; or empty.</param>
/// <param name="Map">How the names were translated; null: not at all.</param>
/// <param name="State">All that is under it, under the names here.</param>
/// <param name="Unwrapped">Names of wrappers were taken out of the middle of names.</param>
internal sealed record WeightCandidate(string Prefix, KeyMap? Map, Dictionary<string, StateEntry> State, bool Unwrapped)
{
    /// <summary>As it is written by people: without the dot at its end.</summary>
    public string Place => Prefix.TrimEnd('.');

    /// <summary>Names that are given to averages of weights.</summary>
    public bool IsAverage => Place.Split('.').Any(s => s_averages.Any(a => s.Contains(a, StringComparison.OrdinalIgnoreCase)));

    private static readonly string[] s_averages = ["ema", "averag", "swa", "polyak", "shadow", "moving"];
}

/// <summary>
/// Looks for the weights of a model among the tensors of a file, under every prefix that there is: those that dictionaries in dictionaries, training loops and
/// wrappers of modules leave, in any order and number.
/// </summary>
/// <param name="entries">All tensors of the file.</param>
/// <param name="maps">Names of other repositories.</param>
/// <param name="wanted">The model's names and shapes.</param>
internal sealed class WeightFinder(IReadOnlyDictionary<string, StateEntry> entries, IReadOnlyList<KeyMap> maps, IReadOnlyDictionary<string, Shape> wanted)
{
    private const int MostLevels = 16;

    /// <summary>Modules that wrap others and pass everything on: of DataParallel, torch.compile, DeepSpeed, FSDP and activation checkpointing.</summary>
    private static readonly HashSet<string> s_wrappers = ["module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

    /// <summary>Everything that could be the model: a place and a translation, at least half of whose tensors are there.</summary>
    /// <param name="within">Only under this place; null: everywhere.</param>
    public IEnumerable<WeightCandidate> Candidates(string? within = null)
    {
        foreach (string prefix in Prefixes(within))
        {
            var under = entries.Where(e => e.Key.StartsWith(prefix, StringComparison.Ordinal)).ToDictionary(e => e.Key[prefix.Length..], e => e.Value, StringComparer.Ordinal);
            foreach (var (state, unwrapped) in Unwrapped(under) is { } inner ? [(under, false), (inner, true)] : ((Dictionary<string, StateEntry>, bool)[])[(under, false)])
            {
                yield return new(prefix, null, state, unwrapped);
                foreach (var map in maps)
                {
                    if (map.Apply(state, wanted) is { } renamed) yield return new(prefix, map, renamed, unwrapped);
                }
            }
        }
    }

    /// <summary>The places under which all of some names are, with the model's shapes: one candidate each, the shortest way to it.</summary>
    public List<WeightCandidate> Complete(IReadOnlyCollection<string> names, string? within = null)
    {
        List<WeightCandidate> complete = [];
        foreach (var candidate in Candidates(within))
        {
            if (complete.All(c => c.Prefix != candidate.Prefix) && names.All(n => Fits(candidate, n))) complete.Add(candidate);
        }
        // 'model.' without the 'module.' inside it, and 'model.module.', are the same tensors.
        complete.RemoveAll(c => c.Unwrapped && complete.Any(o => o.Prefix.Length > c.Prefix.Length && o.Prefix.StartsWith(c.Prefix, StringComparison.Ordinal)));
        return complete;
    }

    /// <summary>The candidate that has most of the model's tensors: what comes nearest, for saying why it does not fit.</summary>
    public WeightCandidate Nearest(string? within = null) => Candidates(within).MaxBy(c => (c.State.Keys.Count(wanted.ContainsKey), wanted.Keys.Count(n => Fits(c, n))))!;

    /// <summary>Whether a tensor of the model is there in its shape.</summary>
    public bool Fits(WeightCandidate candidate, string name) => candidate.State.TryGetValue(name, out var entry) && entry.Shape == wanted[name];

    /// <summary>Everything before a dot in a name, where enough tensors begin with it; the shortest first. Nothing, in any case.</summary>
    private IEnumerable<string> Prefixes(string? within)
    {
        if (within is not null) within = within.Length == 0 ? "" : within.TrimEnd('.') + ".";
        Dictionary<string, int> counts = new(StringComparer.Ordinal) { [within ?? ""] = int.MaxValue };
        foreach (string key in entries.Keys)
        {
            int dot = -1;
            for (int level = 0; level < MostLevels && (dot = key.IndexOf('.', dot + 1)) >= 0; level++)
            {
                string prefix = key[..(dot + 1)];
                if (within is null || prefix.StartsWith(within, StringComparison.Ordinal)) counts[prefix] = counts.GetValueOrDefault(prefix, 0) is var n && n == int.MaxValue ? n : n + 1;
            }
        }
        int enough = Math.Max(2, wanted.Count / 3); // without counters and with a layer or two missing
        return counts.Where(c => c.Value >= enough).Select(c => c.Key).OrderBy(p => p.Length).ThenBy(p => p, StringComparer.Ordinal);
    }

    /// <summary>The names without wrappers in their middle; null where there are none, or two names would become one.</summary>
    private static Dictionary<string, StateEntry>? Unwrapped(Dictionary<string, StateEntry> state)
    {
        Dictionary<string, StateEntry> plain = new(StringComparer.Ordinal);
        bool any = false;
        foreach (var (key, entry) in state)
        {
            string[] parts = key.Split('.');
            string name = parts.Any(s_wrappers.Contains) ? string.Join('.', parts.Where(p => !s_wrappers.Contains(p))) : key;
            any |= name.Length != key.Length;
            if (!plain.TryAdd(name, entry)) return null;
        }
        return any ? plain : null;
    }
}
