using System.Text.Json;
using System.Text.Json.Serialization;
using RefConv.IO;

namespace RefConv.Models.Train;

/// <summary>Everything that determines a super-resolution run besides the model and the pictures. The defaults are SESR's published recipe for ×2.</summary>
public sealed record SuperResolutionRecipe
{
    /// <summary>Passes over the pictures.</summary>
    public int Epochs { get; init; } = 300;

    /// <summary>Patches a step.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Learning rate of Adam (AMSGrad), the same all the time.</summary>
    public double LearningRate { get; init; } = 2e-4;

    /// <summary>Rows and columns of a small patch.</summary>
    public int PatchSize { get; init; } = 64;

    /// <summary>Patches of every picture in an epoch.</summary>
    public int PatchesPerImage { get; init; } = 64;

    /// <summary>Seed of the initial weights and the patches.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Checks that the numbers make sense.</summary>
    /// <exception cref="ArgumentException">One does not; the message says which and what it may be.</exception>
    public void Validate()
    {
        Check(Epochs >= 1, "number of epochs", Epochs);
        Check(BatchSize >= 1, "batch size", BatchSize);
        Check(PatchSize >= 1, "patch size", PatchSize);
        Check(PatchesPerImage >= 1, "number of patches of a picture", PatchesPerImage);
        if (!(LearningRate > 0 && double.IsFinite(LearningRate))) throw new ArgumentException($"The learning rate must be above 0; it is {LearningRate}.");

        static void Check(bool good, string what, int value)
        {
            if (!good) throw new ArgumentException($"The {what} must be at least 1; it is {value}.");
        }
    }
}

/// <summary>What one epoch gave.</summary>
/// <param name="Epoch">Counted from 1.</param>
/// <param name="TrainLoss">Mean absolute error over its patches, while learning.</param>
/// <param name="Psnr">Mean PSNR on Y of the held-out pictures after it, in dB.</param>
/// <param name="Seconds">Time it took, evaluation included.</param>
public sealed record SuperResolutionEpoch(int Epoch, double TrainLoss, double Psnr, double Seconds);

/// <summary>Where a super-resolution run stands: with the tensors of the same file, all that resuming needs.</summary>
public sealed record SuperResolutionState
{
    /// <summary><see cref="Kind"/> of such runs.</summary>
    public const string RunKind = "super-resolution";

    /// <summary>What was run: told apart from other runs by this.</summary>
    public string Kind { get; init; } = RunKind;

    /// <summary>Folder of the pictures.</summary>
    public required string Data { get; init; }

    /// <summary>Limit on the pictures; null for all.</summary>
    public int? Limit { get; init; }

    /// <summary>The recipe.</summary>
    public required SuperResolutionRecipe Recipe { get; init; }

    /// <summary>Finished epochs.</summary>
    public int Epoch { get; init; }

    /// <summary>Steps done in the epoch under way.</summary>
    public int StepInEpoch { get; init; }

    /// <summary>Sum of the losses of those steps.</summary>
    public double LossSum { get; init; }

    /// <summary>Seconds spent in the epoch under way.</summary>
    public double EpochSeconds { get; init; }

    /// <summary>Where it was last trained; null in runs of earlier versions.</summary>
    public string? Environment { get; init; }

    /// <summary>Where the scaling of the loss stands; null in runs that never needed it.</summary>
    public LossScaling? LossScaling { get; init; }

    /// <summary>Finished epochs, one each.</summary>
    public IReadOnlyList<SuperResolutionEpoch> History { get; init; } = [];

    /// <summary>The last epoch is done.</summary>
    [JsonIgnore]
    public bool IsFinished => Epoch >= Recipe.Epochs;

    internal string ToJson() => JsonSerializer.Serialize(this, SuperResolutionJson.Default.SuperResolutionState);

    internal static SuperResolutionState FromJson(string json, string path)
    {
        try
        {
            return JsonSerializer.Deserialize(json, SuperResolutionJson.Default.SuperResolutionState) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new FileFormatException(path, $"the state of the run in it is damaged ({e.Message}). Train again, or go on from the best weights.", e);
        }
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SuperResolutionState))]
internal sealed partial class SuperResolutionJson : JsonSerializerContext;
