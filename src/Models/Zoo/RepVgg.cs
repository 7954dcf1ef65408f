using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// RepVGG (Ding et al., arXiv 2101.03697) in its plain form: 3×3 convolutions with bias, each followed by ReLU, and nothing else. The keys are those of its
/// authors' deployed models: <c>stage0.rbr_reparam</c>, <c>stageS.b.rbr_reparam</c>, <c>linear</c>. What is trained has three branches with norms in place of
/// every convolution: that is the method, not the architecture. D2se has squeeze-excitation (<c>se.down</c>, <c>se.up</c>) between every convolution and its ReLU.
/// </summary>
/// <remarks>The variant for small images leaves out the strides of the first two stages.</remarks>
public sealed class RepVgg : Model
{
    /// <summary>Blocks of stages 1 to 4.</summary>
    internal static readonly int[] A = [2, 4, 14, 1], B = [4, 6, 16, 1], D = [8, 14, 24, 1];

    /// <param name="spec">What it is.</param>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="blocks"><see cref="A"/>, <see cref="B"/> or <see cref="D"/>.</param>
    /// <param name="a">Width of all stages but the last.</param>
    /// <param name="b">Width of the last stage.</param>
    /// <param name="groups">Groups of every second convolution.</param>
    /// <param name="squeeze">With squeeze-excitation, whose middle has a sixteenth of the channels.</param>
    internal RepVgg(ModelSpec spec, Initializer init, int[] blocks, double a, double b, int groups = 1, bool squeeze = false)
        : base(spec)
    {
        int channels = Zoo.MultipleOf8(Math.Min(64, 64 * a) * spec.Width), layer = 0;
        Add("stage0", new Block(init, spec.InChannels, channels, spec.SmallImages ? 1 : 2, groups: 1, squeeze));
        for (int s = 0; s < blocks.Length; s++)
        {
            int next = Zoo.MultipleOf8((64 << s) * (s == blocks.Length - 1 ? b : a) * spec.Width);
            List<Module> stage = [];
            for (int i = 0; i < blocks[s]; i++)
            {
                layer++;
                int stride = i == 0 && !(spec.SmallImages && s == 0) ? 2 : 1;
                stage.Add(new Block(init, channels, next, stride, layer is >= 2 and <= 26 && layer % 2 == 0 ? groups : 1, squeeze));
                channels = next;
            }
            Add($"stage{s + 1}", new Sequential([.. stage]));
        }
        Add("linear", new Linear(init, channels, spec.Classes));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("stage0").Forward(x);
        for (int s = 1; s <= 4; s++) y = Parts.Next(y, Child($"stage{s}").Forward(y));
        return Child("linear").Forward(Parts.Pooled(y, Name));
    }

    private sealed class Block : Module
    {
        private readonly bool _squeeze;

        // Kaiming over the inputs: without norms the deviation must stay the same from layer to layer by itself.
        public Block(Initializer init, int cin, int cout, int stride, int groups, bool squeeze)
        {
            _squeeze = squeeze;
            var conv = Add("rbr_reparam", new Conv2d(init.Device, cin, cout, (3, 3), new Conv2dOptions(stride, 1, 1, groups), bias: true));
            Initializer.Normal(conv.Weight, Math.Sqrt(2.0 / conv.FanIn), init.NextStream());
            if (squeeze) Add("se", new SqueezeExcitation(init, cout, Math.Max(1, cout / 16), ActivationKind.ReLU, ActivationKind.Sigmoid, "down", "up"));
        }

        public override Tensor Forward(Tensor x)
        {
            if (!_squeeze && Child("rbr_reparam") is INormalizedConvolution form) return form.Forward(x, ActivationKind.ReLU, null); // in its norms' pass
            var y = Child("rbr_reparam").Forward(x);
            if (_squeeze) y = Parts.Next(y, Child("se").Forward(y));
            return Parts.Next(y, y.Activation(ActivationKind.ReLU, Name));
        }
    }
}
