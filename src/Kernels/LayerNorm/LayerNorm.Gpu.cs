using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// Forward: x is read from memory once; the second and third passes over a row, at most a few KB, find it in the first-level cache. Backward: x and dy are
/// read for dx, and once more by column for dγ and dβ: sums over rows and sums over columns in one kernel would need a row's worth of registers a thread.
/// </remarks>
internal sealed partial class GpuKernels
{
    public void LayerNormForward(in LayerNormGeometry g, BufferView x, BufferView gamma, BufferView beta, BufferView mean, BufferView invStd, BufferView y)
    {
        bool wide = g.C % 4 == 0 && AreAligned(x, gamma, beta, y);
        int columns = wide ? g.C / 4 : g.C, team = Team.For(columns, TeamGroup);
        LaunchTeams(wide ? LayerNormKernel<Float4> : LayerNormKernel<Float1>, g.Rows, team, new LayerNormArguments
        {
            X = V(x), Gamma = V(gamma), Beta = V(beta), Mean = V(mean), InvStd = V(invStd), Y = V(y), Dy = V(default), Rows = g.Rows, C = g.C, Columns = columns, Team = team,
            Epsilon = (float)g.Epsilon, HasStatistics = mean.IsEmpty ? 0 : 1,
        });
    }

    public void LayerNormBackward(in LayerNormGeometry g, BufferView x, BufferView dy, BufferView gamma, BufferView mean, BufferView invStd,
        BufferView dx, BufferView dgamma, BufferView dbeta, bool accumulateInput, bool accumulateParameters)
    {
        bool wide = g.C % 4 == 0 && AreAligned(x, dy, gamma, dx);
        int columns = wide ? g.C / 4 : g.C, team = Team.For(columns, TeamGroup);
        if (!dx.IsEmpty)
        {
            LaunchTeams(wide ? LayerNormGradientKernel<Float4> : LayerNormGradientKernel<Float1>, g.Rows, team, new LayerNormArguments
            {
                X = V(x), Dy = V(dy), Gamma = V(gamma), Beta = V(default), Mean = V(mean), InvStd = V(invStd), Y = V(dx), Rows = g.Rows, C = g.C, Columns = columns, Team = team,
                Accumulate = accumulateInput ? 1 : 0,
            });
        }
        if (dgamma.IsEmpty && dbeta.IsEmpty) return;
        var work = Columns(g.Rows, columns);
        using var partials = ColumnPartials(work, g.C);
        LaunchColumns(wide ? ColumnSumsKernel<LayerNormTerm<Float4>, Float4> : ColumnSumsKernel<LayerNormTerm<Float1>, Float1>, work, new ColumnSumArguments
        {
            Work = work, X = V(x), Y = V(default), Dy = V(dy), Dx = V(default), Mean = V(mean), Factor = V(invStd), Gamma = V(default), Beta = V(default), Partials = partials.Floats,
        });
        FinishSums(work, partials, g.C, dbeta, dgamma, accumulateParameters);
    }

    internal struct LayerNormArguments
    {
        public ArrayView<float> X, Dy, Gamma, Beta, Mean, InvStd;

        /// <summary>The result: y, or dx.</summary>
        public ArrayView<float> Y;

        public long Rows;
        public float Epsilon;
        public int C, Columns, Team, HasStatistics, Accumulate;
    }

    /// <summary>Reads x and writes y: 8 bytes an element, ceiling 3.35 TB/s, expected 80 %: the barriers of a row leave loads idle for a while.</summary>
    [GpuKernel(Team.Group, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void LayerNormKernel<F>(LayerNormArguments a) where F : unmanaged, ILanes<F>
    {
        var team = RefConv.Kernels.Team.Of(a.Team);
        ArrayView<F> xs = a.X.Cast<F>(), ys = a.Y.Cast<F>(), gammas = a.Gamma.Cast<F>(), betas = a.Beta.Cast<F>();
        long at = team.Row * a.Columns;
        int columns = team.Row < a.Rows ? a.Columns : 0;
        // About the row's first element, then about the mean as that gives it, which leaves a remainder: a large mean costs no digits, nor does a first element far out.
        float pivot = columns > 0 ? a.X[team.Row * a.C] : 0;
        F off = F.Broadcast(pivot), sums = F.Broadcast(0), squares = F.Broadcast(0);
        for (int j = team.Lane; j < columns; j += team.Size) sums += xs[at + j] - off;
        float centre = pivot + (team.Sum(F.Total(sums)) / a.C);

        off = F.Broadcast(centre);
        sums = F.Broadcast(0);
        for (int j = team.Lane; j < columns; j += team.Size)
        {
            F d = xs[at + j] - off;
            sums += d;
            squares += d * d;
        }
        float rest = F.Total(sums), square = F.Total(squares);
        team.Sum(ref rest, ref square);
        rest /= a.C;
        float variance = (square / a.C) - (rest * rest), inverse = 1 / MathF.Sqrt((variance > 0 ? variance : 0) + a.Epsilon);
        F remainder = F.Broadcast(rest), scale = F.Broadcast(inverse);
        for (int j = team.Lane; j < columns; j += team.Size) ys[at + j] = (((xs[at + j] - off) - remainder) * scale * gammas[j]) + betas[j];
        if (team.Lane != 0 || columns == 0 || a.HasStatistics == 0) return;
        a.Mean[team.Row] = centre + rest;
        a.InvStd[team.Row] = inverse;
    }

    /// <summary>Reads x and dy, writes dx: 12 bytes an element, ceiling 3.35 TB/s, expected 80 %.</summary>
    [GpuKernel(Team.Group, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void LayerNormGradientKernel<F>(LayerNormArguments a) where F : unmanaged, ILanes<F>
    {
        var team = RefConv.Kernels.Team.Of(a.Team);
        ArrayView<F> xs = a.X.Cast<F>(), dys = a.Dy.Cast<F>(), dxs = a.Y.Cast<F>(), gammas = a.Gamma.Cast<F>();
        long at = team.Row * a.Columns;
        int columns = team.Row < a.Rows ? a.Columns : 0;
        float mean = 0, inverse = 0;
        if (columns > 0)
        {
            mean = a.Mean[team.Row];
            inverse = a.InvStd[team.Row];
        }
        F off = F.Broadcast(mean), zs = F.Broadcast(0), zxs = F.Broadcast(0);
        for (int j = team.Lane; j < columns; j += team.Size)
        {
            F z = dys[at + j] * gammas[j];
            zs += z;
            zxs += z * (xs[at + j] - off);
        }
        float sum = F.Total(zs), along = F.Total(zxs);
        team.Sum(ref sum, ref along);
        F offset = F.Broadcast(-inverse * (sum / a.C)), slope = F.Broadcast(-inverse * inverse * inverse * (along / a.C)), scale = F.Broadcast(inverse);
        for (int j = team.Lane; j < columns; j += team.Size)
        {
            F d = (dys[at + j] * gammas[j] * scale) + (((xs[at + j] - off) * slope) + offset);
            dxs[at + j] = a.Accumulate != 0 ? dxs[at + j] + d : d;
        }
    }
}

/// <summary>Sum 0: Σ dy; sum 1: Σ dy·x̂. Mean and factor belong to rows here.</summary>
internal struct LayerNormTerm<F> : IColumnTerm<F> where F : unmanaged, ILanes<F>
{
    public readonly void Begin(in ColumnSumArguments a, int column)
    {
    }

    public readonly void Load(in ColumnSumArguments a, long row, long i, ref ColumnElement<F> element)
    {
        element.X = a.X.Cast<F>()[i];
        element.Dy = a.Dy.Cast<F>()[i];
        element.Mean = a.Mean[row];
        element.Factor = a.Factor[row];
    }

    public readonly void Add(in ColumnSumArguments a, long i, in ColumnElement<F> element, ref F sum0, ref F sum1)
    {
        sum0 += element.Dy;
        sum1 += element.Dy * ((element.X - F.Broadcast(element.Mean)) * F.Broadcast(element.Factor));
    }
}
