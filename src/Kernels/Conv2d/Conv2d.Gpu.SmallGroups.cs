using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// Groups of 4 to 16 channels fill a small part of a product's tile, so they have kernels without tiles: a thread computes 4 channels of 4 neighbouring pixels (in the
/// weight gradient 4×4 weights of one tap), and what neighbours share they find in the level-1 cache. FLOPs a byte of memory: 2·R·S·C/g·K / (4·(C + K)), which is 18 for
/// 3×3 with 4 channels a group: near the balance of an H100 (20). The level-1 cache bounds them: 8 reads of 128 bits for 64 multiply-adds, 2 for 16 in the weight
/// gradient. Expected: two thirds of 3.35 TB/s with 4 channels a group, a third of 67 TFLOP/s with 16.
/// </remarks>
internal sealed partial class GpuKernels
{
    /// <summary>Channels of a group, read or written, up to which it is small.</summary>
    private const int SmallGroup = 16;

    private const int SmallGroupThreads = 64;

    private static bool AreSmallGroups(in Conv2dGeometry g) => g.Groups > 1 && Math.Max(g.GroupC, g.GroupK) <= SmallGroup;

    /// <summary>Forward and input gradient.</summary>
    private void SmallGroups<TForm>(ProductArguments[] products, int groups, BufferView y, ProductEpilogue epilogue) where TForm : struct, IProductForm
    {
        foreach (var p in products)
        {
            var a = Attach(p, y, epilogue) with { Y = V(y), ColumnTiles = p.Columns / 4 * groups };
            LaunchElements(SmallGroupsKernel<TForm>, (long)DivideUp(a.Rows, 4) * a.ColumnTiles, a);
        }
        if (!ProductActivation.IsOne(epilogue.Activation)) AddSplits(V(y), 1, products[0].Columns * groups, y, new(default, default, epilogue.Activation));
    }

    private void SmallGroupsWeightGradient(ProductArguments a, int groups, BufferView dw, bool accumulate)
    {
        a.ColumnTiles = a.Columns / 4 * groups;
        int threads = a.Rows / 4 * a.ColumnTiles;
        // Enough pieces of the pixels for a full device, none so short that adding up the pieces would be the work.
        long splits = Math.Min((long)Multiprocessors * 1024 / threads, a.Depth / 64);
        splits = Math.Clamp(Math.Max(splits, DivideUp(a.Depth, LongestSum)), 1, Math.Min(MostSplits, int.MaxValue / dw.Length));
        a.SplitDepth = Math.Max(1, DivideUp(a.Depth, (int)splits));
        a.Splits = Math.Max(1, DivideUp(a.Depth, a.SplitDepth));
        using var parts = _device.Scratch(a.Splits * dw.Length);
        a.Y = parts.Floats;
        a.SplitY = (int)dw.Length;
        (a.Pixels.NextN, a.Pixels.NextH, a.Pixels.NextW) = (0, 0, 1);
        if (a.Pixels.W == 1) (a.Pixels.NextH, a.Pixels.NextW) = (1, 0);
        if (a.Pixels is { W: 1, H: 1 }) (a.Pixels.NextN, a.Pixels.NextH) = (1, 0);
        LaunchGroups(SmallGroupsWeightKernel, (DivideUp(threads, SmallGroupThreads), a.Splits, 1), a);
        AddSplits(parts.Floats, a.Splits, a.Columns * groups, dw, accumulate ? ProductEpilogue.AddTo(dw) : default);
    }

    [GpuKernel(ElementGroup, MinGroups = 3, Hot = true, Wide = true)]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    private static void SmallGroupsKernel<TForm>(ProductArguments a) where TForm : struct, IProductForm
    {
        int blocks = (a.Rows + 3) >> 2;
        for (int i = GpuThread.First; i < blocks * a.ColumnTiles; i += GpuThread.Step)
        {
            int block = i / a.ColumnTiles;
            int channel = 4 * (i - (block * a.ColumnTiles));
            int group = channel / a.Columns;
            int column = channel - (group * a.Columns);
            GatherRow row0 = GatherRow.At(a, 4 * block, group), row1 = GatherRow.At(a, (4 * block) + 1, group);
            GatherRow row2 = GatherRow.At(a, (4 * block) + 2, group), row3 = GatherRow.At(a, (4 * block) + 3, group);
            Float4 sum0 = default, sum1 = default, sum2 = default, sum3 = default;
            var term = GatherTerm.At(a, 0);
            int weight = (group * a.GroupB) + (default(TForm).TransposesB ? column * a.PitchB : column);
            for (int t = 0; t < a.Depth; t += 4)
            {
                int w = (default(TForm).TransposesB ? weight + term.Weight : weight) >> 2;
                var weights = a.B.Cast<Float4>();
                Float4 w0 = weights[w], w1 = weights[w + (a.PitchB >> 2)], w2 = weights[w + (a.PitchB >> 1)], w3 = weights[w + (3 * (a.PitchB >> 2))];
                AddQuad<TForm>(a, ref sum0, row0, term, w0, w1, w2, w3);
                AddQuad<TForm>(a, ref sum1, row1, term, w0, w1, w2, w3);
                AddQuad<TForm>(a, ref sum2, row2, term, w0, w1, w2, w3);
                AddQuad<TForm>(a, ref sum3, row3, term, w0, w1, w2, w3);
                weight += default(TForm).TransposesB ? 0 : 4 * a.PitchB;
                term.Move(a, 4);
            }
            Float4 bias = ProductFinish.Bias(a, column, group, isWide: true);
            for (int row = 4 * block; row < (4 * block) + 4 && row < a.Rows; row++)
            {
                ProductFinish.Quad(a, ProductFinish.RowStart(a, row, group, 0), column, sum0, bias, isWide: true);
                sum0 = sum1;
                sum1 = sum2;
                sum2 = sum3;
            }
        }
    }

    /// <summary>Four terms of four channels of one pixel: weights lie a term (a channel in the input gradient) to a quad.</summary>
    private static void AddQuad<TForm>(ProductArguments a, ref Float4 sum, GatherRow row, GatherTerm term, Float4 w0, Float4 w1, Float4 w2, Float4 w3) where TForm : struct, IProductForm
    {
        Float4 x = term.IsInside(a, row) ? a.A.Cast<Float4>()[(row.Base + term.Offset) >> 2] : default;
        if (default(TForm).TransposesB) sum += new Float4 { X = Dot(x, w0), Y = Dot(x, w1), Z = Dot(x, w2), W = Dot(x, w3) };
        else sum += (x.X * w0) + (x.Y * w1) + (x.Z * w2) + (x.W * w3);
    }

    private static float Dot(Float4 a, Float4 b) => (a.X * b.X) + (a.Y * b.Y) + (a.Z * b.Z) + (a.W * b.W);

    [GpuKernel(SmallGroupThreads, Hot = true, Wide = true)]
    private static void SmallGroupsWeightKernel(ProductArguments a)
    {
        int thread = (Grid.IdxX * SmallGroupThreads) + Group.IdxX;
        int line = thread / a.ColumnTiles;
        if (line >= a.Rows / 4) return;
        int channel = 4 * (thread - (line * a.ColumnTiles));
        var tap = TapChannel.At(a, 4 * line, channel / a.Columns);
        int first = Grid.IdxY * a.SplitDepth;
        int last = first + a.SplitDepth < a.Depth ? first + a.SplitDepth : a.Depth;
        var pixel = GatherPixel.At(a, first);
        Float4 sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        for (int i = first; i < last; i++)
        {
            int from = tap.Index(a, pixel);
            if (from >= 0)
            {
                Float4 x = a.A.Cast<Float4>()[from >> 2], dy = a.B.Cast<Float4>()[((i * a.PitchB) + channel) >> 2];
                sum0 += x.X * dy;
                sum1 += x.Y * dy;
                sum2 += x.Z * dy;
                sum3 += x.W * dy;
            }
            pixel.Move(a);
        }
        var y = a.Y.Cast<Float4>();
        int to = ((Grid.IdxY * a.SplitY) + (4 * line * a.PitchY) + channel) >> 2;
        y[to] = sum0;
        y[to + (a.PitchY >> 2)] = sum1;
        y[to + (a.PitchY >> 1)] = sum2;
        y[to + (3 * (a.PitchY >> 2))] = sum3;
    }
}
