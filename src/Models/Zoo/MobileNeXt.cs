using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// MobileNeXt (Zhou et al., arXiv 2007.02269), the form and keys of its authors' code: <c>features.0.{0,1}</c>, <c>features.i.conv.k</c>, <c>classifier.1</c>.
/// Its bottlenecks are the other way round than MobileNetV2's: depthwise convolutions and the skip connection are at the wide ends.
/// </summary>
/// <remarks>
/// Their code differs from the paper: depthwise pairs stay only in some blocks (<see cref="SandGlass"/>), and narrow widths are rounded up to multiples of 16.
/// The variant for small images leaves out the strides of the stem and of the first block.
/// </remarks>
public sealed class MobileNeXt : Model
{
    /// <summary>Reduction t, channels c, blocks n, stride s of each stage.</summary>
    private static readonly (int T, int C, int N, int S)[] Stages =
        [(2, 96, 1, 2), (6, 144, 1, 1), (6, 192, 3, 2), (6, 288, 3, 2), (6, 384, 4, 1), (6, 576, 4, 2), (6, 960, 3, 1), (6, LastChannels, 1, 1)];

    private const int LastChannels = 1280;

    internal MobileNeXt(ModelSpec spec, Initializer init)
        : base(spec)
    {
        int channels = Zoo.MultipleOf8(32 * spec.Width);
        List<Module> features = [Parts.ConvNormActivation(init, spec.InChannels, channels, 3, spec.SmallImages ? 1 : 2, 1, ActivationKind.ReLU6)];
        foreach (var (t, c, n, s) in Stages)
        {
            int next = c == LastChannels ? (int)(LastChannels * Math.Max(1, spec.Width)) : Zoo.MultipleOf8(c * spec.Width);
            int stride = spec.SmallImages && t == 2 ? 1 : s;
            features.Add(new SandGlass(init, channels, next, stride, t, alone: n == 1 && s == 1, skip: false));
            for (int i = 1; i < n; i++) features.Add(new SandGlass(init, next, next, 1, t, alone: false, skip: true));
            channels = next;
        }
        Add("features", new Sequential([.. features]));
        Add("classifier", new Sequential(new Dropout(init, 0.2), Parts.Linear(init, channels, spec.Classes)));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Child("classifier").Forward(Parts.Pooled(Child("features").Forward(x), Name));

    /// <summary>
    /// [depthwise] → 1×1 to few channels, no activation → 1×1 to many → [depthwise, with the stride]. Both depthwise convolutions are there in the first
    /// stage, in stages of a single block without stride, and where a skip connection goes around the block; a first block with stride has only the
    /// second, other first blocks have none. (The authors tell first blocks by a change of width, which does the same unless two stages are equally wide.)
    /// </summary>
    private sealed class SandGlass : Module
    {
        private readonly bool _skip;

        public SandGlass(Initializer init, int cin, int cout, int stride, int reduction, bool alone, bool skip)
        {
            int few = cin / reduction;
            if (few < cout / 6.0) few = Zoo.MultipleOf(Math.Ceiling(cout / 6.0), 16);
            bool first = reduction == 2 || alone || skip, last = first || stride == 2;
            _skip = skip;
            List<Module> conv = [];
            if (first) conv.AddRange(Layers(cin, cin, 3, cin, ActivationKind.ReLU6));
            conv.AddRange(Layers(cin, few, 1, 1, ActivationKind.Identity));
            conv.AddRange(Layers(few, cout, 1, 1, ActivationKind.ReLU6));
            if (last) conv.AddRange(Layers(cout, cout, 3, cout, ActivationKind.Identity, stride));
            Add("conv", new Sequential([.. conv]));

            IEnumerable<Module> Layers(int from, int to, int k, int groups, ActivationKind activation, int step = 1) =>
                Parts.ConvNormActivation(init, from, to, k, step, groups, activation).Children.Select(c => c.Value);
        }

        public override Tensor Forward(Tensor x) => ((Sequential)Child("conv")).Forward(x, _skip ? x : null);
    }
}
