namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y)
    {
        for (int i = 0; i < terms.Length; i++)
        {
            var t = terms[i];
            var one = g with { Epsilon = t.Epsilon, Activation = i == terms.Length - 1 ? g.Activation : ActivationKind.Identity };
            BatchNormTraining(one, t.X, t.Moments, t.Gamma, t.Beta, t.RunningMean, t.RunningVar, t.Momentum, t.Mean, t.InvStd, i == 0 ? residual : y, y);
        }
    }

    public void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy)
    {
        Span<double> result = S(y), slope = S(dy);
        for (int i = 0; i < slope.Length; i++)
        {
            slope[i] = g.Activation switch
            {
                ActivationKind.Identity => slope[i],
                ActivationKind.ReLU => result[i] > 0 ? slope[i] : 0,
                ActivationKind.ReLU6 => result[i] > 0 && result[i] < 6 ? slope[i] : 0,
                _ => throw BatchNormGeometry.NotFused(g.Activation),
            };
        }
        // Of the identity no slope is asked, and so no β: any vector will do for it.
        var linear = g with { Activation = ActivationKind.Identity };
        for (int i = 0; i < terms.Length; i++)
        {
            var (t, d) = (terms[i], gradients[i]);
            BatchNormTrainingBackward(linear, t.X, default, dy, t.Gamma, t.Gamma, t.Mean, t.InvStd, d.Dx, d.Dgamma, default, d.AccumulateInput, d.AccumulateGamma);
            BatchNormTrainingBackward(linear, t.X, default, dy, t.Gamma, t.Gamma, t.Mean, t.InvStd, default, default, d.Dbeta, false, d.AccumulateBeta);
        }
    }
}
