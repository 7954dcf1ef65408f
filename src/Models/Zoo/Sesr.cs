using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Models;

/// <summary>
/// SESR (arXiv 2103.09404): super-resolution by a short chain of narrow convolutions. It takes the brightness Y of a picture, [n, h, w, 1] in [0, 1]
/// and of any size, and gives the same picture s times as large. Keys: <c>first</c> (5×5, 1→f), <c>blocks.i.0</c> (3×3, f→f) and
/// <c>blocks.i.1</c> (PReLU), <c>last</c> (5×5, f→s²).
/// </summary>
/// <remarks>
/// This is the deployed form: its convolutions have no bias and no skip connections of their own. The training form is <c>Expand(new ClbMethod())</c>;
/// the short residuals of the paper's blocks are in the kernels, whose first values therefore contain the identity.
/// Values are clipped to [0, 1] by whoever shows or measures them (<see cref="Train.SuperResolver"/>), not here: training needs the gradient outside.
/// </remarks>
public sealed class Sesr : Model
{
    internal Sesr(ModelSpec spec, Initializer init, int blocks, int features, int scale)
        : base(spec with { InChannels = 1 })
    {
        if (scale is not (2 or 4)) throw new ArgumentException($"SESR enlarges 2 or 4 times, not {scale}.");
        (Scale, CollapsibleWidth) = (scale, blocks > 7 ? 64 : 256);
        int f = Math.Max(1, (int)(features * spec.Width));
        Add("first", Conv(init, 1, f, 5));
        List<Module> chain = [];
        for (int i = 0; i < blocks; i++)
        {
            var conv = Conv(init, f, f, 3);
            double[] weight = conv.Weight.ToTorchDouble(), identity = KernelAlgebra.Identity(f, 3, 3, 1).Weight;
            conv.Weight.FromTorch([.. weight.Zip(identity, (w, one) => w + one)]);
            chain.Add(new Sequential(conv, new PReLU(init, f)));
        }
        Add("blocks", new Sequential([.. chain]));
        Add("last", Conv(init, f, scale * scale, 5));
    }

    /// <inheritdoc/>
    public override ModelTask Task => ModelTask.SuperResolution;

    /// <summary>How many times as large the result is.</summary>
    public int Scale { get; }

    /// <summary>Channels in the middle of the collapsible blocks that the authors trained it with: fewer in the long chains.</summary>
    public int CollapsibleWidth { get; }

    /// <summary>
    /// Starts where a trained network is: of one that enlarges as much with all its weights, of one that enlarges otherwise with those of all layers but the last, whose
    /// size is another. So ×4 is trained from ×2.
    /// </summary>
    /// <param name="trained">A plain network of as many blocks and features.</param>
    /// <exception cref="ArgumentException">It is in a training form, or has other blocks or features.</exception>
    public void StartFrom(Sesr trained)
    {
        if (Forms.Count > 0 || trained.Forms.Count > 0) throw new ArgumentException("A network of SESR starts from a plain one and before it is expanded. Use the merged file of the run.");
        var state = StateDict.Of(trained).ToDictionary();
        if (trained.Scale != Scale)
        {
            foreach (var (name, entry) in StateDict.Of(this).Where(e => e.Key.StartsWith("last.", StringComparison.Ordinal))) state[name] = entry;
        }
        if (!StateDict.Compare(this, state).IsEmpty)
            throw new ArgumentException($"{Spec.Architecture} with width {Spec.Width} cannot start from {trained.Spec.Architecture} with width {trained.Spec.Width}: only the scale may differ. Choose the model of the same m and width.");
        StateDict.Load(this, state, strict: true);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x)
    {
        var tape = Tape.Current;
        var shifted = x.Shift(-0.5, Name);
        var first = Child("first").Forward(shifted);
        tape.Release(shifted);
        var inner = Child("blocks").Forward(first);
        var sum = inner.Add(first, Name);
        tape.Release(inner);
        tape.Release(first);
        var y = Child("last").Forward(sum);
        tape.Release(sum);
        // TensorFlow's order of channels, and for ×4 two shuffles: another order than one of 4.
        for (int s = Scale; s > 1; s /= 2)
        {
            var wide = y.DepthToSpace(2, DepthToSpaceMode.DCR, Name);
            tape.Release(y);
            y = wide;
        }
        // The input added to all s² channels before the shuffle is every pixel of it repeated after.
        var large = x.UpsampleNearest(Scale, Name);
        var result = y.Add(large, Name);
        tape.Release(y);
        tape.Release(large);
        return result;
    }

    private static Conv2d Conv(Initializer init, int cin, int cout, int k) => new(init, cin, cout, k, padding: k / 2, bias: false);
}
