using System.Diagnostics;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Data;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>Where a run stands, told after every step.</summary>
/// <param name="Epoch">Epoch under way, from 1.</param>
/// <param name="Epochs">Epochs in all.</param>
/// <param name="Step">Steps done in it.</param>
/// <param name="Steps">Steps an epoch.</param>
/// <param name="Loss">Mean loss of the epoch so far.</param>
/// <param name="Accuracy">Training accuracy of the epoch so far.</param>
/// <param name="LearningRate">Of the last step.</param>
/// <param name="BatchSize">Pictures a step.</param>
public readonly record struct TrainingProgress(int Epoch, int Epochs, int Step, int Steps, double Loss, double Accuracy, double LearningRate, int BatchSize)
{
    /// <summary>Loss of the last step alone.</summary>
    public double StepLoss { get; init; }

    /// <summary>Share of its pictures classified right.</summary>
    public double StepAccuracy { get; init; }
}

/// <summary>Looks on while a <see cref="Trainer"/> works.</summary>
public interface ITrainingObserver
{
    /// <summary>After every step.</summary>
    void OnStep(in TrainingProgress progress);

    /// <summary>After every epoch and its evaluation.</summary>
    void OnEpoch(EpochResult result);
}

/// <summary>The loss is no number any more: the run was stopped. The last checkpoint is from before.</summary>
/// <param name="message">The whole sentence.</param>
public sealed class DivergedException(string message) : Exception(message);

/// <summary>
/// Trains a model by a <see cref="Recipe"/>. A run is a function of model, data, recipe and seed, to the bit: stopping and going on, at any step
/// and with any number of threads, gives what an uninterrupted run gives.
/// </summary>
public sealed class Trainer : IDisposable
{
    private readonly DataSource _data;
    private readonly DataInfo _info;
    private IOptimizer _optimizer;
    private ModelEma? _average;
    private readonly ILearningRateSchedule _schedule;
    private readonly BatchLoader _loader;
    private readonly RunFolder? _folder;
    private readonly StepLog _log;
    private readonly LossScaler? _scaler;

    /// <summary>Starts a run.</summary>
    /// <param name="model">What to train; changed in place.</param>
    /// <param name="data">What to train and test on.</param>
    /// <param name="state">Recipe, and where the run stands (a new <see cref="RunState"/> for a new run).</param>
    /// <param name="folder">Where to keep checkpoints; null for none.</param>
    /// <param name="training">When resuming, what the checkpoint keeps beside the model: the optimiser's state and that of the average.</param>
    /// <exception cref="ArgumentException">The recipe, or the data for this model, makes no sense.</exception>
    public Trainer(Model model, DataSource data, RunState state, RunFolder? folder = null, IReadOnlyDictionary<string, float[]>? training = null)
    {
        var recipe = state.Recipe;
        recipe.Validate();
        Evaluator.CheckFits(model, data.Train);
        (Model, _data, _folder) = (model, data, folder);
        State = state with { Environment = $"{model.Device.Name}, {model.Device.Description}" };
        _info = DataInfo.Of(data.Train);
        _loader = BatchLoader.Training(data.Train, recipe.BatchSize, recipe.Seed, Augmentation.Of(recipe));
        _schedule = recipe.MakeSchedule(_loader.BatchesPerEpoch);
        _optimizer = recipe.MakeOptimizer(model.NamedParameters());
        _average = MakeAverage();
        _log = new StepLog(model.Device);
        _scaler = LossScaler.For(model.Device, state.LossScaling);
        if (training == null) return;
        try
        {
            _optimizer.Load(training.Where(t => !t.Key.StartsWith(ModelEma.StatePrefix, StringComparison.Ordinal)).ToDictionary());
            _average?.Load(training);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The model in training; when the run is done, with the averaged weights where the recipe wants an average.</summary>
    public Model Model { get; }

    /// <summary>What is evaluated after an epoch: the average where there is one, the model otherwise.</summary>
    public Model Evaluated => _average?.Model ?? Model;

    /// <summary>Where the run stands.</summary>
    public RunState State { get; private set; }

    /// <summary>Steps of an epoch.</summary>
    public int StepsPerEpoch => _loader.BatchesPerEpoch;

    /// <summary>Told about every step and epoch.</summary>
    public ITrainingObserver? Observer { get; set; }

    /// <summary>Goes on with a run from its folder.</summary>
    /// <param name="folder">The folder of the run.</param>
    /// <param name="device">Where to train.</param>
    /// <exception cref="IOException">No run there, or damaged.</exception>
    public static Trainer Resume(RunFolder folder, Kernels.Device device)
    {
        var (model, state, training, info) = folder.Load(device);
        try
        {
            return new Trainer(model, DataSource.Open(state.Data, state.Limit, state.TestLimit, ImageFolderOptions.For(model.Spec, info)), state, folder, training);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Trains until the recipe's end.</summary>
    /// <param name="stopAfter">Stop when so many epochs of the recipe are done; the run can be resumed.</param>
    /// <param name="cancellation">Stop after the step under way; the checkpoint is written first.</param>
    /// <returns>True when the recipe's last epoch is done.</returns>
    /// <exception cref="DivergedException">The loss became NaN or infinite.</exception>
    public bool Run(int? stopAfter = null, CancellationToken cancellation = default)
    {
        int last = Math.Min(State.Recipe.Epochs, stopAfter ?? int.MaxValue);
        Model.Train();
        if (State is { KeepEpochs: true, Epoch: 0, StepInEpoch: 0 }) _folder?.SaveEpoch(Model, 0, _info);
        while (State.Epoch < last && !State.IsFinished)
        {
            try
            {
                if (RunEpoch(cancellation)) continue;
            }
            catch (DeviceLostException e) when (_folder is { } folder && File.Exists(folder.LastFile))
            {
                throw new DeviceLostException($"{e.Message} The last checkpoint is not touched by that. Go on from it with: refconv train --resume {folder.Path}", e);
            }
            CheckFinite();
            Save();
            return false;
        }
        return State.IsFinished;
    }

    /// <summary>Gives the memory of optimiser and average back; the model stays.</summary>
    public void Dispose()
    {
        _optimizer.Dispose();
        _average?.Dispose();
        _log.Dispose();
    }

    private bool RunEpoch(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        double before = State.EpochSeconds;
        int steps = _loader.BatchesPerEpoch, batchSize = State.Recipe.BatchSize;
        List<(double Rate, int Pictures)> pending = []; // steps of which the log has the results
        foreach (var batch in _loader.Epoch(State.Epoch, State.StepInEpoch, CancellationToken.None))
        {
            if (cancellation.IsCancellationRequested)
            {
                Collect(pending, batchSize, steps);
                State = State with { EpochSeconds = before + Stopwatch.GetElapsedTime(started).TotalSeconds };
                return false;
            }
            long step = (State.Epoch * (long)steps) + State.StepInEpoch + pending.Count;
            double now = _schedule.At(step);
            TrainingStep.Run(Model, _optimizer, State.Recipe, batch, step, now, _log, _scaler);
            pending.Add((now, batch.Count));
            if (_log.IsFull) Collect(pending, batchSize, steps);
            _average?.Update(step);
        }
        Collect(pending, batchSize, steps);
        CheckFinite();
        double rate = _schedule.At((State.Epoch * (long)steps) + steps - 1);
        Evaluation test;
        try
        {
            test = Evaluator.Evaluate(Evaluated, _data.Test, cancellation: cancellation);
        }
        catch (OperationCanceledException)
        {
            // All steps of the epoch are done: going on begins with this evaluation.
            State = State with { EpochSeconds = before + Stopwatch.GetElapsedTime(started).TotalSeconds };
            return false;
        }
        if (!double.IsFinite(test.Loss)) throw Diverged($"The loss on the test pictures is {test.Loss} after epoch {State.Epoch + 1}");
        var result = new EpochResult(State.Epoch + 1, State.LossSum / steps, State.Correct / ((double)steps * batchSize), test.Loss, test.Accuracy, test.Top5,
            rate, before + Stopwatch.GetElapsedTime(started).TotalSeconds);
        bool best = test.Accuracy > State.BestAccuracy || State.History.Count == 0;
        State = State with { Epoch = State.Epoch + 1, StepInEpoch = 0, LossSum = 0, Correct = 0, EpochSeconds = 0, History = [.. State.History, result] };
        if (best) _folder?.SaveBest(Evaluated, _info);
        // The path of training is that of the weights that are trained, not of their average.
        if (State.KeepEpochs) _folder?.SaveEpoch(Model, State.Epoch, _info);
        if (State.IsFinished) TakeAverage();
        Evolve(State.Epoch - 1);
        Save();
        Observer?.OnEpoch(result);
        return true;
    }

    /// <summary>Reads what the steps since the last time gave.</summary>
    private void Collect(List<(double Rate, int Pictures)> pending, int batchSize, int steps)
    {
        foreach (var ((loss, correct), (rate, pictures)) in _log.Read().Zip(pending))
        {
            if (!double.IsFinite(loss))
                throw Diverged($"The loss is {loss} at step {State.StepInEpoch + 1} of epoch {State.Epoch + 1} (step {(State.Epoch * (long)steps) + State.StepInEpoch + 1} of the run, learning rate {rate:G4})");
            State = State with { StepInEpoch = State.StepInEpoch + 1, LossSum = State.LossSum + loss, Correct = State.Correct + correct };
            Observer?.OnStep(new TrainingProgress(State.Epoch + 1, State.Recipe.Epochs, State.StepInEpoch, steps,
                State.LossSum / State.StepInEpoch, State.Correct / ((double)State.StepInEpoch * batchSize), rate, batchSize)
            {
                StepLoss = loss,
                StepAccuracy = correct / (double)pictures,
            });
        }
        pending.Clear();
    }

    private ModelEma? MakeAverage() => State.Recipe.EmaDecay > 0 && !State.IsFinished ? new ModelEma(Model, State.Recipe.EmaDecay, State.Recipe.EmaWarmup) : null;

    /// <summary>The run is done: the averaged weights, which were evaluated all along, become the model's.</summary>
    private void TakeAverage()
    {
        _average?.CopyToModel();
        _average?.Dispose();
        _average = null;
    }

    private void Save()
    {
        if (_scaler != null) State = State with { LossScaling = _scaler.State };
        _folder?.SaveLast(Model, _optimizer.State().Concat(_average?.State() ?? []), State, _info);
    }

    /// <summary>
    /// Lets methods change the model at the end of an epoch, before it is saved. Parameters that are there before and after keep the optimiser's state; new ones begin
    /// without. An average begins again: what was averaged is of another form.
    /// </summary>
    private void Evolve(int epoch)
    {
        if (State.IsFinished) return; // nobody would train what is new
        var before = _optimizer.Groups.SelectMany(g => g.Parameters).ToDictionary(p => p.Name, p => p.Parameter);
        bool changed = false;
        foreach (var form in Model.Forms)
        {
            if (form.Method is IEvolving method) changed |= method.AfterEpoch(Model, epoch, State.Recipe.Seed, i => ForwardOnly(epoch, i));
        }
        if (!changed) return;
        Model.Train();
        var next = State.Recipe.MakeOptimizer(Model.NamedParameters());
        var kept = next.Groups.SelectMany(g => g.Parameters).Where(p => before.GetValueOrDefault(p.Name) == p.Parameter).Select(p => p.Name).ToHashSet();
        next.Load(_optimizer.State().Where(s => kept.Contains(s.Key[(s.Key.IndexOf('.') + 1)..])).ToDictionary(s => s.Key, s => s.Values));
        _optimizer.Dispose();
        _optimizer = next;
        _average?.Dispose();
        _average = MakeAverage();
    }

    /// <summary>One pass over a batch of an epoch in training mode, for the statistics it leaves.</summary>
    private void ForwardOnly(int epoch, int number)
    {
        Model.Train();
        foreach (var batch in _loader.Epoch(epoch, number % _loader.BatchesPerEpoch, CancellationToken.None))
        {
            using var x = Tensor.From(Model.Device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
            using var tape = Tape.Inference();
            Model.Forward(x);
            return;
        }
    }

    /// <summary>A step can end with weights that are no numbers though its loss was one. They must not take the place of a good checkpoint.</summary>
    private void CheckFinite()
    {
        foreach (var (name, parameter) in Model.NamedParameters())
        {
            if (!parameter.ToArray().All(float.IsFinite))
                throw Diverged($"'{name}' holds values that are no finite numbers after step {State.StepInEpoch} of epoch {State.Epoch + 1}");
        }
    }

    private DivergedException Diverged(string what)
    {
        string kept = _folder is { } folder && File.Exists(folder.LastFile) ? $" The last good checkpoint is {folder.LastFile}." : "";
        return new($"{what}: training diverged and was stopped.{kept} Try a lower learning rate (--lr) or a longer warm-up (--warmup).");
    }
}
