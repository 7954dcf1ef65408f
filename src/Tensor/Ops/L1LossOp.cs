using RefConv.Kernels;

namespace RefConv;

/// <summary>Mean absolute error. See <see cref="IKernels.L1LossForward"/>.</summary>
public sealed class L1LossOp : Op
{
    private readonly Tensor _x, _target;

    internal L1LossOp(Tensor x, Tensor target, string? name)
        : base("L1Loss", name, x, target)
    {
        (_x, _target) = (x, target);
        if (x.Shape != target.Shape) throw Bad($"the result is {x.Shape}, the target {target.Shape}.");
        if (target.RequiresGrad) throw Bad("the target wants a gradient, which this loss does not compute. Take what is learnt as the first argument.");
    }

    internal Tensor Run() => Run(new Shape(1));

    internal override bool IsForTraining => true;

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.L1LossForward(_x.Data, _target.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor != Output;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.L1LossBackward(_x.Data, _target.Data, dy, Gradient(_x, out bool accumulate), accumulate);
}
