using System.Diagnostics;
using System.Text.Json;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Data;

namespace RefConv.Models.Train;

/// <summary>One trained model of an experiment.</summary>
/// <param name="Name">base, retrained, refocused, merged.</param>
/// <param name="Accuracy">Top-1 on the test pictures at the end (not the best epoch: picking the best one on the test set would flatter).</param>
/// <param name="Loss">Mean cross-entropy on the test pictures at the end.</param>
/// <param name="TrainParameters">Weights while training, frozen ones included.</param>
/// <param name="DeployParameters">Weights of the deployed model.</param>
/// <param name="Macs">Multiply-adds an image, deployed.</param>
/// <param name="Seconds">Time it took.</param>
/// <param name="History">Its epochs.</param>
public sealed record ExperimentRow(string Name, double Accuracy, double Loss, long TrainParameters, long DeployParameters, long Macs, double Seconds,
    IReadOnlyList<EpochResult> History);

/// <summary>Result of one seed of a <see cref="RefocusExperiment"/>.</summary>
/// <param name="Seed">The seed.</param>
/// <param name="Base">The plain model, trained.</param>
/// <param name="Retrained">The control: the base trained once more by the same recipe, as it is.</param>
/// <param name="Refocused">The base's RefConv, trained by the same recipe.</param>
/// <param name="Merged">The refocused model merged, written to a file and loaded into the plain architecture.</param>
/// <param name="MergeError">Largest difference of a test picture's scores between the refocused model and the merged file.</param>
/// <param name="Report">What Merge found, layer by layer.</param>
public sealed record ExperimentResult(ulong Seed, ExperimentRow Base, ExperimentRow Retrained, ExperimentRow Refocused, ExperimentRow Merged, double MergeError, MergeReport Report);

/// <summary>
/// The main job: train a model; then, from the same weights and by the same recipe, train it once more as it is (the control) and train its
/// RefConv; merge; and prove that the merged file, loaded into the plain architecture, computes what the refocused model does.
/// </summary>
public sealed class RefocusExperiment
{
    /// <summary>The architecture.</summary>
    public required ModelSpec Spec { get; init; }

    /// <summary>The pictures.</summary>
    public required DataSource Data { get; init; }

    /// <summary>The recipe of all three trainings.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>How the RefConv is made.</summary>
    public RefConvOptions Options { get; init; } = new();

    /// <summary>Where to keep the files.</summary>
    public required string Folder { get; init; }

    /// <summary>
    /// Runs the trainer of one part and says whether it came to its end: given the part's name, to show what is going on. Left out, it just runs.
    /// </summary>
    public Func<string, Trainer, CancellationToken, bool> Train { get; init; } = (_, trainer, cancellation) => trainer.Run(cancellation: cancellation);

    /// <summary>Runs all parts.</summary>
    /// <param name="device">Where.</param>
    /// <param name="cancellation">Stops between steps.</param>
    /// <exception cref="OperationCanceledException">It was stopped.</exception>
    public ExperimentResult Run(Device device, CancellationToken cancellation = default)
    {
        using var model = Zoo.Create(Spec, new Initializer(device, Recipe.Seed));
        var baseRow = TrainPart("base", model, cancellation);

        using var control = (Model)model.Clone();
        var retrained = TrainPart("retrained", control, cancellation);

        using var refocused = model.Expand(new RefConvMethod(Options), seed: Recipe.Seed);
        var refocusedRow = TrainPart("refocused", refocused, cancellation);

        long started = Stopwatch.GetTimestamp();
        refocused.Eval();
        var (merged, report) = refocused.Merge();
        string file = Path.Combine(Folder, "merged.safetensors");
        using (merged) ModelFile.Save(merged, file, DataInfo.Of(Data.Train));
        using var loaded = Zoo.Create(Spec, new Initializer(device, seed: 987654321));
        ModelFile.LoadWeights(loaded, file, strict: true);
        loaded.Eval();
        var (error, largest) = MergeCheck.OnScores(refocused, loaded, Data.Test, cancellation);
        var evaluation = Evaluator.Evaluate(loaded, Data.Test, cancellation: cancellation);
        var summary = Analysis.ModelSummary.Of(loaded);
        var mergedRow = new ExperimentRow("merged", evaluation.Accuracy, evaluation.Loss, refocusedRow.TrainParameters, summary.DeployParameters, summary.DeployMacs,
            Stopwatch.GetElapsedTime(started).TotalSeconds, []);
        foreach (var row in (ReadOnlySpan<ExperimentRow>)[baseRow, retrained, refocusedRow]) SaveRow(row, row == refocusedRow ? error / Math.Max(largest, double.Epsilon) : null);
        return new ExperimentResult(Recipe.Seed, baseRow, retrained, refocusedRow, mergedRow, error, report);
    }

    /// <summary>Keeps what a part came to beside its checkpoints, in the shape of a comparison's row, for reports. Steps were not timed.</summary>
    private void SaveRow(ExperimentRow row, double? error)
    {
        var kept = new MethodRow(row.Name, Recipe.Seed, row.Accuracy, row.Loss, error, row.TrainParameters, row.DeployParameters, row.Macs, row.Macs, StepMs: 0, Layers: 0, row.History);
        AtomicFile.WriteAllText(Path.Combine(Folder, row.Name, "row.json"), JsonSerializer.Serialize(kept, TableJson.Default.MethodRow));
    }

    private ExperimentRow TrainPart(string name, Model model, CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        var folder = new RunFolder(Path.Combine(Folder, name));
        folder.Create();
        var state = new RunState { Kind = name, Data = Data.Spec, Limit = Data.Train.Count, TestLimit = Data.Test.Count, Recipe = Recipe };
        using var trainer = new Trainer(model, Data, state, folder);
        if (!Train(name, trainer, cancellation)) throw new OperationCanceledException(cancellation);
        var last = trainer.State.History[^1];
        var summary = Analysis.ModelSummary.Of(model);
        return new ExperimentRow(name, last.Accuracy, last.TestLoss, summary.TrainParameters, summary.DeployParameters, summary.DeployMacs,
            Stopwatch.GetElapsedTime(started).TotalSeconds, trainer.State.History);
    }
}
