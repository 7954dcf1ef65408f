namespace RefConv.Kernels;

/// <summary>
/// Batch norm is memory traffic, so what counts is how often a map is read or written. Training: the moments come with the convolution's result
/// (otherwise one read), then x is read and y written. Backward: x and dy are read for the two sums, and again to write dx. y is not
/// needed. Second passes go backwards, over what the first left in the cache.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y)
    {
        using var constants = _device.Scratch(3L * g.C);
        var affine = new ChannelAffine(constants.Pointer, g.C);
        Statistics(g, P(x), P(moments), P(runningMean), P(runningVar), momentum, P(mean), P(invStd), P(gamma), P(beta), affine);
        Normalise(g, P(x), affine, P(residual), P(y), backwards: moments.IsEmpty);
    }

    /// <summary>Finds (or takes) the moments, moves the running statistics, and says what becomes of every channel.</summary>
    private void Statistics(in BatchNormGeometry g, float* x, float* known, float* runningMean, float* runningVar, double momentum, float* mean, float* invStd,
        float* gamma, float* beta, ChannelAffine affine)
    {
        double rows = g.Rows, epsilon = g.Epsilon;
        using var sums = known == null ? SumColumns(new Moments(x), 1, g.Rows, g.C) : default;
        for (int c = 0; c < g.C; c++)
        {
            double mu, variance;
            if (known != null) (mu, variance) = (known[c], known[g.C + c]);
            else (mu, variance) = MeanAndVarianceOf(sums, c, rows);
            double inverse = 1 / Math.Sqrt(variance + epsilon);
            mean[c] = (float)mu;
            invStd[c] = (float)inverse;
            affine.Set(c, mu, inverse * gamma[c], beta[c]);
            // One row has no unbiased variance (0/0); its 0 stays 0.
            if (runningMean != null) runningMean[c] = (float)(((1 - momentum) * runningMean[c]) + (momentum * mu));
            if (runningVar != null) runningVar[c] = (float)(((1 - momentum) * runningVar[c]) + (momentum * variance * rows / Math.Max(1, rows - 1)));
        }
    }

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y)
    {
        float* gammas = P(gamma), betas = P(beta), means = P(runningMean), variances = P(runningVar);
        using var constants = _device.Scratch(3L * g.C);
        var affine = new ChannelAffine(constants.Pointer, g.C);
        for (int c = 0; c < g.C; c++) affine.Set(c, means[c], gammas[c] / Math.Sqrt(variances[c] + g.Epsilon), betas[c]);
        Normalise(g, P(x), affine, P(residual), P(y), backwards: false);
    }

    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        float* inverses = P(invStd), gammas = P(gamma);
        using var constants = _device.Scratch(3L * g.C);
        float* scale = constants.Pointer, slope = scale + g.C, offset = slope + g.C; // [C] each
        for (int c = 0; c < g.C; c++) scale[c] = (float)((double)gammas[c] * inverses[c]);
        var affine = new ChannelAffine(P(mean), scale, P(beta));
        using var sums = GradientSums(g, P(x), P(y), P(dy), affine);
        WriteParameterGradients(sums, g.C, inverses, P(dgamma), P(dbeta), accumulateParameters);
        if (dx.IsEmpty) return;

        // dx = γ·s·(z − dβ/n − x̂·dγ/n) with s = invStd, x̂ = (x − mean)·s and dγ = s·Σ z·(x − mean): a line in z and x − mean.
        for (int c = 0; c < g.C; c++)
        {
            double factor = (double)gammas[c] * inverses[c];
            slope[c] = (float)(-factor * inverses[c] * inverses[c] * sums.Sum(1)[c] / g.Rows);
            offset[c] = (float)(-factor * sums.Sum(0)[c] / g.Rows);
        }
        var line = new InputGradientLine { Affine = affine, Slope = slope, Offset = offset, Accumulate = accumulateInput };
        InputGradient(g, P(x), slopeIsInDy: !y.IsEmpty, P(dy), line, P(dx));
    }

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        float* variances = P(runningVar), gammas = P(gamma);
        using var constants = _device.Scratch(2L * g.C);
        float* inverses = constants.Pointer, scale = inverses + g.C; // [C] each
        for (int c = 0; c < g.C; c++)
        {
            double inverse = 1 / Math.Sqrt(variances[c] + g.Epsilon);
            inverses[c] = (float)inverse;
            scale[c] = (float)(gammas[c] * inverse);
        }
        var affine = new ChannelAffine(P(runningMean), scale, P(beta));
        if (!dgamma.IsEmpty || !dbeta.IsEmpty || !y.IsEmpty)
        {
            using var sums = GradientSums(g, P(x), P(y), P(dy), affine);
            WriteParameterGradients(sums, g.C, inverses, P(dgamma), P(dbeta), accumulateParameters);
        }
        if (!dx.IsEmpty) InputGradient(g, P(x), slopeIsInDy: !y.IsEmpty, P(dy), new InputGradientLine { Affine = affine, Accumulate = accumulateInput }, P(dx));
    }

    /// <summary>moments[0, c] and [1, c]: mean and biased variance of channel c of x.</summary>
    private void WriteMoments(float* x, long rows, int channels, float* moments)
    {
        using var sums = SumColumns(new Moments(x), 1, rows, channels);
        for (int c = 0; c < channels; c++)
        {
            var (mean, variance) = MeanAndVarianceOf(sums, c, rows);
            (moments[c], moments[channels + c]) = ((float)mean, (float)variance);
        }
    }

    private static (double Mean, double Variance) MeanAndVarianceOf(in ColumnTotals moments, int c, double rows)
    {
        double mean = moments.Sum(0)[c] / rows;
        return (mean, Math.Max(0, (moments.Sum(1)[c] / rows) - (mean * mean)));
    }

    private void Normalise(in BatchNormGeometry g, float* x, ChannelAffine affine, float* residual, float* y, bool backwards)
    {
        bool stream = CanStream(y, g);
        switch (g.Activation)
        {
            case ActivationKind.Identity: ForRows(new NormaliseRows<IdentityFunction>(x, affine, residual, y, g.C, stream), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.ReLU: ForRows(new NormaliseRows<ReLUFunction>(x, affine, residual, y, g.C, stream), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.ReLU6: ForRows(new NormaliseRows<ReLU6Function>(x, affine, residual, y, g.C, stream), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.Hardswish: ForRows(new NormaliseRows<HardswishFunction>(x, affine, residual, y, g.C, stream), 1, g.Rows, g.C, backwards); break;
            case ActivationKind.SiLU: ForRows(new NormaliseRows<SiLUFunction>(x, affine, residual, y, g.C, stream), 1, g.Rows, g.C, backwards); break;
            default: throw BatchNormGeometry.NotFused(g.Activation);
        }
    }

    /// <summary>Sum 0: Σ z. Sum 1: Σ z·(x − mean).</summary>
    private ColumnTotals GradientSums(in BatchNormGeometry g, float* x, float* y, float* dy, ChannelAffine affine) => g.Activation switch
    {
        ActivationKind.Identity => SumColumns(new BatchNormGradientSum<KeepGradient>(x, null, dy, affine), 1, g.Rows, g.C),
        ActivationKind.ReLU => SumColumns(new BatchNormGradientSum<ReLUGradient>(x, y, dy, affine), 1, g.Rows, g.C),
        ActivationKind.ReLU6 => SumColumns(new BatchNormGradientSum<ReLU6Gradient>(x, y, dy, affine), 1, g.Rows, g.C),
        ActivationKind.Hardswish when y == null => SumColumns(new BatchNormGradientSum<HardswishGradient>(x, null, dy, affine), 1, g.Rows, g.C),
        ActivationKind.SiLU when y == null => SumColumns(new BatchNormGradientSum<SiLUGradient>(x, null, dy, affine), 1, g.Rows, g.C),
        _ => throw BatchNormGeometry.NotFused(g.Activation),
    };

    private static void WriteParameterGradients(ColumnTotals sums, int channels, float* invStd, float* dgamma, float* dbeta, bool accumulate)
    {
        for (int c = 0; c < channels; c++)
        {
            if (dgamma != null) dgamma[c] = (float)((accumulate ? dgamma[c] : 0) + (invStd[c] * sums.Sum(1)[c]));
            if (dbeta != null) dbeta[c] = (float)((accumulate ? dbeta[c] : 0) + sums.Sum(0)[c]);
        }
    }

    private void InputGradient(in BatchNormGeometry g, float* x, bool slopeIsInDy, float* dy, InputGradientLine line, float* dx)
    {
        line.Stream = CanStream(dx, g) && !line.Accumulate;
        switch (slopeIsInDy ? ActivationKind.Identity : g.Activation)
        {
            case ActivationKind.Identity: ForRows(new BatchNormInputGradient<KeepGradient>(x, dy, line, dx, g.C), 1, g.Rows, g.C, backwards: true); break;
            case ActivationKind.ReLU: ForRows(new BatchNormInputGradient<ReLUGradient>(x, dy, line, dx, g.C), 1, g.Rows, g.C, backwards: true); break;
            case ActivationKind.ReLU6: ForRows(new BatchNormInputGradient<ReLU6Gradient>(x, dy, line, dx, g.C), 1, g.Rows, g.C, backwards: true); break;
            case ActivationKind.Hardswish: ForRows(new BatchNormInputGradient<HardswishGradient>(x, dy, line, dx, g.C), 1, g.Rows, g.C, backwards: true); break;
            case ActivationKind.SiLU: ForRows(new BatchNormInputGradient<SiLUGradient>(x, dy, line, dx, g.C), 1, g.Rows, g.C, backwards: true); break;
            default: throw BatchNormGeometry.NotFused(g.Activation);
        }
    }

    /// <summary>The result is so large that it will have left the caches before it is read, and lies so that whole vectors can be written past them.</summary>
    private static bool CanStream(float* y, in BatchNormGeometry g) =>
        g.Rows * g.C >= MinStreamedMap && g.C % Simd.MaxWidth == 0 && (nint)y % (Simd.MaxWidth * sizeof(float)) == 0;
}
