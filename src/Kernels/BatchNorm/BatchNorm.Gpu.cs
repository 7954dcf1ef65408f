using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Batch norm is memory traffic: what counts is how often a map is read or written. Training: x is read for the moments (unless the convolution gave them),
/// read again and y written: 12 bytes an element, 8 with known moments; of maps that fit into the second-level cache (50 MB on an H100) the second reading is
/// free, and it goes backwards over every strip, so that of larger ones at least the end is. Backward: x and dy for the sums, x and dy again, dx written: 20 bytes.
/// At 3.35 TB/s an H100 does 100 M elements in 0.36 ms and 0.6 ms; 85 to 90 % of that is expected. Between the passes stand kernels over channels, microseconds each.
/// </summary>
internal sealed partial class GpuKernels
{
    public void BatchNormTraining(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView gamma, BufferView beta, BufferView runningMean,
        BufferView runningVar, double momentum, BufferView mean, BufferView invStd, BufferView residual, BufferView y)
    {
        using var low = _device.Scratch(g.C);
        Statistics(g, x, moments, runningMean, runningVar, momentum, mean, invStd, low.Floats);
        var arguments = Normalising(g, x, residual, y) with
        {
            Mean = V(mean), Low = low.Floats, Factor = V(invStd), Gamma = V(gamma), Beta = V(beta), HasLow = 1, HasAffine = 1,
        };
        Normalise(g.Rows, g.C, AreAligned(x, mean, invStd, gamma, beta, residual, y), arguments);
    }

    public void BatchNormInference(in BatchNormGeometry g, BufferView x, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView residual, BufferView y)
    {
        var arguments = Normalising(g, x, residual, y) with
        {
            Mean = V(runningMean), Low = V(default), Factor = V(runningVar), Gamma = V(gamma), Beta = V(beta), FromVariance = 1, Epsilon = (float)g.Epsilon, HasAffine = 1,
        };
        Normalise(g.Rows, g.C, AreAligned(x, runningMean, runningVar, gamma, beta, residual, y), arguments);
    }

    private NormaliseArguments Normalising(in BatchNormGeometry g, BufferView x, BufferView residual, BufferView y)
    {
        var (low, high) = Bounds(g.Activation);
        return new() { X = V(x), Residual = V(residual), HasResidual = residual.IsEmpty ? 0 : 1, Y = V(y), LowBound = low, HighBound = high, Curve = NormCurve.Of(g.Activation) };
    }

    /// <summary>y = f((x − mean)·factor·γ + β + residual), whatever the columns are.</summary>
    private void Normalise(long rows, int columns, bool aligned, NormaliseArguments arguments)
    {
        bool wide = aligned && columns % 4 == 0;
        arguments.Work = Columns(rows, wide ? columns / 4 : columns);
        LaunchColumns(wide ? NormaliseKernel<Float4> : NormaliseKernel<Float1>, arguments.Work, arguments);
    }

    internal struct NormaliseArguments
    {
        public ColumnWork Work;
        public ArrayView<float> X, Residual, Y;

        /// <summary>[columns]. Low: what rounding took from the mean.</summary>
        public ArrayView<float> Mean, Low, Factor, Gamma, Beta;

        public float Epsilon, LowBound, HighBound;

        /// <summary>FromVariance: Factor is a variance. Curve: see <see cref="NormCurve"/>.</summary>
        public int HasResidual, HasLow, HasAffine, FromVariance, Curve;
    }

    /// <summary>Reads x (and the residual), writes y: 8 (12) bytes an element, ceiling 3.35 TB/s, expected 90 %. Two elements of a thread are under way at a time.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void NormaliseKernel<F>(NormaliseArguments a) where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        if (t.Count == 0) return;
        ArrayView<F> xs = a.X.Cast<F>(), residuals = a.Residual.Cast<F>(), ys = a.Y.Cast<F>();
        F mean = a.Mean.Cast<F>()[t.Column], scale = InverseDeviation(a.Factor.Cast<F>()[t.Column], a.FromVariance, a.Epsilon), shift = F.Broadcast(0);
        if (a.HasAffine != 0)
        {
            scale *= a.Gamma.Cast<F>()[t.Column];
            shift = a.Beta.Cast<F>()[t.Column];
        }
        if (a.HasLow != 0) shift -= a.Low.Cast<F>()[t.Column] * scale;
        F low = F.Broadcast(a.LowBound), high = F.Broadcast(a.HighBound);

        long i = t.Last; // backwards: the end of the strip was read last
        for (; i - t.Step >= t.First; i -= 2 * t.Step)
        {
            F later = xs[i], earlier = xs[i - t.Step], rest0 = shift, rest1 = shift;
            if (a.HasResidual != 0)
            {
                rest0 += residuals[i];
                rest1 += residuals[i - t.Step];
            }
            ys[i] = NormCurve.Apply(a.Curve, Clamp(((later - mean) * scale) + rest0, low, high));
            ys[i - t.Step] = NormCurve.Apply(a.Curve, Clamp(((earlier - mean) * scale) + rest1, low, high));
        }
        if (i < t.First) return;
        F last = ((xs[i] - mean) * scale) + shift;
        if (a.HasResidual != 0) last += residuals[i];
        ys[i] = NormCurve.Apply(a.Curve, Clamp(last, low, high));
    }

    /// <summary>Where the slope of an activation that norms apply is 0: at most the first, at least the second. A bound that is no number bounds nothing.</summary>
    private static (float Low, float High) Bounds(ActivationKind kind) => kind switch
    {
        ActivationKind.Identity => (float.NaN, float.NaN),
        ActivationKind.ReLU => (0, float.NaN),
        ActivationKind.ReLU6 => (0, 6),
        ActivationKind.Hardswish or ActivationKind.SiLU => (float.NaN, float.NaN),
        _ => throw BatchNormGeometry.NotFused(kind),
    };

    private static F Clamp<F>(F value, F low, F high) where F : unmanaged, ILanes<F> => F.AtMost(high, value, high, F.AtMost(value, low, low, value));

    /// <summary>dy where f has the slope 1, else 0.</summary>
    private static F Mask<F>(F result, F low, F high, F dy) where F : unmanaged, ILanes<F> =>
        F.AtMost(result, low, F.Broadcast(0), F.AtMost(high, result, F.Broadcast(0), dy));

    private static F InverseDeviation<F>(F factor, int fromVariance, float epsilon) where F : unmanaged, ILanes<F> =>
        fromVariance != 0 ? F.Broadcast(1) / F.Sqrt(factor + F.Broadcast(epsilon)) : factor;
}

/// <summary>The activations of norms that are no clamp, one number for a whole launch: 0 none, 1 Hardswish, 2 SiLU.</summary>
internal static class NormCurve
{
    public static int Of(ActivationKind kind) => kind switch
    {
        ActivationKind.Hardswish => 1,
        ActivationKind.SiLU => 2,
        _ => 0,
    };

    public static F Apply<F>(int curve, F v) where F : unmanaged, ILanes<F> =>
        curve == 0 ? v : curve == 1 ? F.Activate(ActivationKind.Hardswish, v) : F.Activate(ActivationKind.SiLU, v);

    /// <summary>dy·f′(v)</summary>
    public static F Slope<F>(int curve, F v, F dy) where F : unmanaged, ILanes<F> =>
        curve == 0 ? dy : dy * (curve == 1 ? F.Slope(ActivationKind.Hardswish, v) : F.Slope(ActivationKind.SiLU, v));
}
