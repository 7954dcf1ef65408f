using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// FasterNet (Chen et al., arXiv 2303.03667), the form and keys of its authors' code: <c>patch_embed.{proj,norm}</c>,
/// <c>stages.{0,2,4,6}.blocks.b.{mlp.0,mlp.1,mlp.3,spatial_mixing.partial_conv3}</c>, <c>stages.{1,3,5}.{reduction,norm}</c>, <c>avgpool_pre_head.1</c>, <c>head</c>.
/// Its spatial convolutions see a quarter of the channels and leave the others as they are.
/// </summary>
/// <remarks>The variant for small images has a 3×3 stem without stride in place of 4×4 patches.</remarks>
public sealed class FasterNet : Model
{
    private const int HeadChannels = 1280;

    /// <param name="spec">What it is.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="channels">Channels of the first stage; each further one has twice as many.</param>
    /// <param name="depths">Blocks of each stage.</param>
    /// <param name="activation">Everywhere in the network.</param>
    /// <param name="drop">Probability that a sample goes without the last block; less before it, none for the first.</param>
    internal FasterNet(ModelSpec spec, Initializer init, int channels, int[] depths, ActivationKind activation, double drop)
        : base(spec)
    {
        channels = Zoo.MultipleOf8(channels * spec.Width);
        int block = 0, blocks = depths.Sum();
        Add("patch_embed", spec.SmallImages
            ? new Patches("proj", init, Conv(init, spec.InChannels, channels, 3, 1, padding: 1))
            : new Patches("proj", init, Conv(init, spec.InChannels, channels, 4, 4)));
        List<Module> stages = [];
        foreach (int depth in depths)
        {
            if (stages.Count > 0)
            {
                stages.Add(new Patches("reduction", init, Conv(init, channels, 2 * channels, 2, 2)));
                channels *= 2;
            }
            List<Module> stage = [];
            for (int i = 0; i < depth; i++, block++) stage.Add(new Block(init, channels, activation, drop * block / (blocks - 1)));
            stages.Add(new Stage(new Sequential([.. stage])));
        }
        Add("stages", new Sequential([.. stages]));
        Add("avgpool_pre_head", new Sequential(new GlobalAvgPool2d(), Conv(init, channels, HeadChannels, 1, 1), new Layers.Activation(activation)));
        var head = Add("head", new Linear(init, HeadChannels, spec.Classes));
        Initializer.Normal(head.Weight, Deviation, init.NextStream());
        init.Device.Kernels.Fill(head.Bias!.Data, 0);
    }

    // The authors cut the normal distribution at ±2, a hundred deviations out: at nothing.
    private const double Deviation = 0.02;

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("patch_embed").Forward(x);
        y = Parts.Next(y, Child("stages").Forward(y));
        y = Parts.Next(y, Child("avgpool_pre_head").Forward(y));
        return Child("head").Forward(y.Flatten());
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int padding = 0)
    {
        var conv = new Conv2d(init.Device, cin, cout, (k, k), new Conv2dOptions(stride, padding, 1, 1), bias: false);
        Initializer.Normal(conv.Weight, Deviation, init.NextStream());
        return conv;
    }

    /// <summary>Patches of pixels that become one, and a norm.</summary>
    private sealed class Patches : Module
    {
        private readonly string _conv;

        public Patches(string name, Initializer init, Conv2d conv)
        {
            Add(_conv = name, conv);
            Add("norm", new BatchNorm2d(init, conv.OutChannels));
        }

        public override Tensor Forward(Tensor x) => ConvNorm.Forward(Child(_conv), Child("norm"), x, ActivationKind.Identity);
    }

    private sealed class Stage : Module
    {
        public Stage(Sequential blocks) => Add("blocks", blocks);

        public override Tensor Forward(Tensor x) => Child("blocks").Forward(x);
    }

    /// <summary>A partial convolution and two 1×1 convolutions, with a skip connection.</summary>
    private sealed class Block : Module
    {
        public Block(Initializer init, int channels, ActivationKind activation, double drop)
        {
            Add("drop_path", new StochasticDepth(init, drop));
            Add("mlp", new Sequential(
                Conv(init, channels, 2 * channels, 1, 1), new BatchNorm2d(init, 2 * channels), new Layers.Activation(activation), Conv(init, 2 * channels, channels, 1, 1)));
            Add("spatial_mixing", new PartialConv(init, channels));
        }

        public override Tensor Forward(Tensor x)
        {
            var drop = (StochasticDepth)Child("drop_path");
            var mlp = (Sequential)Child("mlp");
            var mixed = Child("spatial_mixing").Forward(x);
            if (!drop.IsActive) return Parts.Next(mixed, mlp.Forward(mixed, x));
            var y = Parts.Next(mixed, mlp.Forward(mixed));
            y = Parts.Next(y, drop.Forward(y));
            return Parts.Next(y, y.Add(x, Name));
        }
    }

    /// <summary>A 3×3 convolution of the first quarter of the channels.</summary>
    private sealed class PartialConv : Module
    {
        public PartialConv(Initializer init, int channels) => Add("partial_conv3", Conv(init, channels / 4, channels / 4, 3, 1, padding: 1));

        public override Tensor Forward(Tensor x)
        {
            var part = x.SliceChannels(0, x.Shape[-1] / 4);
            part = Parts.Next(part, Child("partial_conv3").Forward(part));
            return Parts.Next(part, x.ReplaceChannels(part, name: Name));
        }
    }
}
