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

public partial interface IKernels
{
    /// <summary>
    /// One pass over a parameter: <c>d = g + λ·w</c>; <c>v = First ? d : μ·v + d</c>; <c>w −= η·(Nesterov ? d + μ·v : v)</c>
    /// (without momentum <c>w −= η·d</c>, and v may be empty).
    /// </summary>
    /// <param name="g">Constants.</param>
    /// <param name="weight">w, updated</param>
    /// <param name="gradient">g</param>
    /// <param name="velocity">v, updated; empty when there is no momentum</param>
    void SgdStep(in SgdStepGeometry g, BufferView weight, BufferView gradient, BufferView velocity);
}
