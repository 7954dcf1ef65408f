using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// ShuffleNetV2 (Ma et al., arXiv 1807.11164), torchvision's form and keys: <c>conv1.{0,1}</c>, <c>stageS.0.branch1.{0,1,2,3}</c>,
/// <c>stageS.u.branch2.{0,1,3,4,5,6}</c>, <c>conv5.{0,1}</c>, <c>fc</c>. Channels are shuffled at the end of every unit.
/// </summary>
/// <remarks>The variant for small images has a stem without stride and no max pool. PyTorch's default initial values.</remarks>
public sealed class ShuffleNetV2 : Model
{
    private static readonly int[] Units = [4, 8, 4];

    private readonly bool _small;

    /// <param name="spec">What it is.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="stages">Output channels of the three stages.</param>
    /// <param name="last">Channels of the last convolution.</param>
    internal ShuffleNetV2(ModelSpec spec, Initializer init, int[] stages, int last)
        : base(spec)
    {
        _small = spec.SmallImages;
        int channels = Even(24);
        Add("conv1", new Sequential([.. ConvNormReLU(init, spec.InChannels, channels, 3, _small ? 1 : 2)]));
        for (int s = 0; s < stages.Length; s++)
        {
            int next = Even(stages[s]);
            List<Module> stage = [new Unit(init, channels, next, 2)];
            for (int u = 1; u < Units[s]; u++) stage.Add(new Unit(init, next, next, 1));
            Add($"stage{s + 2}", new Sequential([.. stage]));
            channels = next;
        }
        Add("conv5", new Sequential([.. ConvNormReLU(init, channels, Even(last), 1)]));
        Add("fc", new Linear(init, Even(last), spec.Classes));

        int Even(int c) => 2 * Math.Max(4, (int)(c * spec.Width / 2));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("conv1").Forward(x);
        if (!_small) y = Parts.Next(y, y.MaxPool2d(3, 2, 1, Name));
        foreach (string part in (ReadOnlySpan<string>)["stage2", "stage3", "stage4", "conv5"]) y = Parts.Next(y, Child(part).Forward(y));
        return Child("fc").Forward(Parts.Pooled(y, Name));
    }

    private static Module[] ConvNorm(Initializer init, int cin, int cout, int k, int stride = 1, int groups = 1) =>
        [new Conv2d(init, cin, cout, k, stride, k / 2, groups: groups, bias: false), new BatchNorm2d(init, cout)];

    private static Module[] ConvNormReLU(Initializer init, int cin, int cout, int k, int stride = 1) =>
        [.. ConvNorm(init, cin, cout, k, stride), new Layers.Activation(ActivationKind.ReLU)];

    /// <summary>Two branches side by side, then a shuffle: with stride both see the whole input, without the first is half the input as it is.</summary>
    private sealed class Unit : Module
    {
        private readonly bool _splits;

        public Unit(Initializer init, int cin, int cout, int stride)
        {
            _splits = stride == 1;
            int half = cout / 2;
            if (!_splits) Add("branch1", new Sequential([.. ConvNorm(init, cin, cin, 3, stride, groups: cin), .. ConvNormReLU(init, cin, half, 1)]));
            Add("branch2", new Sequential([.. ConvNormReLU(init, _splits ? half : cin, half, 1), .. ConvNorm(init, half, half, 3, stride, groups: half),
                .. ConvNormReLU(init, half, half, 1)]));
        }

        public override Tensor Forward(Tensor x)
        {
            int half = x.Shape[-1] / 2;
            var left = _splits ? x.SliceChannels(0, half) : Child("branch1").Forward(x);
            var right = _splits ? x.SliceChannels(half, half) : x;
            var result = Child("branch2").Forward(right);
            if (_splits) Tape.Current.Release(right);
            var shuffled = TensorOps.Interleave(left, result, Name);
            Tape.Current.Release(left);
            Tape.Current.Release(result);
            return shuffled;
        }
    }
}
