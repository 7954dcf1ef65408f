using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void BatchNormTrainingBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta, BufferView mean,
        BufferView invStd, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        using var line = _device.Scratch(2L * g.C);
        var norm = new NormGradient { X = x, Y = y, Dy = dy, Gamma = gamma, Beta = beta, Mean = mean, Factor = invStd };
        GradientSums(g, norm, dgamma, dbeta, accumulateParameters, accumulateParameters, line.Floats, hasLine: true);
        if (!dx.IsEmpty) InputGradient(g, norm, line.Floats, hasLine: true, dx, accumulateInput);
    }

    public void BatchNormInferenceBackward(in BatchNormGeometry g, BufferView x, BufferView y, BufferView dy, BufferView gamma, BufferView beta,
        BufferView runningMean, BufferView runningVar, BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        var norm = new NormGradient { X = x, Y = y, Dy = dy, Gamma = gamma, Beta = beta, Mean = runningMean, Factor = runningVar, FromVariance = true };
        if (!dgamma.IsEmpty || !dbeta.IsEmpty || !y.IsEmpty) GradientSums(g, norm, dgamma, dbeta, accumulateParameters, accumulateParameters, V(default), hasLine: false);
        if (!dx.IsEmpty) InputGradient(g, norm, V(default), hasLine: false, dx, accumulateInput);
    }

    /// <summary>Operands of one norm's gradient. Factor is 1/√(v + ε), or v itself.</summary>
    private struct NormGradient
    {
        public BufferView X, Y, Dy, Gamma, Beta, Mean, Factor;
        public bool FromVariance;
    }

    /// <summary>Σ z and Σ z·(x − mean); from them dγ and dβ, and the line [2, C] in x − mean that the sums add to dx. With y, dy becomes z.</summary>
    private void GradientSums(in BatchNormGeometry g, in NormGradient n, BufferView dgamma, BufferView dbeta, bool accumulateGamma, bool accumulateBeta,
        ArrayView<float> line, bool hasLine)
    {
        bool wide = g.C % 4 == 0 && AreAligned(n.X, n.Y, n.Dy, n.Gamma, n.Beta, n.Mean, n.Factor);
        var work = Columns(g.Rows, wide ? g.C / 4 : g.C);
        var (low, high) = Bounds(g.Activation);
        bool masks = !n.Y.IsEmpty && g.Activation != ActivationKind.Identity;
        int curve = CurveOf(g, n);
        using var partials = ColumnPartials(work, g.C);
        LaunchColumns(wide ? ColumnSumsKernel<NormGradientTerm<Float4>, Float4> : ColumnSumsKernel<NormGradientTerm<Float1>, Float1>, work, new ColumnSumArguments
        {
            Work = work, X = V(n.X), Y = V(n.Y), Dy = V(n.Dy), Dx = V(default), Mean = V(n.Mean), Factor = V(n.Factor), Gamma = V(n.Gamma), Beta = V(n.Beta),
            Partials = partials.Floats, Low = low, High = high, Epsilon = (float)g.Epsilon, HasY = masks ? 1 : 0, FromVariance = n.FromVariance ? 1 : 0,
            Curve = curve,
        });
        LaunchTotals(NormGradientFinishKernel, g.C, new NormGradientFinishArguments
        {
            Partials = partials.Floats, Strips = work.Strips, Channels = g.C, Rows = g.Rows, Factor = V(n.Factor), Gamma = V(n.Gamma), Epsilon = g.Epsilon,
            FromVariance = n.FromVariance ? 1 : 0, Dgamma = V(dgamma), HasDgamma = dgamma.IsEmpty ? 0 : 1, Dbeta = V(dbeta), HasDbeta = dbeta.IsEmpty ? 0 : 1,
            AccumulateGamma = accumulateGamma ? 1 : 0, AccumulateBeta = accumulateBeta ? 1 : 0, Line = line, HasLine = hasLine ? 1 : 0,
        });
    }

    private void InputGradient(in BatchNormGeometry g, in NormGradient n, ArrayView<float> line, bool hasLine, BufferView dx, bool accumulate)
    {
        // With y given dy is z by now.
        var (low, high) = Bounds(n.Y.IsEmpty ? g.Activation : ActivationKind.Identity);
        int curve = CurveOf(g, n);
        var arguments = new LineArguments
        {
            X = V(n.X), Dy = V(n.Dy), Dx = V(dx), Mean = V(n.Mean), Factor = V(n.Factor), Gamma = V(n.Gamma), Beta = V(n.Beta), HasAffine = 1, Line = line,
            HasLine = hasLine ? 1 : 0, Epsilon = (float)g.Epsilon, FromVariance = n.FromVariance ? 1 : 0, Low = low, High = high,
            Curve = curve, HasBounds = float.IsNaN(low) && curve == 0 ? 0 : 1, Accumulate = accumulate ? 1 : 0,
        };
        Line(g.Rows, g.C, AreAligned(n.X, n.Dy, dx, n.Mean, n.Factor, n.Gamma, n.Beta), arguments);
    }

    /// <summary>The slope of a curve follows from what comes before it; a result does not tell it.</summary>
    private static int CurveOf(in BatchNormGeometry g, in NormGradient n) =>
        BatchNormGeometry.Fuses(g.Activation, hasResidual: !n.Y.IsEmpty) ? NormCurve.Of(g.Activation) : throw BatchNormGeometry.NotFused(g.Activation);

    /// <summary>dx (+)= z·factor·γ + (x − mean)·slope + offset.</summary>
    private void Line(long rows, int columns, bool aligned, LineArguments arguments)
    {
        bool wide = aligned && columns % 4 == 0;
        arguments.Work = Columns(rows, wide ? columns / 4 : columns);
        LaunchColumns(wide ? LineKernel<Float4> : LineKernel<Float1>, arguments.Work, arguments);
    }

    internal struct LineArguments
    {
        public ColumnWork Work;
        public ArrayView<float> X, Dy, Dx;

        /// <summary>[columns]</summary>
        public ArrayView<float> Mean, Factor, Gamma, Beta;

        /// <summary>[2, columns]: slope and offset.</summary>
        public ArrayView<float> Line;

        public float Low, High, Epsilon;
        public int HasAffine, HasLine, HasBounds, FromVariance, Accumulate, Curve;
    }

    /// <summary>Reads x and dy, writes dx: 12 bytes an element (8 where x says nothing), ceiling 3.35 TB/s, expected 90 %.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void LineKernel<F>(LineArguments a) where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        if (t.Count == 0) return;
        ArrayView<F> xs = a.X.Cast<F>(), dys = a.Dy.Cast<F>(), dxs = a.Dx.Cast<F>();
        F zero = F.Broadcast(0), mean = a.Mean.Cast<F>()[t.Column], scale = InverseDeviation(a.Factor.Cast<F>()[t.Column], a.FromVariance, a.Epsilon);
        F beta = zero, slope = zero, offset = zero, low = F.Broadcast(a.Low), high = F.Broadcast(a.High);
        if (a.HasAffine != 0)
        {
            scale *= a.Gamma.Cast<F>()[t.Column];
            beta = a.Beta.Cast<F>()[t.Column];
        }
        if (a.HasLine != 0)
        {
            slope = a.Line.Cast<F>()[t.Column];
            offset = a.Line.Cast<F>()[a.Work.Columns + t.Column];
        }
        bool needsX = a.HasLine != 0 || a.HasBounds != 0;

        long i = t.Last; // backwards: the end of the strip was read last
        for (; i >= t.First; i -= 2 * t.Step)
        {
            bool both = i - t.Step >= t.First;
            long other = both ? i - t.Step : i;
            F z0 = dys[i], z1 = dys[other], x0 = mean, x1 = mean, before0 = zero, before1 = zero;
            if (needsX)
            {
                x0 = xs[i];
                x1 = xs[other];
            }
            if (a.Accumulate != 0)
            {
                before0 = dxs[i];
                before1 = dxs[other];
            }
            x0 -= mean;
            x1 -= mean;
            F d0 = (Unactivated(a, (x0 * scale) + beta, low, high, z0) * scale) + ((x0 * slope) + offset);
            F d1 = (Unactivated(a, (x1 * scale) + beta, low, high, z1) * scale) + ((x1 * slope) + offset);
            dxs[i] = before0 + d0;
            if (both) dxs[other] = before1 + d1;
        }
    }

    private static F Unactivated<F>(in LineArguments a, F result, F low, F high, F dy) where F : unmanaged, ILanes<F> =>
        NormCurve.Slope(a.Curve, result, Mask(result, low, high, dy));

    internal struct NormGradientFinishArguments
    {
        public ArrayView<float> Partials, Factor, Gamma, Dgamma, Dbeta, Line;
        public double Epsilon;
        public long Rows;
        public int Strips, Channels, FromVariance, HasDgamma, HasDbeta, AccumulateGamma, AccumulateBeta, HasLine;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void NormGradientFinishKernel(NormGradientFinishArguments a)
    {
        int c = ColumnTotals.Sum(a.Partials, a.Strips, a.Channels, out double z, out double zx);
        if (c < 0) return;
        double inverse = a.FromVariance != 0 ? 1 / Math.Sqrt(a.Factor[c] + a.Epsilon) : a.Factor[c];
        if (a.HasDgamma != 0) a.Dgamma[c] = (float)((a.AccumulateGamma != 0 ? a.Dgamma[c] : 0) + (inverse * zx));
        if (a.HasDbeta != 0) a.Dbeta[c] = (float)((a.AccumulateBeta != 0 ? a.Dbeta[c] : 0) + z);
        if (a.HasLine == 0) return;
        // dx = γ·s·(z − dβ/n − x̂·dγ/n) with s = invStd, x̂ = (x − mean)·s and dγ = s·Σ z·(x − mean): a line in z and x − mean.
        double factor = a.Gamma[c] * inverse;
        a.Line[c] = (float)(-factor * inverse * inverse * zx / a.Rows);
        a.Line[a.Channels + c] = (float)(-factor * z / a.Rows);
    }
}

/// <summary>Sum 0: Σ z; sum 1: Σ z·(x − mean). f's slope comes from y, and z overwrites dy; or without y from the result computed again.</summary>
internal struct NormGradientTerm<F> : IColumnTerm<F> where F : unmanaged, ILanes<F>
{
    private F _mean, _scale, _beta;

    public void Begin(in ColumnSumArguments a, int column)
    {
        _mean = a.Mean.Cast<F>()[column];
        F factor = a.Factor.Cast<F>()[column];
        if (a.FromVariance != 0) factor = F.Broadcast(1) / F.Sqrt(factor + F.Broadcast(a.Epsilon));
        _scale = factor * a.Gamma.Cast<F>()[column];
        _beta = a.Beta.Cast<F>()[column];
    }

    public readonly void Load(in ColumnSumArguments a, long row, long i, ref ColumnElement<F> element)
    {
        element.X = a.X.Cast<F>()[i];
        element.Dy = a.Dy.Cast<F>()[i];
        if (a.HasY != 0) element.Y = a.Y.Cast<F>()[i];
    }

    public readonly void Add(in ColumnSumArguments a, long i, in ColumnElement<F> element, ref F sum0, ref F sum1)
    {
        F centred = element.X - _mean, result = a.HasY != 0 ? element.Y : (centred * _scale) + _beta, zero = F.Broadcast(0);
        F z = F.AtMost(result, F.Broadcast(a.Low), zero, F.AtMost(F.Broadcast(a.High), result, zero, element.Dy));
        z = NormCurve.Slope(a.Curve, result, z);
        if (a.HasY != 0) a.Dy.Cast<F>()[i] = z;
        sum0 += z;
        sum1 += z * centred;
    }
}
