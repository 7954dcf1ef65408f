using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>1×1, norm, k×k, norm: <c>idconv1</c> or <c>conv1</c>, <c>bn1.bn</c>, <c>conv2</c>, <c>bn2</c>, with the map between them padded as <see cref="PaddedNorm"/> says.</summary>
internal sealed class PointwiseConvBranch : Branch
{
    private readonly Conv2dOptions _options;

    /// <summary>Makes the branch.</summary>
    /// <param name="first">1×1, stride 1, without bias: an <see cref="IdentityConv2d"/> or a convolution.</param>
    /// <param name="firstNorm">Its norm.</param>
    /// <param name="second">k×k, without bias: a convolution, or one that may grow and then reads the padded map, so its own padding is none.</param>
    /// <param name="secondNorm">Its norm.</param>
    /// <param name="options">The block's stride and padding.</param>
    public PointwiseConvBranch(Module first, BatchNorm2d firstNorm, Module second, BatchNorm2d secondNorm, Conv2dOptions options)
    {
        _options = options;
        Add(first is IdentityConv2d ? "idconv1" : "conv1", first);
        Add("bn1", new PaddedNorm(firstNorm));
        Add("conv2", second);
        Add("bn2", secondNorm);
    }

    public override Module LastNorm => Child("bn2");

    public override Tensor BeforeNorm(Tensor x)
    {
        var (tape, border) = (Tape.Current, (PaddedNorm)Child("bn1"));
        var a = ((IConvolution)First).Forward(x, moments: border.Norm.Training);
        var map = border.Forward(a);
        tape.Release(a);
        var y = Second is BranchBlock block ? ThenBlock(block, border, map) : border.ThenConv(Second, _options, map, isNormalised: LastNorm.Training);
        tape.Release(map);
        return y;
    }

    public override Kernel ToKernel() => KernelAlgebra.Then(
        KernelAlgebra.Fold(Branches.KernelOf(First), ((PaddedNorm)Child("bn1")).Norm),
        KernelAlgebra.Fold(Branches.KernelOf(Second), (BatchNorm2d)LastNorm), borderIsBias: true);

    private Module First => Children.First().Value;

    private Module Second => Child("conv2");

    /// <summary>Norms inside a block see the map as it is, so here it is padded in memory.</summary>
    private Tensor ThenBlock(BranchBlock block, PaddedNorm border, Tensor map)
    {
        var padded = border.Surround(map, _options);
        var y = block.Forward(padded);
        Tape.Current.Release(padded);
        return y;
    }
}

/// <summary>1×1, norm, average over windows, norm: <c>conv</c>, <c>bn.bn</c>, <c>avgbn</c>, with the map between them padded as <see cref="PaddedNorm"/> says.</summary>
internal sealed class PointwiseAverageBranch : Branch
{
    private readonly int _size;
    private readonly Conv2dOptions _options;

    /// <summary>Makes the branch.</summary>
    /// <param name="conv">1×1, stride 1, without bias.</param>
    /// <param name="norm">Its norm.</param>
    /// <param name="size">Rows and columns of the window: odd.</param>
    /// <param name="options">The block's stride, one for both axes, and padding.</param>
    /// <param name="averageNorm">The norm behind the pool.</param>
    public PointwiseAverageBranch(Conv2d conv, BatchNorm2d norm, int size, Conv2dOptions options, BatchNorm2d averageNorm)
    {
        (_size, _options) = (size, options);
        Add("conv", conv);
        Add("bn", new PaddedNorm(norm));
        Add("avgbn", averageNorm);
    }

    public override Module LastNorm => Child("avgbn");

    public override Tensor BeforeNorm(Tensor x)
    {
        var (tape, border) = (Tape.Current, (PaddedNorm)Child("bn"));
        var a = ((Conv2d)Child("conv")).Forward(x, moments: border.Norm.Training);
        var map = border.Forward(a);
        tape.Release(a);
        var pooled = Branches.Average(map, _size, _options, Name);
        tape.Release(map);
        return pooled;
    }

    public override Tensor Forward(Tensor x, ActivationKind activation, Tensor? sum)
    {
        var pooled = BeforeNorm(x);
        var y = ((PaddedNorm)Child("bn")).ThenNorm((BatchNorm2d)LastNorm, pooled, activation, sum);
        Tape.Current.Release(pooled);
        return y;
    }

    public override void AfterNorm() => ((PaddedNorm)Child("bn")).MoveMean((BatchNorm2d)LastNorm);

    public override Kernel ToKernel()
    {
        var conv = (Conv2d)Child("conv");
        var average = KernelAlgebra.Average(conv.OutChannels, _size, _size, conv.Options.Groups);
        return KernelAlgebra.Then(KernelAlgebra.Fold(Kernel.Of(conv), ((PaddedNorm)Child("bn")).Norm), KernelAlgebra.Fold(average, (BatchNorm2d)LastNorm), borderIsBias: true);
    }
}

/// <summary>Average over windows, norm: <c>avgbn</c>. The depthwise form, in which a 1×1 convolution would be a factor a channel, which the norm has.</summary>
internal sealed class AverageBranch : Branch
{
    private readonly int _size;
    private readonly Conv2dOptions _options;

    public AverageBranch(int size, Conv2dOptions options, BatchNorm2d averageNorm)
    {
        (_size, _options) = (size, options);
        Add("avgbn", averageNorm);
    }

    public override Module LastNorm => Child("avgbn");

    public override Tensor BeforeNorm(Tensor x) => Branches.Average(x, _size, _options, Name);

    public override Kernel ToKernel()
    {
        var norm = (BatchNorm2d)LastNorm;
        return KernelAlgebra.Fold(KernelAlgebra.Average(norm.Channels, _size, _size, norm.Channels), norm);
    }
}
