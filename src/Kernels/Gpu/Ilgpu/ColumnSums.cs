using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Two sums a column of something computed from every element of a map [rows, columns]: parameter gradients of norms, biases and slopes. The kernel
/// writes a pair of partial sums for every strip of rows; the operation's own last kernel adds them in strip order (<see cref="ColumnTotals"/>) and does with them
/// what it likes.
/// </summary>
internal interface IColumnTerm<F> where F : unmanaged, ILanes<F>
{
    /// <summary>Loads what is constant in a column.</summary>
    void Begin(in ColumnSumArguments a, int column);

    /// <summary>Loads what an element needs. Apart from <see cref="Add"/>, so that the loads of several elements are under way at once.</summary>
    void Load(in ColumnSumArguments a, long row, long i, ref ColumnElement<F> element);

    /// <summary>Adds an element to the sums, and writes to the maps if there is something to write.</summary>
    void Add(in ColumnSumArguments a, long i, in ColumnElement<F> element, ref F sum0, ref F sum1);
}

/// <summary>What was loaded for one element of a column sum.</summary>
internal struct ColumnElement<F>
{
    public F X, Dy, Y;
    public float Mean, Factor;
}

/// <summary>Operands of column sums; a term reads those that it knows.</summary>
internal struct ColumnSumArguments
{
    public ColumnWork Work;
    public ArrayView<float> X, Y, Dy, Dx;

    /// <summary>[columns]</summary>
    public ArrayView<float> Mean, Factor, Gamma, Beta;

    /// <summary>[strips, 2, columns]</summary>
    public ArrayView<float> Partials;

    public float Low, High, Epsilon;
    public int HasY, HasDx, Accumulate, FromVariance, Curve;
}

internal sealed partial class GpuKernels
{
    /// <summary>Threads of a group in kernels over columns. Loops follow the size that was launched: the simulation pays for every thread.</summary>
    private int ColumnGroup => _device.IsSimulated ? 32 : ColumnWork.Threads;

    private ColumnWork Columns(long rows, int columns) => _device.IsSimulated ? new(rows, columns, ColumnGroup, 4) : new(rows, columns, ColumnGroup);

    private void LaunchColumns<TArguments>(Action<TArguments> kernel, in ColumnWork work, TArguments arguments) where TArguments : struct =>
        _device.Launcher.Launch(kernel, work.Groups, arguments, ColumnGroup);

    /// <summary>Adds up the partial sums of columns: so many groups that each takes <see cref="ColumnTotals.Channels"/> of them.</summary>
    private void LaunchTotals<TArguments>(Action<TArguments> kernel, int channels, TArguments arguments) where TArguments : struct =>
        _device.Launcher.Launch(kernel, ((channels + ColumnTotals.Channels - 1) / ColumnTotals.Channels, 1, 1), arguments, ColumnGroup);

    private GpuScratch ColumnPartials(in ColumnWork work, int channels, int sums = 2) => _device.Scratch((long)work.Strips * sums * channels);

    /// <summary>result0 (+)= Σ of the first sum, result1 of the second, where they are wanted.</summary>
    private void FinishSums(in ColumnWork work, GpuScratch partials, int channels, BufferView result0, BufferView result1, bool accumulate) =>
        LaunchTotals(SumsFinishKernel, channels, new SumsFinishArguments
        {
            Partials = partials.Floats, Strips = work.Strips, Channels = channels, Result0 = V(result0), Has0 = result0.IsEmpty ? 0 : 1,
            Result1 = V(result1), Has1 = result1.IsEmpty ? 0 : 1, Accumulate = accumulate ? 1 : 0,
        });

    internal struct SumsFinishArguments
    {
        public ArrayView<float> Partials, Result0, Result1;
        public int Strips, Channels, Has0, Has1, Accumulate;
    }

    [GpuKernel(ColumnWork.Threads)]
    private static void SumsFinishKernel(SumsFinishArguments a)
    {
        int c = ColumnTotals.Sum(a.Partials, a.Strips, a.Channels, out double sum0, out double sum1);
        if (c < 0) return;
        if (a.Has0 != 0) a.Result0[c] = (float)((a.Accumulate != 0 ? a.Result0[c] : 0) + sum0);
        if (a.Has1 != 0) a.Result1[c] = (float)((a.Accumulate != 0 ? a.Result1[c] : 0) + sum1);
    }

    /// <summary>
    /// A pass over the maps, each element read once. Bound by memory: with two maps of 16 bytes an element and two elements under way, 4 groups of a
    /// multiprocessor keep 64 KB in flight, where about 30 KB hide the latency of an H100's memory. Expected: 85 to 90 % of the bandwidth of a copy.
    /// </summary>
    [GpuKernel(ColumnWork.Threads, MinGroups = 4, Hot = true, Wide = true)]
    [GpuVariant(typeof(NormGradientTerm<Float4>), typeof(Float4))]
    [GpuVariant(typeof(NormGradientTerm<Float1>), typeof(Float1))]
    [GpuVariant(typeof(LayerNormTerm<Float4>), typeof(Float4))]
    [GpuVariant(typeof(LayerNormTerm<Float1>), typeof(Float1))]
    [GpuVariant(typeof(PReLUTerm<Float4>), typeof(Float4))]
    [GpuVariant(typeof(PReLUTerm<Float1>), typeof(Float1))]
    private static void ColumnSumsKernel<TTerm, F>(ColumnSumArguments a) where TTerm : unmanaged, IColumnTerm<F> where F : unmanaged, ILanes<F>
    {
        var t = ColumnThread.Of(a.Work);
        F sum0 = F.Broadcast(0), sum1 = F.Broadcast(0);
        if (t.IsActive)
        {
            var term = default(TTerm);
            term.Begin(a, t.Column);
            F odd0 = F.Broadcast(0), odd1 = F.Broadcast(0);
            ColumnElement<F> even = default, odd = default;
            long i = t.First, row = t.FirstRow;
            for (; i + t.Step < t.End; i += 2 * t.Step, row += 2 * a.Work.RowsAtATime)
            {
                term.Load(a, row, i, ref even);
                term.Load(a, row + a.Work.RowsAtATime, i + t.Step, ref odd);
                term.Add(a, i, even, ref sum0, ref sum1);
                term.Add(a, i + t.Step, odd, ref odd0, ref odd1);
            }
            if (i < t.End)
            {
                term.Load(a, row, i, ref even);
                term.Add(a, i, even, ref sum0, ref sum1);
            }
            sum0 += odd0;
            sum1 += odd1;
        }
        WritePartials(a, t, sum0, sum1);
    }

    /// <summary>Adds the threads that share a column, top to bottom, and writes what the strip gave.</summary>
    private static void WritePartials<F>(in ColumnSumArguments a, in ColumnThread t, F sum0, F sum1) where F : unmanaged, ILanes<F>
    {
        var shared0 = SharedMemory.Allocate<F>(ColumnWork.Threads);
        var shared1 = SharedMemory.Allocate<F>(ColumnWork.Threads);
        shared0[Group.IdxX] = sum0;
        shared1[Group.IdxX] = sum1;
        Group.Barrier();
        if (t.Row != 0 || !t.IsActive) return;
        F lost0 = F.Broadcast(0), lost1 = lost0;
        for (int row = 1, at = t.Lane + a.Work.Width; row < a.Work.RowsAtATime; row++, at += a.Work.Width)
        {
            AddExactly(shared0[at], ref sum0, ref lost0);
            AddExactly(shared1[at], ref sum1, ref lost1);
        }
        var partials = a.Partials.Cast<F>();
        long to = ((long)Grid.IdxX * 2 * a.Work.Columns) + t.Column;
        partials[to] = sum0;
        partials[to + a.Work.Columns] = sum1;
    }

    /// <summary>Kahan's sum: what rounding takes from one addition is made up for in the next. Sums of many threads are large beside their terms.</summary>
    private static void AddExactly<F>(F value, ref F sum, ref F lost) where F : unmanaged, ILanes<F>
    {
        F corrected = value - lost, next = sum + corrected;
        lost = (next - sum) - corrected;
        sum = next;
    }
}

/// <summary>The last stage of column sums: partial sums of strips, added in strip order in double by groups that take eight channels each.</summary>
internal static class ColumnTotals
{
    /// <summary>Channels of a group: 32 bytes, the least that memory moves. The other threads divide the strips among them.</summary>
    public const int Channels = 8;

    /// <summary>The channel of this thread's group that the thread is to finish, or −1.</summary>
    public static int Sum(ArrayView<float> partials, int strips, int channels, out double sum0, out double sum1)
    {
        int lane = Group.IdxX / Channels, lanes = Group.DimX / Channels, within = Group.IdxX - (lane * Channels), c = (Grid.IdxX * Channels) + within;
        (sum0, sum1) = (0, 0);
        if (c < channels)
        {
            for (int strip = lane; strip < strips; strip += lanes)
            {
                long at = ((long)strip * 2 * channels) + c;
                sum0 += partials[at];
                sum1 += partials[at + channels];
            }
        }
        return AddLanes(lane, lanes, within, c < channels ? c : -1, ref sum0, ref sum1);
    }

    /// <summary>Adds what the lanes of a channel have; lane 0 gets the sums and the channel, the others −1.</summary>
    public static int AddLanes(int lane, int lanes, int within, int channel, ref double sum0, ref double sum1)
    {
        var shared0 = SharedMemory.Allocate<double>(ColumnWork.Threads);
        var shared1 = SharedMemory.Allocate<double>(ColumnWork.Threads);
        shared0[Group.IdxX] = sum0;
        shared1[Group.IdxX] = sum1;
        Group.Barrier();
        if (lane != 0 || channel < 0) return -1;
        for (int other = 1; other < lanes; other++)
        {
            sum0 += shared0[(other * Channels) + within];
            sum1 += shared1[(other * Channels) + within];
        }
        return channel;
    }
}
