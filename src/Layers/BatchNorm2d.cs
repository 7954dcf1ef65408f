using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// Batch norm (<c>torch.nn.BatchNorm2d</c>). State: <c>weight, bias, running_mean, running_var, num_batches_tracked</c>.
/// </summary>
public sealed class BatchNorm2d : Module, INormalization
{
    /// <summary>Makes a norm with γ = 1, β = 0, running mean 0 and variance 1.</summary>
    /// <param name="init">Device.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="eps">ε, added to the variance inside the root.</param>
    /// <param name="momentum">How far the running statistics move in a step.</param>
    public BatchNorm2d(Initializer init, int channels, double eps = 1e-5, double momentum = 0.1)
    {
        (Channels, Eps, Momentum) = (channels, eps, momentum);
        var layout = ParameterLayout.Plain(new Shape(channels));
        Fill(Add("weight", new Parameter(init.Device, layout)), 1);
        Add("bias", new Parameter(init.Device, layout));
        Add("running_mean", new Parameter(init.Device, layout, trainable: false));
        Fill(Add("running_var", new Parameter(init.Device, layout, trainable: false)), 1);
        Add("num_batches_tracked", new Parameter(init.Device, ParameterLayout.Plain(new Shape()), trainable: false) { IsInteger = true });

        static void Fill(Parameter p, double value) => p.Device.Kernels.Fill(p.Data, value);
    }

    /// <summary>Channels.</summary>
    public int Channels { get; }

    /// <summary>ε</summary>
    public double Eps { get; }

    /// <summary>Momentum of the running statistics.</summary>
    public double Momentum { get; internal set; }

    /// <summary>γ</summary>
    public Parameter Weight => Parameter("weight");

    /// <summary>β</summary>
    public Parameter Bias => Parameter("bias");

    /// <summary>Running mean.</summary>
    public Parameter RunningMean => Parameter("running_mean");

    /// <summary>Running variance (unbiased).</summary>
    public Parameter RunningVar => Parameter("running_var");

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, ActivationKind.Identity);

    /// <summary>Normalises, adds a residual and applies an activation in one pass.</summary>
    /// <param name="x">[…, channels]</param>
    /// <param name="activation">One that <see cref="BatchNormGeometry.Fuses"/>.</param>
    /// <param name="residual">Added before the activation, of x's shape; or null.</param>
    /// <exception cref="ShapeException">Sizes do not fit, training on one value per channel, or an activation that is not fused.</exception>
    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual = null)
    {
        if (Training && !x.IsSymbolic) CountBatch();
        return x.BatchNorm2d(Weight, Bias, RunningMean, RunningVar, Training, Momentum, Eps, activation, residual, Name);
    }

    /// <summary>How many batches have moved the running statistics.</summary>
    internal Parameter BatchCounter => Parameter("num_batches_tracked");

    /// <summary>One batch more has moved the running statistics.</summary>
    internal void CountBatch() => Weight.Device.Kernels.Fill(Parameter("num_batches_tracked").Data, 1, accumulate: true);

    /// <summary>As above, with other values in the place of γ and β: products with factors that are trained as well.</summary>
    internal Tensor Forward(Tensor x, Tensor weight, Tensor bias, ActivationKind activation, Tensor? residual)
    {
        if (Training && !x.IsSymbolic) CountBatch();
        return x.BatchNorm2d(weight, bias, RunningMean, RunningVar, Training, Momentum, Eps, activation, residual, Name);
    }

    /// <inheritdoc/>
    protected override bool IsBuffer(string name) => name is "running_mean" or "running_var" or "num_batches_tracked";
}
