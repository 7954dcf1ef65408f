using RefConv.Kernels;
using RefConv.Optim;

namespace RefConv.Models.Train;

/// <summary>Where the scaling of the loss stands; part of a run's state.</summary>
/// <param name="Scale">What the loss is multiplied by.</param>
/// <param name="GoodSteps">Steps since it last changed.</param>
/// <param name="Skipped">Steps that changed no weight, because a gradient was no finite number.</param>
public sealed record LossScaling(double Scale = LossScaling.First, int GoodSteps = 0, int Skipped = 0)
{
    internal const double First = 65536;

    /// <summary>The state after a step.</summary>
    /// <param name="finite">All its gradients were finite numbers.</param>
    internal LossScaling After(bool finite) => finite switch
    {
        false => new(Scale / 2, 0, Skipped + 1),
        true when GoodSteps + 1 == LossScaler.GrowthInterval => new(Scale * 2, 0, Skipped),
        true => this with { GoodSteps = GoodSteps + 1 },
    };
}

/// <summary>
/// Keeps gradients inside what a half can hold (6e-8 to 65504), where factors of products are halves (<c>--precision fp16</c>): the backward pass starts from the loss times a number, and
/// the weights' gradients are divided by it. If one of them is infinite or NaN the number was too large: the step changes nothing and the number is halved. After 2000 good steps it
/// is doubled. It is a power of two, so nothing is rounded by it. As <c>torch.cuda.amp.GradScaler</c>, of which it has the constants.
/// </summary>
/// <remarks>One number is read from the device in every step: whether a step counts has to be known before the next one.</remarks>
internal sealed class LossScaler
{
    public const int GrowthInterval = 2000;

    public LossScaler(LossScaling? state) => State = state ?? new LossScaling();

    public LossScaling State { get; private set; }

    /// <summary>A scaler for training on this device; null where none is needed.</summary>
    public static LossScaler? For(Device device, LossScaling? state) => device.NeedsLossScaling ? new(state) : null;

    /// <summary>The backward pass of scale · loss.</summary>
    public void Backward(Tape tape, Tensor loss)
    {
        using var scale = Tensor.Full(loss.Device, loss.Shape, State.Scale);
        tape.Backward(loss, scale);
    }

    /// <summary>Divides the gradients by the scale again.</summary>
    /// <returns>False if the step has to be left out: then the gradients are cleared.</returns>
    /// <exception cref="DivergedException">Gradients overflow though the loss is not scaled any more.</exception>
    public bool Unscale(IOptimizer optimizer)
    {
        double norm = GradientClipping.Scale(optimizer.Groups.SelectMany(g => g.Parameters).Select(p => p.Parameter), 1 / State.Scale);
        bool finite = double.IsFinite(norm);
        if (!finite && State.Scale <= 1)
            throw new DivergedException("Gradients are no finite numbers in half precision, even with a loss that is not scaled: training diverged and was stopped. Use --precision fp32, tf32 or bf16, or a lower learning rate (--lr).");
        State = State.After(finite);
        if (!finite) optimizer.ZeroGrad();
        return finite;
    }
}
