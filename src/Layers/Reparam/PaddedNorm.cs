using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// A batch norm between two convolutions of one branch, whose result is padded with v, the norm's image of 0 (<c>BNAndPadLayer</c> of the Diverse Branch
/// Block's code): v = β − μ·γ/√(σ² + ε) of the running statistics, also in training, and no gradient flows from the border. A k×k window that reads
/// over the edge of the image then reads what the norm makes of the zeros that the merged convolution is padded with. State: <c>bn.*</c>.
/// </summary>
/// <remarks>
/// No padded map is made. What follows is linear, and the map minus v has a border of zeros: so the norm's result is computed with v taken off
/// (β − v instead of β), the next convolution or pool pads it with zeros as usual, and what the linear layer makes of a window full of v, one number a
/// channel, is added behind it. That spares a copy of the map in each direction.
/// </remarks>
internal sealed class PaddedNorm : Module
{
    public PaddedNorm(BatchNorm2d norm) => Add("bn", norm);

    public BatchNorm2d Norm => (BatchNorm2d)Child("bn");

    /// <summary>The norm's result minus v: to be padded with zeros.</summary>
    public override Tensor Forward(Tensor x)
    {
        var norm = Norm;
        // v is of the running statistics after this step, so those move first; the norm itself then leaves them as they are.
        if (norm.Training && !x.IsSymbolic) MoveStatistics(x);
        var shift = norm.Bias.Add(Negative(Border(1, 1).Reshape(norm.Bias.Shape)), Name);
        return x.BatchNorm2d(norm.Weight, shift, norm.RunningMean, norm.RunningVar, norm.Training, momentum: 0, norm.Eps, name: norm.Name);
    }

    /// <summary>conv(padded map)</summary>
    /// <param name="conv">A convolution, or one that may grow.</param>
    /// <param name="options">Its stride and padding.</param>
    /// <param name="map">What <see cref="Forward"/> gave.</param>
    /// <param name="isNormalised">
    /// A norm in training reads the result. It subtracts every constant again, so its input's gradient adds up to 0 a channel, and the kernel gets none
    /// through the constant that the border adds.
    /// </param>
    public Tensor ThenConv(Module conv, Conv2dOptions options, Tensor map, bool isNormalised)
    {
        var (weight, bias) = conv is DyRepConv2d grows ? (grows.Weight, grows.Bias) : (((Conv2d)conv).Weight, null);
        var kernel = isNormalised ? Constant(weight) : weight;
        var full = Border(weight.Shape[0], weight.Shape[1]).Conv2d(kernel, bias, new Conv2dOptions(options.Groups), name: conv.Name);
        return map.Conv2d(weight, full.Reshape(new Shape(weight.Shape[3])), options, moments: isNormalised, conv.Name);
    }

    /// <summary>The padded map, for what is not linear and so cannot do without.</summary>
    /// <param name="map">What <see cref="Forward"/> gave.</param>
    /// <param name="options">The padding.</param>
    public Tensor Surround(Tensor map, Conv2dOptions options) => Branches.Surround(map, Border(1, 1).Reshape(Norm.Bias.Shape), options, Name);

    /// <summary>act(norm(average(padded map)) + sum)</summary>
    /// <param name="norm">The norm behind the pool.</param>
    /// <param name="pooled">The average of what <see cref="Forward"/> gave, padding counted.</param>
    /// <param name="activation">Identity, ReLU or ReLU6.</param>
    /// <param name="sum">Added before it; or null.</param>
    public Tensor ThenNorm(BatchNorm2d norm, Tensor pooled, ActivationKind activation, Tensor? sum)
    {
        if (norm.Training)
        {
            var y = norm.Forward(pooled, activation, sum);
            if (!pooled.IsSymbolic) MoveMean(norm);
            return y;
        }
        // The average of a window full of v is v, and norm(x + v) is a norm of x whose mean is smaller by v.
        var mean = Constant(norm.RunningMean).Add(Negative(Border(1, 1).Reshape(norm.RunningMean.Shape)), Name);
        return pooled.BatchNorm2d(norm.Weight, norm.Bias, mean, norm.RunningVar, training: false, norm.Momentum, norm.Eps, activation, sum, norm.Name);
    }

    /// <summary>Moves the running mean of a norm behind a pool, which in training has seen the averages without v.</summary>
    public void MoveMean(BatchNorm2d norm) =>
        norm.RunningMean.Device.Kernels.Scale(Border(1, 1).Data, norm.RunningMean.Data, norm.Momentum, accumulate: true);

    /// <summary>[1, height, width, channels]: v at every pixel.</summary>
    private Tensor Border(int height, int width)
    {
        var norm = Norm;
        return Full(new Shape(1, height, width, norm.Channels), 0)
            .BatchNorm2d(Constant(norm.Weight), Constant(norm.Bias), norm.RunningMean, norm.RunningVar, training: false, eps: norm.Eps, name: norm.Name);
    }

    private void MoveStatistics(Tensor x)
    {
        var norm = Norm;
        var kernels = x.Device.Kernels;
        norm.CountBatch();
        if (x.Moments.IsEmpty)
        {
            // Outside training tapes convolutions find no moments. A pass for the sake of its statistics.
            var unused = Constant(x).BatchNorm2d(Constant(norm.Weight), Constant(norm.Bias), norm.RunningMean, norm.RunningVar, training: true, norm.Momentum, norm.Eps, name: norm.Name);
            Tape.Current.Release(unused);
            return;
        }
        double m = norm.Momentum, rows = x.Shape.Count / norm.Channels;
        Move(norm.RunningMean.Data, x.Moments.Slice(0, norm.Channels), m);
        Move(norm.RunningVar.Data, x.Moments.Slice(norm.Channels, norm.Channels), m * rows / Math.Max(1, rows - 1)); // the unbiased variance

        void Move(BufferView running, BufferView batch, double part)
        {
            kernels.Scale(running, running, 1 - m, accumulate: false);
            kernels.Scale(batch, running, part, accumulate: true);
        }
    }

    private Tensor Negative(Tensor t) => t.Multiply(Full(t.Shape, -1), Name);

    /// <summary>The same values, without a gradient.</summary>
    private static Tensor Constant(Tensor t) => new(t.Shape, t.Data);

    private Tensor Full(Shape shape, double value)
    {
        var t = Tensor.Full(Norm.Weight.Device, shape, value);
        Tape.Current.Own(t.Data.Buffer);
        return t;
    }
}
