using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>The pair at the heart of every network here, for models whose parts are not in a <see cref="Sequential"/>.</summary>
public static class ConvNorm
{
    /// <summary>act(norm(conv(x)) + residual), with as few passes over memory as possible.</summary>
    /// <param name="conv">A convolution or its training form.</param>
    /// <param name="norm">A batch norm; whatever else stands there is simply called.</param>
    /// <param name="x">Input.</param>
    /// <param name="activation">act</param>
    /// <param name="residual">Of the result's shape, or null.</param>
    public static Tensor Forward(Module conv, Module norm, Tensor x, ActivationKind activation, Tensor? residual = null)
    {
        var tape = Tape.Current;
        bool fused = norm is BatchNorm2d && activation is ActivationKind.Identity or ActivationKind.ReLU or ActivationKind.ReLU6;
        var y = norm is BatchNorm2d { Training: true } && conv is IConvolution c ? c.Forward(x, moments: true) : conv.Forward(x);
        if (norm is BatchNorm2d bn && fused)
        {
            var result = bn.Forward(y, activation, residual);
            tape.Release(y);
            return result;
        }
        var z = Replace(y, norm.Forward(y));
        if (residual != null) z = Replace(z, z.Add(residual, norm.Name));
        return activation == ActivationKind.Identity ? z : Replace(z, z.Activation(activation, norm.Name));

        Tensor Replace(Tensor old, Tensor next)
        {
            if (old.Data.Buffer != next.Data.Buffer) tape.Release(old);
            return next;
        }
    }
}
