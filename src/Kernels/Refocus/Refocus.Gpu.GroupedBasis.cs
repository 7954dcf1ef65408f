using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// g &gt; 1, gradient of the basis (needed only where the basis is trained too): <c>du[pixel, l] = Σ_d dw[d, pixel] · map[d, l]</c> reads the map once, a thread having one
/// quad of l and nine pixels; folding adds what the unfolding had copied apart. Few l, so the d of a group are split, and the folding adds the parts in order.
/// </summary>
/// <remarks>Bytes: the map once, and for 32 rows of it nine of sums: 1.3 times the map's (14.5 µs for 1024 depthwise channels on an H100; 70 % of that expected).</remarks>
internal sealed partial class GpuKernels
{
    private const int RefocusSpreadGroup = 128, RefocusSpreadRows = 32;

    /// <summary>Factors of a row in shared memory: nine, and three unused, so that three loads of 128 bits have them all.</summary>
    private const int RefocusFactorPitch = 12;

    private void RefocusGroupedBasis(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate)
    {
        var shape = new RefocusShape(g);
        int groups = g.D / g.Groups, parts = Pieces(g.Groups, RefocusSpreadRows);
        using var scratch = _device.Scratch(parts * g.UnfoldedLength);
        bool wide = shape.Length % 4 == 0 && AreAligned(map);
        LaunchGroups(wide ? RefocusSpreadKernel<WideQuads> : RefocusSpreadKernel<NarrowQuads>, (groups * parts, Pieces(shape.Length, 4 * RefocusSpreadGroup), Pieces(shape.Pixels, RefocusPixels)),
            new RefocusSpreadArguments { Shape = shape, Map = V(map), Dw = V(dw), Spread = scratch.Floats, Parts = parts, PartLength = (int)g.UnfoldedLength });
        LaunchElements<RefocusFoldArguments>(RefocusFoldKernel, g.KernelLength, new()
        {
            Shape = shape, Spread = scratch.Floats, Dw = V(dw), Dbasis = V(dbasis), Parts = parts, PartLength = (int)g.UnfoldedLength, Count = (int)g.KernelLength,
            Shortcut = shortcut ? 1 : 0, Accumulate = accumulate ? 1 : 0,
        });
    }

    internal struct RefocusSpreadArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Map, Dw, Spread;
        public int Parts, PartLength;
    }

    /// <summary>Grid: parts of groups, stretches of a row, nine pixels at a time.</summary>
    [GpuKernel(RefocusSpreadGroup, MinGroups = 4, Hot = true)]
    [GpuVariant(typeof(WideQuads))]
    [GpuVariant(typeof(NarrowQuads))]
    private static void RefocusSpreadKernel<TQuads>(RefocusSpreadArguments a) where TQuads : unmanaged, IRefocusQuads
    {
        var factors = SharedMemory.Allocate<float>(RefocusSpreadRows * RefocusFactorPitch);
        int group = Grid.IdxX / a.Parts, part = Grid.IdxX - (group * a.Parts), length = a.Shape.Length, pixels = a.Shape.Pixels;
        int firstRow = part * RefocusSpreadRows, rows = Math.Min(RefocusSpreadRows, a.Shape.Groups - firstRow), firstPixel = Grid.IdxZ * RefocusPixels;
        int firstChannel = (group * a.Shape.Groups) + firstRow;
        for (int i = Group.IdxX; i < rows * RefocusFactorPitch; i += RefocusSpreadGroup)
        {
            int row = i / RefocusFactorPitch, pixel = firstPixel + i - (row * RefocusFactorPitch);
            factors[i] = a.Dw[a.Shape.KernelIndex(firstChannel + row, Math.Min(pixel, pixels - 1))];
        }
        Group.Barrier();
        int l = ((Grid.IdxY * RefocusSpreadGroup) + Group.IdxX) * 4, left = length - l;
        if (left <= 0) return;
        TQuads quads = default;
        var wideFactors = factors.Cast<Float4>();
        Float4 s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default, s8 = default;
        int at = (firstChannel * length) + l, last = at + ((rows - 1) * length);
        var next = quads.Load(a.Map, at, left);
        for (int row = 0; row < rows; row++)
        {
            var m = next;
            at = Math.Min(at + length, last);
            next = quads.Load(a.Map, at, left);
            Float4 f = wideFactors[row * 3], e = wideFactors[(row * 3) + 1];
            s0 += f.X * m;
            s1 += f.Y * m;
            s2 += f.Z * m;
            s3 += f.W * m;
            s4 += e.X * m;
            s5 += e.Y * m;
            s6 += e.Z * m;
            s7 += e.W * m;
            s8 += factors[(row * RefocusFactorPitch) + 8] * m;
        }
        int to = (part * a.PartLength) + (((group * pixels) + firstPixel) * length) + l, count = pixels - firstPixel;
        quads.Store(a.Spread, to, left, s0);
        if (count > 1) quads.Store(a.Spread, to + length, left, s1);
        if (count > 2) quads.Store(a.Spread, to + (2 * length), left, s2);
        if (count > 3) quads.Store(a.Spread, to + (3 * length), left, s3);
        if (count > 4) quads.Store(a.Spread, to + (4 * length), left, s4);
        if (count > 5) quads.Store(a.Spread, to + (5 * length), left, s5);
        if (count > 6) quads.Store(a.Spread, to + (6 * length), left, s6);
        if (count > 7) quads.Store(a.Spread, to + (7 * length), left, s7);
        if (count > 8) quads.Store(a.Spread, to + (8 * length), left, s8);
    }

    internal struct RefocusFoldArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Spread, Dw, Dbasis;
        public int Parts, PartLength, Count, Shortcut, Accumulate;
    }

    /// <summary>dbasis[c, y, x] (+)= [dw] + Σ_{u,v} du[(y − u + k/2, x − v + k/2), (c mod g, u, v)]</summary>
    [GpuKernel(ElementGroup)]
    private static void RefocusFoldKernel(RefocusFoldArguments a)
    {
        int taps = a.Shape.K * a.Shape.K;
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            // i walks the kernel channels of a pixel one after another.
            int pixel = i / a.Shape.D, c = i - (pixel * a.Shape.D), group = c / a.Shape.Groups, j = c - (group * a.Shape.Groups), at = a.Shape.KernelIndex(c, pixel);
            float sum = 0;
            for (int tap = 0; tap < taps; tap++)
            {
                int from = a.Shape.Neighbour(pixel, taps - 1 - tap); // seen from the other side
                if (from < 0) continue;
                int place = (((group * a.Shape.Pixels) + from) * a.Shape.Length) + (j * taps) + tap;
                for (int part = 0; part < a.Parts; part++) sum += a.Spread[(part * a.PartLength) + place];
            }
            if (a.Shortcut != 0) sum += a.Dw[at];
            if (a.Accumulate != 0) sum += a.Dbasis[at];
            a.Dbasis[at] = sum;
        }
    }
}
