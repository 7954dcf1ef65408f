using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>The pair at the heart of every network here, for models whose parts are not in a <see cref="Sequential"/>.</summary>
public static class ConvNorm
{
    /// <summary>act(norm(conv(x)) + residual), with as few passes over memory as possible.</summary>
    /// <param name="conv">A convolution or its training form.</param>
    /// <param name="norm">A batch norm or what a method put in its place; whatever else stands there is simply called.</param>
    /// <param name="x">Input.</param>
    /// <param name="activation">act</param>
    /// <param name="residual">Of the result's shape, or null.</param>
    public static Tensor Forward(Module conv, Module norm, Tensor x, ActivationKind activation, Tensor? residual = null)
    {
        var tape = Tape.Current;
        if (CanFuse(activation) && norm is AbsorbedNorm && conv is INormalizedConvolution block) return block.Forward(x, activation, residual);
        var y = norm is INormalization { Training: true } && conv is IConvolution c ? c.Forward(x, moments: true) : conv.Forward(x);
        if (BatchNormGeometry.Fuses(activation, residual != null) && norm is INormalization n)
        {
            var result = n.Forward(y, activation, residual);
            tape.Release(y);
            return result;
        }
        var z = Replace(y, norm.Forward(y));
        if (residual != null) z = Replace(z, z.Add(residual, norm.Name));
        return activation == ActivationKind.Identity ? z : Replace(z, z.Activation(activation, norm.Name));

        Tensor Replace(Tensor old, Tensor next)
        {
            if (old.HeldIn != next.HeldIn) tape.Release(old);
            return next;
        }
    }

    /// <summary>Activations that training forms of several norms compute in their last pass, with and without a residual.</summary>
    internal static bool CanFuse(ActivationKind activation) => BatchNormGeometry.Fuses(activation, hasResidual: true);
}

/// <summary>A module that normalises channels, and can add a residual and apply an activation in the same pass.</summary>
public interface INormalization
{
    /// <summary>It uses the batch's statistics.</summary>
    bool Training { get; }

    /// <summary>act(norm(x) + residual)</summary>
    /// <param name="x">[…, channels]</param>
    /// <param name="activation">One that <see cref="BatchNormGeometry.Fuses"/>.</param>
    /// <param name="residual">Added before the activation; or null.</param>
    Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual);
}

/// <summary>A training form of a convolution with the batch norm behind it, which adds a residual and applies an activation in its last pass.</summary>
public interface INormalizedConvolution
{
    /// <summary>act(form(x) + residual)</summary>
    /// <param name="x">[n, h, w, in]</param>
    /// <param name="activation">Identity, ReLU or ReLU6.</param>
    /// <param name="residual">Added before the activation; or null.</param>
    Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual);
}
