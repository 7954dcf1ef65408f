using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// A study method, not a hot path: a group of threads does one group of filters from beginning to end, in double, with its small matrices in global memory (a few KB,
/// so they stay in the caches). Nothing goes back to the host.
/// </remarks>
internal sealed partial class GpuKernels
{
    /// <summary>Threads of a group; the simulation has fewer. Loops follow what was launched.</summary>
    private const int OrthogonalGroup = 128;

    private int OrthogonalThreads => _device.IsSimulated ? 8 : OrthogonalGroup;

    public void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w)
    {
        using var work = _device.Scratch(2L * g.Groups * OrthogonalArguments.WorkOf(g.GroupSize));
        var arguments = Orthogonalizing(g, v, scale, state, work) with { W = V(w) };
        _device.Launcher.Launch(OrthogonalizeKernel, (g.Groups, 1, 1), arguments, OrthogonalThreads);
    }

    public void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        using var work = _device.Scratch(2L * g.Groups * OrthogonalArguments.WorkOf(g.GroupSize));
        var arguments = Orthogonalizing(g, v, scale, state, work) with
        {
            Dw = V(dw), W = V(dv), HasResult = dv.IsEmpty ? 0 : 1, Dscale = V(dscale), HasDscale = dscale.IsEmpty ? 0 : 1,
            AccumulateV = accumulateV ? 1 : 0, AccumulateScale = accumulateScale ? 1 : 0,
        };
        _device.Launcher.Launch(OrthogonalizeGradientKernel, (g.Groups, 1, 1), arguments, OrthogonalThreads);
    }

    private OrthogonalArguments Orthogonalizing(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, GpuScratch work) => new()
    {
        V = V(v), Scale = V(scale), State = V(state), HasState = state.IsEmpty ? 0 : 1, Work = work.Floats.Cast<double>(), Dw = V(default), Dscale = V(default),
        FanIn = g.FanIn, Filters = g.Filters, M = g.GroupSize,
    };

    internal struct OrthogonalArguments
    {
        public ArrayView<float> V, Scale, State, Dw, Dscale;

        /// <summary>The result: w, or dv.</summary>
        public ArrayView<float> W;

        public ArrayView<double> Work;
        public int FanIn, Filters, M, HasState, HasResult, HasDscale, AccumulateV, AccumulateScale;

        /// <summary>Doubles of a group: four matrices, and six vectors.</summary>
        public static long WorkOf(int m) => (4L * m * m) + (6L * m) + 6;

        /// <summary>First column of this group.</summary>
        public readonly int First => Grid.IdxX * M;

        /// <summary>Matrix 0 to 3 of this group, [m, m].</summary>
        public readonly ArrayView<double> Matrix(int i) => Work.SubView((Grid.IdxX * WorkOf(M)) + ((long)i * M * M), (long)M * M);

        /// <summary>Vector 0 to 5 of this group, [m + 1].</summary>
        public readonly ArrayView<double> Vector(int i) => Work.SubView((Grid.IdxX * WorkOf(M)) + (4L * M * M) + (i * (M + 1L)), M + 1);

        /// <summary>Element k of the group's filter i.</summary>
        public readonly long At(int k, int i) => ((long)k * Filters) + First + i;
    }

    /// <summary>FanIn·m² multiply-adds twice and about eight sweeps of m³ in double: 67 TFLOP/s are no bound here, the m·8 barriers of the sweeps are.</summary>
    [GpuKernel(OrthogonalGroup)]
    private static void OrthogonalizeKernel(OrthogonalArguments a)
    {
        ArrayView<double> s = a.Matrix(0), u = a.Matrix(1), p = a.Matrix(2), means = a.Vector(0), roots = a.Vector(1);
        int m = a.M;
        for (int i = Group.IdxX; i < m; i += Group.DimX)
        {
            double sum = 0;
            for (int k = 0; k < a.FanIn; k++) sum += a.V[a.At(k, i)];
            means[i] = sum / a.FanIn;
        }
        Group.Barrier();
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            int i = e / m, j = e % m;
            u[e] = 0;
            if (i == j) u[e] = 1; // not as one expression: what the compiler makes of it, a comparison's result as a double, ILGPU turns into 0 for OpenCL
            if (j > i) continue;
            double sum = 0;
            for (int k = 0; k < a.FanIn; k++) sum += (a.V[a.At(k, i)] - means[i]) * (a.V[a.At(k, j)] - means[j]);
            s[e] = sum;
            s[(j * m) + i] = sum;
        }
        Group.Barrier();
        Diagonalise(s, u, m, a.Vector(2), a.Vector(3), a.Vector(4), a.Vector(5));

        double largest = 0;
        for (int e = 0; e < m; e++) largest = s[(e * m) + e] > largest ? s[(e * m) + e] : largest;
        double floor = OrthogonalizeGeometry.SmallestEigenvalue * largest;
        for (int e = Group.IdxX; e < m; e += Group.DimX) roots[e] = Math.Sqrt(s[(e * m) + e] > floor ? s[(e * m) + e] : floor);
        Group.Barrier();
        InverseRoot(u, roots, m, p);
        Group.Barrier();
        for (int e = Group.IdxX; e < a.FanIn * m; e += Group.DimX)
        {
            int k = e / m, i = e % m;
            double sum = 0;
            for (int j = 0; j < m; j++) sum += p[(i * m) + j] * (a.V[a.At(k, j)] - means[j]);
            a.W[a.At(k, i)] = (float)(sum * a.Scale[a.First + i]);
        }
        if (a.HasState == 0) return;
        for (int i = Group.IdxX; i < m; i += Group.DimX)
        {
            a.State[a.First + i] = (float)means[i];
            a.State[a.Filters + a.First + i] = (float)roots[i];
        }
        for (int e = Group.IdxX; e < m * m; e += Group.DimX) a.State[(2L * a.Filters) + ((long)a.First * m) + e] = (float)u[e];
    }

    /// <summary>See <see cref="IKernels.OrthogonalizeBackward"/> for the letters. FanIn·m² multiply-adds three times, in double.</summary>
    [GpuKernel(OrthogonalGroup)]
    private static void OrthogonalizeGradientKernel(OrthogonalArguments a)
    {
        ArrayView<double> q = a.Matrix(0), u = a.Matrix(1), p = a.Matrix(2), t = a.Matrix(3), means = a.Vector(0), roots = a.Vector(1), gradientMeans = a.Vector(2);
        int m = a.M;
        for (int i = Group.IdxX; i < m; i += Group.DimX)
        {
            means[i] = a.State[a.First + i];
            roots[i] = a.State[a.Filters + a.First + i];
            double sum = 0;
            for (int k = 0; k < a.FanIn; k++) sum += a.Dw[a.At(k, i)];
            gradientMeans[i] = sum / a.FanIn;
        }
        for (int e = Group.IdxX; e < m * m; e += Group.DimX) u[e] = a.State[(2L * a.Filters) + ((long)a.First * m) + e];
        Group.Barrier();
        InverseRoot(u, roots, m, p);
        // t = dw·Zᵀ; the rows of Z have mean 0, so those of dw need not.
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            int i = e / m, j = e % m;
            double sum = 0;
            for (int k = 0; k < a.FanIn; k++) sum += a.Dw[a.At(k, i)] * (a.V[a.At(k, j)] - means[j]);
            t[e] = sum;
        }
        Group.Barrier();
        for (int i = Group.IdxX; i < m && a.HasDscale != 0; i += Group.DimX)
        {
            double along = 0;
            for (int j = 0; j < m; j++) along += p[(i * m) + j] * t[(i * m) + j];
            a.Dscale[a.First + i] = (float)((a.AccumulateScale != 0 ? a.Dscale[a.First + i] : 0) + along);
        }
        if (a.HasResult == 0) return;
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            int i = e / m, j = e % m;
            q[e] = 0.5 * ((a.Scale[a.First + i] * t[e]) + (a.Scale[a.First + j] * t[(j * m) + i]));
        }
        Group.Barrier();
        // 2·K ∘ (Uᵀ·Q·U), u being rows: t = u·q, then t·uᵀ; then 2·dS = uᵀ·K·u by t = K·u and uᵀ·t.
        Product(u, q, t, m, transposeA: false, transposeB: false);
        Product(t, u, q, m, transposeA: false, transposeB: true);
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            double sa = roots[e / m], sb = roots[e % m];
            q[e] *= sa * sb == 0 ? 0 : -2 / (sa * sb * (sa + sb));
        }
        Group.Barrier();
        Product(q, u, t, m, transposeA: false, transposeB: false);
        Product(u, t, q, m, transposeA: true, transposeB: false);
        for (int e = Group.IdxX; e < a.FanIn * m; e += Group.DimX)
        {
            int k = e / m, i = e % m;
            // P·(G − its rows' means) + 2·dS·Z: the mean of dS·Z is 0
            double sum = 0;
            for (int j = 0; j < m; j++)
                sum += (p[(i * m) + j] * a.Scale[a.First + j] * (a.Dw[a.At(k, j)] - gradientMeans[j])) + (q[(i * m) + j] * (a.V[a.At(k, j)] - means[j]));
            long at = a.At(k, i);
            a.W[at] = (float)((a.AccumulateV != 0 ? a.W[at] : 0) + sum);
        }
    }

    /// <summary>p = Σₑ uₑ·uₑᵀ/rootₑ, eigenvectors being rows; an eigenvalue of 0 is left out.</summary>
    private static void InverseRoot(ArrayView<double> u, ArrayView<double> roots, int m, ArrayView<double> p)
    {
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            int i = e / m, j = e % m;
            double sum = 0;
            for (int k = 0; k < m; k++) sum += roots[k] == 0 ? 0 : u[(k * m) + i] * u[(k * m) + j] / roots[k];
            p[e] = sum;
        }
    }

    /// <summary>c = a·b, [m, m], with a barrier behind it.</summary>
    private static void Product(ArrayView<double> a, ArrayView<double> b, ArrayView<double> c, int m, bool transposeA, bool transposeB)
    {
        for (int e = Group.IdxX; e < m * m; e += Group.DimX)
        {
            int i = e / m, j = e % m;
            double sum = 0;
            for (int k = 0; k < m; k++) sum += a[transposeA ? (k * m) + i : (i * m) + k] * b[transposeB ? (j * m) + k : (k * m) + j];
            c[e] = sum;
        }
        Group.Barrier();
    }
}
