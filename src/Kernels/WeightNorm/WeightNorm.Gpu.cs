using ILGPU;

namespace RefConv.Kernels;

/// <remarks>Filters are columns, so their means and norms are the moments of columns, as those of a batch norm's channels are, and the same kernels do the passes over weights.</remarks>
internal sealed partial class GpuKernels
{
    public void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w)
    {
        using var factor = _device.Scratch(g.Filters);
        using (var partials = SumMoments(g.FanIn, g.Filters, v, out var totals))
        {
            LaunchTotals(WeightNormFinishKernel, g.Filters, new WeightNormFinishArguments
            {
                Totals = totals, Scale = V(scale), Mean = V(mean), Norm = V(norm), Factor = factor.Floats, Epsilon = g.Epsilon, Center = g.Center ? 1 : 0,
            });
        }
        Normalise(g.FanIn, g.Filters, AreAligned(v, mean, w), new NormaliseArguments
        {
            X = V(v), Y = V(w), Residual = V(default), Mean = V(mean), Low = V(default), Factor = factor.Floats, Gamma = V(default), Beta = V(default), LowBound = float.NaN, HighBound = float.NaN,
        });
    }

    public void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        bool wide = g.Filters % 4 == 0 && AreAligned(v, dw, mean);
        var work = Columns(g.FanIn, wide ? g.Filters / 4 : g.Filters);
        using var constants = _device.Scratch(3L * g.Filters);
        using (var partials = ColumnPartials(work, g.Filters))
        {
            // Σ dw and Σ dw·(v − mean). Nothing is bounded, so the result that the slope would come from does not matter: the means serve as any factor.
            LaunchColumns(wide ? ColumnSumsKernel<NormGradientTerm<Float4>, Float4> : ColumnSumsKernel<NormGradientTerm<Float1>, Float1>, work, new ColumnSumArguments
            {
                Work = work, X = V(v), Y = V(default), Dy = V(dw), Dx = V(default), Mean = V(mean), Factor = V(mean), Gamma = V(mean), Beta = V(mean),
                Partials = partials.Floats, Low = float.NaN, High = float.NaN,
            });
            LaunchTotals(WeightNormGradientFinishKernel, g.Filters, new WeightNormGradientFinishArguments
            {
                Partials = partials.Floats, Strips = work.Strips, Filters = g.Filters, FanIn = g.FanIn, Scale = V(scale), Norm = V(norm), Constants = constants.Floats, Dscale = V(dscale),
                HasDscale = dscale.IsEmpty ? 0 : 1, Accumulate = accumulateScale ? 1 : 0, Center = g.Center ? 1 : 0, Epsilon = g.Epsilon,
            });
        }
        if (dv.IsEmpty) return;
        Line(g.FanIn, g.Filters, AreAligned(v, dw, dv, mean), new LineArguments
        {
            X = V(v), Dy = V(dw), Dx = V(dv), Mean = V(mean), Factor = constants.Floats, Gamma = V(default), Beta = V(default), Line = constants.Floats.SubView(g.Filters, 2L * g.Filters),
            HasLine = 1, Low = float.NaN, High = float.NaN, Accumulate = accumulateV ? 1 : 0,
        });
    }

    internal struct WeightNormFinishArguments
    {
        public MomentTotals Totals;
        public ArrayView<float> Scale, Mean, Norm, Factor;
        public double Epsilon;
        public int Center;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void WeightNormFinishKernel(WeightNormFinishArguments a)
    {
        int o = a.Totals.Sum(out double mean, out double squares);
        if (o < 0) return;
        if (a.Center == 0)
        {
            squares += a.Totals.Rows * mean * mean; // around 0
            mean = 0;
        }
        double norm = Math.Sqrt(squares);
        a.Mean[o] = (float)mean;
        a.Norm[o] = (float)norm;
        a.Factor[o] = (float)(a.Scale[o] * FilterInverse(norm, a.Epsilon));
    }

    internal struct WeightNormGradientFinishArguments
    {
        public ArrayView<float> Partials, Scale, Norm, Dscale;

        /// <summary>[3, filters]: factor, slope, offset.</summary>
        public ArrayView<float> Constants;

        public double Epsilon;
        public int Strips, Filters, FanIn, HasDscale, Accumulate, Center;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void WeightNormGradientFinishKernel(WeightNormGradientFinishArguments a)
    {
        int o = ColumnTotals.Sum(a.Partials, a.Strips, a.Filters, out double sum, out double dot);
        if (o < 0) return;
        double norm = a.Norm[o], scale = a.Scale[o], inverse = FilterInverse(norm, a.Epsilon);
        double cubed = norm < WeightNormGeometry.SmallestNorm ? 0 : 1 / (norm * (norm + a.Epsilon) * (norm + a.Epsilon));
        if (a.HasDscale != 0) a.Dscale[o] = (float)((a.Accumulate != 0 ? a.Dscale[o] : 0) + (dot * inverse));
        // dv = s/(r + ε)·(dw − mean(dw)) − s·d/(r·(r + ε)²)·(v − mean): a line in dw and v − mean.
        a.Constants[o] = (float)(scale * inverse);
        a.Constants[a.Filters + o] = (float)(-scale * cubed * dot);
        a.Constants[(2 * a.Filters) + o] = a.Center != 0 ? (float)(-scale * inverse * sum / a.FanIn) : 0;
    }

    /// <summary>1/(r + ε); 0 for a filter of norm 0 without ε.</summary>
    private static double FilterInverse(double norm, double epsilon) => norm < WeightNormGeometry.SmallestNorm && epsilon == 0 ? 0 : 1 / (norm + epsilon);
}
