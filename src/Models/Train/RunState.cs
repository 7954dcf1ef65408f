using System.Text.Json;
using System.Text.Json.Serialization;
using RefConv.IO;

namespace RefConv.Models.Train;

/// <summary>What one epoch gave.</summary>
/// <param name="Epoch">Counted from 1.</param>
/// <param name="TrainLoss">Mean loss over its steps.</param>
/// <param name="TrainAccuracy">Share of its (changed) training pictures classified right, while learning.</param>
/// <param name="TestLoss">Mean loss on the test pictures after it.</param>
/// <param name="Accuracy">Top-1 on the test pictures.</param>
/// <param name="Top5">Top-5.</param>
/// <param name="LearningRate">Of its last step.</param>
/// <param name="Seconds">Time it took, evaluation included.</param>
public sealed record EpochResult(int Epoch, double TrainLoss, double TrainAccuracy, double TestLoss, double Accuracy, double Top5, double LearningRate, double Seconds);

/// <summary>Where a run stands: with the tensors of the same file, all that resuming needs.</summary>
public sealed record RunState
{
    /// <summary>What was run, for people: <c>train</c>, <c>retrain</c>, <c>refocus</c>.</summary>
    public string Kind { get; init; } = "train";

    /// <summary>The data, as given to <c>--data</c>.</summary>
    public required string Data { get; init; }

    /// <summary>Limit on the training pictures; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>Limit on the test pictures; null for all.</summary>
    public int? TestLimit { get; init; }

    /// <summary>The weights of every epoch are kept, those from before the first one as well: the path that training takes.</summary>
    public bool KeepEpochs { get; init; }

    /// <summary>The recipe.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>Where it was last trained; null in runs of earlier versions.</summary>
    public string? Environment { get; init; }

    /// <summary>Finished epochs.</summary>
    public int Epoch { get; init; }

    /// <summary>Steps done in the epoch under way.</summary>
    public int StepInEpoch { get; init; }

    /// <summary>Sum of the losses of those steps.</summary>
    public double LossSum { get; init; }

    /// <summary>Training pictures classified right in those steps.</summary>
    public long Correct { get; init; }

    /// <summary>Seconds spent in the epoch under way.</summary>
    public double EpochSeconds { get; init; }

    /// <summary>Where the scaling of the loss stands; null in runs that never needed it.</summary>
    public LossScaling? LossScaling { get; init; }

    /// <summary>Finished epochs, one each.</summary>
    public IReadOnlyList<EpochResult> History { get; init; } = [];

    /// <summary>The last epoch is done, or no better one is expected.</summary>
    [JsonIgnore]
    public bool IsFinished => Epoch >= Recipe.Epochs || IsStoppedEarly;

    /// <summary>So many epochs in a row brought nothing better that the recipe's patience is over.</summary>
    [JsonIgnore]
    public bool IsStoppedEarly => Recipe.Patience > 0 && Epoch < Recipe.Epochs && History.Count > 0 && History[^1].Epoch - History.MaxBy(h => h.Accuracy)!.Epoch >= Recipe.Patience;

    /// <summary>Best top-1 so far; 0 before the first epoch.</summary>
    [JsonIgnore]
    public double BestAccuracy => History.Count == 0 ? 0 : History.Max(h => h.Accuracy);

    internal string ToJson() => JsonSerializer.Serialize(this, RunJson.Default.RunState);

    internal static RunState FromJson(string json, string path)
    {
        try
        {
            return JsonSerializer.Deserialize(json, RunJson.Default.RunState) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the state of the run in it is damaged ({e.Message}). Train again, or go on from the best weights.", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, Converters = [typeof(RecipeConverter)])]
[JsonSerializable(typeof(RunState))]
internal sealed partial class RunJson : JsonSerializerContext;
