using RefConv.Kernels;

namespace RefConv;

/// <summary>
/// A gradient that is cheaper to use than to write down: large, and computed from little. Whoever reads it as memory gets it as memory; an optimiser can use
/// it directly. Disposing gives back what it needs.
/// </summary>
public abstract class DeferredGradient : IDisposable
{
    /// <summary>Computes the gradient.</summary>
    /// <param name="gradient">In the memory order of the tensor.</param>
    public abstract void WriteTo(BufferView gradient);

    /// <summary>Computes the gradient and takes a step with it, in one pass. It stays as it is: it does not depend on the weights that are moved.</summary>
    /// <param name="step">Constants of the step.</param>
    /// <param name="weight">The tensor's elements.</param>
    /// <param name="velocity">Its velocity, or empty without momentum.</param>
    public abstract void Step(in SgdStepGeometry step, BufferView weight, BufferView velocity);

    /// <inheritdoc/>
    public abstract void Dispose();
}
