using RefConv.Kernels;

namespace RefConv;

/// <summary>Batch norm over the last axis, with a residual sum and an activation fused into it. See <see cref="IKernels.BatchNormTraining"/>.</summary>
public sealed class BatchNorm2dOp : Op
{
    private readonly Tensor _x, _gamma, _beta, _runningMean, _runningVar;
    private readonly Tensor? _residual;
    private readonly bool _training;
    private readonly double _momentum;
    private BufferView _mean, _invStd;

    internal BatchNorm2dOp(Tensor x, Tensor gamma, Tensor beta, Tensor runningMean, Tensor runningVar, bool training, double momentum, double eps,
        ActivationKind activation, Tensor? residual, string? name)
        : base("BatchNorm2d", name, residual == null ? [x, gamma, beta, runningMean, runningVar] : [x, gamma, beta, runningMean, runningVar, residual])
    {
        (_x, _gamma, _beta, _runningMean, _runningVar, _training, _momentum) = (x, gamma, beta, runningMean, runningVar, training, momentum);
        _residual = residual;
        if (residual != null && residual.Shape != x.Shape) throw Bad($"the residual must be of the input's shape {x.Shape}, it is {residual.Shape}.");
        int c = x.Shape[-1];
        foreach (var t in (ReadOnlySpan<Tensor>)[gamma, beta, runningMean, runningVar])
        {
            if (t.Shape.Rank != 1 || t.Shape[0] != c) throw Bad($"input {x.Shape} has {c} channels, but the norm is made for {t.Shape.Count}.");
        }
        if (!BatchNormGeometry.Fuses(activation, residual != null))
            throw Bad($"{activation} cannot be fused into a batch norm{(residual == null ? "" : " with a residual")}; apply it as an operation of its own.");
        long rows = x.Shape.Count / Math.Max(c, 1);
        if (training && rows < 2)
            throw Bad($"training needs more than one value per channel, input {x.Shape} has {rows}. Use a larger batch or Eval().");
        Geometry = new BatchNormGeometry(rows, c, eps, activation);
    }

    /// <summary>The whole shape.</summary>
    public BatchNormGeometry Geometry { get; }

    /// <inheritdoc/>
    public override string Attributes => Geometry.ToString();

    internal bool IsTraining => _training;

    internal Tensor Input => _x;

    internal Tensor? ResidualInput => _residual;

    internal Tensor Run() => Run(_x.Shape);

    /// <summary>The norm in evaluation as y = x·scale + shift per channel.</summary>
    internal (double[] Scale, double[] Shift) AsAffine()
    {
        double[] scale = _gamma.ToDoubleArray(), shift = _beta.ToDoubleArray(), mean = _runningMean.ToDoubleArray(), variance = _runningVar.ToDoubleArray();
        for (int c = 0; c < scale.Length; c++)
        {
            scale[c] /= Math.Sqrt(variance[c] + Geometry.Epsilon);
            shift[c] -= mean[c] * scale[c];
        }
        return (scale, shift);
    }

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        if (!_training)
        {
            kernels.BatchNormInference(Geometry, _x.Data, _gamma.Data, _beta.Data, _runningMean.Data, _runningVar.Data, Residual, Output.Data);
            return;
        }
        (_mean, _invStd) = (Save(Geometry.C), Save(Geometry.C));
        kernels.BatchNormTraining(Geometry, _x.Data, _x.Moments, _gamma.Data, _beta.Data, _runningMean.Data, _runningVar.Data, _momentum, _mean, _invStd,
            Residual, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor == Output ? ReadsResult : tensor != _residual || tensor == _x;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        bool accumulateX = false, accumulateP = false;
        BufferView dx = Needs(_x) ? Gradient(_x, out accumulateX) : default, dgamma = default, dbeta = default;
        if (Needs(_gamma) || Needs(_beta))
        {
            // γ and β are trained together or not at all: one reduction gives both.
            (dgamma, dbeta) = Gradients(kernels, _gamma, _beta, out accumulateP);
        }
        // With y the kernel turns dy into the gradient of the sum, which is the residual's; without an activation dy is that already.
        var y = ReadsResult ? Output.Data : default;
        if (_training)
            kernels.BatchNormTrainingBackward(Geometry, _x.Data, y, dy, _gamma.Data, _beta.Data, _mean, _invStd, dx, dgamma, dbeta, accumulateX, accumulateP);
        else
            kernels.BatchNormInferenceBackward(Geometry, _x.Data, y, dy, _gamma.Data, _beta.Data, _runningMean.Data, _runningVar.Data, dx, dgamma, dbeta, accumulateX, accumulateP);
        if (Needs(_residual)) PassGradient(kernels, _residual!);
    }

    internal override bool CanRecompute => _training && _residual == null && !_x.Moments.IsEmpty;

    internal override bool RecomputesCheaply => CanRecompute && Geometry.Activation is not (ActivationKind.SiLU or ActivationKind.Hardswish); // a step of EfficientNet or MobileNetV3 took 3 % longer

    /// <inheritdoc/>
    internal override void Recompute(IKernels kernels, BufferView result)
    {
        // The same call once more, from the same moments; the running statistics must not move twice.
        using var scratch = _x.Device.Rent(2L * Geometry.C);
        kernels.BatchNormTraining(Geometry, _x.Data, _x.Moments, _gamma.Data, _beta.Data, default, default, _momentum,
            scratch.View.Slice(0, Geometry.C), scratch.View.Slice(Geometry.C, Geometry.C), default, result);
    }

    private bool ReadsResult => _residual != null && Geometry.Activation != ActivationKind.Identity;

    private BufferView Residual => _residual?.Data ?? default;
}
