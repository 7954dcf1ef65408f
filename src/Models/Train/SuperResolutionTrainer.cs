using System.Diagnostics;
using RefConv.IO;
using RefConv.Kernels;
using RefConv.Models.Data;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>Enlarges pictures with a super-resolution model.</summary>
public static class SuperResolver
{
    /// <summary>The picture enlarged, in [0, 1]. The model is used in evaluation mode and left in the mode it was in.</summary>
    /// <exception cref="ArgumentException">The model is for something else.</exception>
    public static LumaImage Enlarge(Model model, LumaImage image)
    {
        if (model.Task != ModelTask.SuperResolution) throw new ArgumentException($"{model.Spec.Architecture} is a classifier and enlarges nothing. Use one of {string.Join(", ", Zoo.NamesOf(ModelTask.SuperResolution))}.");
        bool training = model.Training;
        model.Eval();
        try
        {
            using var x = Tensor.From(model.Device, image.Pixels, new Shape(1, image.Height, image.Width, 1));
            using var tape = Tape.Inference();
            var y = model.Forward(x);
            float[] pixels = y.ToArray();
            for (int i = 0; i < pixels.Length; i++) pixels[i] = Math.Clamp(pixels[i], 0, 1);
            return new LumaImage(y.Shape[1], y.Shape[2], pixels);
        }
        finally
        {
            if (training) model.Train();
        }
    }

    /// <summary>Mean PSNR on Y over pictures, in dB.</summary>
    public static double Psnr(Model model, IReadOnlyList<SuperResolutionPair> pictures, CancellationToken cancellation = default)
    {
        double sum = 0;
        foreach (var picture in pictures)
        {
            cancellation.ThrowIfCancellationRequested();
            sum += LumaImage.Psnr(Enlarge(model, picture.Low), picture.High);
        }
        return sum / pictures.Count;
    }
}

/// <summary>
/// Trains a super-resolution model by a <see cref="SuperResolutionRecipe"/>: mean absolute error on patches, Adam with AMSGrad. As every run here it is a
/// function of model, pictures, recipe and seed, to the bit, however often it is stopped.
/// </summary>
public sealed class SuperResolutionTrainer : IDisposable
{
    private const string AdamPrefix = ModelFile.TrainingPrefix + "adam.";

    private readonly SuperResolutionData _data;
    private readonly PatchLoader _loader;
    private readonly Adam _optimizer;
    private readonly RunFolder? _folder;
    private readonly StepLog _log;
    private readonly LossScaler? _scaler;

    /// <summary>Starts a run.</summary>
    /// <param name="model">What to train; changed in place.</param>
    /// <param name="data">The pictures.</param>
    /// <param name="state">Recipe, and where the run stands.</param>
    /// <param name="folder">Where to keep checkpoints; null for none.</param>
    /// <param name="optimizer">The optimiser's state, when resuming.</param>
    /// <exception cref="ArgumentException">The recipe, or the model, or the pictures for it, make no sense.</exception>
    public SuperResolutionTrainer(Model model, SuperResolutionData data, SuperResolutionState state, RunFolder? folder = null, IReadOnlyDictionary<string, float[]>? optimizer = null)
    {
        state.Recipe.Validate();
        if (model is not Sesr sesr) throw new ArgumentException($"{model.Spec.Architecture} is a classifier. Super-resolution takes one of {string.Join(", ", Zoo.NamesOf(ModelTask.SuperResolution))}.");
        if (sesr.Scale != data.Scale) throw new ArgumentException($"{model.Spec.Architecture} enlarges {sesr.Scale} times, and the pictures were made {data.Scale} times smaller.");
        (Model, _data, State, _folder) = (model, data, state with { Environment = $"{model.Device.Name}, {model.Device.Description}" }, folder);
        _loader = new PatchLoader(data, state.Recipe.PatchSize, state.Recipe.PatchesPerImage, state.Recipe.BatchSize, state.Recipe.Seed);
        _optimizer = new Adam([new ParameterGroup([.. model.NamedParameters().Where(p => p.Parameter.Trainable)])], new AdamOptions { AmsGrad = true });
        if (optimizer != null) _optimizer.Load(optimizer);
        _log = new StepLog(model.Device);
        _scaler = LossScaler.For(model.Device, state.LossScaling);
    }

    /// <summary>The model in training.</summary>
    public Model Model { get; }

    /// <summary>Where the run stands.</summary>
    public SuperResolutionState State { get; private set; }

    /// <summary>The pictures.</summary>
    public SuperResolutionData Data => _data;

    /// <summary>Called for every step, on devices that compute on their own some steps later, with (steps done, steps of the epoch, mean loss of the epoch so far).</summary>
    public Action<int, int, double>? OnStep { get; set; }

    /// <summary>Called after every epoch and its evaluation.</summary>
    public Action<SuperResolutionEpoch>? OnEpoch { get; set; }

    /// <summary>Goes on with a run from its folder.</summary>
    /// <exception cref="IOException">No run there, or damaged.</exception>
    public static SuperResolutionTrainer Resume(RunFolder folder, Kernels.Device device)
    {
        var (json, optimizer) = folder.Read(AdamPrefix);
        var state = SuperResolutionState.FromJson(json, folder.LastFile);
        var model = ModelFile.Load(folder.LastFile, device);
        try
        {
            int scale = model is Sesr sesr ? sesr.Scale : throw new FileFormatException(folder.LastFile, "the model in it is none for super-resolution. Use another copy of the file.");
            return new SuperResolutionTrainer(model, SuperResolutionData.Open(state.Data, scale, state.Limit), state, folder, optimizer);
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
    /// <exception cref="DivergedException">The loss, or a weight, is no finite number any more.</exception>
    public bool Run(int? stopAfter = null, CancellationToken cancellation = default)
    {
        int last = Math.Min(State.Recipe.Epochs, stopAfter ?? int.MaxValue);
        Model.Train();
        while (State.Epoch < last)
        {
            bool finished;
            try
            {
                finished = RunEpoch(cancellation);
            }
            catch (DeviceLostException e) when (_folder is { } folder && File.Exists(folder.LastFile))
            {
                throw new DeviceLostException($"{e.Message} The last checkpoint is not touched by that. Go on from it with: refconv train --resume {folder.Path}", e);
            }
            if (_scaler != null) State = State with { LossScaling = _scaler.State };
            if (Model.NamedParameters().FirstOrDefault(p => !p.Parameter.ToArray().All(float.IsFinite)) is { Parameter: not null } bad)
                throw Diverged($"'{bad.Name}' holds values that are no finite numbers");
            if (finished && State.History.All(h => h.Psnr <= State.History[^1].Psnr)) _folder?.SaveBest(Model, null);
            _folder?.SaveLast(Model, _optimizer.State().Select(s => SafeTensorsEntry.FromFloats(AdamPrefix + s.Key, s.Shape.Sizes.ToArray().Select(i => (long)i), s.Values)), State.ToJson(), null);
            if (!finished) return false;
            OnEpoch?.Invoke(State.History[^1]);
        }
        return State.IsFinished;
    }

    /// <summary>The plain model that computes the same, and its PSNR on the held-out pictures.</summary>
    /// <exception cref="InvalidOperationException">There is nothing to merge.</exception>
    public (Model Merged, double Psnr) Merge()
    {
        Model.Eval();
        var (merged, _) = Model.Merge();
        return (merged, SuperResolver.Psnr(merged, _data.Test));
    }

    /// <summary>Gives the optimiser's memory back; the model stays.</summary>
    public void Dispose()
    {
        _optimizer.Dispose();
        _log.Dispose();
    }

    /// <returns>False when it was cancelled.</returns>
    private bool RunEpoch(CancellationToken cancellation)
    {
        long started = Stopwatch.GetTimestamp();
        double before = State.EpochSeconds;
        int steps = _loader.BatchesPerEpoch, batch = _loader.BatchSize, size = _loader.PatchSize, large = size * _data.Scale;
        float[] low = new float[batch * size * size], high = new float[batch * large * large];
        for (int step = State.StepInEpoch; step < steps; step++)
        {
            if (cancellation.IsCancellationRequested)
            {
                Collect(steps);
                return Stopped();
            }
            _loader.Fill(State.Epoch, step, low, high);
            Step(step, low, high, new Shape(batch, size, size, 1), new Shape(batch, large, large, 1));
            if (_log.IsFull) Collect(steps);
        }
        Collect(steps);
        double psnr;
        try
        {
            psnr = SuperResolver.Psnr(Model, _data.Test, cancellation);
        }
        catch (OperationCanceledException)
        {
            return Stopped(); // all steps of the epoch are done: going on begins with this evaluation
        }
        var result = new SuperResolutionEpoch(State.Epoch + 1, State.LossSum / steps, psnr, before + Stopwatch.GetElapsedTime(started).TotalSeconds);
        State = State with { Epoch = State.Epoch + 1, StepInEpoch = 0, LossSum = 0, EpochSeconds = 0, History = [.. State.History, result] };
        return true;

        bool Stopped()
        {
            State = State with { EpochSeconds = before + Stopwatch.GetElapsedTime(started).TotalSeconds };
            return false;
        }
    }

    /// <summary>Reads what the steps since the last time gave.</summary>
    private void Collect(int steps)
    {
        foreach (var (loss, _) in _log.Read())
        {
            if (!double.IsFinite(loss)) throw Diverged($"The loss is {loss}");
            State = State with { StepInEpoch = State.StepInEpoch + 1, LossSum = State.LossSum + loss };
            OnStep?.Invoke(State.StepInEpoch, steps, State.LossSum / State.StepInEpoch);
        }
    }

    private void Step(int step, float[] low, float[] high, Shape lowShape, Shape highShape)
    {
        using var x = Tensor.From(Model.Device, low, lowShape);
        using var target = Tensor.From(Model.Device, high, highShape);
        using var tape = Tape.Train((State.Epoch * (long)_loader.BatchesPerEpoch) + step, State.Recipe.Seed);
        var loss = Model.Forward(x).L1Loss(target);
        if (!_log.Add(loss)) return;
        if (_scaler == null)
        {
            tape.Backward(loss);
        }
        else
        {
            _scaler.Backward(tape, loss);
            if (!_scaler.Unscale(_optimizer)) return;
        }
        _optimizer.Step(State.Recipe.LearningRate);
        _optimizer.ZeroGrad();
    }

    private DivergedException Diverged(string what) =>
        new($"{what} at step {State.StepInEpoch + 1} of epoch {State.Epoch + 1}: training diverged and was stopped. Try a lower learning rate (--lr).");
}
