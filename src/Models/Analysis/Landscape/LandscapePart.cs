using System.Text.Json;
using System.Text.Json.Serialization;
using RefConv.IO;

namespace RefConv.Models.Analysis;

/// <summary>The points of a landscape that are computed already, in a file: a landscape that was stopped goes on from it.</summary>
/// <param name="Fingerprint">Of weights, directions and pictures.</param>
/// <param name="Xs">Axis.</param>
/// <param name="Ys">Axis; a single 0 for a line.</param>
/// <param name="Loss">Row by row, as far as it goes.</param>
/// <param name="Accuracy">The same.</param>
internal sealed record LandscapePart(string Fingerprint, double[] Xs, double[] Ys, double[] Loss, double[] Accuracy)
{
    public void Save(string path) => AtomicFile.WriteAllText(path, JsonSerializer.Serialize(this, LandscapePartJson.Default.LandscapePart));

    /// <summary>Reads what is there and checks that it belongs to the same landscape.</summary>
    /// <exception cref="FileFormatException">Damaged, or of another landscape.</exception>
    public static LandscapePart Read(string path, string fingerprint, double[] xs, double[] ys)
    {
        LandscapePart? part;
        try
        {
            part = JsonSerializer.Deserialize(File.ReadAllText(path), LandscapePartJson.Default.LandscapePart);
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the part of a landscape in it is damaged ({e.Message}). Delete the file to compute it again.", e);
        }
        if (part == null || part.Loss.Length != part.Accuracy.Length || part.Loss.Length > xs.Length * ys.Length)
            throw new FileFormatException(path, "the part of a landscape in it is damaged. Delete the file to compute it again.");
        if (part.Fingerprint != fingerprint || !part.Xs.SequenceEqual(xs) || !part.Ys.SequenceEqual(ys))
            throw new FileFormatException(path, "it is part of a landscape of other weights, directions, pictures or points. Give the same ones to go on with it, delete the file, or choose another folder (--out).");
        return part;
    }
}

// Far out a loss may be no finite number, and that is a result as well: it is written by name.
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(LandscapePart))]
internal sealed partial class LandscapePartJson : JsonSerializerContext;
