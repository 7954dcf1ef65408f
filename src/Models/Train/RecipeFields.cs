using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace RefConv.Models.Train;

/// <summary>Checks the fields of a recipe file against the records they become: a field that nobody reads would be believed to count.</summary>
internal static class RecipeFields
{
    /// <summary>Checks an object.</summary>
    /// <param name="node">What stands in the file.</param>
    /// <param name="type">What it becomes.</param>
    /// <param name="path">Where it stands: empty, or ending with a dot.</param>
    /// <exception cref="ArgumentException">A field is unknown or of the wrong kind.</exception>
    public static void Check(JsonNode? node, JsonTypeInfo type, string path)
    {
        if (node is not JsonObject fields) throw new ArgumentException($"{(path.Length == 0 ? "a recipe" : $"'{path.TrimEnd('.')}'")} must be an object in braces. Put its fields between {{ and }}.");
        foreach (var (name, value) in fields)
        {
            var property = type.Properties.FirstOrDefault(p => p.Name == name)
                ?? throw new ArgumentException($"there is no field '{path}{name}'.{Elsewhere(path, name) ?? Suggest.Offer(name, type.Properties.Select(p => p.Name))} Known are {string.Join(", ", type.Properties.Select(p => p.Name))}.");
            if (Inside(property.PropertyType) is { } inside) Check(value, inside, $"{path}{name}.");
            else if (!Fits(value, property.PropertyType)) throw new ArgumentException($"'{path}{name}' must be {Kind(property.PropertyType)}; it is {value?.ToJsonString() ?? "null"}.");
        }
    }

    /// <summary>What the object of a field becomes; null for other fields, and for options, which only their method understands.</summary>
    private static JsonTypeInfo? Inside(Type type) =>
        type == typeof(Recipe) ? RecipeJson.Default.Recipe
        : type == typeof(ExpectedResult) ? RecipeFileJson.Default.ExpectedResult
        : type == typeof(AblationPlan) ? RecipeFileJson.Default.AblationPlan
        : type == typeof(ComparisonPlan) ? RecipeFileJson.Default.ComparisonPlan
        : null;

    /// <summary>The words of an enumeration in recipes.</summary>
    public static string[] Words<T>() where T : struct, Enum => [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];

    /// <summary>A slip that is easily made: a field of the recipe beside it, or the other way round.</summary>
    private static string? Elsewhere(string path, string name) =>
        path.Length == 0 && RecipeJson.Default.Recipe.Properties.Any(p => p.Name == name) ? " It belongs into 'recipe'."
        : path.Length == 0 && RecipeFileJson.Default.AblationPlan.Properties.Any(p => p.Name == name) ? $" It belongs into 'ablation'{(name == "seeds" ? " or 'comparison'" : "")}."
        : path.Length == 0 && RecipeFileJson.Default.ComparisonPlan.Properties.Any(p => p.Name == name) ? " It belongs into 'comparison'."
        : path == "recipe." && RecipeFileJson.Default.RecipeFile.Properties.Any(p => p.Name == name) ? " It belongs beside 'recipe', not into it." : null;

    private static bool Fits(JsonNode? value, Type type)
    {
        if (value == null) return Nullable.GetUnderlyingType(type) != null || !type.IsValueType && type != typeof(IReadOnlyList<int>);
        if (type == typeof(IReadOnlyList<string>)) return value is JsonArray words && words.All(v => v?.GetValueKind() == JsonValueKind.String);
        type = Nullable.GetUnderlyingType(type) ?? type;
        var kind = value.GetValueKind();
        if (type == typeof(bool)) return kind is JsonValueKind.True or JsonValueKind.False;
        if (type == typeof(string)) return kind == JsonValueKind.String;
        if (type == typeof(JsonObject)) return kind == JsonValueKind.Object;
        if (type == typeof(double)) return kind == JsonValueKind.Number;
        if (type == typeof(int)) return kind == JsonValueKind.Number && value.AsValue().TryGetValue(out int _);
        if (type == typeof(ulong)) return kind == JsonValueKind.Number && value.AsValue().TryGetValue(out ulong _);
        if (type == typeof(IReadOnlyList<int>)) return value is JsonArray list && list.All(v => v != null && Fits(v, typeof(int)));
        return kind == JsonValueKind.String && WordsOf(type).Contains(value.GetValue<string>());
    }

    private static string Kind(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type == typeof(bool) ? "true or false"
            : type == typeof(string) ? "a text in quotes"
            : type == typeof(JsonObject) ? "an object in braces"
            : type == typeof(double) ? "a number"
            : type == typeof(int) ? "a whole number"
            : type == typeof(ulong) ? "a whole number not below 0"
            : type == typeof(IReadOnlyList<string>) ? "a list of texts in brackets"
            : type == typeof(IReadOnlyList<int>) ? "a list of whole numbers in brackets"
            : $"one of {string.Join(", ", WordsOf(type).Select(w => $"\"{w}\""))}";
    }

    private static string[] WordsOf(Type type) =>
        type == typeof(OptimizerKind) ? Words<OptimizerKind>()
        : type == typeof(ScheduleKind) ? Words<ScheduleKind>()
        : throw new NotSupportedException($"A recipe has no fields of type {type.Name}.");
}
