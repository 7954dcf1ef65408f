using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    public void CountHits(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView hits)
    {
        using var rows = _device.Scratch(g.N);
        int team = Team.For(g.Classes, TeamGroup);
        LaunchTeams(HitKernel, g.N, team, new HitArguments { X = V(x), Labels = V(labels), Hits = rows.Floats, Rows = g.N, Classes = g.Classes, Team = team });
        SumColumns<Float1, ScaleFunction>(new(1, g.N, 1), rows.Floats, rows.Floats, V(hits), 1, accumulate: false);
    }

    internal struct HitArguments
    {
        public ArrayView<float> X, Labels, Hits;
        public long Rows;
        public int Classes, Team;
    }

    [GpuKernel(Team.Group)]
    private static void HitKernel(HitArguments a)
    {
        var team = RefConv.Kernels.Team.Of(a.Team);
        long at = team.Row * a.Classes;
        int classes = team.Row < a.Rows ? a.Classes : 0, label = classes > 0 ? (int)a.Labels[team.Row] : 0;
        float own = classes > 0 ? a.X[at + label] : 0, better = 0;
        for (int j = team.Lane; j < classes; j += team.Size)
        {
            float score = a.X[at + j];
            // Neither below nor equal: larger, or a NaN. Counted in floats because shared memory adds them.
            bool behind = j < label ? score < own : score <= own;
            better += behind ? 0f : 1f;
        }
        better = team.Sum(better);
        if (team.Lane == 0 && classes > 0) a.Hits[team.Row] = better == 0 ? 1f : 0f;
    }
}
