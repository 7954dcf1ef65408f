using System.Diagnostics;
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
    private Sgd _optimizer;
    private readonly WarmupCosine _schedule;
    private readonly BatchLoader _loader;
    private readonly RunFolder? _folder;

    /// <summary>Starts a run.</summary>
    /// <param name="model">What to train; changed in place.</param>
    /// <param name="data">What to train and test on.</param>
    /// <param name="state">Recipe, and where the run stands (a new <see cref="RunState"/> for a new run).</param>
    /// <param name="folder">Where to keep checkpoints; null for none.</param>
    /// <param name="velocities">The optimiser's state, when resuming.</param>
    /// <exception cref="ArgumentException">The recipe, or the data for this model, makes no sense.</exception>
    public Trainer(Model model, DataSource data, RunState state, RunFolder? folder = null, IReadOnlyDictionary<string, float[]>? velocities = null)
    {
        var recipe = state.Recipe;
        recipe.Validate();
        Evaluator.CheckFits(model, data.Train);
        (Model, _data, _folder) = (model, data, folder);
        State = state with { Environment = $"{model.Device.Name}, {model.Device.Description}" };
        _info = DataInfo.Of(data.Train);
        _optimizer = MakeOptimizer();
        foreach (var (name, values) in velocities ?? new Dictionary<string, float[]>()) _optimizer.LoadVelocity(name, values);
        _loader = BatchLoader.Training(data.Train, recipe.BatchSize, recipe.Seed, new Augmentation(recipe.CropPadding, recipe.HorizontalFlip));
        long steps = _loader.BatchesPerEpoch;
        _schedule = new WarmupCosine(recipe.LearningRate, recipe.Epochs * steps, (long)(recipe.WarmupEpochs * steps), recipe.MinimumLearningRate);
    }

    /// <summary>The model in training.</summary>
    public Model Model { get; }

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
        var (model, state, velocities, info) = folder.Load(device);
        try
        {
            return new Trainer(model, DataSource.Open(state.Data, state.Limit, state.TestLimit, ImageFolderOptions.For(model.Spec, info)), state, folder, velocities);
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
        while (State.Epoch < last)
        {
            if (!RunEpoch(cancellation))
            {
                CheckFinite();
                _folder?.SaveLast(Model, _optimizer, State, _info);
                return false;
            }
        }
        return State.IsFinished;
    }

    /// <summary>Gives the optimiser's memory back; the model stays.</summary>
    public void Dispose() => _optimizer.Dispose();

    private bool RunEpoch(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        double before = State.EpochSeconds;
        int steps = _loader.BatchesPerEpoch, batchSize = State.Recipe.BatchSize;
        foreach (var batch in _loader.Epoch(State.Epoch, State.StepInEpoch, CancellationToken.None))
        {
            if (cancellation.IsCancellationRequested)
            {
                State = State with { EpochSeconds = before + Stopwatch.GetElapsedTime(started).TotalSeconds };
                return false;
            }
            long step = (State.Epoch * (long)steps) + State.StepInEpoch;
            double now = _schedule.At(step);
            var (loss, correct) = Step(batch, step, now);
            State = State with { StepInEpoch = State.StepInEpoch + 1, LossSum = State.LossSum + loss, Correct = State.Correct + correct };
            Observer?.OnStep(new TrainingProgress(State.Epoch + 1, State.Recipe.Epochs, State.StepInEpoch, steps,
                State.LossSum / State.StepInEpoch, State.Correct / ((double)State.StepInEpoch * batchSize), now, batchSize)
            {
                StepLoss = loss,
                StepAccuracy = correct / (double)batch.Count,
            });
        }
        CheckFinite();
        double rate = _schedule.At((State.Epoch * (long)steps) + steps - 1);
        Evaluation test;
        try
        {
            test = Evaluator.Evaluate(Model, _data.Test, cancellation: cancellation);
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
        if (best) _folder?.SaveBest(Model, _info);
        if (State.KeepEpochs) _folder?.SaveEpoch(Model, State.Epoch, _info);
        Evolve(State.Epoch - 1);
        _folder?.SaveLast(Model, _optimizer, State, _info);
        Observer?.OnEpoch(result);
        return true;
    }

    private (double Loss, int Correct) Step(Batch batch, long step, double rate)
    {
        var device = Model.Device;
        using var x = Tensor.From(device, batch.Images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
        using var labels = Tensor.From(device, batch.Labels, new Shape(batch.Count));
        using var tape = Tape.Train(step, State.Recipe.Seed, State.Recipe.SaveMemory);
        var logits = Model.Forward(x);
        var loss = logits.CrossEntropy(labels, State.Recipe.LabelSmoothing);
        double value = loss.Item();
        if (!double.IsFinite(value))
            throw Diverged($"The loss is {value} at step {State.StepInEpoch + 1} of epoch {State.Epoch + 1} (step {step + 1} of the run, learning rate {rate:G4})");
        int correct = Evaluator.CountCorrect(logits.ToArray(), batch.Labels, 1);
        tape.Backward(loss);
        foreach (var form in Model.Forms) (form.Method as IEvolving)?.AfterBackward(Model);
        _optimizer.Step(rate);
        _optimizer.ZeroGrad();
        return (value, correct);
    }

    private Sgd MakeOptimizer()
    {
        var recipe = State.Recipe;
        var trainable = Model.NamedParameters().Where(p => p.Parameter.Trainable).ToArray();
        return new Sgd(
            [
                new ParameterGroup([.. trainable.Where(p => p.Parameter.TorchShape.Rank > 1)], recipe.WeightDecay),
                new ParameterGroup([.. trainable.Where(p => p.Parameter.TorchShape.Rank <= 1)], recipe.NormWeightDecay),
            ],
            recipe.Momentum, recipe.Nesterov);
    }

    /// <summary>
    /// Lets methods change the model at the end of an epoch, before it is saved. Parameters that are there before and after keep their velocity; new ones begin
    /// without.
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
        var next = MakeOptimizer();
        foreach (var (name, parameter) in next.Groups.SelectMany(g => g.Parameters))
        {
            if (before.GetValueOrDefault(name) == parameter && _optimizer.VelocityToTorch(name) is { } velocity) next.LoadVelocity(name, velocity);
        }
        _optimizer.Dispose();
        _optimizer = next;
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
