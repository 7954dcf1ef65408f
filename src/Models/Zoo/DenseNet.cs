using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// DenseNet (Huang et al., arXiv 1608.06993), torchvision's form and keys: <c>features.{conv0,norm0}</c>,
/// <c>features.denseblockB.denselayerL.{norm1,conv1,norm2,conv2}</c>, <c>features.transitionT.{norm,conv}</c>, <c>features.norm5</c>, <c>classifier</c>.
/// Norm and activation stand before the convolutions.
/// </summary>
/// <remarks>The variant for small images has a 3×3 stem without stride and no max pool. The width multiplier scales the growth rate.</remarks>
public sealed class DenseNet : Model
{
    private const int BottleneckFactor = 4;

    internal DenseNet(ModelSpec spec, Initializer init, int[] blocks)
        : base(spec)
    {
        int growth = Math.Max(4, (int)(32 * spec.Width));
        Add("features", new Features(init, spec, growth, blocks));
        int channels = 2 * growth;
        for (int b = 0; b < blocks.Length; b++) channels = (channels / (b == 0 ? 1 : 2)) + (blocks[b] * growth);
        var classifier = Add("classifier", new Linear(init, channels, spec.Classes));
        init.Device.Kernels.Fill(classifier.Bias!.Data, 0);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Child("classifier").Forward(Parts.Pooled(Child("features").Forward(x), Name));

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride = 1)
    {
        var conv = new Conv2d(init.Device, cin, cout, (k, k), new Conv2dOptions(stride, k / 2, 1, 1), bias: false);
        Initializer.Normal(conv.Weight, Math.Sqrt(2.0 / conv.FanIn), init.NextStream());
        return conv;
    }

    /// <summary>ReLU(norm(x)), in one pass.</summary>
    private static Tensor NormReLU(Module norm, Tensor x) => norm is BatchNorm2d bn ? bn.Forward(x, ActivationKind.ReLU) : norm.Forward(x).Activation(ActivationKind.ReLU, norm.Name);

    /// <summary>Everything before the classifier. Parts have names of their own, not numbers.</summary>
    private sealed class Features : Module
    {
        private readonly bool _small;

        public Features(Initializer init, ModelSpec spec, int growth, int[] blocks)
        {
            _small = spec.SmallImages;
            int channels = 2 * growth;
            Add("conv0", _small ? Conv(init, spec.InChannels, channels, 3) : Conv(init, spec.InChannels, channels, 7, 2));
            Add("norm0", new BatchNorm2d(init, channels));
            for (int b = 1; b <= blocks.Length; b++)
            {
                Add($"denseblock{b}", new Block(init, channels, growth, blocks[b - 1]));
                channels += blocks[b - 1] * growth;
                if (b == blocks.Length) break;
                Add($"transition{b}", new Transition(init, channels));
                channels /= 2;
            }
            Add("norm5", new BatchNorm2d(init, channels));
        }

        public override Tensor Forward(Tensor x)
        {
            var y = ConvNorm.Forward(Child("conv0"), Child("norm0"), x, ActivationKind.ReLU);
            if (!_small) y = Parts.Next(y, y.MaxPool2d(3, 2, 1, Name));
            foreach (var (_, part) in Children)
            {
                if (part is Block or Transition) y = Parts.Next(y, part.Forward(y));
            }
            return Parts.Next(y, NormReLU(Child("norm5"), y));
        }
    }

    /// <summary>Every layer sees what all layers before it made.</summary>
    private sealed class Block : Module
    {
        public Block(Initializer init, int channels, int growth, int layers)
        {
            for (int l = 0; l < layers; l++) Add($"denselayer{l + 1}", new Layer(init, channels + (l * growth), growth));
        }

        public override Tensor Forward(Tensor x)
        {
            var y = x;
            foreach (var (_, layer) in Children)
            {
                var more = layer.Forward(y);
                var both = TensorOps.Concat(y, more);
                Tape.Current.Release(more);
                if (y != x) Tape.Current.Release(y);
                y = both;
            }
            return y;
        }
    }

    /// <summary>The new channels of one layer: norm, ReLU, 1×1 convolution, norm, ReLU, 3×3 convolution.</summary>
    private sealed class Layer : Module
    {
        public Layer(Initializer init, int channels, int growth)
        {
            Add("norm1", new BatchNorm2d(init, channels));
            Add("conv1", Conv(init, channels, BottleneckFactor * growth, 1));
            Add("norm2", new BatchNorm2d(init, BottleneckFactor * growth));
            Add("conv2", Conv(init, BottleneckFactor * growth, growth, 3));
        }

        public override Tensor Forward(Tensor x)
        {
            var a = NormReLU(Child("norm1"), x);
            a = Parts.Next(a, ConvNorm.Forward(Child("conv1"), Child("norm2"), a, ActivationKind.ReLU));
            return Parts.Next(a, Child("conv2").Forward(a));
        }
    }

    /// <summary>Half the channels, half the size.</summary>
    private sealed class Transition : Module
    {
        public Transition(Initializer init, int channels)
        {
            Add("norm", new BatchNorm2d(init, channels));
            Add("conv", Conv(init, channels, channels / 2, 1));
        }

        public override Tensor Forward(Tensor x)
        {
            var y = NormReLU(Child("norm"), x);
            y = Parts.Next(y, Child("conv").Forward(y));
            return Parts.Next(y, y.AvgPool2d(2, 2, name: Name));
        }
    }
}
