using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    private const int SumGroup = 256;

    public void ReduceSum(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) =>
        SumColumns<ScaleFunction>(g, x, default, y, scale, accumulate);

    public void ReduceBroadcast(in ReduceGeometry g, BufferView x, BufferView y, double scale, bool accumulate) =>
        MapChannels<ScaleOtherFunction>(g.Outer, g.Length, g.Inner, default, x, y, new() { Factor = (float)scale }, accumulate);

    /// <summary>y[o,i] (+)= scale · Σ_l f(a[o,l,i], b[o,l,i]), f with the factor 1.</summary>
    private void SumColumns<F>(in ReduceGeometry g, BufferView a, BufferView b, BufferView y, double scale, bool accumulate) where F : struct, IGpuFunction
    {
        if (g.Outer * g.Inner == 0) return;
        bool wide = IsWide(g.Inner, a, b, y);
        if (wide) SumColumns<Float4, F>(g, V(a), V(b), V(y), (float)scale, accumulate);
        else SumColumns<Float1, F>(g, V(a), V(b), V(y), (float)scale, accumulate);
    }

    /// <summary>
    /// Where the sums alone do not keep the device busy, every sum is cut into chunks, whose totals a second launch adds: in an order that depends on the shape and
    /// the device only.
    /// </summary>
    private void SumColumns<L, F>(in ReduceGeometry g, ArrayView<float> a, ArrayView<float> b, ArrayView<float> y, float scale, bool accumulate, int mostChunks = MostGroups)
        where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        long columns = g.Inner / L.Width;
        int log = Math.Min(5, GpuMath.Log2Up(columns)), lanes = 1 << log, rows = BarrierGroup(SumGroup) / lanes;
        long groups = g.Outer * DivideUp(columns, lanes);
        // At least 16 rows a thread: below that a chunk costs more than it brings.
        int chunks = (int)Math.Clamp(_device.FullGrid / groups, 1, Math.Min(mostChunks, Math.Max(1, g.Length / (rows * 16L))));
        var arguments = new SumArguments
        {
            A = a, B = b, Y = y, Length = g.Length, Columns = columns, RowsOfChunk = (g.Length + chunks - 1) / chunks, Slices = DivideUp(columns, lanes),
            LogLanes = log, Scale = scale, Accumulate = accumulate ? 1 : 0,
        };
        if (chunks == 1)
        {
            LaunchGroups(ColumnSumKernel<L, F>, ((int)groups, 1, 1), arguments, BarrierGroup(SumGroup));
            return;
        }
        using var totals = _device.Scratch(g.Outer * chunks * g.Inner);
        arguments.Y = totals.Floats;
        arguments.Scale = 1;
        arguments.Accumulate = 0;
        LaunchGroups(ColumnSumKernel<L, F>, ((int)groups, chunks, 1), arguments, BarrierGroup(SumGroup));
        SumColumns<L, ScaleFunction>(new(g.Outer, chunks, g.Inner), totals.Floats, totals.Floats, y, scale, accumulate, mostChunks: 1);
    }

    internal struct SumArguments
    {
        public ArrayView<float> A, B, Y;
        public long Length, Columns, RowsOfChunk;
        public int Slices, LogLanes, Accumulate;
        public float Scale;
    }

    /// <summary>
    /// A group adds the rows of a chunk for up to 32 lanes of columns: neighbouring threads have neighbouring columns, then rows. Four sums a thread keep four loads under
    /// way and quarter the number of additions in a row; a tree in shared memory adds the threads.
    /// </summary>
    /// <remarks>Bytes: every operand once. Bound by memory: 4 × 16 bytes under way in each of 2048 threads (expected: above 85 % of the rate of reading).</remarks>
    [GpuKernel(SumGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(ScaleFunction)), GpuVariant(typeof(Float4), typeof(ProductFunction))]
    [GpuVariant(typeof(Float1), typeof(ScaleFunction)), GpuVariant(typeof(Float1), typeof(ProductFunction))]
    private static void ColumnSumKernel<L, F>(SumArguments a) where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        var shared = SharedMemory.Allocate<L>(SumGroup);
        int thread = Group.IdxX, lanes = 1 << a.LogLanes, row = thread >> a.LogLanes, rows = Group.DimX >> a.LogLanes;
        int outer = Grid.IdxX / a.Slices, slice = Grid.IdxX - (outer * a.Slices);
        long column = ((long)slice << a.LogLanes) + (thread & (lanes - 1));
        long first = Grid.IdxY * a.RowsOfChunk, end = Math.Min(a.Length, first + a.RowsOfChunk), at = first + row;
        L sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        if (column < a.Columns)
        {
            long i = (((outer * a.Length) + at) * a.Columns) + column, step = rows * a.Columns;
            for (; at + (3 * rows) < end; at += 4 * rows, i += 4 * step)
            {
                L v0 = Term<L, F>(a, i), v1 = Term<L, F>(a, i + step), v2 = Term<L, F>(a, i + (2 * step)), v3 = Term<L, F>(a, i + (3 * step));
                sum0 += v0;
                sum1 += v1;
                sum2 += v2;
                sum3 += v3;
            }
            for (; at < end; at += rows, i += step) sum0 += Term<L, F>(a, i);
        }
        shared[thread] = sum0 + sum1 + (sum2 + sum3);
        Group.Barrier();
        for (int half = rows >> 1; half > 0; half >>= 1)
        {
            if (row < half) shared[thread] = shared[thread] + shared[thread + (half << a.LogLanes)];
            Group.Barrier();
        }
        if (row != 0 || column >= a.Columns) return;
        var y = a.Y.Cast<L>();
        long target = (((outer * (long)Grid.DimY) + Grid.IdxY) * a.Columns) + column;
        L total = a.Scale * shared[thread];
        if (a.Accumulate != 0) total = y[target] + total;
        y[target] = total;
    }

    private static L Term<L, F>(SumArguments arguments, long i) where L : unmanaged, ILanes<L> where F : struct, IGpuFunction
    {
        L a = arguments.A.Cast<L>()[i], b = default;
        if (F.ReadsB) b = arguments.B.Cast<L>()[i];
        // The factor of ScaleFunction; a constant, so nothing is left of it.
        return F.Apply(new FunctionParameters { Factor = 1 }, a, b);
    }
}
