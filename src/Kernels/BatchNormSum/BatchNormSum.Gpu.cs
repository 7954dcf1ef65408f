using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Sums of batch norms. Forward: the moments of every map, then one pass that reads all maps and writes the sum. Backward in turns: the first norm's sums also
/// turn dy into z, the others read z and their own map; with three norms 17 passes over a map where 13 would do if all sums were taken at once, for a kernel the less.
/// </summary>
internal sealed partial class GpuKernels
{
    /// <summary>Norms of one pass; more are done in turns, each with the sum so far as its residual.</summary>
    private const int MostTerms = 4;

    public void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y)
    {
        for (int first = 0; first < terms.Length; first += MostTerms)
        {
            bool last = first + MostTerms >= terms.Length;
            SumOfNorms(last ? g : g with { Activation = ActivationKind.Identity }, terms[first..Math.Min(terms.Length, first + MostTerms)], first == 0 ? residual : y, y);
        }
    }

    private void SumOfNorms(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y)
    {
        using var lows = _device.Scratch((long)MostTerms * g.C);
        var (low, high) = Bounds(g.Activation);
        var arguments = new NormSumArguments { Residual = V(residual), HasResidual = residual.IsEmpty ? 0 : 1, Y = V(y), LowBound = low, HighBound = high, Terms = terms.Length };
        bool wide = g.C % 4 == 0 && AreAligned(residual, y);
        for (int i = 0; i < terms.Length; i++)
        {
            var t = terms[i];
            var ownLow = lows.Floats.SubView((long)i * g.C, g.C);
            Statistics(g with { Epsilon = t.Epsilon }, t.X, t.Moments, t.RunningMean, t.RunningVar, t.Momentum, t.Mean, t.InvStd, ownLow);
            wide &= AreAligned(t.X, t.Mean, t.InvStd, t.Gamma, t.Beta);
            var views = new NormSumTerm { X = V(t.X), Mean = V(t.Mean), Low = ownLow, InvStd = V(t.InvStd), Gamma = V(t.Gamma), Beta = V(t.Beta) };
            if (i == 0) arguments.Term0 = arguments.Term1 = arguments.Term2 = arguments.Term3 = views; // every view must point somewhere
            else if (i == 1) arguments.Term1 = views;
            else if (i == 2) arguments.Term2 = views;
            else arguments.Term3 = views;
        }
        arguments.Work = Columns(g.Rows, wide ? g.C / 4 : g.C);
        LaunchColumns(wide ? NormSumKernel<Float4> : NormSumKernel<Float1>, arguments.Work, arguments);
    }

    public void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy)
    {
        var linear = g with { Activation = ActivationKind.Identity };
        for (int i = 0; i < terms.Length; i++)
        {
            var (t, d) = (terms[i], gradients[i]);
            using var line = _device.Scratch(2L * g.C);
            // Of a slope that y tells no β is asked: any vector will do for it.
            var norm = new NormGradient { X = t.X, Y = i == 0 ? y : default, Dy = dy, Gamma = t.Gamma, Beta = t.Gamma, Mean = t.Mean, Factor = t.InvStd };
            if (i == 0 || !d.Dx.IsEmpty || !d.Dgamma.IsEmpty || !d.Dbeta.IsEmpty)
                GradientSums(i == 0 ? g : linear, norm, d.Dgamma, d.Dbeta, d.AccumulateGamma, d.AccumulateBeta, line.Floats, hasLine: true);
            if (!d.Dx.IsEmpty) InputGradient(linear, norm, line.Floats, hasLine: true, d.Dx, d.AccumulateInput);
        }
    }

    /// <summary>One norm: what <see cref="NormaliseArguments"/> has of it.</summary>
    internal struct NormSumTerm
    {
        public ArrayView<float> X, Mean, Low, InvStd, Gamma, Beta;
    }

    internal struct NormSumArguments
    {
        public ColumnWork Work;
        public NormSumTerm Term0, Term1, Term2, Term3;
        public ArrayView<float> Residual, Y;
        public float LowBound, HighBound;
        public int Terms, HasResidual;
    }

    /// <summary>Reads every map once and writes the sum: 4·(terms + 1) bytes an element, ceiling 3.35 TB/s, expected 90 %. The maps are what is under way at a time.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void NormSumKernel<F>(NormSumArguments a) where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        if (t.Count == 0) return;
        F shift = F.Broadcast(0), low = F.Broadcast(a.LowBound), high = F.Broadcast(a.HighBound), mean1 = shift, mean2 = shift, mean3 = shift, scale1 = shift, scale2 = shift, scale3 = shift;
        BeginTerm(a.Term0, t.Column, out F mean0, out F scale0, ref shift);
        if (a.Terms > 1) BeginTerm(a.Term1, t.Column, out mean1, out scale1, ref shift);
        if (a.Terms > 2) BeginTerm(a.Term2, t.Column, out mean2, out scale2, ref shift);
        if (a.Terms > 3) BeginTerm(a.Term3, t.Column, out mean3, out scale3, ref shift);
        for (long i = t.First; i < t.End; i += t.Step)
        {
            F x0 = a.Term0.X.Cast<F>()[i], x1 = mean1, x2 = mean2, x3 = mean3, sum = shift;
            if (a.Terms > 1) x1 = a.Term1.X.Cast<F>()[i];
            if (a.Terms > 2) x2 = a.Term2.X.Cast<F>()[i];
            if (a.Terms > 3) x3 = a.Term3.X.Cast<F>()[i];
            if (a.HasResidual != 0) sum += a.Residual.Cast<F>()[i];
            sum += (((x0 - mean0) * scale0) + ((x1 - mean1) * scale1)) + (((x2 - mean2) * scale2) + ((x3 - mean3) * scale3));
            a.Y.Cast<F>()[i] = Clamp(sum, low, high);
        }
    }

    private static void BeginTerm<F>(in NormSumTerm term, int column, out F mean, out F scale, ref F shift) where F : unmanaged, ILanes<F>
    {
        mean = term.Mean.Cast<F>()[column];
        scale = term.InvStd.Cast<F>()[column] * term.Gamma.Cast<F>()[column];
        shift += term.Beta.Cast<F>()[column] - (term.Low.Cast<F>()[column] * scale);
    }
}
