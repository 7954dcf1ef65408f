using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>1×1, norm, k×k, norm: <c>idconv1</c> or <c>conv1</c>, <c>bn1.bn</c>, <c>conv2</c>, <c>bn2</c>, with the map between them padded as <see cref="PaddedNorm"/> says.</summary>
internal sealed class PointwiseConvBranch : Branch
{
    /// <summary>Makes the branch.</summary>
    /// <param name="first">1×1, stride 1, without bias: an <see cref="IdentityConv2d"/> or a convolution.</param>
    /// <param name="firstNorm">Its norm.</param>
    /// <param name="second">k×k with the block's stride and (zero) padding, without bias.</param>
    /// <param name="secondNorm">Its norm.</param>
    public PointwiseConvBranch(Module first, BatchNorm2d firstNorm, Conv2d second, BatchNorm2d secondNorm)
    {
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
        var y = border.ThenConv((Conv2d)Child("conv2"), map, isNormalised: LastNorm.Training);
        tape.Release(map);
        return y;
    }

    public override Kernel ToKernel() => KernelAlgebra.Then(
        KernelAlgebra.Fold(Branches.KernelOf(First), ((PaddedNorm)Child("bn1")).Norm),
        KernelAlgebra.Fold(Kernel.Of((Conv2d)Child("conv2")), (BatchNorm2d)LastNorm), borderIsBias: true);

    private Module First => Children.First().Value;
}

/// <summary>1×1, norm, average over windows, norm: <c>conv</c>, <c>bn.bn</c>, <c>avgbn</c>, with the map between them padded as <see cref="PaddedNorm"/> says.</summary>
internal sealed class PointwiseAverageBranch : Branch
{
    private readonly int _size, _stride;

    /// <summary>Makes the branch.</summary>
    /// <param name="conv">1×1, stride 1, without bias.</param>
    /// <param name="norm">Its norm.</param>
    /// <param name="size">Rows and columns of the window: odd.</param>
    /// <param name="stride">The block's stride.</param>
    /// <param name="averageNorm">The norm behind the pool.</param>
    public PointwiseAverageBranch(Conv2d conv, BatchNorm2d norm, int size, int stride, BatchNorm2d averageNorm)
    {
        (_size, _stride) = (size, stride);
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
        var pooled = map.AvgPool2d(_size, _stride, _size / 2, name: Name);
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
    private readonly int _size, _stride;

    public AverageBranch(int size, int stride, BatchNorm2d averageNorm)
    {
        (_size, _stride) = (size, stride);
        Add("avgbn", averageNorm);
    }

    public override Module LastNorm => Child("avgbn");

    public override Tensor BeforeNorm(Tensor x) => x.AvgPool2d(_size, _stride, _size / 2, name: Name);

    public override Kernel ToKernel()
    {
        var norm = (BatchNorm2d)LastNorm;
        return KernelAlgebra.Fold(KernelAlgebra.Average(norm.Channels, _size, _size, norm.Channels), norm);
    }
}
