namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w)
    {
        Span<double> vs = S(v), ss = S(scale), means = S(mean), norms = S(norm), ws = S(w);
        for (int o = 0; o < g.Filters; o++)
        {
            double sum = 0, squares = 0;
            for (int i = 0; g.Center && i < g.FanIn; i++) sum += vs[(i * g.Filters) + o];
            means[o] = sum / g.FanIn;
            for (int i = 0; i < g.FanIn; i++)
            {
                double c = vs[(i * g.Filters) + o] - means[o];
                squares += c * c;
            }
            norms[o] = Math.Sqrt(squares);
            double factor = ss[o] * new WeightNormFilter(g, norms[o]).Inverse;
            for (int i = 0; i < g.FanIn; i++) ws[(i * g.Filters) + o] = factor * (vs[(i * g.Filters) + o] - means[o]);
        }
    }

    public void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        Span<double> vs = S(v), ss = S(scale), means = S(mean), norms = S(norm), dws = S(dw), dvs = S(dv), dss = S(dscale);
        for (int o = 0; o < g.Filters; o++)
        {
            double sum = 0, dot = 0; // Σ dw, ⟨dw, c⟩
            for (int i = 0; i < g.FanIn; i++)
            {
                double d = dws[(i * g.Filters) + o];
                sum += d;
                dot += d * (vs[(i * g.Filters) + o] - means[o]);
            }
            var filter = new WeightNormFilter(g, norms[o]);
            if (!dscale.IsEmpty) Put(ref dss[o], dot * filter.Inverse, accumulateScale);
            double meanGradient = g.Center ? sum / g.FanIn : 0;
            for (int i = 0; !dv.IsEmpty && i < g.FanIn; i++)
            {
                int at = (i * g.Filters) + o;
                Put(ref dvs[at], ss[o] * ((filter.Inverse * (dws[at] - meanGradient)) - (filter.InverseCubed * dot * (vs[at] - means[o]))), accumulateV);
            }
        }
    }
}
