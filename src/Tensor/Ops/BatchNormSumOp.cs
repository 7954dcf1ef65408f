using RefConv.Kernels;

namespace RefConv;

/// <summary>One batch norm of a <see cref="BatchNormSumOp"/>: what it reads, γ, β and the running statistics.</summary>
internal readonly record struct NormTerm(Tensor X, Tensor Gamma, Tensor Beta, Tensor RunningMean, Tensor RunningVar, double Momentum, double Epsilon);

/// <summary>The sum of several batch norms in training, with a residual and an activation. See <see cref="IKernels.BatchNormSumTraining"/>.</summary>
public sealed class BatchNormSumOp : Op
{
    private const int InputsATerm = 5;
    private readonly NormTerm[] _terms;
    private readonly Tensor? _residual;
    private BatchNormTerm[] _views = [];

    internal BatchNormSumOp(NormTerm[] terms, ActivationKind activation, Tensor? residual, string? name)
        : base("BatchNormSum", name, [.. terms.SelectMany(t => (Tensor[])[t.X, t.Gamma, t.Beta, t.RunningMean, t.RunningVar]), .. residual == null ? (Tensor[])[] : [residual]])
    {
        (_terms, _residual) = (terms, residual);
        var shape = terms[0].X.Shape;
        int c = shape[-1];
        long rows = shape.Count / Math.Max(c, 1);
        foreach (var t in Inputs.Where((_, i) => i % InputsATerm == 0))
        {
            if (t.Shape != shape) throw Bad($"all maps must be of one shape: {shape} and {t.Shape}.");
        }
        foreach (var t in Inputs.Where((_, i) => i % InputsATerm != 0))
        {
            if (t.Shape.Rank != 1 || t.Shape[0] != c) throw Bad($"the maps have {c} channels, but a norm is made for {t.Shape.Count}.");
        }
        if (activation is not (ActivationKind.Identity or ActivationKind.ReLU or ActivationKind.ReLU6)) throw Bad($"{activation} cannot be fused into a batch norm; apply it as an operation of its own.");
        if (rows < 2) throw Bad($"training needs more than one value per channel, input {shape} has {rows}. Use a larger batch or Eval().");
        Geometry = new BatchNormGeometry(rows, c, terms[0].Epsilon, activation);
    }

    /// <summary>The whole shape.</summary>
    public BatchNormGeometry Geometry { get; }

    /// <inheritdoc/>
    public override string Attributes => $"{_terms.Length} of {Geometry}";

    internal override bool IsForTraining => true;

    internal Tensor Run() => Run(_terms[0].X.Shape);

    /// <inheritdoc/>
    protected override void Forward(IKernels kernels)
    {
        int c = Geometry.C;
        var saved = Save(2L * c * _terms.Length);
        _views = [.. _terms.Select((t, i) => new BatchNormTerm(t.X.Data, t.X.Moments, t.Gamma.Data, t.Beta.Data, t.RunningMean.Data, t.RunningVar.Data,
            saved.Slice(2L * c * i, c), saved.Slice((2L * c * i) + c, c)) { Momentum = t.Momentum, Epsilon = t.Epsilon })];
        kernels.BatchNormSumTraining(Geometry, _views, _residual?.Data ?? default, Output.Data);
    }

    /// <inheritdoc/>
    protected internal override bool BackwardReads(Tensor tensor) => tensor == Output ? ReadsResult : tensor != _residual || _terms.Any(t => t.X == tensor);

    /// <inheritdoc/>
    protected internal override void Backward(IKernels kernels, BufferView dy)
    {
        var gradients = new BatchNormTermGradient[_terms.Length];
        for (int i = 0; i < gradients.Length; i++)
        {
            var t = _terms[i];
            bool addX = false, addGamma = false, addBeta = false;
            gradients[i] = new BatchNormTermGradient(
                Needs(t.X) ? Gradient(t.X, out addX) : default, Needs(t.Gamma) ? Gradient(t.Gamma, out addGamma) : default, Needs(t.Beta) ? Gradient(t.Beta, out addBeta) : default,
                addX, addGamma, addBeta);
            _views[i] = _views[i] with { X = t.X.Data }; // it may have been dropped and computed again
        }
        kernels.BatchNormSumTrainingBackward(Geometry, _views, gradients, ReadsResult ? Output.Data : default, dy);
        if (Needs(_residual)) PassGradient(kernels, _residual!); // dy is its gradient by now
    }

    private bool ReadsResult => Geometry.Activation != ActivationKind.Identity;
}
