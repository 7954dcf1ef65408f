namespace RefConv.Kernels;

/// <summary>Constants of one step of stochastic gradient descent, as in <c>torch.optim.SGD</c>.</summary>
/// <param name="LearningRate">η</param>
/// <param name="Momentum">μ; 0 for none.</param>
/// <param name="WeightDecay">λ, added to the gradient as λ·w.</param>
/// <param name="Nesterov">Look one momentum step ahead.</param>
/// <param name="First">The first step of this parameter: the velocity starts as the gradient.</param>
public readonly record struct SgdStepGeometry(double LearningRate, double Momentum, double WeightDecay, bool Nesterov, bool First)
{
    /// <inheritdoc/>
    public override string ToString() => $"lr{LearningRate} m{Momentum} wd{WeightDecay}{(Nesterov ? " nesterov" : "")}{(First ? " first" : "")}";
}

/// <summary>One parameter of a step.</summary>
/// <param name="Weight">w, updated</param>
/// <param name="Gradient">g</param>
/// <param name="Velocity">v, updated; empty when there is no momentum</param>
public readonly record struct SgdOperand(BufferView Weight, BufferView Gradient, BufferView Velocity);

public partial interface IKernels
{
    /// <summary>
    /// One pass over all parameters that share their constants: <c>d = g + λ·w</c>; <c>v = First ? d : μ·v + d</c>; <c>w −= η·(Nesterov ? d + μ·v : v)</c>
    /// (without momentum <c>w −= η·d</c>, and v may be empty). A network has a hundred small parameters: one call for all of them is one fork and join.
    /// </summary>
    /// <param name="g">Constants.</param>
    /// <param name="parameters">The parameters; no two overlap.</param>
    void SgdStep(in SgdStepGeometry g, params SgdOperand[] parameters);
}
