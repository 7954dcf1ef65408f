using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// ResNet of basic blocks (He et al., arXiv 1512.03385), torchvision's form and keys: <c>conv1, bn1, layerL.b.{conv1,bn1,conv2,bn2}</c>,
/// <c>layerL.0.downsample.{0,1}</c>, <c>fc</c>.
/// </summary>
/// <remarks>The variant for small images has a 3×3 stem without stride and no max pool.</remarks>
public sealed class ResNet : Model
{
    private readonly bool _small;

    internal ResNet(ModelSpec spec, Initializer init, int[] blocks)
        : base(spec)
    {
        _small = spec.SmallImages;
        int channels = Scaled(64);
        Add("conv1", _small ? Conv(init, spec.InChannels, channels, 3, 1) : Conv(init, spec.InChannels, channels, 7, 2));
        Add("bn1", new BatchNorm2d(init, channels));
        for (int stage = 0; stage < blocks.Length; stage++)
        {
            int next = Scaled(64 << stage);
            List<Module> layer = [];
            for (int b = 0; b < blocks[stage]; b++)
            {
                layer.Add(new BasicBlock(init, channels, next, b == 0 && stage > 0 ? 2 : 1));
                channels = next;
            }
            Add($"layer{stage + 1}", new Sequential([.. layer]));
        }
        Add("fc", new Linear(init, channels, spec.Classes));

        int Scaled(int c) => Math.Max(8, (int)(c * spec.Width));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var tape = Tape.Current;
        var y = ConvNorm.Forward(Child("conv1"), Child("bn1"), x, ActivationKind.ReLU);
        if (!_small)
        {
            var stem = y;
            y = stem.MaxPool2d(3, 2, 1, Name);
            tape.Release(stem);
        }
        for (int stage = 1; stage <= 4; stage++)
        {
            var before = y;
            y = Child($"layer{stage}").Forward(before);
            tape.Release(before);
        }
        var pooled = y.GlobalAvgPool2d(Name);
        tape.Release(y);
        return Child("fc").Forward(pooled.Flatten());
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride)
    {
        var conv = new Conv2d(init, cin, cout, k, stride, k / 2, bias: false);
        Initializer.KaimingNormalFanOut(conv.Weight, init.NextStream());
        return conv;
    }

    /// <summary>Two 3×3 convolutions and a skip connection, 1×1 where the shape changes.</summary>
    private sealed class BasicBlock : Module
    {
        private readonly bool _downsample;

        public BasicBlock(Initializer init, int cin, int cout, int stride)
        {
            _downsample = stride != 1 || cin != cout;
            Add("conv1", Conv(init, cin, cout, 3, stride));
            Add("bn1", new BatchNorm2d(init, cout));
            Add("conv2", Conv(init, cout, cout, 3, 1));
            Add("bn2", new BatchNorm2d(init, cout));
            if (_downsample) Add("downsample", new Sequential(Conv(init, cin, cout, 1, stride), new BatchNorm2d(init, cout)));
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
}
