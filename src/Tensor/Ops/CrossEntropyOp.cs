using RefConv.Kernels;

namespace RefConv;

/// <summary>Mean softmax cross-entropy. See <see cref="IKernels.SoftmaxCrossEntropyForward"/>.</summary>
public sealed class CrossEntropyOp : Op
{
    private readonly Tensor _x, _labels;
    private readonly SoftmaxCrossEntropyGeometry _g;
    private BufferView _probabilities;

    internal CrossEntropyOp(Tensor x, Tensor labels, double labelSmoothing, string? name)
        : base("CrossEntropy", name, x, labels)
    {
        (_x, _labels) = (x, labels);
        if (x.Shape.Rank != 2) throw Bad($"scores must be [rows, classes], they are {x.Shape}.");
        if (labels.Shape.Count != x.Shape[0]) throw Bad($"{x.Shape[0]} rows of scores but {labels.Shape.Count} labels.");
        if (!(labelSmoothing >= 0 && labelSmoothing < 1)) throw Bad($"label smoothing must be at least 0 and below 1, it is {labelSmoothing}.");
        _g = new SoftmaxCrossEntropyGeometry(x.Shape[0], x.Shape[1], labelSmoothing);
    }

    /// <inheritdoc/>
    public override string Attributes => _g.ToString();

    internal Tensor Run() => Run(new Shape(1));

    internal override bool IsForTraining => true;

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        _probabilities = Save(_x.Data.Length);
        kernels.SoftmaxCrossEntropyForward(_g, _x.Data, _labels.Data, _probabilities, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor == _labels;

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        kernels.SoftmaxCrossEntropyBackward(_g, _probabilities, _labels.Data, dy, Gradient(_x, out bool accumulate), accumulate);
}

/// <summary>Softmax over the last axis of [rows, classes]; no gradient (train with cross-entropy).</summary>
public sealed class SoftmaxOp : Op
{
    private readonly Tensor _x;

    internal SoftmaxOp(Tensor x, string? name)
        : base("Softmax", name, x)
    {
        _x = x;
        if (x.Shape.Rank != 2) throw Bad($"scores must be [rows, classes], they are {x.Shape}.");
    }

    internal Tensor Run() => Run(_x.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels) => kernels.Softmax(new SoftmaxCrossEntropyGeometry(_x.Shape[0], _x.Shape[1]), _x.Data, Output.Data);

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy) =>
        throw new NotSupportedException($"{Label} has no gradient of its own. Train with CrossEntropy on the scores.");
}
