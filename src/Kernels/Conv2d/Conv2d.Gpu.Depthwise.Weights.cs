using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// The weight gradient is R·S sums over all pixels for every channel. A thread has four channels and one kernel row (or one weight) and adds up strips of pixels in registers, the
/// threads of a group are added in shared memory, and the groups' totals, [chunks, R·S·C], by a second launch: always in the same order.
/// </remarks>
internal sealed partial class GpuKernels
{
    private void DepthwiseWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate)
    {
        if (g.WeightLength == 0) return;
        var pieces = DepthwisePieces(g).ToArray();
        if (g.OutputLength == 0 || pieces.Length == 0)
        {
            if (!accumulate) Fill(dw, 0);
            return;
        }
        foreach (var (first, count) in pieces)
        {
            var (xs, dys) = (Rows(x, first, count, (long)g.H * g.W * g.C), Rows(dy, first, count, (long)g.P * g.Q * g.C));
            bool added = accumulate || first > 0;
            if (IsWide(g.C, x, dy, dw)) DepthwiseWeightGradient<Float4>(g, xs, dys, dw, (int)count, added);
            else DepthwiseWeightGradient<Float1>(g, xs, dys, dw, (int)count, added);
        }
    }

    private void DepthwiseWeightGradient<L>(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, int images, bool accumulate) where L : unmanaged, ILanes<L>
    {
        int group = BarrierGroup(DepthwiseGroup), channels = g.C / L.Width, log = Math.Min(GpuMath.Log2Up(32 / L.Width), GpuMath.Log2Up(channels));
        var kernel = WeightRowsKernel<L>(g);
        if (kernel != null && g.R > group >> log) kernel = null;
        bool byRow = kernel != null;
        int workers = byRow ? (group >> log) / g.R : group >> log, slices = DivideUp(channels, 1 << log);
        long strips = (long)images * g.P * (byRow ? DivideUp(g.Q, 4) : g.Q);
        // A chunk costs R·S·C partial sums, written and read: at least 16 strips a thread.
        long launched = (long)slices * (byRow ? 1 : g.R * g.S);
        int chunks = (int)Math.Clamp(_device.FullGrid / launched, 1, Math.Min(MostGroups, Math.Max(1, strips / (workers * 16L))));
        var a = new DepthwiseWeightArguments
        {
            X = V(x), Dy = V(dy), Dw = V(dw), H = g.H, W = g.W, Q = g.Q, R = g.R, S = g.S, Channels = channels, StrideH = g.StrideH, StrideW = g.StrideW,
            DilationH = g.DilationH, DilationW = g.DilationW, PadTop = g.PadTop, PadLeft = g.PadLeft, LogChannels = log, Workers = workers,
            Strips = (int)strips, StripsOfChunk = DivideUp(strips, chunks), StripsOfRow = new(byRow ? DivideUp(g.Q, 4) : g.Q), Rows = new(g.P),
        };
        var grid = (slices, chunks, byRow ? 1 : g.R * g.S);
        kernel ??= DepthwiseAnyWeightKernel<L>;
        if (chunks == 1 && !accumulate)
        {
            LaunchGroups(kernel, grid, a, group);
            return;
        }
        using var totals = _device.Scratch(chunks * g.WeightLength);
        a.Dw = totals.Floats;
        LaunchGroups(kernel, grid, a, group);
        SumColumns<L, ScaleFunction>(new(1, chunks, g.WeightLength), totals.Floats, totals.Floats, V(dw), 1, accumulate, mostChunks: 1);
    }

    /// <summary>The kernel for this width and stride, or null. Of single floats only the width that networks have with such channel counts.</summary>
    private static Action<DepthwiseWeightArguments>? WeightRowsKernel<L>(in Conv2dGeometry g) where L : unmanaged, ILanes<L>
    {
        if (g.DilationH != 1 || g.DilationW != 1 || g.StrideH != g.StrideW || (L.Width == 1 && g.S != 3)) return null;
        return (g.S, g.StrideH) switch
        {
            (3, 1) => DepthwiseWeightKernel<L, Width3Stride1>,
            (3, 2) => DepthwiseWeightKernel<L, Width3Stride2>,
            (5, 1) => DepthwiseWeightKernel<L, Width5Stride1>,
            (5, 2) => DepthwiseWeightKernel<L, Width5Stride2>,
            (7, 1) => DepthwiseWeightKernel<L, Width7Stride1>,
            _ => null,
        };
    }

    internal struct DepthwiseWeightArguments
    {
        public ArrayView<float> X, Dy, Dw;
        public int H, W, Q, R, S, Channels, StrideH, StrideW, DilationH, DilationW, PadTop, PadLeft;

        /// <summary>Threads of a group along channels (a power of two), and those that share the strips of one sum.</summary>
        public int LogChannels, Workers;

        /// <summary>Strips of four pixels of a row of dy (or of one).</summary>
        public int Strips, StripsOfChunk;
        public Divisor StripsOfRow, Rows;
    }

    /// <summary>
    /// A thread has one row of the kernel, S sums. The threads with its other rows go over the same strips at the same time, so that dy comes from memory once and from the
    /// first-level cache R times.
    /// </summary>
    /// <remarks>
    /// Bytes: x and dy once, 32 for a Float4 at stride 1: 2.2 cycles of an H100's multiprocessor, 5.5 at stride 2. 3×3: 7.5 loads a pixel (0.9 cycles) and some 80 instructions (0.6): bound by
    /// memory (expected: above 85 % of a copy). 5×5: 15 loads (1.9 cycles), 190 instructions (1.5): 75 %. 7×7: 25 loads (3.1 cycles): bound by the cache, 55 %.
    /// </remarks>
    [GpuKernel(DepthwiseGroup, MinGroups = 2, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(Width3Stride1)), GpuVariant(typeof(Float4), typeof(Width3Stride2)), GpuVariant(typeof(Float4), typeof(Width5Stride1))]
    [GpuVariant(typeof(Float4), typeof(Width5Stride2)), GpuVariant(typeof(Float4), typeof(Width7Stride1))]
    [GpuVariant(typeof(Float1), typeof(Width3Stride1)), GpuVariant(typeof(Float1), typeof(Width3Stride2))]
    private static void DepthwiseWeightKernel<L, T>(DepthwiseWeightArguments a) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        var shared = SharedMemory.Allocate<L>(DepthwiseGroup);
        int c = (Grid.IdxX << a.LogChannels) + (Group.IdxX & ((1 << a.LogChannels) - 1)), worker = Group.IdxX >> a.LogChannels;
        int r = worker / a.Workers, number = worker - (r * a.Workers), step = a.Channels;
        bool works = c < a.Channels && r < a.R;
        var x = a.X.Cast<L>();
        var dy = a.Dy.Cast<L>();
        DepthwiseTaps<L> sums = default;
        int end = Math.Min(a.Strips, (Grid.IdxY + 1) * a.StripsOfChunk);
        if (works)
        {
            for (int strip = (Grid.IdxY * a.StripsOfChunk) + number; strip < end; strip += a.Workers)
            {
                int row = a.StripsOfRow.Divide(strip), q = a.StripsOfRow.Rest(strip, row) * 4, n = a.Rows.Divide(row);
                int h = (a.Rows.Rest(row, n) * T.Stride) - a.PadTop + r;
                if (h < 0 || h >= a.H) continue;
                int columns = Math.Min(4, a.Q - q), at = (((row * a.Q) + q) * step) + c, left = (q * T.Stride) - a.PadLeft;
                DepthwiseFour<L> d = default;
                d.A = dy[at];
                if (columns > 1) d.B = dy[at + step];
                if (columns > 2) d.C = dy[at + (2 * step)];
                if (columns > 3) d.D = dy[at + (3 * step)];
                // Not beyond the last window: what lies there may be infinite, and 0·∞ is not 0.
                int right = Math.Min(a.W, left + ((columns - 1) * T.Stride) + T.S);
                var v = DepthwiseParts.Load<L, T>(x, (((n * a.H) + h) * a.W * step) + c, left, right, step);
                DepthwiseParts.Correlate<L, T>(ref sums, v, d);
            }
        }
        bool writes = works && number == 0;
        int target = (((((Grid.IdxY * a.R) + r) * T.S) * step) + c);
        WriteTotal(a, shared, sums.W0, target, writes);
        WriteTotal(a, shared, sums.W1, target + step, writes);
        WriteTotal(a, shared, sums.W2, target + (2 * step), writes);
        if (T.S > 3) WriteTotal(a, shared, sums.W3, target + (3 * step), writes);
        if (T.S > 3) WriteTotal(a, shared, sums.W4, target + (4 * step), writes);
        if (T.S > 5) WriteTotal(a, shared, sums.W5, target + (5 * step), writes);
        if (T.S > 5) WriteTotal(a, shared, sums.W6, target + (6 * step), writes);
    }

    /// <remarks>A group for each weight: every other shape. Two loads a product, x and dy once for every weight from the second-level cache.</remarks>
    [GpuKernel(DepthwiseGroup, Wide = true)]
    [GpuVariant(typeof(Float4)), GpuVariant(typeof(Float1))]
    private static void DepthwiseAnyWeightKernel<L>(DepthwiseWeightArguments a) where L : unmanaged, ILanes<L>
    {
        var shared = SharedMemory.Allocate<L>(DepthwiseGroup);
        int c = (Grid.IdxX << a.LogChannels) + (Group.IdxX & ((1 << a.LogChannels) - 1)), number = Group.IdxX >> a.LogChannels, step = a.Channels;
        int r = Grid.IdxZ / a.S, s = Grid.IdxZ - (r * a.S);
        var x = a.X.Cast<L>();
        var dy = a.Dy.Cast<L>();
        L sum = default;
        int end = Math.Min(a.Strips, (Grid.IdxY + 1) * a.StripsOfChunk);
        if (c < a.Channels)
        {
            for (int pixel = (Grid.IdxY * a.StripsOfChunk) + number; pixel < end; pixel += a.Workers)
            {
                int row = a.StripsOfRow.Divide(pixel), q = a.StripsOfRow.Rest(pixel, row), n = a.Rows.Divide(row);
                int h = (a.Rows.Rest(row, n) * a.StrideH) - a.PadTop + (r * a.DilationH), w = (q * a.StrideW) - a.PadLeft + (s * a.DilationW);
                if (h >= 0 && h < a.H && w >= 0 && w < a.W) sum = sum + (x[(((((n * a.H) + h) * a.W) + w) * step) + c] * dy[(pixel * step) + c]);
            }
        }
        WriteTotal(a, shared, sum, (((Grid.IdxY * a.R * a.S) + Grid.IdxZ) * step) + c, c < a.Channels && number == 0);
    }

    /// <summary>Adds up what the workers of a sum have; the first of them writes it. All threads of the group take part.</summary>
    private static void WriteTotal<L>(DepthwiseWeightArguments a, ArrayView<L> shared, L value, int target, bool writes) where L : unmanaged, ILanes<L>
    {
        shared[Group.IdxX] = value;
        Group.Barrier();
        if (writes)
        {
            var dw = a.Dw.Cast<L>();
            L total = value;
            for (int k = 1; k < a.Workers; k++) total = total + shared[Group.IdxX + (k << a.LogChannels)];
            dw[target] = total;
        }
        Group.Barrier();
    }
}
