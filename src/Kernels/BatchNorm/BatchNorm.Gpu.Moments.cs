using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Mean and variance of columns in one pass. Σx² − n·μ² would lose all digits of a large mean, and an update of both for every element costs a
/// division. So a thread takes Σ(x − p) and Σ(x − p)² around a pivot p of its own, the median of its first, middle and last element: far out only if most of them are, and then
/// they are what makes the variance. Threads, then strips, are put together by two passes over their means, so that nothing large is subtracted from something large.
/// </summary>
internal sealed partial class GpuKernels
{
    /// <summary>Moments of channels; for convolutions that hand them on.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="channels">C</param>
    /// <param name="x">[rows, C]</param>
    /// <param name="moments">[2, C], written: mean and biased variance</param>
    private void WriteMoments(long rows, int channels, BufferView x, BufferView moments)
    {
        using var partials = SumMoments(rows, channels, x, out var totals);
        LaunchTotals(MomentsFinishKernel, channels, new MomentsFinishArguments { Totals = totals, Moments = V(moments) });
    }

    /// <summary>Finds (or takes) the moments, moves the running statistics; low gets what rounding takes from the mean.</summary>
    private void Statistics(in BatchNormGeometry g, BufferView x, BufferView moments, BufferView runningMean, BufferView runningVar, double momentum,
        BufferView mean, BufferView invStd, ArrayView<float> low)
    {
        var arguments = new BatchNormFinishArguments
        {
            Totals = new() { Partials = V(default), Channels = g.C, Rows = g.Rows }, Moments = V(moments), HasMoments = moments.IsEmpty ? 0 : 1,
            RunningMean = V(runningMean), HasRunningMean = runningMean.IsEmpty ? 0 : 1, RunningVar = V(runningVar), HasRunningVar = runningVar.IsEmpty ? 0 : 1,
            Momentum = momentum, Epsilon = g.Epsilon, Mean = V(mean), InvStd = V(invStd), Low = low,
        };
        if (!moments.IsEmpty)
        {
            LaunchTotals(BatchNormFinishKernel, g.C, arguments);
            return;
        }
        using var partials = SumMoments(g.Rows, g.C, x, out arguments.Totals);
        LaunchTotals(BatchNormFinishKernel, g.C, arguments);
    }

    private GpuScratch SumMoments(long rows, int channels, BufferView x, out MomentTotals totals)
    {
        bool wide = IsAligned(x) && channels % 4 == 0;
        var work = Columns(rows, wide ? channels / 4 : channels);
        var partials = ColumnPartials(work, channels, sums: 3);
        LaunchColumns(wide ? MomentsKernel<Float4> : MomentsKernel<Float1>, work, new MomentsArguments { Work = work, X = V(x), Partials = partials.Floats });
        totals = new() { Partials = partials.Floats, Strips = work.Strips, Channels = channels, Rows = rows, StripRows = work.StripRows };
        return partials;
    }

    internal struct MomentsArguments
    {
        public ColumnWork Work;
        public ArrayView<float> X;

        /// <summary>[strips, 3, channels]: about the mean, what is missing to it, Σ(x − mean)²</summary>
        public ArrayView<float> Partials;
    }

    /// <summary>Reads 4 bytes an element and 5 instructions a lane with it: bound by memory, 3.35 TB/s, expected 90 %. Four loads of 16 bytes under way in each of 1024 threads.</summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4))]
    [GpuVariant(typeof(Float1))]
    private static void MomentsKernel<F>(MomentsArguments a) where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        F pivot = F.Broadcast(0), s0 = pivot, s1 = pivot, q0 = pivot, q1 = pivot;
        if (t.Count > 0)
        {
            var xs = a.X.Cast<F>();
            long i = t.First;
            pivot = Median(xs[i], xs[i + ((t.Count >> 1) * t.Step)], xs[t.Last]);
            for (; i + (3 * t.Step) < t.End; i += 4 * t.Step)
            {
                F x0 = xs[i], x1 = xs[i + t.Step], x2 = xs[i + (2 * t.Step)], x3 = xs[i + (3 * t.Step)];
                AddMoments(x0 - pivot, ref s0, ref q0);
                AddMoments(x1 - pivot, ref s1, ref q1);
                AddMoments(x2 - pivot, ref s0, ref q0);
                AddMoments(x3 - pivot, ref s1, ref q1);
            }
            for (; i < t.End; i += t.Step) AddMoments(xs[i] - pivot, ref s0, ref q0);
        }
        WriteMoments(a, t, pivot, s0 + s1, q0 + q1);
    }

    private static F Median<F>(F a, F b, F c) where F : unmanaged, ILanes<F>
    {
        F low = F.AtMost(a, b, a, b), high = F.AtMost(a, b, b, a), below = F.AtMost(high, c, high, c);
        return F.AtMost(low, below, below, low);
    }

    private static void AddMoments<F>(F d, ref F sum, ref F squares) where F : unmanaged, ILanes<F>
    {
        sum += d;
        squares += d * d;
    }

    private static void WriteMoments<F>(in MomentsArguments a, in ColumnThread t, F pivot, F sum, F squares) where F : unmanaged, ILanes<F>
    {
        var pivots = SharedMemory.Allocate<F>(ColumnWork.Threads);
        var means = SharedMemory.Allocate<F>(ColumnWork.Threads);
        var around = SharedMemory.Allocate<F>(ColumnWork.Threads);
        long rows = a.Work.RowsOf(Grid.IdxX);
        F mean = t.Count > 0 ? sum / F.Broadcast(t.Count) : sum;
        pivots[Group.IdxX] = pivot;
        means[Group.IdxX] = mean;
        around[Group.IdxX] = squares - (sum * mean);
        Group.Barrier();
        if (t.Row != 0 || !t.IsActive) return;

        int threads = rows < a.Work.RowsAtATime ? (int)rows : a.Work.RowsAtATime;
        F total = F.Broadcast(0), m2 = total;
        for (int row = 0, at = t.Lane; row < threads; row++, at += a.Work.Width)
            total += F.Broadcast(a.Work.RowsOfThread(Grid.IdxX, row)) * ((pivots[at] - pivot) + means[at]);
        // Once more around what was found, which also says what was lost in finding it.
        F centre = pivot + (total / F.Broadcast(rows));
        total = F.Broadcast(0);
        for (int row = 0, at = t.Lane; row < threads; row++, at += a.Work.Width)
        {
            F off = (pivots[at] - centre) + means[at], weighted = F.Broadcast(a.Work.RowsOfThread(Grid.IdxX, row)) * off;
            total += weighted;
            m2 += around[at] + (weighted * off);
        }
        mean = total / F.Broadcast(rows);
        var partials = a.Partials.Cast<F>();
        long to = ((long)Grid.IdxX * 3 * a.Work.Columns) + t.Column;
        partials[to] = centre;
        partials[to + a.Work.Columns] = mean;
        partials[to + (2 * a.Work.Columns)] = m2 - (total * mean);
    }

    /// <summary>What strips have found out about the moments of columns.</summary>
    internal struct MomentTotals
    {
        public ArrayView<float> Partials;
        public long Rows, StripRows;
        public int Strips, Channels;

        /// <summary>Puts the strips together, around the mean of the first, in double. The channel that this thread is to finish, or −1.</summary>
        public readonly int Sum(out double mean, out double squares)
        {
            int lane = Group.IdxX / ColumnTotals.Channels, lanes = Group.DimX / ColumnTotals.Channels, within = Group.IdxX - (lane * ColumnTotals.Channels);
            int c = (Grid.IdxX * ColumnTotals.Channels) + within;
            double origin = 0, sum = 0;
            squares = 0;
            if (c < Channels && Strips > 0)
            {
                origin = (double)Partials[c] + Partials[Channels + c];
                for (int strip = lane; strip < Strips; strip += lanes)
                {
                    long at = ((long)strip * 3 * Channels) + c, rest = Rows - (strip * StripRows);
                    double rows = rest < StripRows ? rest : StripRows, off = ((double)Partials[at] - origin) + Partials[at + Channels];
                    sum += rows * off;
                    squares += Partials[at + (2 * Channels)] + (rows * off * off);
                }
            }
            int channel = ColumnTotals.AddLanes(lane, lanes, within, c < Channels ? c : -1, ref sum, ref squares);
            mean = origin + (sum / Rows);
            squares -= sum * sum / Rows;
            if (squares < 0) squares = 0;
            return channel;
        }
    }

    internal struct MomentsFinishArguments
    {
        public MomentTotals Totals;
        public ArrayView<float> Moments;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void MomentsFinishKernel(MomentsFinishArguments a)
    {
        int c = a.Totals.Sum(out double mean, out double squares);
        if (c < 0) return;
        a.Moments[c] = (float)mean;
        a.Moments[a.Totals.Channels + c] = (float)(squares / a.Totals.Rows);
    }

    internal struct BatchNormFinishArguments
    {
        public MomentTotals Totals;
        public ArrayView<float> Moments, RunningMean, RunningVar, Mean, InvStd, Low;
        public double Momentum, Epsilon;
        public int HasMoments, HasRunningMean, HasRunningVar;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void BatchNormFinishKernel(BatchNormFinishArguments a)
    {
        int c = a.Totals.Sum(out double mean, out double squares);
        if (c < 0) return;
        double rows = a.Totals.Rows, variance = squares / rows;
        if (a.HasMoments != 0)
        {
            mean = a.Moments[c];
            variance = a.Moments[a.Totals.Channels + c];
        }
        a.Mean[c] = (float)mean;
        a.Low[c] = (float)(mean - (float)mean);
        a.InvStd[c] = (float)(1 / Math.Sqrt(variance + a.Epsilon));
        // One row has no unbiased variance (0/0); its 0 stays 0.
        if (a.HasRunningMean != 0) a.RunningMean[c] = (float)(((1 - a.Momentum) * a.RunningMean[c]) + (a.Momentum * mean));
        if (a.HasRunningVar != 0) a.RunningVar[c] = (float)(((1 - a.Momentum) * a.RunningVar[c]) + (a.Momentum * variance * rows / (rows > 1 ? rows - 1 : 1)));
    }
}
