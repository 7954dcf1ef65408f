namespace RefConv.Layers;

/// <summary>Finds the places of a model where a method can act.</summary>
internal static class ConvSites
{
    /// <summary>Every convolution, and every training form of one, in the model's order. What is inside a training form is that form's business.</summary>
    /// <param name="model">The model.</param>
    /// <param name="input">Shape of its input; null when nobody asks for the norm behind a convolution.</param>
    public static IReadOnlyList<ConvSite> Of(Module model, Shape? input)
    {
        List<ConvSite> sites = [];
        foreach (var (name, module) in model.NamedModules())
        {
            if (module is not (Conv2d or IReparameterized)) continue;
            if (sites.Exists(outer => outer.Layer is IReparameterized && name.StartsWith(outer.Name + ".", StringComparison.Ordinal))) continue;
            sites.Add(new ConvSite(name, module));
        }
        if (input is not { } shape || sites.Count == 0) return sites;

        var (norms, sizes) = LookAt(model, shape, sites);
        var absorbed = model.NamedModules().Where(m => m.Module is AbsorbedNorm)
            .ToDictionary(m => ((AbsorbedNorm)m.Module).ConvName, m => (m.Name, Norm: (AbsorbedNorm)m.Module));
        return [.. sites.Select(site => sizes.TryGetValue(site.Name, out var size) ? site with { MapSize = size } : site).Select(site =>
            absorbed.TryGetValue(site.Name, out var a) ? site with { NormName = a.Name, Norm = a.Norm, EndsBranch = a.Norm.EndsBranch }
            : norms.TryGetValue(site.Name, out var n) ? site with { NormName = n.Name, Norm = model.Find(n.Name), EndsBranch = n.EndsBranch }
            : site)];
    }

    /// <summary>
    /// For each place the norm that alone reads its result, and the size of that. What reads what is not in the modules but in what they compute, so one forward pass is
    /// recorded without being computed. The result of a training form is that of the last operation inside it.
    /// </summary>
    private static (Dictionary<string, (string Name, bool EndsBranch)> Norms, Dictionary<string, (int H, int W)> Sizes) LookAt(Module model, Shape input, List<ConvSite> sites)
    {
        var modules = model.NamedModules().ToDictionary(m => m.Name, m => m.Module);
        var device = model.NamedParameters().First().Parameter.Device;
        using var tape = Tape.Symbolic();
        // Two images at least: a norm in training refuses a single value per channel, which one image that has shrunk to a pixel would be.
        model.Forward(tape.SymbolicInput(device, new Shape([Math.Max(2, input[0]), .. input.Sizes[1..]])));
        var readers = tape.Nodes.SelectMany(n => n.Inputs.Distinct().Select(i => (Input: i, Node: n))).ToLookup(r => r.Input, r => r.Node);
        Dictionary<string, (string, bool)> found = [];
        Dictionary<string, (int, int)> sizes = [];
        foreach (var site in sites)
        {
            string inside = site.Name + ".";
            var last = tape.Nodes.LastOrDefault(n => n.Name == site.Name || (site.Conv == null && n.Name.StartsWith(inside, StringComparison.Ordinal)));
            if (last == null) continue;
            if (last.Output.Shape.Rank == 4) sizes[site.Name] = (last.Output.Shape[1], last.Output.Shape[2]);
            if (readers[last.Output].ToArray() is [(BatchNorm2dOp or LayerNormOp) and var norm] && modules.GetValueOrDefault(norm.Name) is BatchNorm2d or LayerNorm)
                found[site.Name] = (norm.Name, norm is BatchNorm2dOp { ResidualInput: not null } || readers[norm.Output].ToArray() is [AddOp]);
        }
        return (found, sizes);
    }
}
