using RefConv.Models.Train.TensorBoard;

namespace RefConv.Models.Train;

/// <summary>
/// Writes a run's loss, accuracy and learning rate into an event file for TensorBoard. Give it to <see cref="Trainer.Observer"/>; it hands all on to another observer.
/// </summary>
/// <remarks>
/// <c>step/…</c> are of single steps, at most fifty of them an epoch, by step of the run; <c>train/…</c>, <c>test/…</c> and <c>learning_rate</c> are of epochs, by epoch.
/// </remarks>
public sealed class TensorBoardObserver : ITrainingObserver, IDisposable
{
    private const int PointsAnEpoch = 50;

    private readonly EventFile _steps, _epochs;
    private readonly ITrainingObserver? _next;

    /// <summary>Begins new event files.</summary>
    /// <param name="folder">Where: <c>tensorboard --logdir</c> of this folder, or of one above it, shows the run.</param>
    /// <param name="state">Where the run stands: files begin behind what is done.</param>
    /// <param name="stepsPerEpoch">Steps of an epoch.</param>
    /// <param name="next">Is told everything as well.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public TensorBoardObserver(string folder, RunState state, int stepsPerEpoch, ITrainingObserver? next = null)
    {
        // Two files, because a mark of where a file begins is a step, and epochs and steps count differently.
        _epochs = new EventFile(folder, state.Epoch + 1);
        _steps = new EventFile(Path.Combine(folder, "steps"), ((long)state.Epoch * stepsPerEpoch) + state.StepInEpoch + 1);
        _next = next;
    }

    /// <summary>The file of the epochs.</summary>
    public string File => _epochs.Path;

    /// <inheritdoc/>
    public void OnStep(in TrainingProgress progress)
    {
        int every = Math.Max(1, progress.Steps / PointsAnEpoch);
        if (progress.Step % every == 0 || progress.Step == progress.Steps)
        {
            long step = ((progress.Epoch - 1) * (long)progress.Steps) + progress.Step;
            _steps.Add(step, [("step/loss", progress.StepLoss), ("step/accuracy", progress.StepAccuracy), ("step/learning_rate", progress.LearningRate)]);
        }
        _next?.OnStep(progress);
    }

    /// <inheritdoc/>
    public void OnEpoch(EpochResult result)
    {
        _epochs.Add(result.Epoch,
        [
            ("train/loss", result.TrainLoss), ("train/accuracy", result.TrainAccuracy), ("test/loss", result.TestLoss), ("test/accuracy", result.Accuracy), ("test/top5", result.Top5),
            ("learning_rate", result.LearningRate), ("epoch_seconds", result.Seconds),
        ]);
        _epochs.Flush();
        _steps.Flush();
        _next?.OnEpoch(result);
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        _epochs.Dispose();
        _steps.Dispose();
    }
}
