using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1, forward: <c>result[d, pixel] = basis[d, pixel] + ⟨map row d, unfolded row of the pixel⟩</c>, rows of L = g·k² floats. A thread has four map rows and nine
/// pixels, 36 running sums: each quad of the unfolded basis that it loads serves four map rows, each quad of the map nine pixels.
/// </summary>
/// <remarks>
/// Bytes: 4·Cin·Cout·k² of map, once; an H100 needs 11.3 µs for the 37.7 MB of 1024 depthwise channels. A multiprocessor then takes 15 B of map a clock; with
/// four rows a thread the unfolded rows cost 34 B of the 128 B a clock that its first-level cache gives, and the products 34 of 128 FMAs, so memory is what it
/// waits for. The 16 rows of a group read the same unfolded quads at about the same time: 9/16 of the map's bytes come from the second-level cache on top.
/// Expected: 80 % of the copy bandwidth from 512 channels on; below that the launch is what is seen.
/// Rows are split among several groups where there are too few of them for the device; a second, small kernel then adds the parts, in order.
/// </remarks>
internal sealed partial class GpuKernels
{
    private const int RefocusGroup = 256, RefocusRows = 4, RefocusPixels = 9, RefocusSums = RefocusRows * RefocusPixels;

    /// <summary>From one sum to the next in shared memory: odd, so that threads with different sums read different banks.</summary>
    private const int RefocusSumPitch = RefocusGroup + 1;

    private void RefocusGrouped(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut)
    {
        var shape = new RefocusShape(g);
        // Threads of a row: at least four quads each.
        int lanes = 8;
        while (lanes < 64 && lanes * 32 <= shape.Length) lanes *= 2;
        int quadsOfGroup = Pieces(g.Groups, RefocusRows), quads = g.D / g.Groups * quadsOfGroup, groups = Pieces(quads, RefocusGroup / lanes);
        int steps = Pieces(shape.Length, lanes * 4), wanted = Math.Max(1, _device.FullGrid / groups);
        int stepsOfPart = Pieces(steps, Math.Min(wanted, Math.Max(1, steps / 4))), parts = Pieces(steps, stepsOfPart);
        using var scratch = _device.Scratch(parts > 1 ? parts * g.KernelLength : 4);
        var arguments = new RefocusGroupedArguments
        {
            Shape = shape, Basis = V(basis), Unfolded = V(unfolded), Map = V(map), Result = parts > 1 ? scratch.Floats : V(result),
            Lanes = lanes, Quads = quads, QuadsOfGroup = quadsOfGroup, FloatsOfPart = stepsOfPart * lanes * 4, Shortcut = shortcut && parts == 1 ? 1 : 0,
        };
        bool wide = shape.Length % 4 == 0 && AreAligned(unfolded, map);
        LaunchGroups(wide ? RefocusGroupedKernel<WideQuads> : RefocusGroupedKernel<NarrowQuads>, (groups, parts, 1), arguments);
        if (parts == 1) return;
        LaunchElements<RefocusAddPartsArguments>(RefocusAddPartsKernel, g.KernelLength,
            new() { Parts = scratch.Floats, Basis = V(basis), Result = V(result), Count = (int)g.KernelLength, PartCount = parts, Shortcut = shortcut ? 1 : 0 });
    }

    private static int Pieces(int count, int size) => (count + size - 1) / size;

    internal struct RefocusGroupedArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Basis, Unfolded, Map, Result;
        public int Lanes, Quads, QuadsOfGroup, FloatsOfPart, Shortcut;
    }

    /// <summary>Four map rows and nine pixels at a time. Grid: four-row pieces, parts of a row.</summary>
    [GpuKernel(RefocusGroup, MinGroups = 2, Hot = true)]
    [GpuVariant(typeof(WideQuads))]
    [GpuVariant(typeof(NarrowQuads))]
    private static void RefocusGroupedKernel<TQuads>(RefocusGroupedArguments a) where TQuads : unmanaged, IRefocusQuads
    {
        var sums = SharedMemory.Allocate<float>(RefocusSums * RefocusSumPitch);
        int thread = Group.IdxX, slots = RefocusGroup / a.Lanes, slot = thread / a.Lanes, lane = thread - (slot * a.Lanes);
        int length = a.Shape.Length, pixels = a.Shape.Pixels;
        int quad = Math.Min((Grid.IdxX * slots) + slot, a.Quads - 1); // the threads of the last group that have none work on the last, and do not write
        int group = quad / a.QuadsOfGroup, row = (quad - (group * a.QuadsOfGroup)) * RefocusRows, lastRow = a.Shape.Groups - 1;
        int first = (Grid.IdxY * a.FloatsOfPart) + (lane * 4), end = Math.Min(length, (Grid.IdxY + 1) * a.FloatsOfPart), step = a.Lanes * 4;
        int rows = group * a.Shape.Groups * length;
        int row0 = rows + (row * length), row1 = rows + (Math.Min(row + 1, lastRow) * length);
        int row2 = rows + (Math.Min(row + 2, lastRow) * length), row3 = rows + (Math.Min(row + 3, lastRow) * length);
        for (int pixel = 0; pixel < pixels; pixel += RefocusPixels)
        {
            RefocusNine s0 = default, s1 = default, s2 = default, s3 = default;
            RefocusDots<TQuads>(a, new() { Row0 = row0, Row1 = row1, Row2 = row2, Row3 = row3 }, ((group * pixels) + pixel) * length, pixels - 1 - pixel, first, end, step, ref s0, ref s1, ref s2, ref s3);
            s0.Store(sums, thread);
            s1.Store(sums, (RefocusPixels * RefocusSumPitch) + thread);
            s2.Store(sums, (2 * RefocusPixels * RefocusSumPitch) + thread);
            s3.Store(sums, (3 * RefocusPixels * RefocusSumPitch) + thread);
            Group.Barrier();
            for (int i = thread; i < slots * RefocusSums; i += RefocusGroup) RefocusWriteSum(a, sums, i, slots, pixel);
            Group.Barrier();
        }
    }

    internal struct RefocusRowStarts
    {
        public int Row0, Row1, Row2, Row3;
    }

    /// <summary>The products of a thread. The next quads of the map are asked for before these are used: eight loads from memory are under way.</summary>
    private static void RefocusDots<TQuads>(RefocusGroupedArguments a, RefocusRowStarts rows, int u, int lastPixel, int first, int end, int step,
        ref RefocusNine s0, ref RefocusNine s1, ref RefocusNine s2, ref RefocusNine s3) where TQuads : unmanaged, IRefocusQuads
    {
        if (first >= end) return;
        TQuads quads = default;
        int length = a.Shape.Length;
        // Pixels past the last point to the last: their sums are not looked at.
        int u1 = u + (Math.Min(1, lastPixel) * length), u2 = u + (Math.Min(2, lastPixel) * length), u3 = u + (Math.Min(3, lastPixel) * length);
        int u4 = u + (Math.Min(4, lastPixel) * length), u5 = u + (Math.Min(5, lastPixel) * length), u6 = u + (Math.Min(6, lastPixel) * length);
        int u7 = u + (Math.Min(7, lastPixel) * length), u8 = u + (Math.Min(8, lastPixel) * length);
        int left = end - first;
        var n0 = quads.Load(a.Map, rows.Row0 + first, left);
        var n1 = quads.Load(a.Map, rows.Row1 + first, left);
        var n2 = quads.Load(a.Map, rows.Row2 + first, left);
        var n3 = quads.Load(a.Map, rows.Row3 + first, left);
        for (int i = first; i < end; i += step)
        {
            Float4 m0 = n0, m1 = n1, m2 = n2, m3 = n3;
            int next = i + step < end ? i + step : i;
            n0 = quads.Load(a.Map, rows.Row0 + next, end - next);
            n1 = quads.Load(a.Map, rows.Row1 + next, end - next);
            n2 = quads.Load(a.Map, rows.Row2 + next, end - next);
            n3 = quads.Load(a.Map, rows.Row3 + next, end - next);
            left = end - i;
            AddDots(quads.Load(a.Unfolded, u + i, left), m0, m1, m2, m3, ref s0.P0, ref s1.P0, ref s2.P0, ref s3.P0);
            AddDots(quads.Load(a.Unfolded, u1 + i, left), m0, m1, m2, m3, ref s0.P1, ref s1.P1, ref s2.P1, ref s3.P1);
            AddDots(quads.Load(a.Unfolded, u2 + i, left), m0, m1, m2, m3, ref s0.P2, ref s1.P2, ref s2.P2, ref s3.P2);
            AddDots(quads.Load(a.Unfolded, u3 + i, left), m0, m1, m2, m3, ref s0.P3, ref s1.P3, ref s2.P3, ref s3.P3);
            AddDots(quads.Load(a.Unfolded, u4 + i, left), m0, m1, m2, m3, ref s0.P4, ref s1.P4, ref s2.P4, ref s3.P4);
            AddDots(quads.Load(a.Unfolded, u5 + i, left), m0, m1, m2, m3, ref s0.P5, ref s1.P5, ref s2.P5, ref s3.P5);
            AddDots(quads.Load(a.Unfolded, u6 + i, left), m0, m1, m2, m3, ref s0.P6, ref s1.P6, ref s2.P6, ref s3.P6);
            AddDots(quads.Load(a.Unfolded, u7 + i, left), m0, m1, m2, m3, ref s0.P7, ref s1.P7, ref s2.P7, ref s3.P7);
            AddDots(quads.Load(a.Unfolded, u8 + i, left), m0, m1, m2, m3, ref s0.P8, ref s1.P8, ref s2.P8, ref s3.P8);
        }
    }

    private static void AddDots(Float4 u, Float4 m0, Float4 m1, Float4 m2, Float4 m3, ref float s0, ref float s1, ref float s2, ref float s3)
    {
        s0 = AddDot(s0, m0, u);
        s1 = AddDot(s1, m1, u);
        s2 = AddDot(s2, m2, u);
        s3 = AddDot(s3, m3, u);
    }

    private static float AddDot(float sum, Float4 a, Float4 b)
    {
        sum += a.X * b.X;
        sum += a.Y * b.Y;
        sum += a.Z * b.Z;
        sum += a.W * b.W;
        return sum;
    }

    /// <summary>Adds up what the threads of a row have for one of its 36 results, four strands, and writes it.</summary>
    private static void RefocusWriteSum(RefocusGroupedArguments a, ArrayView<float> sums, int i, int slots, int firstPixel)
    {
        int slot = i / RefocusSums, sum = i - (slot * RefocusSums), quarter = a.Lanes / 4;
        int at = (sum * RefocusSumPitch) + (slot * a.Lanes);
        float t0 = 0, t1 = 0, t2 = 0, t3 = 0;
        for (int lane = 0; lane < quarter; lane++, at++)
        {
            t0 += sums[at];
            t1 += sums[at + quarter];
            t2 += sums[at + (2 * quarter)];
            t3 += sums[at + (3 * quarter)];
        }
        float change = (t0 + t1) + (t2 + t3);
        int quad = (Grid.IdxX * slots) + slot, group = quad / a.QuadsOfGroup;
        int row = ((quad - (group * a.QuadsOfGroup)) * RefocusRows) + (sum / RefocusPixels), pixel = firstPixel + (sum % RefocusPixels);
        if (quad >= a.Quads || row >= a.Shape.Groups || pixel >= a.Shape.Pixels) return;
        int to = a.Shape.KernelIndex((group * a.Shape.Groups) + row, pixel);
        float value = change;
        if (a.Shortcut != 0) value = RefocusChanged(a.Basis[to], change);
        a.Result[(Grid.IdxY * a.Shape.D * a.Shape.Pixels) + to] = value;
    }

    internal struct RefocusAddPartsArguments
    {
        public ArrayView<float> Parts, Basis, Result;
        public int Count, PartCount, Shortcut;
    }

    [GpuKernel(ElementGroup)]
    private static void RefocusAddPartsKernel(RefocusAddPartsArguments a)
    {
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            float change = 0;
            for (int part = 0; part < a.PartCount; part++) change += a.Parts[(part * a.Count) + i];
            float value = change;
            if (a.Shortcut != 0) value = RefocusChanged(a.Basis[i], change);
            a.Result[i] = value;
        }
    }
}

/// <summary>The running sums of nine pixels. By name: an array would not stay in registers.</summary>
internal struct RefocusNine
{
    public float P0, P1, P2, P3, P4, P5, P6, P7, P8;

    public readonly void Store(ArrayView<float> to, int at)
    {
        const int pitch = 257; // RefocusSumPitch
        to[at] = P0;
        to[at + pitch] = P1;
        to[at + (2 * pitch)] = P2;
        to[at + (3 * pitch)] = P3;
        to[at + (4 * pitch)] = P4;
        to[at + (5 * pitch)] = P5;
        to[at + (6 * pitch)] = P6;
        to[at + (7 * pitch)] = P7;
        to[at + (8 * pitch)] = P8;
    }
}
