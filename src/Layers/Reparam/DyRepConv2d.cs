using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>A convolution that may grow: computes what the plain one did, under the same keys, and counts its score. See <see cref="DyRepMethod"/>.</summary>
internal sealed class DyRepConv2d : Module, IReparameterized, IConvolution
{
    /// <param name="conv">The convolution it takes the place of; copied.</param>
    /// <param name="depth">How many blocks it is inside of: below two it may grow.</param>
    internal DyRepConv2d(Conv2d conv, int depth)
    {
        (InChannels, OutChannels, KernelSize, Options, HasBias, Depth) = (conv.InChannels, conv.OutChannels, conv.KernelSize, conv.Options, conv.Bias != null, depth);
        Add("weight", conv.Weight.Clone());
        if (conv.Bias != null) Add("bias", conv.Bias.Clone());
    }

    /// <summary>With other values, and a bias in any case: where a block was.</summary>
    private DyRepConv2d(DyRepBlock block, Conv2d conv)
        : this(conv, block.Depth) => HasBias = block.HasBias;

    /// <inheritdoc/>
    public bool HasBias { get; }

    internal int InChannels { get; }

    internal int OutChannels { get; }

    internal (int H, int W) KernelSize { get; }

    internal Conv2dOptions Options { get; }

    internal int Depth { get; }

    /// <summary>Sum of the scores of all steps since the last change.</summary>
    internal double ScoreSum { get; private set; }

    /// <summary>Those steps.</summary>
    internal long Batches { get; private set; }

    internal Parameter Weight => Parameter("weight");

    internal Parameter? Bias => Optional("bias");

    /// <summary>It has a bias that the plain convolution has not: a block was here.</summary>
    internal bool HasExtraBias => !HasBias && Bias != null;

    /// <summary>Gives it a bias of 0, to be loaded.</summary>
    internal void AddBias() => Add("bias", new Parameter(Weight.Device, ParameterLayout.Plain(new Shape(OutChannels))));

    /// <summary>The one convolution that computes what a block does, with its bias.</summary>
    internal static DyRepConv2d InPlaceOf(DyRepBlock block)
    {
        using var conv = block.Merge();
        return new DyRepConv2d(block, conv);
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, moments: false);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, bool moments) => x.Conv2d(Weight, Bias, Options, moments, Name);

    /// <inheritdoc/>
    public Conv2d Merge() => ToKernel().ToConv2d(Weight.Device, Options, Bias != null);

    internal Kernel ToKernel() => new(OutChannels, InChannels / Options.Groups, KernelSize.H, KernelSize.W, Options.Groups, Weight.ToTorchDouble(),
        Bias?.ToTorchDouble() ?? new double[OutChannels]);

    internal void Load(Kernel kernel)
    {
        Weight.FromTorch(kernel.Weight);
        Parameter("bias").FromTorch(kernel.Bias);
    }

    /// <summary>Adds the score of the gradients that are there now.</summary>
    internal void Count(DyRepScore kind)
    {
        if (!Weight.HasGradient) return;
        var (device, kernels, g) = (Weight.Device, Weight.Device.Kernels, Weight.GradientData);
        using var product = device.Rent(g.Length);
        using var sum = device.Rent(1);
        double[] value = new double[1];
        kernels.Multiply(g, kind == DyRepScore.GradNorm ? g : Weight.Data, product.View, accumulate: false);
        double score = Sum();
        if (kind == DyRepScore.GradNorm) score = Math.Sqrt(score);
        if (kind == DyRepScore.Snip)
        {
            // |z| = 2·max(z, 0) − z
            using var positive = device.Rent(g.Length);
            kernels.ActivationForward(ActivationKind.ReLU, product.View, positive.View);
            kernels.Scale(positive.View, product.View, 1, accumulate: false);
            score = (2 * Sum()) - score;
        }
        ScoreSum += score;
        Batches++;

        double Sum()
        {
            kernels.ReduceSum(new ReduceGeometry(1, g.Length, 1), product.View, sum.View, 1, accumulate: false);
            device.Read(sum.View, value);
            return value[0];
        }
    }

    internal void ResetScore() => RestoreScore(0, 0);

    internal void RestoreScore(double sum, long batches) => (ScoreSum, Batches) = (sum, batches);
}
