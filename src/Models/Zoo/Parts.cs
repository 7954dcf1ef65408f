using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>What several architectures are made of, with the initial values that torchvision gives it.</summary>
internal static class Parts
{
    /// <summary>A convolution with "same" padding, Kaiming-normal over its outputs, its bias (if it has one) 0.</summary>
    public static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride = 1, int groups = 1, bool bias = false)
    {
        var conv = new Conv2d(init.Device, cin, cout, (k, k), new Conv2dOptions(stride, k / 2, 1, groups), bias);
        Initializer.KaimingNormalFanOut(conv.Weight, init.NextStream());
        return conv;
    }

    /// <summary>Convolution, norm and activation in a chain (torchvision's <c>Conv2dNormActivation</c>); without the last if it is the identity.</summary>
    public static Sequential ConvNormActivation(Initializer init, int cin, int cout, int k, int stride, int groups, ActivationKind activation,
        double eps = 1e-5, double momentum = 0.1)
    {
        var conv = Conv(init, cin, cout, k, stride, groups);
        var norm = new BatchNorm2d(init, cout, eps, momentum);
        return activation == ActivationKind.Identity ? new(conv, norm) : new(conv, norm, new Layers.Activation(activation));
    }

    /// <summary>A linear layer, N(0, 0.01) with bias 0.</summary>
    public static Linear Linear(Initializer init, int inFeatures, int outFeatures, int height = 1, int width = 1)
    {
        var linear = new Linear(init, inFeatures, outFeatures, height: height, width: width);
        Initializer.Normal(linear.Weight, 0.01, init.NextStream());
        init.Device.Kernels.Fill(linear.Bias!.Data, 0);
        return linear;
    }

    /// <summary>Squeeze-excitation with the initial values of the convolutions around it.</summary>
    public static SqueezeExcitation SqueezeExcitation(Initializer init, int channels, int squeeze, ActivationKind activation, ActivationKind gate)
    {
        var se = new SqueezeExcitation(init, channels, squeeze, activation, gate);
        foreach (var (_, part) in se.Children)
        {
            var conv = (Conv2d)part;
            Initializer.KaimingNormalFanOut(conv.Weight, init.NextStream());
            init.Device.Kernels.Fill(conv.Bias!.Data, 0);
        }
        return se;
    }

    /// <summary>A map averaged over its pixels, [n, channels]. The map is given back.</summary>
    public static Tensor Pooled(Tensor map, string name)
    {
        var pooled = map.GlobalAvgPool2d(name);
        Tape.Current.Release(map);
        return pooled.Flatten();
    }

    /// <summary>The next tensor of a chain: the one before is given back.</summary>
    public static Tensor Next(Tensor before, Tensor after)
    {
        if (before.HeldIn != after.HeldIn) Tape.Current.Release(before);
        return after;
    }
}
