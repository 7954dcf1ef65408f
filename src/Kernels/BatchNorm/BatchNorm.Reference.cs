namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView y)
    {
        var xs = S(x); // [Rows, C]
        for (int c = 0; c < g.C; c++)
        {
            double sum = 0, squares = 0;
            for (int i = c; i < xs.Length; i += g.C) sum += xs[i];
            double mu = sum / g.Rows;
            for (int i = c; i < xs.Length; i += g.C) squares += (xs[i] - mu) * (xs[i] - mu);
            double variance = squares / g.Rows;

            S(mean)[c] = mu;
            S(invStd)[c] = 1 / Math.Sqrt(variance + g.Epsilon);
            Normalise(g, xs, S(y), c, mu, S(invStd)[c], S(gamma)[c], S(beta)[c]);

            // One row has no unbiased variance (0/0); its 0 stays 0.
            double unbiased = squares / Math.Max(1, g.Rows - 1);
            if (!runningMean.IsEmpty) S(runningMean)[c] = ((1 - momentum) * S(runningMean)[c]) + (momentum * mu);
            if (!runningVar.IsEmpty) S(runningVar)[c] = ((1 - momentum) * S(runningVar)[c]) + (momentum * unbiased);
        }
    }

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView y)
    {
        for (int c = 0; c < g.C; c++)
            Normalise(g, S(x), S(y), c, S(runningMean)[c], 1 / Math.Sqrt(S(runningVar)[c] + g.Epsilon), S(gamma)[c], S(beta)[c]);
    }

    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        var xs = S(x);
        var dxs = S(dx);
        for (int c = 0; c < g.C; c++)
        {
            double mu = S(mean)[c], inverse = S(invStd)[c];
            var (sumGamma, sumBeta) = ParameterGradients(g, xs, S(y), S(dy), c, mu, inverse);
            for (int i = c; i < dxs.Length; i += g.C)
            {
                double z = Unactivate(g, S(y), S(dy), i), xhat = (xs[i] - mu) * inverse;
                Put(ref dxs[i], S(gamma)[c] * inverse * (z - (sumBeta / g.Rows) - (xhat * sumGamma / g.Rows)), accumulateInput);
            }
            if (!dgamma.IsEmpty) Put(ref S(dgamma)[c], sumGamma, accumulateParameters);
            if (!dbeta.IsEmpty) Put(ref S(dbeta)[c], sumBeta, accumulateParameters);
        }
    }

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView runningMean,
        BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        var dxs = S(dx);
        for (int c = 0; c < g.C; c++)
        {
            double inverse = 1 / Math.Sqrt(S(runningVar)[c] + g.Epsilon);
            var (sumGamma, sumBeta) = ParameterGradients(g, S(x), S(y), S(dy), c, S(runningMean)[c], inverse);
            for (int i = c; i < dxs.Length; i += g.C) Put(ref dxs[i], S(gamma)[c] * inverse * Unactivate(g, S(y), S(dy), i), accumulateInput);
            if (!dgamma.IsEmpty) Put(ref S(dgamma)[c], sumGamma, accumulateParameters);
            if (!dbeta.IsEmpty) Put(ref S(dbeta)[c], sumBeta, accumulateParameters);
        }
    }

    /// <summary>y = f(γ·(x − μ)·invStd + β) for one channel.</summary>
    private static void Normalise(in BatchNormGeometry g, Span<double> x, Span<double> y, int c, double mean, double invStd, double gamma, double beta)
    {
        for (int i = c; i < y.Length; i += g.C) y[i] = Activate(g.Activation, (gamma * (x[i] - mean) * invStd) + beta);
    }

    /// <summary>dγ = Σ z·x̂ and dβ = Σ z of one channel.</summary>
    private static (double Gamma, double Beta) ParameterGradients(
        in BatchNormGeometry g, Span<double> x, Span<double> y, Span<double> dy, int c, double mean, double invStd)
    {
        double gamma = 0, beta = 0;
        for (int i = c; i < dy.Length; i += g.C)
        {
            double z = Unactivate(g, y, dy, i);
            gamma += z * (x[i] - mean) * invStd;
            beta += z;
        }
        return (gamma, beta);
    }

    /// <summary>z = dy·f′, the slope read from the activated result.</summary>
    private static double Unactivate(in BatchNormGeometry g, Span<double> y, Span<double> dy, int i) => g.Activation switch
    {
        ActivationKind.Identity => dy[i],
        ActivationKind.ReLU => y[i] > 0 ? dy[i] : 0,
        ActivationKind.ReLU6 => y[i] > 0 && y[i] < 6 ? dy[i] : 0,
        _ => throw new NotSupportedException($"Batch norm fuses Identity, ReLU and ReLU6, not {g.Activation}."),
    };
}
