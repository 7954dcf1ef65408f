namespace RefConv.Kernels;

/// <summary>
/// Batch norm is memory traffic. Training reads x twice and writes y once: a pass for the statistics, one to normalise. Backward reads x, dy (and y,
/// where an activation is fused) for the two sums, and again to write dx. Second passes go backwards, over what the first left in the cache.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView y)
    {
        float* means = P(mean), inverses = P(invStd), gammas = P(gamma), betas = P(beta), rMean = P(runningMean), rVar = P(runningVar);
        double rows = g.Rows, epsilon = g.Epsilon;
        using var constants = _device.Scratch(3L * g.C);
        var affine = new ChannelAffine(constants.Pointer, g.C);
        using var moments = SumColumns(new Moments(P(x)), 1, g.Rows, g.C);
        ParallelRange(g.C, ChannelBlock, (first, last) =>
        {
            for (int c = (int)first; c < last; c++)
            {
                double mu = moments.Sum(0)[c] / rows;
                double variance = Math.Max(0, (moments.Sum(1)[c] / rows) - (mu * mu));
                double inverse = 1 / Math.Sqrt(variance + epsilon);
                means[c] = (float)mu;
                inverses[c] = (float)inverse;
                affine.Set(c, mu, inverse * gammas[c], betas[c]);
                // One row has no unbiased variance (0/0); its 0 stays 0.
                if (rMean != null) rMean[c] = (float)(((1 - momentum) * rMean[c]) + (momentum * mu));
                if (rVar != null) rVar[c] = (float)(((1 - momentum) * rVar[c]) + (momentum * variance * rows / Math.Max(1, rows - 1)));
            }
        });
        Normalise(g, P(x), affine, P(y), backwards: true);
    }

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView y)
    {
        float* gammas = P(gamma), betas = P(beta), means = P(runningMean), variances = P(runningVar);
        using var constants = _device.Scratch(3L * g.C);
        var affine = new ChannelAffine(constants.Pointer, g.C);
        for (int c = 0; c < g.C; c++) affine.Set(c, means[c], gammas[c] / Math.Sqrt(variances[c] + g.Epsilon), betas[c]);
        Normalise(g, P(x), affine, P(y), backwards: false);
    }

    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        if (dx.IsEmpty && dgamma.IsEmpty && dbeta.IsEmpty) return;
        float* means = P(mean), inverses = P(invStd), gammas = P(gamma);
        using var sums = GradientSums(g, P(x), P(y), P(dy), means);
        WriteParameterGradients(sums, g.C, inverses, P(dgamma), P(dbeta), accumulateParameters);
        if (dx.IsEmpty) return;

        // dx = γ·s·(z − dβ/n − x̂·dγ/n) with s = invStd, x̂ = (x − mean)·s and dγ = s·Σ z·(x − mean): a line in z and x − mean.
        using var constants = _device.Scratch(3L * g.C);
        float* scale = constants.Pointer, slope = scale + g.C, shift = slope + g.C; // [C] each
        for (int c = 0; c < g.C; c++)
        {
            double factor = (double)gammas[c] * inverses[c];
            scale[c] = (float)factor;
            slope[c] = (float)(-factor * inverses[c] * inverses[c] * sums.Sum(1)[c] / g.Rows);
            shift[c] = (float)(-factor * sums.Sum(0)[c] / g.Rows);
        }
        InputGradient(g, P(x), P(y), P(dy), means, scale, slope, shift, P(dx), accumulateInput);
    }

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView runningMean,
        BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        float* means = P(runningMean), variances = P(runningVar), gammas = P(gamma);
        using var constants = _device.Scratch(2L * g.C);
        float* inverses = constants.Pointer, scale = inverses + g.C; // [C] each
        for (int c = 0; c < g.C; c++)
        {
            double inverse = 1 / Math.Sqrt(variances[c] + g.Epsilon);
            inverses[c] = (float)inverse;
            scale[c] = (float)(gammas[c] * inverse);
        }
        if (!dgamma.IsEmpty || !dbeta.IsEmpty)
        {
            using var sums = GradientSums(g, P(x), P(y), P(dy), means);
            WriteParameterGradients(sums, g.C, inverses, P(dgamma), P(dbeta), accumulateParameters);
        }
        if (!dx.IsEmpty) InputGradient(g, P(x), P(y), P(dy), means, scale, null, null, P(dx), accumulateInput);
    }

    private void Normalise(in BatchNormGeometry g, float* x, ChannelAffine affine, float* y, bool backwards)
    {
        switch (g.Activation)
        {
            case ActivationKind.Identity: ForRows(new NormaliseRows<IdentityFunction>(x, affine, y, g.C), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.ReLU: ForRows(new NormaliseRows<ReLUFunction>(x, affine, y, g.C), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.ReLU6: ForRows(new NormaliseRows<ReLU6Function>(x, affine, y, g.C), 1, g.Rows, g.C, backwards); break;
            default: throw NotFused(g.Activation);
        }
    }

    /// <summary>Sum 0: Σ z. Sum 1: Σ z·(x − mean). z = dy·f′ needs y only where there is an f: without one y may be missing, and dy stands in.</summary>
    private ColumnTotals GradientSums(in BatchNormGeometry g, float* x, float* y, float* dy, float* mean) => g.Activation switch
    {
        ActivationKind.Identity => SumColumns(new BatchNormGradientSum<KeepGradient>(x, dy, dy, mean), 1, g.Rows, g.C),
        ActivationKind.ReLU => SumColumns(new BatchNormGradientSum<ReLUGradient>(x, y, dy, mean), 1, g.Rows, g.C),
        ActivationKind.ReLU6 => SumColumns(new BatchNormGradientSum<ReLU6Gradient>(x, y, dy, mean), 1, g.Rows, g.C),
        _ => throw NotFused(g.Activation),
    };

    private static void WriteParameterGradients(ColumnTotals sums, int channels, float* invStd, float* dgamma, float* dbeta, bool accumulate)
    {
        for (int c = 0; c < channels; c++)
        {
            if (dgamma != null) dgamma[c] = (float)((accumulate ? dgamma[c] : 0) + (invStd[c] * sums.Sum(1)[c]));
            if (dbeta != null) dbeta[c] = (float)((accumulate ? dbeta[c] : 0) + sums.Sum(0)[c]);
        }
    }

    private void InputGradient(in BatchNormGeometry g, float* x, float* y, float* dy, float* mean, float* scale, float* slope, float* shift, float* dx, bool accumulate)
    {
        switch (g.Activation)
        {
            case ActivationKind.Identity:
                ForRows(new BatchNormInputGradient<KeepGradient>(x, dy, dy, mean, scale, slope, shift, dx, g.C, accumulate), 1, g.Rows, g.C, backwards: true);
                break;
            case ActivationKind.ReLU:
                ForRows(new BatchNormInputGradient<ReLUGradient>(x, y, dy, mean, scale, slope, shift, dx, g.C, accumulate), 1, g.Rows, g.C, backwards: true);
                break;
            case ActivationKind.ReLU6:
                ForRows(new BatchNormInputGradient<ReLU6Gradient>(x, y, dy, mean, scale, slope, shift, dx, g.C, accumulate), 1, g.Rows, g.C, backwards: true);
                break;
            default: throw NotFused(g.Activation);
        }
    }

    private static NotSupportedException NotFused(ActivationKind kind) => new($"Batch norm fuses Identity, ReLU and ReLU6, not {kind}.");
}
