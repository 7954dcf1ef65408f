using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1, gradient of the map: <c>dmap[d, l] = Σ_pixel dw[d, pixel] · unfolded[pixel, l]</c>, an outer product of two small operands that fills a large one. A thread
/// has one quad of l and four rows: each quad of the unfolded basis that it loads serves four rows, the four factors come with one load from shared memory.
/// </summary>
/// <remarks>
/// Bytes: 4·Cin·Cout·k² written once (11.3 µs for 1024 depthwise channels on an H100); with the step map and velocity are read and written, four times as many, and
/// the gradient is never in memory. A multiprocessor's share of the memory bandwidth is 15 B a clock; at that rate the unfolded rows take 34 B a clock of the
/// first-level cache (a quarter of what it gives), the products 34 FMAs of 128. Expected: 85 % of the copy bandwidth.
/// </remarks>
internal sealed partial class GpuKernels
{
    private const int RefocusMapGroup = 128;

    /// <summary>Four-row pieces that one group goes through with the same unfolded rows, which are then in the first-level cache.</summary>
    private const int RefocusMapQuads = 4;

    /// <summary>Pixels times four-row pieces whose factors fit in shared memory, 16 bytes each.</summary>
    private const int RefocusMapFactors = 1024;

    private void RefocusGroupedMap(in RefocusGeometry g, BufferView unfolded, BufferView dw, RefocusMapTarget target, bool aligned)
    {
        var shape = new RefocusShape(g);
        if (shape.Pixels > RefocusMapFactors) throw new NotSupportedException($"Refocusing kernels of {g.R}×{g.S} pixels ({g}): on a GPU at most {RefocusMapFactors} pixels.");
        int groups = g.D / g.Groups, quadsOfGroup = Pieces(g.Groups, RefocusRows), columns = Pieces(shape.Length, 4 * RefocusMapGroup);
        int quadsAtATime = Math.Min(RefocusMapQuads, RefocusMapFactors / shape.Pixels);
        // Fewer where the device would not be full.
        while (quadsAtATime > 1 && (long)groups * columns * Pieces(quadsOfGroup, quadsAtATime) < _device.FullGrid / 4) quadsAtATime /= 2;
        var arguments = new RefocusGroupedMapArguments
        {
            Shape = shape, Unfolded = V(unfolded), Dw = V(dw), Target = target, QuadsAtATime = quadsAtATime, QuadsOfGroup = quadsOfGroup, PiecesOfGroup = Pieces(quadsOfGroup, quadsAtATime),
        };
        // Most of the pieces along x: the other two dimensions of a grid end at 65,535.
        LaunchGroups(aligned && shape.Length % 4 == 0 ? RefocusGroupedMapKernel<WideQuads> : RefocusGroupedMapKernel<NarrowQuads>, (groups * arguments.PiecesOfGroup, columns, 1), arguments);
    }

    internal struct RefocusGroupedMapArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Unfolded, Dw;
        public RefocusMapTarget Target;
        public int QuadsAtATime, QuadsOfGroup, PiecesOfGroup;
    }

    /// <summary>Up to sixteen rows of 512 floats. Grid: pieces of groups, stretches of a row.</summary>
    [GpuKernel(RefocusMapGroup, MinGroups = 5, Hot = true)]
    [GpuVariant(typeof(WideQuads))]
    [GpuVariant(typeof(NarrowQuads))]
    private static void RefocusGroupedMapKernel<TQuads>(RefocusGroupedMapArguments a) where TQuads : unmanaged, IRefocusQuads
    {
        var factors = SharedMemory.Allocate<Float4>(RefocusMapFactors);
        int pixels = a.Shape.Pixels, length = a.Shape.Length, lastRow = a.Shape.Groups - 1;
        int group = Grid.IdxX / a.PiecesOfGroup, firstQuad = (Grid.IdxX - (group * a.PiecesOfGroup)) * a.QuadsAtATime;
        int quads = Math.Min(a.QuadsAtATime, a.QuadsOfGroup - firstQuad), firstChannel = group * a.Shape.Groups;
        for (int i = Group.IdxX; i < quads * pixels; i += RefocusMapGroup)
        {
            int quad = i / pixels, pixel = i - (quad * pixels), row = (firstQuad + quad) * RefocusRows;
            factors[i] = new Float4
            {
                X = a.Dw[a.Shape.KernelIndex(firstChannel + row, pixel)],
                Y = a.Dw[a.Shape.KernelIndex(firstChannel + Math.Min(row + 1, lastRow), pixel)],
                Z = a.Dw[a.Shape.KernelIndex(firstChannel + Math.Min(row + 2, lastRow), pixel)],
                W = a.Dw[a.Shape.KernelIndex(firstChannel + Math.Min(row + 3, lastRow), pixel)],
            };
        }
        Group.Barrier();
        int l = ((Grid.IdxY * RefocusMapGroup) + Group.IdxX) * 4;
        if (l >= length) return;
        for (int quad = 0; quad < quads; quad++)
        {
            int row = (firstQuad + quad) * RefocusRows;
            RefocusFourRows<TQuads>(a, factors, quad * pixels, (group * pixels * length) + l, ((firstChannel + row) * length) + l, length - l, a.Shape.Groups - row);
        }
    }

    /// <summary>One quad of four rows. What the step reads from memory is asked for before the products, which it need not wait for.</summary>
    private static void RefocusFourRows<TQuads>(RefocusGroupedMapArguments a, ArrayView<Float4> factors, int factor, int u, int at, int left, int rows) where TQuads : unmanaged, IRefocusQuads
    {
        TQuads quads = default;
        int length = a.Shape.Length, pixels = a.Shape.Pixels, at1 = rows > 1 ? at + length : at, at2 = rows > 2 ? at1 + length : at1, at3 = rows > 3 ? at2 + length : at2;
        Float4 w0 = default, w1 = default, w2 = default, w3 = default, v0 = default, v1 = default, v2 = default, v3 = default;
        if (a.Target.Mode != RefocusMapTarget.Write)
        {
            w0 = quads.Load(a.Target.Map, at, left);
            w1 = quads.Load(a.Target.Map, at1, left);
            w2 = quads.Load(a.Target.Map, at2, left);
            w3 = quads.Load(a.Target.Map, at3, left);
        }
        if (a.Target.ReadsVelocity)
        {
            v0 = quads.Load(a.Target.Velocity, at, left);
            v1 = quads.Load(a.Target.Velocity, at1, left);
            v2 = quads.Load(a.Target.Velocity, at2, left);
            v3 = quads.Load(a.Target.Velocity, at3, left);
        }
        Float4 g0 = default, g1 = default, g2 = default, g3 = default;
        for (int pixel = 0; pixel < pixels; pixel++, u += length)
        {
            var basis = quads.Load(a.Unfolded, u, left);
            var f = factors[factor + pixel];
            g0 += f.X * basis;
            g1 += f.Y * basis;
            g2 += f.Z * basis;
            g3 += f.W * basis;
        }
        RefocusPut<TQuads>(a.Target, at, left, g0, w0, v0);
        if (rows > 1) RefocusPut<TQuads>(a.Target, at1, left, g1, w1, v1);
        if (rows > 2) RefocusPut<TQuads>(a.Target, at2, left, g2, w2, v2);
        if (rows > 3) RefocusPut<TQuads>(a.Target, at3, left, g3, w3, v3);
    }

    private static void RefocusPut<TQuads>(RefocusMapTarget target, int at, int left, Float4 gradient, Float4 old, Float4 velocity) where TQuads : unmanaged, IRefocusQuads
    {
        TQuads quads = default;
        quads.Store(target.Map, at, left, target.Next(gradient, old, ref velocity));
        if (target.Mode >= RefocusMapTarget.FirstStep) quads.Store(target.Velocity, at, left, velocity);
    }
}
