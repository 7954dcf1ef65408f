using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// ResNet (He et al., arXiv 1512.03385), torchvision's form and keys: <c>conv1, bn1, layerL.b.{conv1,bn1,conv2,bn2[,conv3,bn3]}</c>,
/// <c>layerL.0.downsample.{0,1}</c>, <c>fc</c>. The stride of a bottleneck is that of its 3×3 convolution.
/// </summary>
/// <remarks>
/// The variant for small images has a 3×3 stem without stride and no max pool; ResNets made for CIFAR are never anything else. They have three stages, and
/// 1×1 convolutions where the shape changes (the paper pads channels with zeros, its option A; with a projection, its option B, all blocks are alike).
/// </remarks>
public sealed class ResNet : Model
{
    private readonly bool _small;

    private ResNet(ModelSpec spec, Initializer init, int stem, int[] blocks, bool bottleneck, bool small)
        : base(spec)
    {
        _small = small;
        int channels = Scaled(stem);
        Add("conv1", _small ? Parts.Conv(init, spec.InChannels, channels, 3) : Parts.Conv(init, spec.InChannels, channels, 7, 2));
        Add("bn1", new BatchNorm2d(init, channels));
        for (int stage = 0; stage < blocks.Length; stage++)
        {
            int width = Scaled(stem << stage), next = bottleneck ? Bottleneck.Expansion * width : width;
            List<Module> layer = [];
            for (int b = 0; b < blocks[stage]; b++)
            {
                int stride = b == 0 && stage > 0 ? 2 : 1;
                layer.Add(bottleneck ? new Bottleneck(init, channels, width, stride) : new BasicBlock(init, channels, width, stride));
                channels = next;
            }
            Add($"layer{stage + 1}", new Sequential([.. layer]));
        }
        Add("fc", new Linear(init, channels, spec.Classes));

        int Scaled(int c) => Math.Max(8, (int)(c * spec.Width));
    }

    /// <summary>Four stages of 64, 128, 256 and 512 channels: ResNet-18 and its like.</summary>
    internal static ResNet ForImageNet(ModelSpec spec, Initializer init, int[] blocks, bool bottleneck = false) => new(spec, init, 64, blocks, bottleneck, spec.SmallImages);

    /// <summary>Three stages of 16, 32 and 64 channels: section 4.2 of the paper.</summary>
    internal static ResNet ForCifar(ModelSpec spec, Initializer init, int blocks, bool bottleneck = false) => new(spec, init, 16, [blocks, blocks, blocks], bottleneck, small: true);

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = ConvNorm.Forward(Child("conv1"), Child("bn1"), x, ActivationKind.ReLU);
        if (!_small) y = Parts.Next(y, y.MaxPool2d(3, 2, 1, Name));
        foreach (var (_, part) in Children)
        {
            if (part is Sequential layer) y = Parts.Next(y, layer.Forward(y));
        }
        return Child("fc").Forward(Parts.Pooled(y, Name));
    }

    /// <summary>A 1×1 convolution beside a block that changes the shape.</summary>
    private static Sequential Downsample(Initializer init, int cin, int cout, int stride) => new(Parts.Conv(init, cin, cout, 1, stride), new BatchNorm2d(init, cout));

    /// <summary>Two 3×3 convolutions and a skip connection, 1×1 where the shape changes.</summary>
    private sealed class BasicBlock : Module
    {
        private readonly bool _downsample;

        public BasicBlock(Initializer init, int cin, int cout, int stride)
        {
            _downsample = stride != 1 || cin != cout;
            Add("conv1", Parts.Conv(init, cin, cout, 3, stride));
            Add("bn1", new BatchNorm2d(init, cout));
            Add("conv2", Parts.Conv(init, cout, cout, 3));
            Add("bn2", new BatchNorm2d(init, cout));
            if (_downsample) Add("downsample", Downsample(init, cin, cout, stride));
        }

        public override Tensor Forward(Tensor x)
        {
            var tape = Tape.Current;
            var skip = _downsample ? Child("downsample").Forward(x) : x;
            var a = ConvNorm.Forward(Child("conv1"), Child("bn1"), x, ActivationKind.ReLU);
            var y = ConvNorm.Forward(Child("conv2"), Child("bn2"), a, ActivationKind.ReLU, skip);
            tape.Release(a);
            if (_downsample) tape.Release(skip);
            return y;
        }
    }

    /// <summary>1×1 to fewer channels, 3×3, 1×1 to four times as many, and a skip connection, 1×1 where the shape changes.</summary>
    private sealed class Bottleneck : Module
    {
        public const int Expansion = 4;

        private readonly bool _downsample;

        public Bottleneck(Initializer init, int cin, int width, int stride)
        {
            int cout = Expansion * width;
            _downsample = stride != 1 || cin != cout;
            Add("conv1", Parts.Conv(init, cin, width, 1));
            Add("bn1", new BatchNorm2d(init, width));
            Add("conv2", Parts.Conv(init, width, width, 3, stride));
            Add("bn2", new BatchNorm2d(init, width));
            Add("conv3", Parts.Conv(init, width, cout, 1));
            Add("bn3", new BatchNorm2d(init, cout));
            if (_downsample) Add("downsample", Downsample(init, cin, cout, stride));
        }

        public override Tensor Forward(Tensor x)
        {
            var skip = _downsample ? Child("downsample").Forward(x) : x;
            var a = ConvNorm.Forward(Child("conv1"), Child("bn1"), x, ActivationKind.ReLU);
            a = Parts.Next(a, ConvNorm.Forward(Child("conv2"), Child("bn2"), a, ActivationKind.ReLU));
            var y = ConvNorm.Forward(Child("conv3"), Child("bn3"), a, ActivationKind.ReLU, skip);
            Tape.Current.Release(a);
            if (_downsample) Tape.Current.Release(skip);
            return y;
        }
    }
}
