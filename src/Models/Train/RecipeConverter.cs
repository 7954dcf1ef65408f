using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace RefConv.Models.Train;

/// <summary>
/// Reads a recipe in which fields may be missing: of an earlier version, or written by hand. What is missing has its default. The generated code would give it zero,
/// because it sets every <c>init</c> property.
/// </summary>
internal sealed class RecipeConverter : JsonConverter<Recipe>
{
    /// <inheritdoc/>
    public override Recipe Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (JsonNode.Parse(ref reader) is not JsonObject fields) throw new JsonException("a recipe is an object in braces");
        return Read(fields);
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, Recipe value, JsonSerializerOptions options) => JsonSerializer.Serialize(writer, value, RecipeJson.Default.Recipe);

    /// <summary>The recipe of some fields; the others have their defaults.</summary>
    public static Recipe Read(JsonObject fields)
    {
        var all = (JsonObject)JsonSerializer.SerializeToNode(new Recipe(), RecipeJson.Default.Recipe)!;
        foreach (var (name, value) in fields) all[name] = value?.DeepClone();
        return all.Deserialize(RecipeJson.Default.Recipe)!;
    }
}

/// <summary>Recipes as they are, without <see cref="RecipeConverter"/>: it is made of this.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Recipe))]
internal sealed partial class RecipeJson : JsonSerializerContext;
