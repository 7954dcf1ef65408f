using System.Text.Json.Nodes;

namespace RefConv.Layers;

/// <summary>The methods, by name. Adding one is adding a file beside this one and a row here.</summary>
public static class Reparameterizations
{
    private static readonly Dictionary<string, Func<JsonObject, IReparameterization>> Methods = new()
    {
        ["refconv"] = RefConvMethod.FromOptions,
        ["wn"] = _ => new WnMethod(),
        ["cwn"] = CwnMethod.FromOptions,
        ["own"] = OwnMethod.FromOptions,
        ["clb"] = ClbMethod.FromOptions,
        ["acb"] = AcbMethod.FromOptions,
        ["repvgg"] = RepVggMethod.FromOptions,
        ["asr"] = AsrMethod.FromOptions,
        ["dbb"] = DbbMethod.FromOptions,
        ["drconv"] = DRConvMethod.FromOptions,
        ["dyrep"] = DyRepMethod.FromOptions,
    };

    /// <summary>Names that <see cref="Create"/> knows.</summary>
    public static IReadOnlyCollection<string> Names => Methods.Keys;

    /// <summary>Makes a method.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="options">As its <see cref="IReparameterization.Options"/> gives them; what is left out has its default.</param>
    /// <exception cref="ArgumentException">There is no such method, or an option makes no sense.</exception>
    public static IReparameterization Create(string name, JsonObject? options = null)
    {
        if (!Methods.TryGetValue(name, out var create)) throw new ArgumentException($"There is no method '{name}'. Known are {string.Join(", ", Names)}.");
        return create(options ?? []);
    }

    /// <summary>Reads an option of a method.</summary>
    /// <exception cref="ArgumentException">It is of another kind.</exception>
    internal static T Get<T>(this JsonObject options, string name, T fallback)
    {
        if (options[name] is not { } node) return fallback;
        return node is JsonValue value && value.TryGetValue(out T? result)
            ? result
            : throw new ArgumentException($"The option '{name}' is {node.ToJsonString()}, which is no {typeof(T).Name}.");
    }

    /// <summary>Reads an option that is one of several names.</summary>
    /// <exception cref="ArgumentException">It is none of them.</exception>
    internal static T GetEnum<T>(this JsonObject options, string name, T fallback) where T : struct, Enum
    {
        string text = options.Get(name, fallback.ToString());
        return Enum.TryParse(text, ignoreCase: true, out T result) && Enum.IsDefined(result)
            ? result
            : throw new ArgumentException($"The option '{name}' is '{text}'. It can be {string.Join(", ", Enum.GetNames<T>())}.");
    }
}
