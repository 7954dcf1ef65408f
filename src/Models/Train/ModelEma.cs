using RefConv.Layers;

namespace RefConv.Models.Train;

/// <summary>
/// An exponential moving average of everything a model has, weights and statistics alike (timm's <c>ModelEmaV3</c>; with buffers PyTorch's <c>AveragedModel</c>):
/// <c>average += (1 − d)·(value − average)</c> at every step. Whole numbers are copied. What does not change, such as a frozen basis, keeps its bits.
/// </summary>
internal sealed class ModelEma : IDisposable
{
    /// <summary>What its tensors begin with in a checkpoint, behind the prefix of all that training keeps.</summary>
    public const string StatePrefix = "ema.";

    /// <summary>How fast the decay rises with <see cref="Recipe.EmaWarmup"/>: timm's power.</summary>
    private const double WarmupPower = 2.0 / 3;

    private readonly double _decay;
    private readonly bool _warmup;
    private readonly (string Name, Parameter Value, Parameter Average)[] _pairs;

    /// <summary>Begins an average: a copy of the model as it is.</summary>
    public ModelEma(Model model, double decay, bool warmup)
    {
        (_decay, _warmup) = (decay, warmup);
        Model = (Model)model.Clone();
        Model.Eval();
        _pairs = [.. model.NamedParameters().Zip(Model.NamedParameters(), (value, average) => (value.Name, value.Parameter, average.Parameter))];
    }

    /// <summary>The averaged model, in evaluation mode.</summary>
    public Model Model { get; }

    /// <summary>The share of itself that the average keeps in a step of the run, counted from 0.</summary>
    public double DecayAt(long step) => _warmup ? Math.Min(_decay, 1 - Math.Pow(2 + step, -WarmupPower)) : _decay;

    /// <summary>Takes in the model as it is after a step.</summary>
    public void Update(long step)
    {
        double weight = 1 - DecayAt(step);
        foreach (var (_, value, average) in _pairs)
        {
            if (average.IsInteger) average.Device.Kernels.Scale(value.Data, average.Data, 1, accumulate: false);
            else average.Device.Kernels.Lerp(value.Data, average.Data, weight);
            average.MarkChanged();
        }
    }

    /// <summary>Puts the average into the model itself, for good.</summary>
    public void CopyToModel()
    {
        foreach (var (_, value, average) in _pairs)
        {
            value.Device.Kernels.Scale(average.Data, value.Data, 1, accumulate: false);
            value.MarkChanged();
        }
    }

    /// <summary>All that resuming needs.</summary>
    public IEnumerable<(string Key, Shape Shape, float[] Values)> State() => _pairs.Select(p => (StatePrefix + p.Name, p.Average.TorchShape, p.Average.ToTorch()));

    /// <summary>Takes up what <see cref="State"/> gave.</summary>
    /// <exception cref="ArgumentException">It belongs to another model.</exception>
    public void Load(IReadOnlyDictionary<string, float[]> state)
    {
        foreach (var (name, _, average) in _pairs)
        {
            if (!state.TryGetValue(StatePrefix + name, out float[]? values)) throw new ArgumentException($"The average of '{name}' is missing in the checkpoint. Train again, or go on from the best weights.");
            if (values.Length != average.Data.Length) throw new ArgumentException($"The average of '{name}' has {values.Length} values, the parameter {average.Data.Length}.");
            average.FromTorch(values);
        }
    }

    /// <summary>Gives the average's memory back.</summary>
    public void Dispose() => Model.Dispose();
}
