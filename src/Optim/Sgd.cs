using RefConv.Kernels;

namespace RefConv.Optim;

/// <summary>Stochastic gradient descent (<c>torch.optim.SGD</c>): momentum, Nesterov, weight decay by group. One pass over memory a parameter.</summary>
public sealed class Sgd : IOptimizer
{
    private const string StatePrefix = "velocity.";

    private readonly Dictionary<string, Tensor> _velocities = [];

    /// <summary>Makes an optimiser.</summary>
    /// <param name="groups">What it trains. Frozen parameters are refused: an optimiser that lists them would decay them.</param>
    /// <param name="momentum">μ; 0 for none.</param>
    /// <param name="nesterov">Look one momentum step ahead.</param>
    /// <exception cref="ArgumentException">A parameter is frozen or listed twice, or a constant makes no sense.</exception>
    public Sgd(IReadOnlyList<ParameterGroup> groups, double momentum = 0.9, bool nesterov = false)
    {
        if (!(momentum >= 0 && momentum < 1)) throw new ArgumentException($"momentum must be at least 0 and below 1; it is {momentum}.");
        if (nesterov && momentum == 0) throw new ArgumentException("Nesterov's method needs momentum. Give one, or leave Nesterov out.");
        groups.CheckTrainable();
        (Groups, Momentum, Nesterov) = (groups, momentum, nesterov);
    }

    /// <inheritdoc/>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>μ</summary>
    public double Momentum { get; }

    /// <summary>Nesterov's method.</summary>
    public bool Nesterov { get; }

    /// <summary>Velocities of the parameters that took a step, by state-dict key, in the parameter's memory order.</summary>
    public IReadOnlyDictionary<string, Tensor> Velocities => _velocities;

    /// <inheritdoc/>
    /// <remarks>A gradient that is deferred is computed in the pass of its step and never written down.</remarks>
    public void Step(double learningRate)
    {
        foreach (var group in Groups)
        {
            List<SgdOperand> first = [], later = []; // the first step of a parameter does not read its velocity
            foreach (var (name, parameter) in group.Parameters)
            {
                if (!parameter.HasGradient) continue;
                bool isFirst = false;
                Tensor? velocity = null;
                if (Momentum > 0 && !_velocities.TryGetValue(name, out velocity))
                {
                    isFirst = true;
                    _velocities[name] = velocity = Tensor.Full(parameter.Device, parameter.Shape, 0);
                }
                var v = velocity?.Data ?? default;
                if (parameter.Deferred is { } deferred) deferred.Step(Constants(group, isFirst), parameter.Data, v);
                else (isFirst ? first : later).Add(new SgdOperand(parameter.Data, parameter.GradientData, v));
                parameter.MarkChanged();
            }
            Step(Constants(group, first: true), first);
            Step(Constants(group, first: false), later);
        }

        SgdStepGeometry Constants(ParameterGroup group, bool first) => new(learningRate * group.LearningRateFactor, Momentum, group.WeightDecay, Nesterov, first);

        static void Step(SgdStepGeometry constants, List<SgdOperand> operands)
        {
            foreach (var device in operands.GroupBy(o => o.Weight.Buffer.Device)) device.Key.Kernels.SgdStep(constants, [.. device]);
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad() => Groups.ZeroGrad();

    /// <inheritdoc/>
    /// <remarks>Here: <c>velocity.KEY</c>.</remarks>
    public IEnumerable<(string Key, Shape Shape, float[] Values)> State()
    {
        foreach (var (name, parameter) in Groups.SelectMany(g => g.Parameters))
        {
            if (_velocities.TryGetValue(name, out var velocity)) yield return (StatePrefix + name, parameter.TorchShape, parameter.Layout.ToTorch<float>(velocity.ToArray()));
        }
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, float[]> state)
    {
        var parameters = Groups.SelectMany(g => g.Parameters).ToDictionary(p => p.Name, p => p.Parameter);
        foreach (var (key, values) in state)
        {
            if (!key.StartsWith(StatePrefix, StringComparison.Ordinal)) throw new ArgumentException($"'{key}' is nothing that SGD keeps.");
            string name = key[StatePrefix.Length..];
            if (!parameters.TryGetValue(name, out var parameter)) throw new ArgumentException($"The optimiser has no parameter '{name}'.");
            if (values.Length != parameter.Data.Length)
                throw new ArgumentException($"The velocity of '{name}' has {values.Length} values, the parameter {parameter.Data.Length}.");
            if (!_velocities.TryGetValue(name, out var velocity)) _velocities[name] = velocity = Tensor.Full(parameter.Device, parameter.Shape, 0);
            velocity.CopyFrom(parameter.Layout.ToMemory<float>(values));
        }
    }

    /// <summary>Gives the velocities' memory back.</summary>
    public void Dispose()
    {
        foreach (var velocity in _velocities.Values) velocity.Dispose();
        _velocities.Clear();
    }
}
