using System.Text.Json.Serialization;

namespace RefConv.Models.Train;

/// <summary>What a comparison is of.</summary>
internal sealed record ComparisonSetup(ModelSpec Model, string Data, int TrainImages, int TestImages, Recipe Recipe)
{
    public override string ToString() => $"{Model} on {Data}, {TrainImages:N0} and {TestImages:N0} pictures, {Recipe.Epochs} epochs of batch {Recipe.BatchSize} at {Recipe.LearningRate}, seed {Recipe.Seed}";
}

/// <summary>A merge that checked itself and was not satisfied.</summary>
internal sealed class MergeRefusedException(Exception reason) : Exception(reason.Message, reason);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(RecipeConverter)])]
[JsonSerializable(typeof(MethodRow))]
[JsonSerializable(typeof(ComparisonSetup))]
internal sealed partial class ComparisonJson : JsonSerializerContext;
