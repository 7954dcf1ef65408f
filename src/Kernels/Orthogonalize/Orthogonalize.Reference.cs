namespace RefConv.Kernels;

internal sealed unsafe partial class ReferenceKernels
{
    public void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w)
    {
        int m = g.GroupSize;
        Span<double> vs = S(v), ss = S(scale), ws = S(w);
        Span<double> states = state.IsEmpty ? new double[g.StateLength] : S(state);
        for (int q = 0; q < g.Groups; q++)
        {
            double[,] z = Centred(g, vs, q, states), s = new double[m, m], u = new double[m, m];
            for (int i = 0; i < m; i++)
            for (int j = 0; j < m; j++)
            for (int k = 0; k < g.FanIn; k++) s[i, j] += z[i, k] * z[j, k];

            double[] values = new double[m];
            fixed (double* a = s, vectors = u, lambda = values) SymmetricEigen.Decompose(a, m, vectors, lambda);
            double floor = OrthogonalizeGeometry.SmallestEigenvalue * values.Max();
            for (int e = 0; e < m; e++)
            {
                states[g.Filters + (q * m) + e] = Math.Sqrt(Math.Max(values[e], floor));
                for (int i = 0; i < m; i++) states[(2 * g.Filters) + (((q * m) + e) * m) + i] = u[e, i];
            }
            double[,] p = InverseRoot(g, states, q);
            for (int i = 0; i < m; i++)
            for (int k = 0; k < g.FanIn; k++)
            {
                double sum = 0;
                for (int j = 0; j < m; j++) sum += p[i, j] * z[j, k];
                ws[(k * g.Filters) + (q * m) + i] = ss[(q * m) + i] * sum;
            }
        }
    }

    public void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        int m = g.GroupSize, filters = g.Filters;
        Span<double> vs = S(v), ss = S(scale), states = S(state), dws = S(dw), dvs = S(dv), dss = S(dscale);
        for (int group = 0; group < g.Groups; group++)
        {
            double[,] z = Centred(g, vs, group, states), p = InverseRoot(g, states, group), k = new double[m, m], ds = new double[m, m];
            double[,] gradient = new double[m, g.FanIn]; // G
            for (int i = 0; i < m; i++)
            for (int n = 0; n < g.FanIn; n++) gradient[i, n] = dws[(n * g.Filters) + (group * m) + i] * ss[(group * m) + i];

            double[,] q = new double[m, m];
            for (int i = 0; i < m; i++)
            for (int j = 0; j < m; j++)
            for (int n = 0; n < g.FanIn; n++) q[i, j] += 0.5 * ((gradient[i, n] * z[j, n]) + (gradient[j, n] * z[i, n]));

            for (int a = 0; a < m; a++)
            for (int b = 0; b < m; b++)
            {
                double sa = states[g.Filters + (group * m) + a], sb = states[g.Filters + (group * m) + b], sum = 0;
                for (int i = 0; i < m; i++)
                for (int j = 0; j < m; j++) sum += U(states, a, i) * q[i, j] * U(states, b, j);
                k[a, b] = sa * sb == 0 ? 0 : -sum / (sa * sb * (sa + sb));
            }
            for (int i = 0; i < m; i++)
            for (int j = 0; j < m; j++)
            for (int a = 0; a < m; a++)
            for (int b = 0; b < m; b++) ds[i, j] += U(states, a, i) * k[a, b] * U(states, b, j);

            for (int i = 0; i < m; i++)
            {
                double[] dz = new double[g.FanIn];
                double along = 0;
                for (int n = 0; n < g.FanIn; n++)
                {
                    double y = 0;
                    for (int j = 0; j < m; j++)
                    {
                        dz[n] += (p[i, j] * gradient[j, n]) + (2 * ds[i, j] * z[j, n]);
                        y += p[i, j] * z[j, n];
                    }
                    along += y * dws[(n * g.Filters) + (group * m) + i];
                }
                double mean = dz.Average();
                for (int n = 0; !dv.IsEmpty && n < g.FanIn; n++) Put(ref dvs[(n * g.Filters) + (group * m) + i], dz[n] - mean, accumulateV);
                if (!dscale.IsEmpty) Put(ref dss[(group * m) + i], along, accumulateScale);
            }

            double U(Span<double> all, int e, int i) => all[(2 * filters) + (((group * m) + e) * m) + i]; // eigenvector e, element i
        }
    }

    /// <summary>The filters of a group as rows, less their means, which go to the state.</summary>
    private static double[,] Centred(in OrthogonalizeGeometry g, Span<double> v, int group, Span<double> state)
    {
        double[,] z = new double[g.GroupSize, g.FanIn];
        for (int i = 0; i < g.GroupSize; i++)
        {
            int o = (group * g.GroupSize) + i;
            double sum = 0;
            for (int n = 0; n < g.FanIn; n++) sum += v[(n * g.Filters) + o];
            state[o] = sum / g.FanIn;
            for (int n = 0; n < g.FanIn; n++) z[i, n] = v[(n * g.Filters) + o] - state[o];
        }
        return z;
    }

    /// <summary>S^(−½) = Σₑ uₑ·uₑᵀ/√λₑ</summary>
    private static double[,] InverseRoot(in OrthogonalizeGeometry g, Span<double> state, int group)
    {
        int m = g.GroupSize;
        double[,] p = new double[m, m];
        for (int e = 0; e < m; e++)
        {
            double root = state[g.Filters + (group * m) + e];
            var u = state.Slice((2 * g.Filters) + (((group * m) + e) * m), m);
            for (int i = 0; root > 0 && i < m; i++)
            for (int j = 0; j < m; j++) p[i, j] += u[i] * u[j] / root;
        }
        return p;
    }
}
