namespace RefConv.Models.Train;

/// <summary>One row with one seed of a <see cref="TrainingTable"/>.</summary>
/// <param name="Method">Name of the row: in a comparison that of the method, <c>none</c> for the plain model, <c>retrained</c> for the plain model trained twice.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Accuracy">Top-1 on the test pictures at the end.</param>
/// <param name="TestLoss">Mean cross-entropy on the test pictures at the end.</param>
/// <param name="MergeError">Largest difference of a test picture's scores between the trained form and the merged file, relative to the largest score; null where nothing is merged.</param>
/// <param name="TrainParameters">Weights while training, frozen ones included.</param>
/// <param name="DeployParameters">Weights of the deployed model.</param>
/// <param name="TrainMacs">Multiply-adds an image while training, without what is computed once a step.</param>
/// <param name="DeployMacs">Multiply-adds an image, deployed.</param>
/// <param name="StepMs">Median milliseconds of a training step with the recipe's optimiser.</param>
/// <param name="Layers">Layers in the method's form.</param>
/// <param name="History">Its epochs.</param>
public sealed record MethodRow(string Method, ulong Seed, double Accuracy, double TestLoss, double? MergeError, long TrainParameters, long DeployParameters,
    long TrainMacs, long DeployMacs, double StepMs, int Layers, IReadOnlyList<EpochResult> History)
{
    /// <summary>Why there is no result, in a sentence: training diverged, or the merge was refused. The figures are all zero then. Null where there is one.</summary>
    public string? Failed { get; init; }

    /// <summary>Why layers stay in the method's form when deployed; null where none does.</summary>
    public string? Stays { get; init; }

    /// <summary>How far a form that changes in training has come (<see cref="RefConv.Layers.IEvolving.Progress"/>); null for others.</summary>
    public string? Progress { get; init; }

    internal static MethodRow Failure(string method, ulong seed, string reason, IReadOnlyList<EpochResult> history) =>
        new(method, seed, 0, 0, null, 0, 0, 0, 0, 0, 0, history) { Failed = reason };
}
