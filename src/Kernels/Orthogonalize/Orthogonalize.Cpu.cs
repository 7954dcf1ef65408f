using System.Numerics;
using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

internal sealed unsafe partial class CpuKernels
{
    /// <summary>Rows of [n, m] that are taken at a time: every load of a small matrix serves so many.</summary>
    private const int OrthogonalRows = 4;

    /// <remarks>
    /// A group is one piece of work. Its weights are read twice, as floats; everything between is m×m matrices in double, which stay in the caches. A
    /// vector holds neighbouring columns, never parts of one sum, so the bits do not depend on its width.
    /// </remarks>
    public void OrthogonalizeForward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView w)
    {
        var geometry = g;
        float* states = P(state);
        ParallelIfWorth(g.Groups, g.Macs, group =>
        {
            int m = geometry.GroupSize, first = group * m;
            using var memory = new OrthogonalMemory(_device, m);
            GroupMeans(geometry, P(v) + first, memory.Means);
            new Span<double>(memory.A, m * m).Clear();
            for (int row = 0; row < geometry.FanIn; row += OrthogonalRows)
            {
                int rows = Math.Min(OrthogonalRows, geometry.FanIn - row);
                LoadRows(P(v) + ((long)row * geometry.Filters) + first, geometry.Filters, rows, m, memory.Means, memory.X);
                AddOuter(memory.X, memory.X, rows, m, memory.A);
            }
            SymmetricEigen.Decompose(memory.A, m, memory.U, memory.Roots);
            double floor = OrthogonalizeGeometry.SmallestEigenvalue * Largest(memory.Roots, m);
            for (int e = 0; e < m; e++) memory.Roots[e] = Math.Sqrt(Math.Max(memory.Roots[e], floor));
            InverseRoot(memory.U, memory.Roots, m, memory.A);
            for (int row = 0; row < geometry.FanIn; row += OrthogonalRows)
            {
                int rows = Math.Min(OrthogonalRows, geometry.FanIn - row);
                long at = ((long)row * geometry.Filters) + first;
                LoadRows(P(v) + at, geometry.Filters, rows, m, memory.Means, memory.X);
                new Span<double>(memory.Y, rows * m).Clear();
                AddProduct(memory.X, rows, m, memory.A, memory.Y);
                for (int r = 0; r < rows; r++)
                    for (int j = 0; j < m; j++) P(w)[at + ((long)r * geometry.Filters) + j] = (float)(memory.Y[(r * m) + j] * P(scale)[first + j]);
            }
            if (states == null) return;
            for (int i = 0; i < m; i++) (states[first + i], states[geometry.Filters + first + i]) = ((float)memory.Means[i], (float)memory.Roots[i]);
            for (int i = 0; i < m * m; i++) states[(2L * geometry.Filters) + ((long)first * m) + i] = (float)memory.U[i];
        });
    }

    public void OrthogonalizeBackward(in OrthogonalizeGeometry g, BufferView v, BufferView scale, BufferView state, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale)
    {
        var geometry = g;
        ParallelIfWorth(g.Groups, g.Macs, group =>
        {
            int m = geometry.GroupSize, first = group * m;
            using var memory = new OrthogonalMemory(_device, m);
            float* states = P(state), s = P(scale) + first;
            for (int i = 0; i < m; i++) (memory.Means[i], memory.Roots[i]) = (states[first + i], states[geometry.Filters + first + i]);
            for (int i = 0; i < m * m; i++) memory.U[i] = states[(2L * geometry.Filters) + ((long)first * m) + i];
            KernelGradientMatrices(geometry, P(v) + first, P(dw) + first, s, memory);

            for (int row = 0; row < geometry.FanIn; row += OrthogonalRows)
            {
                int rows = Math.Min(OrthogonalRows, geometry.FanIn - row);
                long at = ((long)row * geometry.Filters) + first;
                LoadRows(P(v) + at, geometry.Filters, rows, m, memory.Means, memory.X);
                if (!dscale.IsEmpty)
                {
                    new Span<double>(memory.Y, rows * m).Clear();
                    AddProduct(memory.X, rows, m, memory.A, memory.Y);
                    for (int r = 0; r < rows; r++)
                        for (int j = 0; j < m; j++) memory.Along[j] += memory.Y[(r * m) + j] * P(dw)[at + ((long)r * geometry.Filters) + j];
                }
                if (dv.IsEmpty) continue;
                new Span<double>(memory.Y, rows * m).Clear();
                AddProduct(memory.X, rows, m, memory.B, memory.Y); // 2·dS·Z
                LoadRows(P(dw) + at, geometry.Filters, rows, m, memory.GradientMeans, memory.X, s);
                AddProduct(memory.X, rows, m, memory.A, memory.Y); // P·(G − its rows' means): the mean of dS·Z is 0
                for (int r = 0; r < rows; r++)
                {
                    float* to = P(dv) + at + ((long)r * geometry.Filters);
                    for (int j = 0; j < m; j++) to[j] = (float)((accumulateV ? to[j] : 0) + memory.Y[(r * m) + j]);
                }
            }
            for (int j = 0; !dscale.IsEmpty && j < m; j++) P(dscale)[first + j] = (float)((accumulateScale ? P(dscale)[first + j] : 0) + memory.Along[j]);
        });
    }

    /// <summary>Fills A with P = S^(−½) and B with 2·dS, and the means of dw·s.</summary>
    private static void KernelGradientMatrices(in OrthogonalizeGeometry g, float* v, float* dw, float* s, in OrthogonalMemory memory)
    {
        int m = g.GroupSize;
        GroupMeans(g, dw, memory.GradientMeans);
        for (int j = 0; j < m; j++) (memory.GradientMeans[j], memory.Along[j]) = (memory.GradientMeans[j] * s[j], 0);
        // Q = G·Zᵀ. The rows of Z have mean 0, so those of G need not.
        new Span<double>(memory.B, m * m).Clear();
        for (int row = 0; row < g.FanIn; row += OrthogonalRows)
        {
            int rows = Math.Min(OrthogonalRows, g.FanIn - row);
            LoadRows(v + ((long)row * g.Filters), g.Filters, rows, m, memory.Means, memory.X);
            LoadRows(dw + ((long)row * g.Filters), g.Filters, rows, m, memory.GradientMeans, memory.Y, s);
            AddOuter(memory.Y, memory.X, rows, m, memory.B);
        }
        for (int i = 0; i < m; i++)
            for (int j = 0; j < i; j++) memory.B[(i * m) + j] = memory.B[(j * m) + i] = 0.5 * (memory.B[(i * m) + j] + memory.B[(j * m) + i]);
        // K ∘ (Uᵀ·Q·U), u being rows: A = u·Q, then A·uᵀ.
        Product(memory.U, memory.B, m, memory.A, transposeB: false);
        Product(memory.A, memory.U, m, memory.B, transposeB: true);
        for (int a = 0; a < m; a++)
        {
            for (int b = 0; b < m; b++)
            {
                double sa = memory.Roots[a], sb = memory.Roots[b];
                memory.B[(a * m) + b] *= sa * sb == 0 ? 0 : -2 / (sa * sb * (sa + sb));
            }
        }
        // uᵀ·K·u: first K·u, then, since the result is symmetric, its transpose is (K·u)ᵀ·u.
        Product(memory.B, memory.U, m, memory.A, transposeB: false);
        new Span<double>(memory.B, m * m).Clear();
        for (int row = 0; row < m; row++) AddOuter(memory.U + (row * m), memory.A + (row * m), 1, m, memory.B);
        InverseRoot(memory.U, memory.Roots, m, memory.A);
    }

    private static void GroupMeans(in OrthogonalizeGeometry g, float* v, double* means)
    {
        new Span<double>(means, g.GroupSize).Clear();
        for (int row = 0; row < g.FanIn; row++)
            for (int j = 0; j < g.GroupSize; j++) means[j] += v[((long)row * g.Filters) + j];
        for (int j = 0; j < g.GroupSize; j++) means[j] /= g.FanIn;
    }

    /// <summary>x[r, j] = v[r·stride + j]·scale[j] − mean[j]</summary>
    private static void LoadRows(float* v, int stride, int rows, int m, double* means, double* x, float* scale = null)
    {
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < m; j++) x[(r * m) + j] = ((double)v[((long)r * stride) + j] * (scale == null ? 1 : scale[j])) - means[j];
    }

    private static double Largest(double* values, int m)
    {
        double largest = 0;
        for (int i = 0; i < m; i++) largest = Math.Max(largest, values[i]);
        return largest;
    }

    /// <summary>p = Σₑ uₑ·uₑᵀ/rootₑ, eigenvectors being rows; an eigenvalue of 0 is left out.</summary>
    private static void InverseRoot(double* u, double* roots, int m, double* p)
    {
        new Span<double>(p, m * m).Clear();
        for (int e = 0; e < m; e++)
        {
            if (roots[e] == 0) continue;
            for (int i = 0; i < m; i++) AddScaled(u + (e * m), u[(e * m) + i] / roots[e], p + (i * m), m);
        }
    }

    /// <summary>c = a·b or a·bᵀ, [m, m].</summary>
    private static void Product(double* a, double* b, int m, double* c, bool transposeB)
    {
        new Span<double>(c, m * m).Clear();
        for (int i = 0; i < m; i++)
        {
            for (int k = 0; k < m; k++)
            {
                if (!transposeB) AddScaled(b + (k * m), a[(i * m) + k], c + (i * m), m);
                else for (int j = 0; j < m; j++) c[(i * m) + j] += a[(i * m) + k] * b[(j * m) + k];
            }
        }
    }

    /// <summary>c[i, j] += Σ_r a[r, i]·b[r, j]</summary>
    private static void AddOuter(double* a, double* b, int rows, int m, double* c)
    {
        if (rows < OrthogonalRows)
        {
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < m; i++) AddScaled(b + (r * m), a[(r * m) + i], c + (i * m), m);
            return;
        }
        for (int i = 0; i < m; i++) AddScaled4(b, m, a[i], a[m + i], a[(2 * m) + i], a[(3 * m) + i], c + (i * m), m);
    }

    /// <summary>y[r, j] += Σ_i x[r, i]·p[i, j], p symmetric.</summary>
    private static void AddProduct(double* x, int rows, int m, double* p, double* y)
    {
        int i = 0;
        for (; i <= m - 4; i += 4)
            for (int r = 0; r < rows; r++) AddScaled4(p + (i * m), m, x[(r * m) + i], x[(r * m) + i + 1], x[(r * m) + i + 2], x[(r * m) + i + 3], y + (r * m), m);
        for (; i < m; i++)
            for (int r = 0; r < rows; r++) AddScaled(p + (i * m), x[(r * m) + i], y + (r * m), m);
    }

    /// <summary>y[j] += f·x[j]</summary>
    private static void AddScaled(double* x, double f, double* y, int count)
    {
        int j = 0, width = Vector<double>.Count;
        for (Vector<double> fs = new(f); j <= count - width; j += width)
            Unsafe.WriteUnaligned(y + j, Unsafe.ReadUnaligned<Vector<double>>(y + j) + (fs * Unsafe.ReadUnaligned<Vector<double>>(x + j)));
        for (; j < count; j++) y[j] += f * x[j];
    }

    /// <summary>y[j] += f0·x[0, j] + … + f3·x[3, j], in that order.</summary>
    private static void AddScaled4(double* x, int stride, double f0, double f1, double f2, double f3, double* y, int count)
    {
        int j = 0, width = Vector<double>.Count;
        Vector<double> a = new(f0), b = new(f1), c = new(f2), d = new(f3);
        for (; j <= count - width; j += width)
        {
            var sum = Unsafe.ReadUnaligned<Vector<double>>(y + j) + (a * Unsafe.ReadUnaligned<Vector<double>>(x + j));
            sum += b * Unsafe.ReadUnaligned<Vector<double>>(x + stride + j);
            sum += c * Unsafe.ReadUnaligned<Vector<double>>(x + (2 * stride) + j);
            Unsafe.WriteUnaligned(y + j, sum + (d * Unsafe.ReadUnaligned<Vector<double>>(x + (3 * stride) + j)));
        }
        for (; j < count; j++) y[j] = (((y[j] + (f0 * x[j])) + (f1 * x[stride + j])) + (f2 * x[(2 * stride) + j])) + (f3 * x[(3 * stride) + j]);
    }

    /// <summary>What one group needs, in double. Dispose it.</summary>
    private readonly struct OrthogonalMemory : IDisposable
    {
        private readonly CpuScratch _scratch;

        public OrthogonalMemory(CpuDevice device, int m)
        {
            _scratch = device.Scratch(2L * m * ((3 * m) + (2 * OrthogonalRows) + 4));
            A = (double*)_scratch.Pointer;
            B = A + (m * m);
            U = B + (m * m);
            X = U + (m * m);
            Y = X + (OrthogonalRows * m);
            Means = Y + (OrthogonalRows * m);
            Roots = Means + m;
            GradientMeans = Roots + m;
            Along = GradientMeans + m;
        }

        /// <summary>[m, m]</summary>
        public double* A { get; }

        /// <summary>[m, m]</summary>
        public double* B { get; }

        /// <summary>[m, m]: eigenvectors, one a row.</summary>
        public double* U { get; }

        /// <summary>[rows, m]</summary>
        public double* X { get; }

        /// <summary>[rows, m]</summary>
        public double* Y { get; }

        /// <summary>[m]: of the filters.</summary>
        public double* Means { get; }

        /// <summary>[m]: √λ</summary>
        public double* Roots { get; }

        /// <summary>[m]: of dw·s.</summary>
        public double* GradientMeans { get; }

        /// <summary>[m]: gradient of the scale.</summary>
        public double* Along { get; }

        public void Dispose() => _scratch.Dispose();
    }
}
