using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>One of the parallel computations of a <see cref="BranchBlock"/>: linear in evaluation, and ending in a norm.</summary>
internal interface IBranch
{
    /// <summary>The norm that it ends in: a <see cref="BatchNorm2d"/>, or what another method put there.</summary>
    Module LastNorm { get; }

    /// <summary>What the last norm reads.</summary>
    Tensor BeforeNorm(Tensor x);

    /// <summary>act(branch(x) + sum)</summary>
    /// <param name="x">[n, h, w, in]</param>
    /// <param name="activation">Identity, ReLU or ReLU6.</param>
    /// <param name="sum">What other branches gave, added in the last norm's pass; or null.</param>
    Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum);

    /// <summary>Called after somebody else computed the last norm in training.</summary>
    void AfterNorm()
    {
    }

    /// <summary>The one kernel that computes the same in evaluation, of the branch's own size.</summary>
    Kernel ToKernel();
}

/// <summary>
/// The training form that ACB, RepVGG, DBB and their relatives share: branches that read one input, each with norms of its own, summed. In evaluation every
/// branch is one convolution, and convolutions on one input add, so that one remains: <see cref="Merge"/>.
/// </summary>
/// <remarks>
/// There are no additions. In training the last norms of all branches, their sum, the residual and the activation are one operation, which reads every
/// map once and writes one (<see cref="BatchNormSumOp"/>); elsewhere each branch's last norm adds the sum so far in its own pass.
/// </remarks>
internal abstract class BranchBlock : Module, IReparameterized, INormalizedConvolution
{
    private readonly (int H, int W) _kernelSize;
    private readonly Conv2dOptions _options;

    /// <summary>Made by the methods only.</summary>
    /// <param name="conv">The convolution that is replaced.</param>
    internal BranchBlock(Conv2d conv)
        : this(conv.KernelSize, conv.Options, conv.Bias != null)
    {
    }

    /// <summary>Made by the methods only.</summary>
    /// <param name="kernelSize">Of the convolution that is replaced.</param>
    /// <param name="options">Likewise.</param>
    /// <param name="hasBias">The plain convolution has a bias.</param>
    internal BranchBlock((int H, int W) kernelSize, Conv2dOptions options, bool hasBias) => (_kernelSize, _options, HasBias) = (kernelSize, options, hasBias);

    /// <inheritdoc/>
    public bool HasBias { get; }

    /// <summary>In the order in which they are computed. Made from the registered parts whenever asked for, so that clones have their own.</summary>
    private protected abstract IReadOnlyList<IBranch> Parts { get; }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, ActivationKind.Identity, null);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual)
    {
        var branches = Parts;
        if (Tape.Current.Differentiates && ConvNorm.CanFuse(activation) && branches.All(b => b.LastNorm is BatchNorm2d { Training: true }))
            return Together(branches, x, activation, residual);
        var sum = residual;
        for (int i = 0; i < branches.Count; i++)
        {
            var next = branches[i].Forward(x, i == branches.Count - 1 ? activation : ActivationKind.Identity, sum);
            if (sum != residual) Tape.Current.Release(sum!);
            sum = next;
        }
        return sum!;
    }

    private Tensor Together(IReadOnlyList<IBranch> branches, Tensor x, ActivationKind activation, Tensor? residual)
    {
        var terms = new NormTerm[branches.Count];
        for (int i = 0; i < terms.Length; i++)
        {
            var norm = (BatchNorm2d)branches[i].LastNorm;
            terms[i] = new NormTerm(branches[i].BeforeNorm(x), norm.Weight, norm.Bias, norm.RunningMean, norm.RunningVar, norm.Momentum, norm.Eps);
            norm.CountBatch();
        }
        var y = TensorOps.BatchNormSum(terms, activation, residual, Name);
        foreach (var branch in branches) branch.AfterNorm();
        return y;
    }

    /// <summary>The kernel of the whole block: every branch's placed in the block's size, and added.</summary>
    internal Kernel ToKernel() => Parts.Select(b => KernelAlgebra.Place(b.ToKernel(), _kernelSize.H, _kernelSize.W)).Aggregate(KernelAlgebra.Add);

    /// <inheritdoc/>
    public Conv2d Merge() => ToKernel().ToConv2d(NamedParameters().First().Parameter.Device, _options);
}

/// <summary>What the methods with branches do alike.</summary>
internal static class Branches
{
    /// <summary>Why a layer cannot become a sum of branches at all; null if it can.</summary>
    public static string? Refusal(ConvSite site)
    {
        if (site.Conv is not { } conv) return "it is in a training form already; merge that first.";
        return conv.Bias == null && site.Norm is not (BatchNorm2d or AbsorbedNorm)
            ? "it has neither a bias nor a batch norm behind it, so the merged layer could not hold the shifts of the branches' norms. Give the convolution a bias."
            : null;
    }

    /// <summary>
    /// The main branch: the convolution without its bias, and the norm behind it (or a fresh one), which takes the bias up. In evaluation it computes
    /// what the two layers did (a fresh norm: but for a factor 1/√(1 + ε)).
    /// </summary>
    public static (Conv2d Conv, BatchNorm2d Norm) Inherit(ConvSite site, Initializer init)
    {
        var conv = site.Conv!;
        var main = new Conv2d(conv.Weight.Device, conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options, bias: false);
        main.Weight.FromTorch(conv.Weight.ToTorchDouble());
        main.Weight.Trainable = conv.Weight.Trainable;
        if (site.Norm is not BatchNorm2d before)
        {
            var fresh = Norm(site, init, conv.OutChannels);
            if (conv.Bias != null) fresh.Bias.FromTorch(conv.Bias.ToTorchDouble());
            return (main, fresh);
        }
        var norm = (BatchNorm2d)before.Clone();
        if (conv.Bias != null)
        {
            double[] mean = norm.RunningMean.ToTorchDouble(), bias = conv.Bias.ToTorchDouble();
            for (int c = 0; c < mean.Length; c++) mean[c] -= bias[c];
            norm.RunningMean.FromTorch(mean);
        }
        return (main, norm);
    }

    /// <summary>A fresh norm with the constants of the one that is replaced, if there is one.</summary>
    public static BatchNorm2d Norm(ConvSite site, Initializer init, int channels) =>
        site.Norm is BatchNorm2d norm ? new BatchNorm2d(init, channels, norm.Eps, norm.Momentum) : new BatchNorm2d(init, channels);

    /// <summary>A convolution without bias, with PyTorch's default initial values.</summary>
    public static Conv2d Conv(Initializer init, int inChannels, int outChannels, (int H, int W) kernelSize, Conv2dOptions options)
    {
        var conv = new Conv2d(init.Device, inChannels, outChannels, kernelSize, options, bias: false);
        Initializer.TorchDefault(conv.Weight, conv.FanIn, init.NextStream());
        return conv;
    }

    /// <summary>
    /// Options of a smaller convolution whose windows lie where <see cref="KernelAlgebra.Place"/> puts its kernel inside the larger one: its padding is
    /// less by what the larger kernel has around it, times the dilation. Negative padding crops.
    /// </summary>
    public static Conv2dOptions Aligned(Conv2dOptions options, (int H, int W) large, (int H, int W) small)
    {
        int top = (large.H / 2) - (small.H / 2), left = (large.W / 2) - (small.W / 2);
        return options with
        {
            PadTop = options.PadTop - (options.DilationH * top),
            PadBottom = options.PadBottom - (options.DilationH * (large.H - small.H - top)),
            PadLeft = options.PadLeft - (options.DilationW * left),
            PadRight = options.PadRight - (options.DilationW * (large.W - small.W - left)),
            DilationH = small.H == 1 ? 1 : options.DilationH,
            DilationW = small.W == 1 ? 1 : options.DilationW,
        };
    }

    /// <summary>
    /// The average over square windows, zeros around the map counted. Where the padding is more than half a window, or not the same on every side, which a pool does not
    /// have, the zeros are laid around the map before.
    /// </summary>
    public static Tensor Average(Tensor x, int size, Conv2dOptions options, string name)
    {
        var (p, o) = (options.PadTop, options);
        if ((p, p, p) == (o.PadBottom, o.PadLeft, o.PadRight) && p >= 0 && 2 * p <= size) return x.AvgPool2d(size, o.StrideH, p, name: name);
        var padded = Surround(x, null, o, name);
        var y = padded.AvgPool2d(size, o.StrideH, 0, name: name);
        Tape.Current.Release(padded);
        return y;
    }

    /// <summary>The map with the padding of a convolution around it: v in every channel, or 0. A depthwise 1×1 convolution with ones, that is.</summary>
    /// <param name="x">[n, h, w, c], v taken off.</param>
    /// <param name="v">[c], or null for 0.</param>
    /// <param name="options">The padding; negative crops.</param>
    /// <param name="name">Name of the operation.</param>
    public static Tensor Surround(Tensor x, Tensor? v, Conv2dOptions options, string name)
    {
        int c = x.Shape[3];
        var only = new Conv2dOptions(c) { PadTop = options.PadTop, PadBottom = options.PadBottom, PadLeft = options.PadLeft, PadRight = options.PadRight };
        return x.Conv2d(Tape.Current.Constant(x.Device, new Shape(1, 1, 1, c), 1), v, only, name: name);
    }

    /// <summary>The kernel of a convolution, or of the training form of one, in evaluation.</summary>
    public static Kernel KernelOf(Module conv)
    {
        switch (conv)
        {
            case Conv2d plain: return Kernel.Of(plain);
            case IdentityConv2d identity: return identity.ToKernel();
            case IReparameterized form:
                using (var merged = form.Merge()) return Kernel.Of(merged);
            default: throw new InvalidOperationException($"{conv} is no convolution.");
        }
    }
}

/// <summary>A convolution and the norm behind it, wherever the two are registered.</summary>
/// <param name="Conv">A convolution or a training form of one.</param>
/// <param name="Norm">The norm.</param>
internal sealed record ConvNormPair(Module Conv, Module Norm) : IBranch
{
    public Module LastNorm => Norm;

    public Tensor BeforeNorm(Tensor x) => Conv is IConvolution conv ? conv.Forward(x, moments: true) : Conv.Forward(x);

    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum) => ConvNorm.Forward(Conv, Norm, x, activation, sum);

    public Kernel ToKernel()
    {
        if (Norm is not BatchNorm2d norm)
            throw new InvalidOperationException($"A {Norm.GetType().Name} stands behind a convolution of this branch, where only a batch norm can be folded into it. Merge that form first.");
        return KernelAlgebra.Fold(Branches.KernelOf(Conv), norm);
    }
}

/// <summary>A norm on the input itself.</summary>
/// <param name="Norm">The norm.</param>
/// <param name="Groups">Groups of the block's kernel.</param>
internal sealed record NormBranch(BatchNorm2d Norm, int Groups) : IBranch
{
    public Module LastNorm => Norm;

    public Tensor BeforeNorm(Tensor x) => x;

    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum) => Norm.Forward(x, activation, sum);

    public Kernel ToKernel() => KernelAlgebra.Fold(KernelAlgebra.Identity(Norm.Channels, 1, 1, Groups), Norm);
}

/// <summary>A branch with parts of its own.</summary>
internal abstract class Branch : Module, IBranch
{
    public sealed override Tensor Forward(Tensor x) => Forward(x, ActivationKind.Identity, null);

    public abstract Module LastNorm { get; }

    public abstract Tensor BeforeNorm(Tensor x);

    public virtual Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum)
    {
        var map = BeforeNorm(x);
        var y = ((BatchNorm2d)LastNorm).Forward(map, activation, sum);
        Tape.Current.Release(map);
        return y;
    }

    public virtual void AfterNorm()
    {
    }

    public abstract Kernel ToKernel();
}

/// <summary>A convolution and a norm, <c>conv</c> and <c>bn</c>.</summary>
internal sealed class ConvNormBranch : Branch
{
    public ConvNormBranch(Module conv, BatchNorm2d norm)
    {
        Add("conv", conv);
        Add("bn", norm);
    }

    public override Module LastNorm => Child("bn");

    public override Tensor BeforeNorm(Tensor x) => Pair.BeforeNorm(x);

    public override Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum) => Pair.Forward(x, activation, sum);

    public override Kernel ToKernel() => Pair.ToKernel();

    private ConvNormPair Pair => new(Child("conv"), Child("bn"));
}
