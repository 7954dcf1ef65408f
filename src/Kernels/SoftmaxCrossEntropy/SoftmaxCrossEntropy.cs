namespace RefConv.Kernels;

/// <summary>Shape of softmax cross-entropy over a batch of class scores.</summary>
/// <param name="N">Rows.</param>
/// <param name="Classes">Scores a row.</param>
/// <param name="LabelSmoothing">
/// ε of Szegedy et al.: the target is (1 − ε) on the class plus ε/Classes everywhere, as in PyTorch.
/// </param>
public readonly record struct SoftmaxCrossEntropyGeometry(int N, int Classes, double LabelSmoothing = 0)
{
    /// <inheritdoc/>
    public override string ToString() => $"{N}×{Classes}{(LabelSmoothing == 0 ? "" : $" ε{LabelSmoothing}")}";
}

public partial interface IKernels
{
    /// <summary><c>y[n,·] = e^(x − max) / Σ e^(x − max)</c>, row by row.</summary>
    /// <param name="g">Shape; the smoothing is not used.</param>
    /// <param name="x">[N, Classes]</param>
    /// <param name="y">[N, Classes]</param>
    void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y);

    /// <summary>
    /// Mean over rows of <c>−Σ_j t_j · log softmax(x)_j</c>, where t is the smoothed one-hot target.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, Classes] scores</param>
    /// <param name="labels">[N] class numbers, stored as elements</param>
    /// <param name="probabilities">[N, Classes], written: softmax(x)</param>
    /// <param name="loss">[1], written</param>
    void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss);

    /// <summary><c>dx[n,j] (+)= (probabilities[n,j] − t_j) · dloss / N</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="probabilities">[N, Classes] from the forward pass</param>
    /// <param name="labels">[N]</param>
    /// <param name="dloss">[1]</param>
    /// <param name="dx">[N, Classes]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate);
}
