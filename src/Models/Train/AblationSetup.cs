using System.Text.Json.Serialization;

namespace RefConv.Models.Train;

/// <summary>All that an <see cref="Ablation"/> is, as <c>ablation.json</c> keeps it.</summary>
internal sealed record AblationSetup(IReadOnlyList<ModelSpec> Models, string Data, int TrainImages, int TestImages, Recipe Recipe,
    int BaseEpochs, double FinetuneRate, IReadOnlyList<string> Rows, int Seeds)
{
    /// <summary>What the file is, for those who read it.</summary>
    [JsonPropertyOrder(-2)]
    public string Format { get; init; } = "refconv-ablation";

    /// <summary>Of the format.</summary>
    [JsonPropertyOrder(-1)]
    public int Version { get; init; } = 1;

    /// <summary>The other can go on in the same folder: rows and seeds may differ, and models of other names may be added.</summary>
    public bool Fits(AblationSetup other) =>
        (Data, TrainImages, TestImages, Recipe, BaseEpochs, FinetuneRate) == (other.Data, other.TrainImages, other.TestImages, other.Recipe, other.BaseEpochs, other.FinetuneRate)
        && Models.All(m => other.Models.All(o => o.Architecture != m.Architecture || o == m));

    public override string ToString() => $"{string.Join(", ", Models)} on {Data}, {TrainImages:N0} and {TestImages:N0} pictures, {Recipe.Epochs} epochs ({BaseEpochs} of the baseline) " +
        $"of batch {Recipe.BatchSize} at {Recipe.LearningRate} (finetune {FinetuneRate}), seed {Recipe.Seed}";
}
