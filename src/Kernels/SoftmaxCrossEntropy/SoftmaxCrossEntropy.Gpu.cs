using ILGPU;

namespace RefConv.Kernels;

/// <remarks>Class scores are small (128 × 1000 floats are half a megabyte): what counts is the number of launches, and that no row waits for another.</remarks>
internal sealed partial class GpuKernels
{
    public void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y) => Softmax(g, x, y, V(default), V(default), hasLoss: false);

    public void SoftmaxCrossEntropyForward(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView labels, BufferView probabilities, BufferView loss)
    {
        using var losses = _device.Scratch(g.N);
        Softmax(g, x, probabilities, V(labels), losses.Floats, hasLoss: true);
        MeanOf(losses.Floats, g.N, g.N, loss);
    }

    private void Softmax(in SoftmaxCrossEntropyGeometry g, BufferView x, BufferView y, ArrayView<float> labels, ArrayView<float> losses, bool hasLoss)
    {
        int team = Team.For(g.Classes, TeamGroup);
        LaunchTeams(SoftmaxKernel, g.N, team, new SoftmaxArguments
        {
            X = V(x), P = V(y), Labels = labels, Losses = losses, Dloss = V(default), Rows = g.N, Classes = g.Classes, Team = team, Smoothing = (float)g.LabelSmoothing, HasLoss = hasLoss ? 1 : 0,
        });
    }

    public void SoftmaxCrossEntropyBackward(in SoftmaxCrossEntropyGeometry g, BufferView probabilities, BufferView labels, BufferView dloss, BufferView dx, bool accumulate)
    {
        int team = Team.For(g.Classes, TeamGroup);
        LaunchTeams(SoftmaxGradientKernel, g.N, team, new SoftmaxArguments
        {
            X = V(dx), P = V(probabilities), Labels = V(labels), Losses = V(default), Dloss = V(dloss), Rows = g.N, Classes = g.Classes, Team = team, Smoothing = (float)g.LabelSmoothing, Accumulate = accumulate ? 1 : 0,
        });
    }

    internal struct SoftmaxArguments
    {
        /// <summary>[rows, classes]: scores; in the backward pass their gradient.</summary>
        public ArrayView<float> X;

        public ArrayView<float> P, Labels, Losses, Dloss;
        public long Rows;
        public float Smoothing;
        public int Classes, Team, HasLoss, Accumulate;
    }

    [GpuKernel(Team.Group)]
    private static void SoftmaxKernel(SoftmaxArguments a)
    {
        var team = RefConv.Kernels.Team.Of(a.Team);
        long at = team.Row * a.Classes;
        int classes = team.Row < a.Rows ? a.Classes : 0;
        float max = float.NegativeInfinity, sum = 0, fromMax = 0;
        for (int j = team.Lane; j < classes; j += team.Size) max = a.X[at + j] > max ? a.X[at + j] : max;
        max = team.Largest(max);
        for (int j = team.Lane; j < classes; j += team.Size)
        {
            float d = a.X[at + j] - max, e = MathF.Exp(d);
            a.P[at + j] = e;
            sum += e;
            fromMax += d;
        }
        team.Sum(ref sum, ref fromMax);
        float inverse = 1 / sum;
        for (int j = team.Lane; j < classes; j += team.Size) a.P[at + j] *= inverse;
        if (team.Lane != 0 || classes == 0 || a.HasLoss == 0) return;
        // −Σ t·(x − log Σ e^x), written with x − max everywhere: large scores then cost no digits. Without smoothing a score of −∞ costs nothing elsewhere.
        float loss = MathF.Log(sum) - ((1 - a.Smoothing) * (a.X[at + (int)a.Labels[team.Row]] - max));
        if (a.Smoothing != 0) loss -= a.Smoothing * fromMax / classes;
        a.Losses[team.Row] = loss;
    }

    [GpuKernel(Team.Group)]
    private static void SoftmaxGradientKernel(SoftmaxArguments a)
    {
        var team = RefConv.Kernels.Team.Of(a.Team);
        if (team.Row >= a.Rows) return;
        long at = team.Row * a.Classes;
        int hit = (int)a.Labels[team.Row];
        float scale = a.Dloss[0] / a.Rows, even = a.Smoothing / a.Classes, peak = even + (1 - a.Smoothing);
        for (int j = team.Lane; j < a.Classes; j += team.Size)
        {
            float d = (a.P[at + j] - (j == hit ? peak : even)) * scale;
            a.X[at + j] = a.Accumulate != 0 ? a.X[at + j] + d : d;
        }
    }
}
