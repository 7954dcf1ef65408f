namespace RefConv.Kernels;

/// <summary>Constants of one step of Adam, as in <c>torch.optim.Adam</c> and <c>AdamW</c>.</summary>
/// <param name="LearningRate">η</param>
/// <param name="Step">t: this parameter's steps, this one included.</param>
/// <param name="Beta1">β₁, of the mean gradient.</param>
/// <param name="Beta2">β₂, of the mean squared gradient.</param>
/// <param name="Epsilon">ε, added to the root.</param>
/// <param name="WeightDecay">λ</param>
/// <param name="Decoupled">Decay shrinks the weight itself (AdamW) instead of being added to the gradient.</param>
/// <param name="AmsGrad">Divide by the largest mean square so far.</param>
public readonly record struct AdamStepGeometry(double LearningRate, long Step, double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8,
    double WeightDecay = 0, bool Decoupled = false, bool AmsGrad = false)
{
    /// <summary>η/(1 − β₁ᵗ)</summary>
    internal double StepSize => LearningRate / (1 - Math.Pow(Beta1, Step));

    /// <summary>√(1 − β₂ᵗ)</summary>
    internal double RootCorrection => Math.Sqrt(1 - Math.Pow(Beta2, Step));

    /// <inheritdoc/>
    public override string ToString() => $"lr{LearningRate} step{Step} wd{WeightDecay}{(Decoupled ? " decoupled" : "")}{(AmsGrad ? " amsgrad" : "")}";
}

/// <summary>One parameter of a step.</summary>
/// <param name="Weight">w, updated</param>
/// <param name="Gradient">g</param>
/// <param name="Mean">m, updated: PyTorch's <c>exp_avg</c>; zeros before the first step</param>
/// <param name="Square">v, updated: <c>exp_avg_sq</c></param>
/// <param name="LargestSquare">Updated: <c>max_exp_avg_sq</c>; empty without AMSGrad</param>
public readonly record struct AdamOperand(BufferView Weight, BufferView Gradient, BufferView Mean, BufferView Square, BufferView LargestSquare);

public partial interface IKernels
{
    /// <summary>
    /// For each parameter: <c>g += λ·w</c> (or with Decoupled <c>w *= 1 − η·λ</c>); <c>m = β₁·m + (1 − β₁)·g</c>; <c>v = β₂·v + (1 − β₂)·g²</c>;
    /// with AmsGrad <c>v̂ = max(v̂, v)</c>, else v̂ = v; <c>w −= η/(1 − β₁ᵗ) · m/(√v̂/√(1 − β₂ᵗ) + ε)</c>.
    /// </summary>
    /// <param name="g">Constants.</param>
    /// <param name="parameters">The parameters; no two overlap.</param>
    void AdamStep(in AdamStepGeometry g, params AdamOperand[] parameters);
}
