using RefConv.Layers;

namespace RefConv.Models;

/// <summary>The architectures, by name. Adding one is adding a file beside this one and a row here.</summary>
public static class Zoo
{
    private static readonly Dictionary<string, Func<ModelSpec, Initializer, Model>> Architectures = new()
    {
        ["mobilenet_v1"] = (spec, init) => new MobileNetV1(spec, init),
        ["mobilenet_v2"] = (spec, init) => new MobileNetV2(spec, init),
        ["resnet18"] = (spec, init) => new ResNet(spec, init, [2, 2, 2, 2]),
    };

    /// <summary>Names that <see cref="Create"/> knows.</summary>
    public static IReadOnlyCollection<string> Names => Architectures.Keys;

    /// <summary>Builds an architecture with the initial values its authors give it.</summary>
    /// <exception cref="ArgumentException">Unknown architecture, or an option that makes no sense.</exception>
    public static Model Create(ModelSpec spec, Initializer init)
    {
        if (!Architectures.TryGetValue(spec.Architecture, out var create))
            throw new ArgumentException($"There is no architecture '{spec.Architecture}'{Suggest.Nearest(spec.Architecture, Names)}. Known: {string.Join(", ", Names)}.");
        if (spec.Classes < 2) throw new ArgumentException($"A classifier needs at least 2 classes; {spec.Classes} were asked for.");
        if (!(spec.Width > 0 && spec.Width <= 16)) throw new ArgumentException($"The width multiplier must be above 0 and at most 16; it is {spec.Width}.");
        if (spec.InChannels < 1 || spec.ImageSize < 1) throw new ArgumentException($"Images of {spec.ImageSize} pixels and {spec.InChannels} channels are not possible.");
        return create(spec, init);
    }

    /// <summary>Channels under a width multiplier, a multiple of 8 (TensorFlow's rule, torchvision's <c>_make_divisible</c>).</summary>
    internal static int MultipleOf8(double channels)
    {
        int rounded = Math.Max(8, (int)(channels + 4) / 8 * 8);
        return rounded < 0.9 * channels ? rounded + 8 : rounded;
    }
}

/// <summary>Offers the nearest known name for a mistyped one.</summary>
public static class Suggest
{
    /// <summary>" (did you mean 'x'?)", or nothing when no name is near.</summary>
    public static string Nearest(string typed, IEnumerable<string> known)
    {
        var best = known.Select(name => (Name: name, Distance: Distance(typed, name))).OrderBy(p => p.Distance).FirstOrDefault();
        return best.Name != null && best.Distance <= Math.Max(2, typed.Length / 3) ? $" (did you mean '{best.Name}'?)" : "";
    }

    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int substitute = diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitute, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[^1];
    }
}
