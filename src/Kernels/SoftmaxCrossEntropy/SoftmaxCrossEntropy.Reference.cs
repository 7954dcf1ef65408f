namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y)
    {
        for (int n = 0; n < g.N; n++) SoftmaxRow(S(x).Slice(n * g.Classes, g.Classes), S(y).Slice(n * g.Classes, g.Classes));
    }

    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss)
    {
        double sum = 0;
        for (int n = 0; n < g.N; n++)
        {
            var row = S(x).Slice(n * g.Classes, g.Classes);
            double logDenominator = SoftmaxRow(row, S(probabilities).Slice(n * g.Classes, g.Classes));
            for (int j = 0; j < g.Classes; j++)
            {
                double target = Target(g, (int)S(labels)[n], j);
                if (target != 0) sum -= target * (row[j] - logDenominator); // a score of −∞ where no target is costs nothing
            }
        }
        S(loss)[0] = sum / g.N;
    }

    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate)
    {
        var p = S(probabilities);
        var dxs = S(dx);
        for (int n = 0; n < g.N; n++)
        for (int j = 0; j < g.Classes; j++)
        {
            int i = (n * g.Classes) + j;
            Put(ref dxs[i], (p[i] - Target(g, (int)S(labels)[n], j)) * S(dloss)[0] / g.N, accumulate);
        }
    }

    /// <summary>y = softmax(x); returns log Σ e^x. The largest score is taken out first, so that no exponential overflows.</summary>
    private static double SoftmaxRow(Span<double> x, Span<double> y)
    {
        double max = double.NegativeInfinity;
        foreach (double score in x) max = Math.Max(max, score);
        double sum = 0;
        foreach (double score in x) sum += Math.Exp(score - max);
        for (int j = 0; j < x.Length; j++) y[j] = Math.Exp(x[j] - max) / sum;
        return max + Math.Log(sum);
    }

    /// <summary>t_j: the one-hot target with a share ε of it spread over all classes.</summary>
    private static double Target(in SoftmaxCrossEntropyGeometry g, int label, int j) =>
        (g.LabelSmoothing / g.Classes) + (j == label ? 1 - g.LabelSmoothing : 0);
}
