using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using RefConv.IO;

namespace RefConv.Models.Train;

/// <summary>What a recipe gave where it was tried.</summary>
public sealed record ExpectedResult
{
    /// <summary>Top-1 on the test pictures at the end, in [0, 1]; null where it was not tried.</summary>
    public double? Accuracy { get; init; }

    /// <summary>How far a run with another seed or on another machine may be from it, in the same unit; null where it was not tried.</summary>
    public double? Tolerance { get; init; }

    /// <summary>On what it was measured, or that it was not.</summary>
    public string? Note { get; init; }
}

/// <summary>
/// A whole run, or a whole table of runs, as a file: model, method, pictures and <see cref="Train.Recipe"/>, in JSON. Whatever is left out has the default that the tool has for it.
/// <c>docs/recipes</c> has some, and their schema.
/// </summary>
public sealed record RecipeFile
{
    /// <summary>The file's schema, for editors.</summary>
    [JsonPropertyName("$schema")]
    public string? Schema { get; init; }

    /// <summary>What it is, for people.</summary>
    public string? Description { get; init; }

    /// <summary>The architecture: a name of <see cref="Zoo.Names"/>.</summary>
    public string? Model { get; init; }

    /// <summary>Its width multiplier.</summary>
    public double? Width { get; init; }

    /// <summary>Rows and columns that pictures of a folder are brought to.</summary>
    public int? ImageSize { get; init; }

    /// <summary>The trained model to start from.</summary>
    public string? From { get; init; }

    /// <summary>The method in whose form it is trained; <c>none</c> for a plain model.</summary>
    public string? Method { get; init; }

    /// <summary>Options of the method.</summary>
    public JsonObject? MethodOptions { get; init; }

    /// <summary>Which convolutions the method acts on: k3, k1, odd, or names, separated by commas; null for the method's own choice.</summary>
    public string? Layers { get; init; }

    /// <summary>The pictures, as given to <c>--data</c>. A folder that is called DIR stands for one that the user has to name.</summary>
    public string? Data { get; init; }

    /// <summary>Limit on the training pictures; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>Limit on the test pictures; null for all.</summary>
    public int? TestLimit { get; init; }

    /// <summary>How it is trained.</summary>
    public Recipe Recipe { get; init => field = value ?? new(); } = new(); // the generated reader gives null where the file has none

    /// <summary>The table that <c>refconv ablate</c> makes of it; null where it is for another command.</summary>
    public AblationPlan? Ablation { get; init; }

    /// <summary>The table that <c>refconv compare</c> makes of it; null where it is for another command.</summary>
    public ComparisonPlan? Comparison { get; init; }

    /// <summary>What to expect.</summary>
    public ExpectedResult? Expected { get; init; }

    /// <summary>Reads and checks a file.</summary>
    /// <exception cref="FileFormatException">It is no JSON, a field is unknown or of the wrong kind, or the numbers make no sense; the message says which and what would be right.</exception>
    public static RecipeFile Load(string path)
    {
        JsonNode? root;
        try
        {
            root = JsonNode.Parse(File.ReadAllText(path), documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            throw new FileFormatException(path, $"this is no JSON ({e.Message.TrimEnd('.')}). Mend it, or begin with a recipe of docs/recipes.", e);
        }
        try
        {
            RecipeFields.Check(root, RecipeFileJson.Default.RecipeFile, "");
            var file = root.Deserialize(RecipeFileJson.Default.RecipeFile)!;
            file.Validate();
            return file;
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"'{e.Path?.TrimStart('$', '.')}' has a value that cannot be. recipe.schema.json says what it may be.", e);
        }
        catch (ArgumentException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
    }

    private void Validate()
    {
        Recipe.Validate();
        Ablation?.Validate();
        Comparison?.Validate();
        if (Model != null && Ablation?.Models != null) throw new ArgumentException("'model' and 'ablation.models' both name what is trained. Leave one of them out.");
        if (Ablation != null && Comparison != null) throw new ArgumentException("'ablation' and 'comparison' are tables of different commands. Leave one of them out.");
    }

    /// <summary>Writes it, with all fields of the recipe.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => AtomicFile.WriteAllText(path, JsonSerializer.Serialize(this, RecipeFileJson.Default.RecipeFile) + "\n");
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(RecipeConverter)])]
[JsonSerializable(typeof(RecipeFile))]
internal sealed partial class RecipeFileJson : JsonSerializerContext;
