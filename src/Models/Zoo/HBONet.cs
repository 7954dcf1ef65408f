using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// HBONet (Li et al., arXiv 1908.03888), the 2× main model of its authors' code, with their keys: <c>features.i.conv.k</c>, <c>features.i.upconv.{0,1}</c>,
/// <c>conv.{0,1}</c>, <c>classifier</c>. Its blocks compute at half the resolution and enlarge the result again.
/// </summary>
/// <remarks>The variant for small images leaves out the stride of the stem.</remarks>
public sealed class HBONet : Model
{
    private enum Kind
    {
        /// <summary>MobileNetV2's block.</summary>
        Inverted,

        /// <summary>The harmonious bottleneck.</summary>
        Harmonious,

        /// <summary>A 1×1 convolution and its norm.</summary>
        Linear,
    }

    /// <summary>Expansion t, channels c, blocks n, stride s of each stage.</summary>
    private static readonly (int T, int C, int N, int S, Kind Kind)[] Stages =
    [
        (1, 20, 1, 1, Kind.Inverted), (2, 36, 1, 1, Kind.Harmonious), (2, 72, 3, 2, Kind.Harmonious), (2, 96, 4, 2, Kind.Harmonious),
        (2, 192, 4, 2, Kind.Harmonious), (2, 288, 1, 1, Kind.Harmonious), (0, 144, 1, 1, Kind.Linear), (6, 200, 2, 2, Kind.Inverted), (6, 400, 1, 1, Kind.Inverted),
    ];

    internal HBONet(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int multiple = spec.SmallImages ? 16 : 32;
        if (spec.ImageSize % multiple != 0)
            throw new ArgumentException($"HBONet halves its maps and doubles them again, so the image size must be a multiple of {multiple}; it is {spec.ImageSize}. " +
                $"Use {Math.Max(1, spec.ImageSize / multiple) * multiple}.");
        int divisor = spec.Width switch { 0.1 => 4, 0.25 or 0.5 => 2, _ => 8 }; // the authors' rule
        int channels = Zoo.MultipleOf(32 * spec.Width, divisor);
        List<Module> features = [Parts.ConvNormActivation(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2, 1, ActivationKind.ReLU6)];
        foreach (var (t, c, n, s, kind) in Stages)
        {
            int next = Zoo.MultipleOf(c * spec.Width, divisor);
            for (int i = 0; i < n; i++)
            {
                int stride = i == 0 ? s : 1;
                features.Add(kind switch
                {
                    Kind.Inverted => new InvertedResidual(init, channels, next, stride, t),
                    Kind.Harmonious => new HarmoniousBottleneck(init, channels, next, stride, t),
                    _ => Parts.ConvNormActivation(init, channels, next, 1, 1, 1, ActivationKind.Identity),
                });
                channels = next;
            }
        }
        Add("features", new Sequential([.. features]));
        int last = Zoo.MultipleOf(1600 * Math.Max(1, spec.Width), divisor);
        Add("conv", Parts.ConvNormActivation(init, channels, last, 1, 1, 1, ActivationKind.ReLU6));
        Add("classifier", Parts.Linear(init, last, spec.Classes));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var y = Child("features").Forward(x);
        return Child("classifier").Forward(Parts.Pooled(Parts.Next(y, Child("conv").Forward(y)), Name));
    }

    private static IEnumerable<Module> ConvNormActivation(Initializer init, int cin, int cout, int k, int stride, int groups, ActivationKind activation) =>
        Parts.ConvNormActivation(init, cin, cout, k, stride, groups, activation).Children.Select(c => c.Value);

    /// <summary>As in MobileNetV2, its layers in one flat chain.</summary>
    private sealed class InvertedResidual : Module
    {
        private readonly bool _skip;

        public InvertedResidual(Initializer init, int cin, int cout, int stride, int expansion)
        {
            _skip = stride == 1 && cin == cout;
            int hidden = cin * expansion;
            List<Module> conv = [];
            if (expansion != 1) conv.AddRange(ConvNormActivation(init, cin, hidden, 1, 1, 1, ActivationKind.ReLU6));
            conv.AddRange(ConvNormActivation(init, hidden, hidden, 3, stride, hidden, ActivationKind.ReLU6));
            conv.AddRange(ConvNormActivation(init, hidden, cout, 1, 1, 1, ActivationKind.Identity));
            Add("conv", new Sequential([.. conv]));
        }

        public override Tensor Forward(Tensor x) => ((Sequential)Child("conv")).Forward(x, _skip ? x : null);
    }

    /// <summary>
    /// Half of the output is the input's last channels; the other half is computed at half the resolution and, where the block has no stride, enlarged,
    /// added to the input's first channels and smoothed by a depthwise convolution.
    /// </summary>
    private sealed class HarmoniousBottleneck : Module
    {
        private readonly int _half, _rest;
        private readonly bool _strided;

        public HarmoniousBottleneck(Initializer init, int cin, int cout, int stride, int expansion)
        {
            (_half, _strided) = (cout / 2, stride == 2);
            _rest = cout - _half;
            int hidden = cin * expansion;
            Add("conv", new Sequential([
                .. ConvNormActivation(init, cin, cin, 5, 2, cin, ActivationKind.Identity),
                .. ConvNormActivation(init, cin, hidden, 1, 1, 1, ActivationKind.ReLU6),
                .. ConvNormActivation(init, hidden, hidden, 3, 1, hidden, ActivationKind.ReLU6),
                .. ConvNormActivation(init, hidden, _half, 1, 1, 1, ActivationKind.Identity)]));
            if (!_strided) Add("upconv", Parts.ConvNormActivation(init, _half, _half, 5, 1, _half, ActivationKind.Identity));
        }

        public override Tensor Forward(Tensor x)
        {
            var tape = Tape.Current;
            var kept = x.SliceChannels(x.Shape[-1] - _rest, _rest);
            var computed = Child("conv").Forward(x);
            if (_strided)
            {
                kept = Parts.Next(kept, kept.AvgPool2d(2, 2, name: Name));
            }
            else
            {
                computed = Parts.Next(computed, computed.UpsampleNearest(2, Name));
                var first = x.SliceChannels(0, _half);
                computed = Parts.Next(computed, computed.Add(first, Name));
                tape.Release(first);
                computed = Parts.Next(computed, Child("upconv").Forward(computed));
            }
            var result = TensorOps.Concat(kept, computed);
            tape.Release(kept);
            tape.Release(computed);
            return result;
        }
    }
}
