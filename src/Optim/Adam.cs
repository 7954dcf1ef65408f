using RefConv.Kernels;

namespace RefConv.Optim;

/// <summary>How <see cref="Adam"/> moves. The defaults are PyTorch's.</summary>
public sealed record AdamOptions
{
    /// <summary>β₁, of the mean gradient.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>β₂, of the mean squared gradient.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>ε, added to the root.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Divide by the largest mean square so far: AMSGrad (arXiv 1904.09237).</summary>
    public bool AmsGrad { get; init; }

    /// <summary>Weight decay shrinks the weight itself instead of being added to the gradient: AdamW (arXiv 1711.05101).</summary>
    public bool DecoupledDecay { get; init; }
}

/// <summary>Adam, AMSGrad and AdamW (<c>torch.optim.Adam</c>, <c>torch.optim.AdamW</c>), weight decay by group.</summary>
public sealed class Adam : IOptimizer
{
    private readonly Dictionary<string, Moments> _moments = [];

    /// <summary>Makes an optimiser.</summary>
    /// <param name="groups">What it trains. Frozen parameters are refused: an optimiser that lists them would decay them.</param>
    /// <param name="options">PyTorch's, if not given.</param>
    /// <exception cref="ArgumentException">A parameter is frozen or listed twice, or a constant makes no sense.</exception>
    public Adam(IReadOnlyList<ParameterGroup> groups, AdamOptions? options = null)
    {
        (Groups, Options) = (groups, options ?? new AdamOptions());
        if (!(Options.Beta1 >= 0 && Options.Beta1 < 1 && Options.Beta2 >= 0 && Options.Beta2 < 1))
            throw new ArgumentException($"β₁ and β₂ must be at least 0 and below 1; they are {Options.Beta1} and {Options.Beta2}.");
        if (!(Options.Epsilon >= 0)) throw new ArgumentException($"ε must be at least 0; it is {Options.Epsilon}.");
        groups.CheckTrainable();
    }

    /// <inheritdoc/>
    public IReadOnlyList<ParameterGroup> Groups { get; }

    /// <summary>How it moves.</summary>
    public AdamOptions Options { get; }

    /// <inheritdoc/>
    /// <remarks>A gradient that is deferred is written down first: the squares of its elements are needed, not only a step with it.</remarks>
    public void Step(double learningRate)
    {
        foreach (var group in Groups)
        {
            List<(AdamOperand Operand, long Step)> operands = [];
            foreach (var (name, parameter) in group.Parameters)
            {
                if (!parameter.HasGradient) continue;
                var moments = Of(name, parameter);
                moments.Steps++;
                operands.Add((new AdamOperand(parameter.Data, parameter.GradientData, moments.Mean.Data, moments.Square.Data, moments.Largest?.Data ?? default), moments.Steps));
                parameter.MarkChanged();
            }
            // A parameter that had no gradient for a while has taken fewer steps than the others, and has other corrections.
            foreach (var same in operands.GroupBy(o => (o.Operand.Weight.Buffer.Device, o.Step)))
            {
                same.Key.Device.Kernels.AdamStep(new AdamStepGeometry(learningRate * group.LearningRateFactor, same.Key.Step, Options.Beta1, Options.Beta2, Options.Epsilon,
                    group.WeightDecay, Options.DecoupledDecay, Options.AmsGrad), [.. same.Select(o => o.Operand)]);
            }
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad() => Groups.ZeroGrad();

    /// <inheritdoc/>
    /// <remarks>Here: <c>exp_avg.KEY</c>, <c>exp_avg_sq.KEY</c>, with AMSGrad <c>max_exp_avg_sq.KEY</c>, and <c>step.KEY</c>.</remarks>
    public IEnumerable<(string Key, Shape Shape, float[] Values)> State()
    {
        foreach (var (name, parameter) in Groups.SelectMany(g => g.Parameters))
        {
            if (!_moments.TryGetValue(name, out var m)) continue;
            yield return ($"exp_avg.{name}", parameter.TorchShape, parameter.Layout.ToTorch<float>(m.Mean.ToArray()));
            yield return ($"exp_avg_sq.{name}", parameter.TorchShape, parameter.Layout.ToTorch<float>(m.Square.ToArray()));
            if (m.Largest != null) yield return ($"max_exp_avg_sq.{name}", parameter.TorchShape, parameter.Layout.ToTorch<float>(m.Largest.ToArray()));
            yield return ($"step.{name}", new Shape(1), [m.Steps]);
        }
    }

    /// <inheritdoc/>
    public void Load(IReadOnlyDictionary<string, float[]> state)
    {
        var parameters = Groups.SelectMany(g => g.Parameters).ToDictionary(p => p.Name, p => p.Parameter);
        foreach (var (key, values) in state)
        {
            int dot = key.IndexOf('.');
            string kind = dot < 0 ? key : key[..dot], name = key[(dot + 1)..];
            if (!parameters.TryGetValue(name, out var parameter)) throw new ArgumentException($"The optimiser has no parameter '{name}'.");
            if (values.Length != (kind == "step" ? 1 : parameter.Data.Length)) throw new ArgumentException($"'{key}' has {values.Length} values, which is not what '{name}' needs.");
            var moments = Of(name, parameter);
            switch (kind)
            {
                case "step": moments.Steps = (long)values[0]; break;
                case "exp_avg": moments.Mean.CopyFrom(parameter.Layout.ToMemory<float>(values)); break;
                case "exp_avg_sq": moments.Square.CopyFrom(parameter.Layout.ToMemory<float>(values)); break;
                case "max_exp_avg_sq" when moments.Largest != null: moments.Largest.CopyFrom(parameter.Layout.ToMemory<float>(values)); break;
                default: throw new ArgumentException($"'{key}' is nothing that this optimiser keeps{(kind == "max_exp_avg_sq" ? " without AMSGrad" : "")}.");
            }
        }
    }

    /// <summary>Gives the moments' memory back.</summary>
    public void Dispose()
    {
        foreach (var moments in _moments.Values) moments.Dispose();
        _moments.Clear();
    }

    private Moments Of(string name, Parameter parameter)
    {
        if (!_moments.TryGetValue(name, out var moments)) _moments[name] = moments = new Moments(parameter, Options.AmsGrad);
        return moments;
    }

    private sealed class Moments(Parameter parameter, bool amsGrad) : IDisposable
    {
        public Tensor Mean { get; } = Tensor.Full(parameter.Device, parameter.Shape, 0);

        public Tensor Square { get; } = Tensor.Full(parameter.Device, parameter.Shape, 0);

        public Tensor? Largest { get; } = amsGrad ? Tensor.Full(parameter.Device, parameter.Shape, 0) : null;

        public long Steps { get; set; }

        public void Dispose()
        {
            Mean.Dispose();
            Square.Dispose();
            Largest?.Dispose();
        }
    }
}
