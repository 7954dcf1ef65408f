using ILGPU;

namespace RefConv.Kernels;

/// <summary>A rearrangement of memory: the i-th thing moved goes from one place to another. Made on the host, handed to the kernel by value.</summary>
internal interface IGpuMove
{
    int Source(int i);

    int Target(int i);
}

internal sealed partial class GpuKernels
{
    /// <summary>Moves lanes: four neighbours stay neighbours (<paramref name="wide"/>), or each float goes its own way.</summary>
    private void Move<T>(T move, BufferView x, BufferView y, long count, bool wide, bool accumulate) where T : unmanaged, IGpuMove
    {
        var arguments = new MoveArguments<T> { X = V(x), Y = V(y), Count = (int)(wide ? count / 4 : count), Accumulate = accumulate ? 1 : 0, How = move };
        // Four a thread and round.
        if (wide) LaunchElements(MoveKernel<Float4, T>, DivideUp(arguments.Count, 4), arguments);
        else LaunchElements(MoveKernel<Float1, T>, DivideUp(arguments.Count, 4), arguments);
    }

    /// <summary>Moves floats to a target that is filled in order: four at a time where it can be written so.</summary>
    private void MoveOrGather<T>(T move, BufferView x, BufferView y, long count, bool accumulate) where T : unmanaged, IGpuMove
    {
        if (!IsWide(count, y))
        {
            Move(move, x, y, count, wide: false, accumulate);
            return;
        }
        var arguments = new MoveArguments<T> { X = V(x), Y = V(y), Count = (int)(count / 4), Accumulate = accumulate ? 1 : 0, How = move };
        LaunchElements(GatherKernel<T>, arguments.Count, arguments);
    }

    internal struct MoveArguments<T> where T : unmanaged, IGpuMove
    {
        public ArrayView<float> X, Y;
        public int Count, Accumulate;
        public T How;
    }

    /// <remarks>
    /// Bytes: each element read and written once. Bound by memory; four independent loads a round, since with one float each a multiprocessor's 2048 threads had 8 KB
    /// under way where an H100 needs some 15 (expected: above 90 % of a copy with Float4, above 75 % with floats).
    /// </remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(ChannelBlock)), GpuVariant(typeof(Float4), typeof(BlocksToPixels)), GpuVariant(typeof(Float4), typeof(PixelsToBlocks))]
    [GpuVariant(typeof(Float1), typeof(ChannelBlock)), GpuVariant(typeof(Float1), typeof(BlocksToPixels)), GpuVariant(typeof(Float1), typeof(PixelsToBlocks))]
    [GpuVariant(typeof(Float1), typeof(Shuffle))]
    private static void MoveKernel<L, T>(MoveArguments<T> a) where L : unmanaged, ILanes<L> where T : unmanaged, IGpuMove
    {
        var x = a.X.Cast<L>();
        int step = GpuThread.Step;
        for (int i = GpuThread.First; i < a.Count; i += 4 * step)
        {
            int i1 = i + step, i2 = i1 + step, i3 = i2 + step;
            L v0 = x[a.How.Source(i)], v1 = default, v2 = default, v3 = default;
            if (i1 < a.Count) v1 = x[a.How.Source(i1)];
            if (i2 < a.Count) v2 = x[a.How.Source(i2)];
            if (i3 < a.Count) v3 = x[a.How.Source(i3)];
            Put(a, i, v0);
            if (i1 < a.Count) Put(a, i1, v1);
            if (i2 < a.Count) Put(a, i2, v2);
            if (i3 < a.Count) Put(a, i3, v3);
        }
    }

    private static void Put<L, T>(MoveArguments<T> a, int i, L value) where L : unmanaged, ILanes<L> where T : unmanaged, IGpuMove
    {
        var y = a.Y.Cast<L>();
        int target = a.How.Target(i);
        if (a.Accumulate != 0) value = y[target] + value;
        y[target] = value;
    }

    /// <remarks>Bytes: each element once; the sources of neighbouring threads share their lines, so that what one load leaves of a line the next finds in the cache (expected: above 75 % of a copy).</remarks>
    [GpuKernel(ElementGroup, Hot = true)]
    [GpuVariant(typeof(Shuffle)), GpuVariant(typeof(BlocksToPixels)), GpuVariant(typeof(PixelsToBlocks))]
    private static void GatherKernel<T>(MoveArguments<T> a) where T : unmanaged, IGpuMove
    {
        var y = a.Y.Cast<Float4>();
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int at = 4 * i;
            var v = new Float4 { X = a.X[a.How.Source(at)], Y = a.X[a.How.Source(at + 1)], Z = a.X[a.How.Source(at + 2)], W = a.X[a.How.Source(at + 3)] };
            if (a.Accumulate != 0) v = y[i] + v;
            y[i] = v;
        }
    }
}
