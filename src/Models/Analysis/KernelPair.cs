using RefConv.Layers;

namespace RefConv.Models.Analysis;

/// <summary>A layer's kernel before refocusing and the one that is used.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="Before">The basis, or the kernel of the plain model that it is compared with; null where there is neither.</param>
/// <param name="After">The kernel that is used, merged.</param>
/// <param name="Form">The refocused layer; null where there is none.</param>
public sealed record KernelPair(string Layer, Kernel? Before, Kernel After, RefConv2d? Form)
{
    /// <summary>The k×k kernels of a model.</summary>
    /// <param name="model">In any form, in evaluation mode. What is refocused brings its basis along.</param>
    /// <param name="plain">The plain model to compare with, of the same architecture; its kernels take the place of a basis.</param>
    /// <param name="layers">Which layers. Left out, those with kernels larger than 1×1.</param>
    /// <exception cref="ArgumentException">The models do not suit each other, no layer is selected, or a weight is no finite number; the message says which.</exception>
    public static IReadOnlyList<KernelPair> Of(Model model, Model? plain = null, LayerPolicy? layers = null)
    {
        using var merged = model.IsMergeable ? model.Merge().Merged : null;
        using var other = plain is { IsMergeable: true } ? plain.Merge().Merged : null;
        var kernels = Select(merged ?? model, layers ?? LayerPolicy.LargerThan1);
        var against = plain == null ? null : Convolutions(other ?? plain).ToDictionary(c => c.Name, c => c.Conv);
        var forms = model.NamedModules().Where(m => m.Module is RefConv2d).ToDictionary(m => m.Name, m => (RefConv2d)m.Module);
        return [.. kernels.Select(k => Pair(k.Name, k.Conv, forms.GetValueOrDefault(k.Name), against))];
    }

    private static KernelPair Pair(string name, Conv2d conv, RefConv2d? form, Dictionary<string, Conv2d>? against)
    {
        var after = Kernel.Of(conv);
        var before = form == null ? null : after with { Weight = form.Basis.ToTorchDouble() };
        if (against != null)
        {
            if (!against.TryGetValue(name, out var counterpart) || Kernel.Of(counterpart) is var kernel && kernel.Weight.Length != after.Weight.Length)
                throw new ArgumentException($"The model to compare with has no kernel like that of '{name}' {after}. Give a model of the same architecture and width.");
            before = kernel;
        }
        foreach (var kernel in (ReadOnlySpan<Kernel?>)[before, after])
        {
            if (kernel != null && !kernel.Weight.All(double.IsFinite))
                throw new ArgumentException($"The kernel of '{name}' holds values that are no finite numbers, so there is nothing to measure. Use a checkpoint from before training went wrong.");
        }
        return new KernelPair(name, before, after, form);
    }

    private static IReadOnlyList<(string Name, Conv2d Conv)> Select(Model model, LayerPolicy policy)
    {
        var all = Convolutions(model);
        IReadOnlyList<(string Name, Conv2d Conv)> chosen = [.. all.Where(c => policy.Selects(new ConvSite(c.Name, c.Conv)))];
        if (policy.Names.FirstOrDefault(n => all.All(c => c.Name != n)) is { } unknown)
            throw new ArgumentException($"The model has no convolution named '{unknown}'. {(all.Count == 0 ? "It has none at all." : $"Its convolutions are {string.Join(", ", all.Select(c => c.Name))}.")}");
        if (chosen.Count == 0)
            throw new ArgumentException($"No convolution of this model is selected by '{policy.Description}', so there is no kernel to look at: a 1×1 kernel has no neighbours. Choose other layers or another model.");
        if (chosen.FirstOrDefault(c => c.Conv.KernelSize is (1, 1)) is { Conv: not null } point)
            throw new ArgumentException($"'{point.Name}' is a 1×1 convolution: its kernels are single numbers, of which there is nothing to compare. Leave it out.");
        return chosen;
    }

    private static IReadOnlyList<(string Name, Conv2d Conv)> Convolutions(Model model) =>
        [.. model.NamedModules().Where(m => m.Module is Conv2d).Select(m => (m.Name, (Conv2d)m.Module))];
}
