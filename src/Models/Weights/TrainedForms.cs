using System.Text.Json.Nodes;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// Checkpoints of models in training form, as the repositories of the methods' authors leave them: RepVGG, ACNet and Diverse Branch Block (DingXiaoH) and RefConv
/// (Aiolus-X). The blocks' own names are those of the forms here; what differs is where a block is registered.
/// </summary>
internal static class TrainedForms
{
    /// <summary>What a form is known by.</summary>
    /// <param name="Method">Name of the method.</param>
    /// <param name="Marker">A tensor that every layer in this form has, behind the layer's name.</param>
    /// <param name="Parts">What a block registers.</param>
    private sealed record Layout(string Method, string Marker, string[] Parts);

    private static readonly Layout[] s_layouts =
    [
        new("repvgg", "rbr_dense.conv.weight", ["rbr_dense", "rbr_1x1", "rbr_identity"]),
        new("acb", "square_conv.weight", ["square_conv", "square_bn", "hor_conv", "hor_bn", "ver_conv", "ver_bn"]),
        new("dbb", "dbb_origin.conv.weight", ["dbb_origin", "dbb_avg", "dbb_1x1", "dbb_1x1_kxk"]),
        new("refconv", "convmap.weight", ["convmap"]),
    ];

    /// <summary>Methods of whose training form checkpoints can be read.</summary>
    public static IReadOnlyList<string> Methods { get; } = [.. s_layouts.Select(l => l.Method)];

    /// <summary>The method in whose training form a file seems to be, and a name that says so; null where nothing does.</summary>
    public static (string Method, string Key)? Recognise(IEnumerable<string> keys)
    {
        foreach (string key in keys)
        {
            if (Array.Find(s_layouts, l => key.EndsWith("." + l.Marker, StringComparison.Ordinal)) is { } layout) return (layout.Method, key);
        }
        return null;
    }

    /// <summary>The plain model in the form that a file is in: its layers and the method's options follow from the file.</summary>
    /// <param name="plain">The model, whose weights do not matter.</param>
    /// <param name="method">One of <see cref="Methods"/>.</param>
    /// <param name="entries">The file's tensors.</param>
    /// <param name="request">Where in the file.</param>
    /// <param name="maps">The names that the file may have.</param>
    /// <exception cref="ArgumentException">No layer is in this form, or layers are in forms that one method cannot make.</exception>
    public static Model Expand(Model plain, string method, IReadOnlyDictionary<string, StateEntry> entries, WeightRequest request, out IReadOnlyList<KeyMap> maps)
    {
        var layout = Array.Find(s_layouts, l => l.Method == method)
            ?? throw new ArgumentException($"Checkpoints in the training form of '{method}' are not known.{Suggest.Offer(method, Methods)} Known are {string.Join(", ", Methods)}.");
        var sites = ConvSites.Of(plain, null);
        HashSet<string> names = [.. sites.Select(s => s.Name)];
        maps = Maps(plain.Spec, layout, names);
        string[] layers = [];
        Dictionary<string, StateEntry> state = [];
        foreach (var candidate in new WeightFinder(entries, maps, WeightLoader.Wanted(plain)).Candidates(request.Prefix))
        {
            string[] found = [.. sites.Select(s => s.Name).Where(n => candidate.State.ContainsKey($"{n}.{layout.Marker}"))];
            if (found.Length > layers.Length) (layers, state) = (found, candidate.State);
        }
        if (layers.Length == 0)
        {
            string other = Recognise(entries.Keys) is { } form && form.Method != method ? $" It seems to be in that of {form.Method} ({WeightReport.Visible(form.Key)})." : "";
            throw new ArgumentException($"The file has no layer of {plain.Spec.Architecture} in the training form of {method}: no name ends in '{layout.Marker}' where one of its convolutions is.{other} Leave out --method for plain weights.");
        }
        return plain.Expand(Reparameterizations.Create(method, Options(layout.Method, layers, state, sites)), LayerPolicy.Named(layers));
    }

    /// <summary>
    /// The names of other repositories for the form: a block stands where convolution and norm were (<c>X.dbb_origin</c> for X.conv and X.bn), or in a sequence of its own (<c>X.acb</c>,
    /// ACNet's builder), or in place of the convolution alone.
    /// </summary>
    private static List<KeyMap> Maps(ModelSpec spec, Layout layout, HashSet<string> sites)
    {
        List<KeyMap> maps = [KeyMap.Of("the authors' training form", [.. sites.SelectMany(s => Block(Parent(s, ".rbr_reparam") ?? s, s))])];
        foreach (var map in KeyMaps.For(spec).Where(m => m.Rows.Count > 0))
        {
            Dictionary<string, string> rows = new(StringComparer.Ordinal);
            foreach (var (there, here) in map.Rows)
            {
                int dot = here.LastIndexOf('.');
                // A map that names RepVGG's branches leads to where the form has them.
                rows[there] = dot > 0 && layout.Parts.Contains(here[(dot + 1)..]) && sites.Contains(here[..dot] + ".rbr_reparam") ? $"{here[..dot]}.rbr_reparam{here[dot..]}" : here;
                if (!sites.Contains(here)) continue;
                foreach (var (block, part) in Block(Parent(there, ".conv") ?? there, here)) rows.TryAdd(block, part);
            }
            maps.Add(new KeyMap($"{map.Source}, training form", rows));
        }
        return maps;

        IEnumerable<(string, string)> Block(string there, string here) =>
            layout.Method == "refconv" ? [] : layout.Parts.SelectMany(p => new[] { ($"{there}.{p}", $"{here}.{p}"), ($"{there}.acb.{p}", $"{here}.{p}") });

        static string? Parent(string name, string ending) => name.EndsWith(ending, StringComparison.Ordinal) ? name[..^ending.Length] : null;
    }

    /// <summary>What the shapes say of how the blocks were made.</summary>
    private static JsonObject Options(string method, string[] layers, Dictionary<string, StateEntry> state, IReadOnlyList<ConvSite> sites)
    {
        switch (method)
        {
            case "repvgg" when layers.All(l => !state.ContainsKey($"{l}.rbr_identity.weight")):
                return new() { ["identity"] = nameof(IdentityBranch.Never) };
            case "refconv":
                return new() { ["mapK"] = layers.Max(l => state[$"{l}.convmap.weight"].Shape is { Rank: 4 } shape ? shape[2] : 1) };
            case "dbb":
                // 0 is the authors' choice: as many channels between the convolutions as before them, twice as many in depthwise layers.
                int[] ratios = [.. layers.Select(Ratio).Distinct()];
                if (ratios.Length > 1) throw new ArgumentException($"The file's Diverse Branch Blocks have {string.Join(" and ", ratios.Select(r => r == 0 ? "the usual number of" : $"{r} times the"))} channels inside. One model here has one such number.");
                return new() { ["internalRatio"] = ratios[0] };
            default:
                return [];
        }

        int Ratio(string layer)
        {
            var conv = sites.First(s => s.Name == layer).Conv!;
            int usual = conv.Options.Groups == conv.OutChannels ? 2 : 1;
            int ratio = state.TryGetValue($"{layer}.dbb_1x1_kxk.conv1.weight", out var first) && first.Shape.Rank == 4 ? first.Shape[0] / conv.InChannels : 1;
            return ratio == usual ? 0 : ratio;
        }
    }
}
