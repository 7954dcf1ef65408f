using RefConv.Kernels;

namespace RefConv.Optim;

/// <summary>Parameters that share their weight decay and learning-rate factor.</summary>
/// <param name="Parameters">With their state-dict keys.</param>
/// <param name="WeightDecay">λ, added to the gradient as λ·w.</param>
/// <param name="LearningRateFactor">Multiplies the learning rate of this group.</param>
public sealed record ParameterGroup(IReadOnlyList<(string Name, Parameter Parameter)> Parameters, double WeightDecay = 0, double LearningRateFactor = 1);

/// <summary>Stochastic gradient descent (<c>torch.optim.SGD</c>): momentum, Nesterov, weight decay by group. One pass over memory a parameter.</summary>
public sealed class Sgd : IDisposable
{
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
        var seen = new HashSet<Parameter>();
        foreach (var (name, parameter) in groups.SelectMany(g => g.Parameters))
        {
            if (!parameter.Trainable) throw new ArgumentException($"'{name}' is frozen and does not belong into an optimiser. Give it Module.TrainableParameters().");
            if (!seen.Add(parameter)) throw new ArgumentException($"'{name}' is listed twice.");
        }
        (Groups, Momentum, Nesterov) = (groups, momentum, nesterov);
    }

    /// <summary>What it trains.</summary>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>μ</summary>
    public double Momentum { get; }

    /// <summary>Nesterov's method.</summary>
    public bool Nesterov { get; }

    /// <summary>Velocities of the parameters that took a step, by state-dict key, in the parameter's memory order.</summary>
    public IReadOnlyDictionary<string, Tensor> Velocities => _velocities;

    /// <summary>Moves every parameter that has a gradient by one step. Gradients stay; clear them with <c>ZeroGrad</c>.</summary>
    /// <param name="learningRate">η</param>
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

    /// <summary>Clears the gradients of what it trains.</summary>
    public void ZeroGrad()
    {
        foreach (var group in Groups)
        {
            foreach (var (_, parameter) in group.Parameters) parameter.ZeroGrad();
        }
    }

    /// <summary>Sets one velocity, in PyTorch's element order: for resuming.</summary>
    /// <exception cref="ArgumentException">No such parameter, or another number of values.</exception>
    public void LoadVelocity(string name, ReadOnlySpan<float> values)
    {
        var parameter = Groups.SelectMany(g => g.Parameters).FirstOrDefault(p => p.Name == name).Parameter
            ?? throw new ArgumentException($"The optimiser has no parameter '{name}'.");
        if (values.Length != parameter.Data.Length)
            throw new ArgumentException($"The velocity of '{name}' has {values.Length} values, the parameter {parameter.Data.Length}.");
        if (!_velocities.TryGetValue(name, out var velocity)) _velocities[name] = velocity = Tensor.Full(parameter.Device, parameter.Shape, 0);
        velocity.CopyFrom(parameter.Layout.ToMemory(values));
    }

    /// <summary>The velocity of a parameter in PyTorch's element order, or null before its first step.</summary>
    public float[]? VelocityToTorch(string name)
    {
        if (!_velocities.TryGetValue(name, out var velocity)) return null;
        var parameter = Groups.SelectMany(g => g.Parameters).First(p => p.Name == name).Parameter;
        return parameter.Layout.ToTorch<float>(velocity.ToArray());
    }

    /// <summary>Gives the velocities' memory back.</summary>
    public void Dispose()
    {
        foreach (var velocity in _velocities.Values) velocity.Dispose();
        _velocities.Clear();
    }
}
