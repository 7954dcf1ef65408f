using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// ConvNeXt (Liu et al., arXiv 2201.03545), torchvision's form and keys: <c>features.0.{0,1}</c>, <c>features.{1,3,5,7}.b.{layer_scale,block.0,block.2,block.3,block.5}</c>,
/// <c>features.{2,4,6}.{0,1}</c>, <c>classifier.{0,2}</c>. Layer norms only: its convolutions have biases, which a refocused one keeps and trains.
/// </summary>
/// <remarks>The variant for small images has a 3×3 stem without stride in place of 4×4 patches.</remarks>
public sealed class ConvNeXt : Model
{
    private const double Eps = 1e-6, LayerScale = 1e-6;

    // torchvision cuts the normal distribution at ±2, a hundred deviations out: at nothing.
    private const double Deviation = 0.02;

    /// <param name="spec">What it is.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="stages">Channels and blocks of each stage.</param>
    /// <param name="drop">Probability that an image goes without the last block; less before it, none for the first.</param>
    internal ConvNeXt(ModelSpec spec, Initializer init, (int Channels, int Blocks)[] stages, double drop)
        : base(spec)
    {
        int channels = Scaled(stages[0].Channels), block = 0, blocks = stages.Sum(s => s.Blocks);
        var stem = spec.SmallImages ? Conv(init, spec.InChannels, channels, 3, 1, padding: 1) : Conv(init, spec.InChannels, channels, 4, 4);
        List<Module> features = [new Sequential(stem, new LayerNorm(init, channels, Eps))];
        foreach (var (width, count) in stages)
        {
            int next = Scaled(width);
            if (features.Count > 1) features.Add(new Sequential(new LayerNorm(init, channels, Eps), Conv(init, channels, next, 2, 2)));
            channels = next;
            List<Module> stage = [];
            for (int b = 0; b < count; b++, block++) stage.Add(new Block(init, channels, drop * block / (blocks - 1)));
            features.Add(new Sequential([.. stage]));
        }
        Add("features", new Sequential([.. features]));
        Add("classifier", new Sequential(new LayerNorm(init, channels, Eps), new Flatten(), Linear(init, channels, spec.Classes)));

        int Scaled(int c) => Zoo.MultipleOf8(c * spec.Width);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var features = Child("features").Forward(x);
        return Child("classifier").Forward(Parts.Next(features, features.GlobalAvgPool2d(Name)));
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int padding = 0, int groups = 1)
    {
        var conv = new Conv2d(init.Device, cin, cout, (k, k), new Conv2dOptions(stride, padding, 1, groups), bias: true);
        Initializer.Normal(conv.Weight, Deviation, init.NextStream());
        return conv;
    }

    private static Linear Linear(Initializer init, int inFeatures, int outFeatures)
    {
        var linear = new Linear(init, inFeatures, outFeatures);
        Initializer.Normal(linear.Weight, Deviation, init.NextStream());
        init.Device.Kernels.Fill(linear.Bias!.Data, 0);
        return linear;
    }

    /// <summary>7×7 depthwise, norm, and two linear layers over every pixel's channels; scaled, and added to the input.</summary>
    private sealed class Block : Module
    {
        public Block(Initializer init, int channels, double drop)
        {
            // [channels, 1, 1] in files; here it multiplies maps whose channels come last.
            var layout = new ParameterLayout(new Shape(channels, 1, 1), new Shape(1, 1, 1, channels), [0, 1, 2, 3]);
            init.Device.Kernels.Fill(Add("layer_scale", new Parameter(init.Device, layout)).Data, LayerScale);
            // torchvision permutes to channels-last and back at 1 and 6; here there is nothing to do.
            Add("block", new Sequential(
                Conv(init, channels, channels, 7, 1, padding: 3, groups: channels), new Identity(), new LayerNorm(init, channels, Eps),
                Linear(init, channels, 4 * channels), new Layers.Activation(ActivationKind.GELU), Linear(init, 4 * channels, channels), new Identity()));
            Add("stochastic_depth", new StochasticDepth(init, drop));
        }

        public override Tensor Forward(Tensor x)
        {
            var y = Child("block").Forward(x);
            y = Parts.Next(y, y.Multiply(Parameter("layer_scale"), Name));
            y = Parts.Next(y, Child("stochastic_depth").Forward(y));
            return Parts.Next(y, y.Add(x, Name));
        }
    }
}
