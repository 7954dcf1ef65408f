using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// ShuffleNetV1 (Zhang et al., arXiv 1707.01083), the form and keys of its authors' code: <c>first_conv.{0,1}</c>, <c>features.i.branch_main_1.{0,1,3,4}</c>,
/// <c>features.i.branch_main_2.{0,1}</c>, <c>classifier.0</c> (no bias).
/// </summary>
/// <remarks>
/// As in their code, and other than in the paper, channels are shuffled after the depthwise convolution, by the inverse of the usual permutation.
/// The variant for small images has a stem without stride and no max pool.
/// </remarks>
public sealed class ShuffleNetV1 : Model
{
    private static readonly int[] Units = [4, 8, 4];

    private readonly bool _small;

    /// <param name="spec">What it is.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="groups">Groups of the 1×1 convolutions.</param>
    /// <param name="stem">Output channels of the first convolution.</param>
    /// <param name="stages">Output channels of the three stages.</param>
    internal ShuffleNetV1(ModelSpec spec, Initializer init, int groups, int stem, int[] stages)
        : base(spec)
    {
        _small = spec.SmallImages;
        int channels = Divisible(stem, groups);
        Add("first_conv", new Sequential(Conv(init, spec.InChannels, channels, 3, _small ? 1 : 2, 1, deviation: 0.01), Norm(init, channels), new Layers.Activation(ActivationKind.ReLU)));
        List<Module> features = [];
        for (int s = 0; s < stages.Length; s++)
        {
            int next = Divisible(stages[s], 4 * groups);
            for (int u = 0; u < Units[s]; u++)
            {
                features.Add(new Unit(init, channels, next, u == 0 ? 2 : 1, groups, first: features.Count == 0));
                channels = next;
            }
        }
        Add("features", new Sequential([.. features]));
        var classifier = new Linear(init, channels, spec.Classes, bias: false);
        Initializer.Normal(classifier.Weight, 0.01, init.NextStream());
        Add("classifier", new Sequential(classifier));

        int Divisible(int c, int divisor) => Math.Max(1, (int)(c * spec.Width / divisor)) * divisor;
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("first_conv").Forward(x);
        if (!_small) y = Parts.Next(y, y.MaxPool2d(3, 2, 1, Name));
        return Child("classifier").Forward(Parts.Pooled(Parts.Next(y, Child("features").Forward(y)), Name));
    }

    /// <summary>N(0, 1/(inputs of a group)) but for the first.</summary>
    private static Conv2d Conv(Initializer init, int cin, int cout, int k, int stride, int groups, double? deviation = null)
    {
        var conv = new Conv2d(init.Device, cin, cout, (k, k), new Conv2dOptions(stride, k / 2, 1, groups), bias: false);
        Initializer.Normal(conv.Weight, deviation ?? (double)groups / cin, init.NextStream());
        return conv;
    }

    private static BatchNorm2d Norm(Initializer init, int channels)
    {
        var norm = new BatchNorm2d(init, channels);
        init.Device.Kernels.Fill(norm.Bias.Data, 1e-4);
        return norm;
    }

    /// <summary>1×1 in groups, depthwise, shuffle, 1×1 in groups; added to the input, or, with stride, beside its average.</summary>
    private sealed class Unit : Module
    {
        private readonly bool _strided;
        private readonly int _shuffle;

        public Unit(Initializer init, int cin, int cout, int stride, int groups, bool first)
        {
            _strided = stride == 2;
            int middle = cout / 4, computed = _strided ? cout - cin : cout;
            _shuffle = middle / groups; // [middle/groups, groups] transposed: the inverse of the usual shuffle in groups
            Add("branch_main_1", new Sequential(
                Conv(init, cin, middle, 1, 1, first ? 1 : groups), Norm(init, middle), new Layers.Activation(ActivationKind.ReLU),
                Conv(init, middle, middle, 3, stride, middle), Norm(init, middle)));
            Add("branch_main_2", new Sequential(Conv(init, middle, computed, 1, 1, groups), Norm(init, computed)));
        }

        public override Tensor Forward(Tensor x)
        {
            var middle = Child("branch_main_1").Forward(x);
            middle = Parts.Next(middle, middle.ChannelShuffle(_shuffle, Name));
            var y = ConvNorm.Forward(Find("branch_main_2.0"), Find("branch_main_2.1"), middle, ActivationKind.ReLU, _strided ? null : x);
            Tape.Current.Release(middle);
            if (!_strided) return y;
            var average = x.AvgPool2d(3, 2, 1, name: Name);
            var both = TensorOps.Concat(average, y);
            Tape.Current.Release(average);
            return Parts.Next(y, both);
        }
    }
}
