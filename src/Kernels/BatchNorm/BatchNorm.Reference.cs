namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y)
    {
        for (int c = 0; c < g.C; c++)
        {
            var (mu, variance) = moments.IsEmpty ? MeanAndVariance(S(x), c, g.C) : (S(moments)[c], S(moments)[g.C + c]);
            S(mean)[c] = mu;
            S(invStd)[c] = 1 / Math.Sqrt(variance + g.Epsilon);
            Normalise(g, S(x), S(residual), S(y), new(c, mu, S(invStd)[c], S(gamma)[c], S(beta)[c]));

            // One row has no unbiased variance (0/0); its 0 stays 0.
            double unbiased = variance * g.Rows / Math.Max(1, g.Rows - 1);
            if (!runningMean.IsEmpty) S(runningMean)[c] = ((1 - momentum) * S(runningMean)[c]) + (momentum * mu);
            if (!runningVar.IsEmpty) S(runningVar)[c] = ((1 - momentum) * S(runningVar)[c]) + (momentum * unbiased);
        }
    }

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y)
    {
        for (int c = 0; c < g.C; c++)
        {
            double inverse = 1 / Math.Sqrt(S(runningVar)[c] + g.Epsilon);
            Normalise(g, S(x), S(residual), S(y), new(c, S(runningMean)[c], inverse, S(gamma)[c], S(beta)[c]));
        }
    }

    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        for (int c = 0; c < g.C; c++)
        {
            var norm = new ChannelNorm(c, S(mean)[c], S(invStd)[c], S(gamma)[c], S(beta)[c]);
            var (sumGamma, sumBeta) = ParameterGradients(g, S(x), S(y), S(dy), norm);
            var dxs = S(dx);
            for (int i = c; i < dxs.Length; i += g.C)
            {
                double z = Unactivate(g, S(x), S(y), S(dy), norm, i), xhat = (S(x)[i] - norm.Mean) * norm.InvStd;
                Put(ref dxs[i], norm.Gamma * norm.InvStd * (z - (sumBeta / g.Rows) - (xhat * sumGamma / g.Rows)), accumulateInput);
            }
            FinishBackward(g, S(x), y, dy, norm, dgamma, dbeta, sumGamma, sumBeta, accumulateParameters);
        }
    }

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        for (int c = 0; c < g.C; c++)
        {
            var norm = new ChannelNorm(c, S(runningMean)[c], 1 / Math.Sqrt(S(runningVar)[c] + g.Epsilon), S(gamma)[c], S(beta)[c]);
            var (sumGamma, sumBeta) = ParameterGradients(g, S(x), S(y), S(dy), norm);
            var dxs = S(dx);
            for (int i = c; i < dxs.Length; i += g.C)
                Put(ref dxs[i], norm.Gamma * norm.InvStd * Unactivate(g, S(x), S(y), S(dy), norm, i), accumulateInput);
            FinishBackward(g, S(x), y, dy, norm, dgamma, dbeta, sumGamma, sumBeta, accumulateParameters);
        }
    }

    /// <summary>What belongs to one channel.</summary>
    private readonly record struct ChannelNorm(int Channel, double Mean, double InvStd, double Gamma, double Beta)
    {
        public double Apply(double x) => (Gamma * (x - Mean) * InvStd) + Beta;
    }

    /// <summary>Mean and biased variance (÷ rows) of one channel, in two passes.</summary>
    private static (double Mean, double Variance) MeanAndVariance(ReadOnlySpan<double> x, int channel, int channels)
    {
        double sum = 0, squares = 0;
        int rows = x.Length / channels;
        for (int i = channel; i < x.Length; i += channels) sum += x[i];
        double mean = sum / rows;
        for (int i = channel; i < x.Length; i += channels) squares += (x[i] - mean) * (x[i] - mean);
        return (mean, squares / rows);
    }

    /// <summary>y = f(γ·(x − μ)·invStd + β + residual) for one channel.</summary>
    private static void Normalise(in BatchNormGeometry g, Span<double> x, Span<double> residual, Span<double> y, ChannelNorm norm)
    {
        for (int i = norm.Channel; i < y.Length; i += g.C) y[i] = Activate(g.Activation, norm.Apply(x[i]) + (residual.IsEmpty ? 0 : residual[i]));
    }

    /// <summary>dγ = Σ z·x̂ and dβ = Σ z of one channel.</summary>
    private static (double Gamma, double Beta) ParameterGradients(in BatchNormGeometry g, Span<double> x, Span<double> y, Span<double> dy, ChannelNorm norm)
    {
        double gamma = 0, beta = 0;
        for (int i = norm.Channel; i < dy.Length; i += g.C)
        {
            double z = Unactivate(g, x, y, dy, norm, i);
            gamma += z * (x[i] - norm.Mean) * norm.InvStd;
            beta += z;
        }
        return (gamma, beta);
    }

    /// <summary>Writes the parameters' gradients, and z over dy where there was a residual.</summary>
    private static void FinishBackward(in BatchNormGeometry g, Span<double> x, BufferView y, BufferView dy, ChannelNorm norm,
        BufferView dgamma, BufferView dbeta, double sumGamma, double sumBeta, bool accumulate)
    {
        if (!dgamma.IsEmpty) Put(ref S(dgamma)[norm.Channel], sumGamma, accumulate);
        if (!dbeta.IsEmpty) Put(ref S(dbeta)[norm.Channel], sumBeta, accumulate);
        for (int i = norm.Channel; i < S(y).Length; i += g.C) S(dy)[i] = Unactivate(g, x, S(y), S(dy), norm, i);
    }

    /// <summary>z = dy·f′; f′ from the result y where it is given, else from the result computed again.</summary>
    private static double Unactivate(in BatchNormGeometry g, Span<double> x, Span<double> y, Span<double> dy, ChannelNorm norm, int i)
    {
        // Of ReLU and ReLU6 the slope is the same asked of the result as of what comes before it.
        if (!BatchNormGeometry.Fuses(g.Activation, hasResidual: !y.IsEmpty)) throw BatchNormGeometry.NotFused(g.Activation);
        return ActivationSlope(g.Activation, y.IsEmpty ? norm.Apply(x[i]) : y[i]) * dy[i];
    }
}
