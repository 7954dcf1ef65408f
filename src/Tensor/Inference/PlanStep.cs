using RefConv.Kernels;

namespace RefConv;

/// <summary>One thing a plan does.</summary>
internal abstract class PlanStep : IDisposable
{
    /// <summary>What it reads and the plan computes; parameters are not among them.</summary>
    public abstract IEnumerable<Tensor> Reads { get; }

    /// <summary>What it writes.</summary>
    public abstract Tensor Output { get; }

    /// <summary>One of the inputs whose memory the result may take, if nobody reads it later; or null.</summary>
    public abstract Tensor? MayOverwrite { get; }

    public virtual long WeightBytes => 0;

    public abstract void Run(IKernels kernels);

    public virtual void Dispose()
    {
    }
}

/// <summary>An operation as it is. What it reads that was computed during the recording (from parameters only) becomes the plan's.</summary>
internal sealed class OpStep(Op op) : PlanStep
{
    private readonly DeviceBuffer[] _constants = [.. op.Inputs.Where(i => !i.IsSymbolic && Tape.Current.TryTake(i.Data.Buffer)).Select(i => i.Data.Buffer)];

    public override IEnumerable<Tensor> Reads => op.Inputs.Where(i => i.IsSymbolic);

    public override Tensor Output => op.Output;

    public override Tensor? MayOverwrite => op is ActivationOp or AddOp or PReLUOp ? Reads.First() : null;

    public override long WeightBytes => _constants.Sum(b => b.Length) * sizeof(float);

    public override void Run(IKernels kernels) => op.Execute();

    public override void Dispose()
    {
        foreach (var buffer in _constants) buffer.Dispose();
    }

    public override string ToString() => op.ToString();
}

/// <summary>A batch norm that could not be folded, with its constants as they are now: some of them may be results that end with the recording.</summary>
internal sealed class NormStep : PlanStep
{
    private readonly BatchNorm2dOp _op;
    private readonly DeviceBuffer _constants;

    public NormStep(BatchNorm2dOp op)
    {
        _op = op;
        int c = op.Geometry.C;
        _constants = op.Input.Device.Rent(4L * c);
        for (int i = 0; i < 4; i++) op.Input.Device.Write(_constants.View.Slice(i * c, c), op.Inputs[i + 1].ToDoubleArray());
    }

    public override IEnumerable<Tensor> Reads => _op.Inputs.Where(i => i.IsSymbolic);

    public override Tensor Output => _op.Output;

    public override Tensor? MayOverwrite => Reads.First();

    public override long WeightBytes => _constants.Length * sizeof(float);

    public override void Run(IKernels kernels) => kernels.BatchNormInference(
        _op.Geometry, _op.Input.Data, Constant(0), Constant(1), Constant(2), Constant(3), _op.ResidualInput?.Data ?? default, Output.Data);

    public override void Dispose() => _constants.Dispose();

    public override string ToString() => _op.ToString();

    private BufferView Constant(int i) => _constants.View.Slice(i * _op.Geometry.C, _op.Geometry.C);
}

/// <summary>A convolution or linear layer with all that was fused into it.</summary>
internal sealed class ConvStep(string name, Conv2dGeometry geometry, Tensor input, Tensor weight, Tensor? bias, Tensor output) : PlanStep
{
    private double[]? _bias = bias?.ToDoubleArray(), _scale;
    private PackedConv2d? _packed;
    private DeviceBuffer? _biasBuffer;
    private Tensor _output = output;

    public override IEnumerable<Tensor> Reads => Residual == null ? [input] : [input, Residual];

    public override Tensor Output => _output;

    public override Tensor? MayOverwrite => Residual;

    public override long WeightBytes => _packed?.Bytes ?? 0;

    public Tensor? Residual { get; private set; }

    public ActivationKind Activation { get; private set; }

    /// <summary>Nothing but scaling and a bias happened to the sums yet, so that more can be fused.</summary>
    public bool IsOpen => Activation == ActivationKind.Identity && Residual == null;

    /// <summary>The result becomes result·scale + shift, per channel.</summary>
    public void Fold(double[] scale, double[] shift, Tensor output)
    {
        _bias ??= new double[geometry.K];
        _scale = _scale == null ? scale : [.. _scale.Zip(scale, (a, b) => a * b)];
        for (int i = 0; i < _bias.Length; i++) _bias[i] = (_bias[i] * scale[i]) + shift[i];
        _output = output;
    }

    public void Add(Tensor residual, Tensor output) => (Residual, _output) = (residual, output);

    public void Activate(ActivationKind kind, Tensor output) => (Activation, _output) = (kind, output);

    /// <summary>Packs the weights as they are now, while the recording lasts; nothing can be folded afterwards.</summary>
    public void Pack(Device device, Conv2dAccuracy accuracy)
    {
        if (_scale == null)
        {
            _packed = device.Kernels.Conv2dPack(geometry, weight.Data, accuracy);
        }
        else
        {
            using var scaled = ScaledWeights(device, _scale);
            _packed = device.Kernels.Conv2dPack(geometry, scaled.View, accuracy);
        }
        if (_bias == null) return;
        _biasBuffer = device.Rent(_bias.Length);
        device.Write(_biasBuffer.View, _bias);
    }

    private DeviceBuffer ScaledWeights(Device device, double[] scale)
    {
        using var factors = device.Rent(scale.Length);
        device.Write(factors.View, scale);
        var scaled = device.Rent(weight.Data.Length);
        device.Kernels.MultiplyChannels(new BroadcastGeometry(1, weight.Data.Length / scale.Length, scale.Length), weight.Data, factors.View, scaled.View, accumulate: false);
        return scaled;
    }

    public override void Run(IKernels kernels) =>
        kernels.Conv2dPacked(_packed!, Activation, input.IsDropped ? input.Strided.FromFirst : input.Data, _biasBuffer?.View ?? default, Residual?.Data ?? default, _output.Data);

    public override void Dispose()
    {
        _packed?.Dispose();
        _biasBuffer?.Dispose();
    }

    public override string ToString() =>
        $"Conv2d{(name.Length == 0 ? "" : $" '{name}'")} {geometry}{(_bias == null ? "" : " + bias")}{(Residual == null ? "" : " + residual")}" +
        $"{(Activation == ActivationKind.Identity ? "" : $" + {Activation}")}: {_packed?.Algorithm}";
}
