using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using RefConv.IO;

namespace RefConv.Models.Train;

/// <summary>The files of tables of trainings.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(RecipeConverter)])]
[JsonSerializable(typeof(MethodRow))]
[JsonSerializable(typeof(ComparisonSetup))]
[JsonSerializable(typeof(AblationSetup))]
internal sealed partial class TableJson : JsonSerializerContext
{
    /// <summary>Reads one of the files.</summary>
    /// <exception cref="FileFormatException">It is damaged.</exception>
    public static T Read<T>(string path, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllText(path), type) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the file is damaged ({e.Message}). Delete it to have that part done again.", e);
        }
    }
}
