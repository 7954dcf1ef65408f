using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// MobileNetV3 as the authors of RefConv trained it, with the keys of their repository: <c>features.0.{0,1}</c>, <c>features.i.conv.{0,1,3,4,7,8}</c>
/// (expansion, depthwise, projection, each with its norm), <c>features.i.conv.5.fc.{0,2}</c> (squeeze-excitation), two 1×1 convolutions as head, the second
/// with bias and after the mean, <c>classifier.1</c>.
/// </summary>
/// <remarks>
/// What differs from <see cref="MobileNetV3"/>: every block has an expansion; squeeze-excitation stands between the depthwise norm and the activation, and is
/// two linear layers without bias; norms have PyTorch's ε; dropout 0.8; widths are rounded up; PyTorch's default initial values.
/// </remarks>
public sealed class MobileNetV3RefConv : Model
{
    internal MobileNetV3RefConv(ModelSpec spec, Initializer init, MobileNetV3.Row[] rows)
        : base(spec)
    {
        int channels = Scaled(16);
        List<Module> features =
            [new Sequential(Conv(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2), new BatchNorm2d(init, channels), new Layers.Activation(ActivationKind.Hardswish))];
        bool keepsSize = spec.SmallImages;
        foreach (var row in rows)
        {
            int stride = keepsSize ? 1 : row.Stride;
            if (row.Stride > 1) keepsSize = false;
            int next = Scaled(row.Channels);
            features.Add(new Block(init, row, channels, Scaled(row.Expansion), next, stride));
            channels = next;
        }
        int last = Scaled(rows[^1].Expansion), head = Scaled(1280);
        features.AddRange(
        [
            new Sequential(Conv(init, channels, last, 1, 1), new BatchNorm2d(init, last), new Layers.Activation(ActivationKind.Hardswish)),
            new GlobalAvgPool2d(), new Conv2d(init, last, head, 1), new Layers.Activation(ActivationKind.Hardswish),
        ]);
        Add("features", new Sequential([.. features]));
        Add("classifier", new Sequential(new Dropout(init, 0.8), new Linear(init, head, spec.Classes)));

        int Scaled(int c) => (int)Math.Ceiling(c * spec.Width / 8) * 8;
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Child("classifier").Forward(Child("features").Forward(x).Flatten());

    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int groups = 1) =>
        new(init, cin, cout, k, stride, k / 2, groups: groups, bias: false);

    /// <summary>1×1 expansion, depthwise, 1×1 linear projection, and a skip connection where the shape allows one.</summary>
    private sealed class Block : Module
    {
        private readonly bool _skip;

        public Block(Initializer init, MobileNetV3.Row row, int cin, int hidden, int cout, int stride)
        {
            _skip = stride == 1 && cin == cout;
            Add("conv", new Sequential(
                Conv(init, cin, hidden, 1, 1), new BatchNorm2d(init, hidden), new Layers.Activation(row.Activation),
                Conv(init, hidden, hidden, row.Kernel, stride, hidden), new BatchNorm2d(init, hidden),
                row.Squeezes ? new LinearSqueezeExcitation(init, hidden) : new Identity(), new Layers.Activation(row.Activation),
                Conv(init, hidden, cout, 1, 1), new BatchNorm2d(init, cout)));
        }

        public override Tensor Forward(Tensor x) => ((Sequential)Child("conv")).Forward(x, _skip ? x : null);
    }

    /// <summary>Squeeze-excitation of linear layers without bias.</summary>
    private sealed class LinearSqueezeExcitation : Module
    {
        public LinearSqueezeExcitation(Initializer init, int channels) => Add("fc", new Sequential(
            new Linear(init, channels, channels / 4, bias: false), new Layers.Activation(ActivationKind.ReLU),
            new Linear(init, channels / 4, channels, bias: false), new Layers.Activation(ActivationKind.Hardsigmoid)));

        public override Tensor Forward(Tensor x)
        {
            var gate = Child("fc").Forward(x.GlobalAvgPool2d(Name).Flatten());
            return x.Multiply(gate.Reshape(new Shape(gate.Shape[0], 1, 1, gate.Shape[1])), Name);
        }
    }
}
