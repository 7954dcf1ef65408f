namespace RefConv.Layers;

/// <summary>Layers that were merged together: one after another they compute what the training forms at the same paths did.</summary>
/// <param name="Paths">In the order they run.</param>
internal sealed record MergedPart(IReadOnlyList<string> Paths);

/// <summary>Puts plain layers in the place of training forms, inner ones first: convolutions, then the shifts they leave, then norms.</summary>
internal static class ModelMerge
{
    /// <summary>Merges a model in place.</summary>
    /// <param name="model">A copy that nobody else has.</param>
    /// <param name="input">Shape of its input.</param>
    public static List<MergedPart> Apply(Module model, Shape input)
    {
        var sites = ConvSites.Of(model, input);
        var norms = model.NamedModules().Where(m => m.Module is IReparameterizedNorm).Select(m => m.Name).ToArray();
        List<MergedPart> parts = [];
        foreach (var site in sites.Where(s => s.Layer is IReparameterized))
        {
            var form = (IReparameterized)site.Layer;
            var conv = form.Merge();
            if (conv.Bias is { } shift && !form.HasBias)
            {
                var plain = WithoutBias(conv);
                MoveShift(model, site, shift);
                conv.Dispose();
                conv = plain;
            }
            else if (site.Norm is AbsorbedNorm absorbed)
            {
                model.Replace(site.NormName!, absorbed.Restore(null, conv.Weight.Device));
            }
            model.Replace(site.Name, conv).Dispose();
            // A layer norm takes up nothing, and could make much of a small difference.
            parts.Add(new MergedPart(site.NormName == null || site.Norm is LayerNorm ? [site.Name] : [site.Name, OutermostNorm(site.NormName)]));
        }
        foreach (string name in norms)
        {
            model.Replace(name, ((IReparameterizedNorm)model.Find(name)).Merge()).Dispose();
            if (!parts.Exists(p => p.Paths.Contains(name))) parts.Add(new MergedPart([name]));
        }
        return parts;

        // A norm that another method took over stands inside that method's form.
        string OutermostNorm(string path) => norms.FirstOrDefault(n => path.StartsWith(n + ".", StringComparison.Ordinal)) ?? path;
    }

    /// <summary>conv(x) + shift, then the norm, is conv(x), then a norm whose mean is smaller by the shift.</summary>
    private static void MoveShift(Module model, ConvSite site, Parameter shift)
    {
        switch (site.Norm)
        {
            case AbsorbedNorm absorbed:
                model.Replace(site.NormName!, absorbed.Restore(shift.ToTorchDouble(), shift.Device));
                break;
            case BatchNorm2d norm:
                double[] mean = norm.RunningMean.ToTorchDouble(), b = shift.ToTorchDouble();
                for (int c = 0; c < mean.Length; c++) mean[c] -= b[c];
                norm.RunningMean.FromTorch(mean);
                break;
            default:
                throw new InvalidOperationException($"The merged kernel of '{site.Name}' needs a bias, but the plain layer has none and no batch norm behind it that could take it up.");
        }
    }

    private static Conv2d WithoutBias(Conv2d conv)
    {
        var plain = new Conv2d(conv.Weight.Device, conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options, bias: false);
        conv.Weight.Device.Kernels.Scale(conv.Weight.Data, plain.Weight.Data, 1, accumulate: false);
        return plain;
    }
}
