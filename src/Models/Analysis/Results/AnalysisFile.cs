using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using RefConv.IO;

namespace RefConv.Models.Analysis;

/// <summary>An analysis as a file: the numbers, and of what, on what and how they were made.</summary>
/// <param name="Model">The architecture.</param>
/// <param name="Subject">The model file that was looked at.</param>
/// <param name="Against">The plain model that it was compared with; null for none.</param>
/// <param name="Data">The pictures, as given to <c>--data</c>; null where none were needed.</param>
/// <param name="Images">How many; null where none were needed.</param>
/// <param name="Command">The command that makes the file again.</param>
/// <param name="Environment">Device, threads, vector width.</param>
/// <param name="Results">The numbers.</param>
public sealed record AnalysisFile(string Model, string Subject, string? Against, string? Data, int? Images, string Command, string Environment, AnalysisResults Results)
{
    /// <summary>Hash of the model files that were looked at: whether two analyses are of the same trained model, wherever that lay. Null in files of earlier versions.</summary>
    public string? Fingerprint { get; init; }

    /// <summary>Version of the format.</summary>
    public const int Version = 1;

    private const string Format = "refconv-analysis";

    /// <summary>Kinds and their records. The kind is the name of the file, too.</summary>
    private static readonly Dictionary<string, JsonTypeInfo> s_kinds = new()
    {
        ["connection"] = AnalysisJson.Default.ConnectionResults,
        ["redundancy"] = AnalysisJson.Default.RedundancyResults,
        ["skeleton"] = AnalysisJson.Default.SkeletonResults,
        ["rank"] = AnalysisJson.Default.RankResults,
        ["kernels"] = AnalysisJson.Default.KernelResults,
        ["landscape"] = AnalysisJson.Default.LandscapeResults,
        ["attack"] = AnalysisJson.Default.AttackResults,
        ["cost"] = AnalysisJson.Default.CostResults,
    };

    /// <summary>The kinds of analyses.</summary>
    public static IReadOnlyCollection<string> Kinds => s_kinds.Keys;

    /// <summary>The kind of the results: <c>connection</c>, <c>landscape</c> …</summary>
    public string Kind => s_kinds.First(k => k.Value.Type == Results.GetType()).Key;

    /// <summary>Writes it as <c>KIND.json</c> into a folder, which is made if it is not there.</summary>
    /// <returns>The file.</returns>
    /// <exception cref="IOException">It cannot be written.</exception>
    public string Save(string folder)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(folder, Kind + ".json");
        AtomicFile.WriteAllText(path, ToJson().ToJsonString());
        return path;
    }

    /// <summary>The <see cref="Fingerprint"/> of some model files.</summary>
    /// <exception cref="IOException">One cannot be read.</exception>
    public static string FingerprintOf(IEnumerable<string> modelFiles)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string path in modelFiles)
        {
            using var file = File.OpenRead(path);
            hash.AppendData(SHA256.HashData(file));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset())[..32];
    }

    /// <summary>The content of the file.</summary>
    internal JsonObject ToJson() => new()
    {
        ["format"] = Format,
        ["version"] = Version,
        ["kind"] = Kind,
        ["model"] = Model,
        ["subject"] = Subject,
        ["fingerprint"] = Fingerprint,
        ["against"] = Against,
        ["data"] = Data,
        ["images"] = Images,
        ["command"] = Command,
        ["environment"] = Environment,
        ["results"] = JsonSerializer.SerializeToNode(Results, s_kinds[Kind]),
    };

    /// <summary>Reads a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="FileFormatException">Damaged, of another format, or of a newer version.</exception>
    public static AnalysisFile Read(string path)
    {
        string text = File.ReadAllText(path);
        try
        {
            if (JsonNode.Parse(text) is not JsonObject o || (string?)o["format"] != Format)
                throw new FileFormatException(path, "this is no analysis. Give a file that `refconv analyze` wrote.");
            if ((int?)o["version"] is not (>= 1 and <= Version))
                throw new FileFormatException(path, $"the file was written by a newer version of this tool (format {o["version"]}, this one reads up to {Version}). Update the tool.");
            if ((string?)o["kind"] is not { } kind || !s_kinds.TryGetValue(kind, out var info))
                throw new FileFormatException(path, $"it holds an analysis of the unknown kind '{o["kind"]}'. Update the tool.");
            if (o["results"].Deserialize(info) is not AnalysisResults results) throw new JsonException("there are no results");
            return new AnalysisFile((string?)o["model"] ?? "", (string?)o["subject"] ?? "", (string?)o["against"], (string?)o["data"], (int?)o["images"],
                (string?)o["command"] ?? "", (string?)o["environment"] ?? "", results) { Fingerprint = (string?)o["fingerprint"] };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            throw new FileFormatException(path, $"the analysis in it is damaged ({e.Message}). Make it again: refconv analyze.", e);
        }
    }
}

/// <summary>JSON has no NaN and no infinity: what is no finite number is <c>null</c>, and null is read as NaN.</summary>
internal sealed class FiniteNumberConverter : JsonConverter<double>
{
    public override bool HandleNull => true;

    public override double Read(ref Utf8JsonReader reader, Type type, JsonSerializerOptions options) => reader.TokenType == JsonTokenType.Null ? double.NaN : reader.GetDouble();

    public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options)
    {
        if (double.IsFinite(value)) writer.WriteNumberValue(value);
        else writer.WriteNullValue();
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, Converters = [typeof(FiniteNumberConverter)], RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ConnectionResults))]
[JsonSerializable(typeof(RedundancyResults))]
[JsonSerializable(typeof(SkeletonResults))]
[JsonSerializable(typeof(RankResults))]
[JsonSerializable(typeof(KernelResults))]
[JsonSerializable(typeof(LandscapeResults))]
[JsonSerializable(typeof(AttackResults))]
[JsonSerializable(typeof(CostResults))]
internal sealed partial class AnalysisJson : JsonSerializerContext;
