using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// The product kernels on tensor cores: factors rounded to TF32, bfloat16 or half when they are taken from shared memory, sums in 32 bits. Copies of the next step are
/// under way while one is computed. A warp multiplies 64×16 by 16×32 a step: 32 instructions of 2048 FLOP (TF32) for 48 reads of 128 bytes from shared memory. On an H100
/// TF32 has 495 TFLOP/s with instructions that ILGPU cannot reach (wgmma); those used here (mma.sync) get about 60 % of that, and shared memory as much: some
/// 250 TFLOP/s expected, above 75 FLOP a byte of memory. Halves multiply twice as fast but their factors come as 32-bit floats, so they gain a third at most.
/// </remarks>
internal sealed partial class GpuKernels
{
    [GpuKernel(256, MinGroups = 2, Hot = true, CudaOnly = true, Uses = "mma.sync.aligned.m16n8k8,cp.async.cg.shared.global,cvt.rna.tf32")]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductTf32<TForm>(ProductArguments a) where TForm : struct, IProductForm => TensorProduct<TForm, Tf32Kind>(a);

    [GpuKernel(256, MinGroups = 2, Hot = true, CudaOnly = true, Uses = "mma.sync.aligned.m16n8k16.row.col.f32.bf16,cp.async.cg.shared.global,cvt.rn.bf16x2")]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductBFloat16<TForm>(ProductArguments a) where TForm : struct, IProductForm => TensorProduct<TForm, BFloat16Kind>(a);

    [GpuKernel(256, MinGroups = 2, Hot = true, CudaOnly = true, Uses = "mma.sync.aligned.m16n8k16.row.col.f32.f16,cp.async.cg.shared.global,cvt.rn.f16x2")]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductFloat16<TForm>(ProductArguments a) where TForm : struct, IProductForm => TensorProduct<TForm, Float16Kind>(a);

    private static void TensorProduct<TForm, TKind>(ProductArguments a)
        where TForm : struct, IProductForm
        where TKind : struct, ITensorKind
    {
        var sharedA = SharedMemory.Allocate<float>(2 * TensorTile<TForm, TKind>.BufferA);
        var sharedB = SharedMemory.Allocate<float>(2 * TensorTile<TForm, TKind>.BufferB);
        int thread = Group.IdxX, split = Grid.IdxY, group = Grid.IdxZ;
        int rowTile = Grid.IdxX / a.ColumnTiles;
        int firstRow = rowTile * TensorTile<TForm, TKind>.Size, firstColumn = (Grid.IdxX - (rowTile * a.ColumnTiles)) * TensorTile<TForm, TKind>.Size;
        int begin = split * a.SplitDepth;
        int end = begin + a.SplitDepth < a.Depth ? begin + a.SplitDepth : a.Depth;
        int warpRow = ((thread >> 5) & 1) * 64, warpColumn = (thread >> 6) * 32;
        // What a thread holds of a fragment begins there: row (column) lane / 4, and lane % 4 among the terms.
        int line = (thread & 31) >> 2, place = (thread & 3) * (default(TKind).IsPaired ? 2 : 1);
        int partA = (line * TensorTile<TForm, TKind>.RowA) + (place * TensorTile<TForm, TKind>.TermA);
        int partB = (line * TensorTile<TForm, TKind>.ColumnB) + (place * TensorTile<TForm, TKind>.TermB);

        Fragments sums = default;
        if (begin < end)
        {
            var loader = TensorLoader<TForm, TKind>.At(a, thread, begin, end, firstRow, firstColumn, group);
            int bufferA = 0, bufferB = 0;
            loader.Start(a, sharedA, sharedB, 0, 0);
            for (int term = begin; term < end; term += TensorTile<TForm, TKind>.Depth)
            {
                // This step's copies are there, and everybody has done with the buffer that the next step's go to.
                TensorCore.WaitForCopies();
                Group.Barrier();
                int nextA = TensorTile<TForm, TKind>.BufferA - bufferA, nextB = TensorTile<TForm, TKind>.BufferB - bufferB;
                if (term + TensorTile<TForm, TKind>.Depth < end) loader.Start(a, sharedA, sharedB, nextA, nextB);
                int originA = bufferA + (warpRow * TensorTile<TForm, TKind>.RowA), originB = bufferB + (warpColumn * TensorTile<TForm, TKind>.ColumnB);
                sums.Add<TForm, TKind>(sharedA, sharedB, originA, originB, partA, partB);
                if (!default(TKind).IsPaired)
                    sums.Add<TForm, TKind>(sharedA, sharedB, originA + (8 * TensorTile<TForm, TKind>.TermA), originB + (8 * TensorTile<TForm, TKind>.TermB), partA, partB);
                bufferA = nextA;
                bufferB = nextB;
            }
        }
        FinishFragments(a, ref sums, firstRow + warpRow + ((thread & 31) >> 2), firstColumn + warpColumn + (2 * (thread & 3)), group, split);
    }

    private static void FinishFragments(ProductArguments a, ref Fragments sums, int row, int column, int group, int split)
    {
        for (int i = 0; i < 16; i++)
        {
            if (column < a.Columns)
            {
                Float4 v = sums.F00;
                if (a.HasBias != 0)
                {
                    Float2 bias = a.Bias.Cast<Float2>()[((group * a.Columns) + column) >> 1];
                    v += new Float4 { X = bias.X, Y = bias.Y, Z = bias.X, W = bias.Y };
                }
                if (row < a.Rows) ProductFinish.Pair(a, ProductFinish.RowStart(a, row, group, split) + column, v.X, v.Y);
                if (row + 8 < a.Rows) ProductFinish.Pair(a, ProductFinish.RowStart(a, row + 8, group, split) + column, v.Z, v.W);
            }
            sums.Rotate();
            column += (i & 3) == 3 ? -24 : 8;
            row += (i & 3) == 3 ? 16 : 0;
        }
    }
}

/// <summary>A thread's sums of a warp's 64×32: four rows of four fragments.</summary>
internal struct Fragments
{
    public Float4 F00, F01, F02, F03, F10, F11, F12, F13, F20, F21, F22, F23, F30, F31, F32, F33;

    /// <summary>Adds the products of one instruction's terms: 8, or 16 halves.</summary>
    public void Add<TForm, TKind>(ArrayView<float> a, ArrayView<float> b, int originA, int originB, int partA, int partB)
        where TForm : struct, IProductForm
        where TKind : struct, ITensorKind
    {
        uint b00 = Part<TKind>(b, originB + partB, TensorTile<TForm, TKind>.TermB, 0), b01 = Part<TKind>(b, originB + partB, TensorTile<TForm, TKind>.TermB, 1);
        uint b10 = Part<TKind>(b, originB + partB + (8 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 0), b11 = Part<TKind>(b, originB + partB + (8 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 1);
        uint b20 = Part<TKind>(b, originB + partB + (16 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 0), b21 = Part<TKind>(b, originB + partB + (16 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 1);
        uint b30 = Part<TKind>(b, originB + partB + (24 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 0), b31 = Part<TKind>(b, originB + partB + (24 * TensorTile<TForm, TKind>.ColumnB), TensorTile<TForm, TKind>.TermB, 1);
        AddRow<TForm, TKind>(a, b, originA, originB, partA, b00, b01, b10, b11, b20, b21, b30, b31, ref F00, ref F01, ref F02, ref F03);
        originA += 16 * TensorTile<TForm, TKind>.RowA;
        AddRow<TForm, TKind>(a, b, originA, originB, partA, b00, b01, b10, b11, b20, b21, b30, b31, ref F10, ref F11, ref F12, ref F13);
        originA += 16 * TensorTile<TForm, TKind>.RowA;
        AddRow<TForm, TKind>(a, b, originA, originB, partA, b00, b01, b10, b11, b20, b21, b30, b31, ref F20, ref F21, ref F22, ref F23);
        originA += 16 * TensorTile<TForm, TKind>.RowA;
        AddRow<TForm, TKind>(a, b, originA, originB, partA, b00, b01, b10, b11, b20, b21, b30, b31, ref F30, ref F31, ref F32, ref F33);
    }

    /// <summary>See <see cref="Sums.Rotate"/>.</summary>
    public void Rotate()
    {
        F00 = F01;
        F01 = F02;
        F02 = F03;
        F03 = F10;
        F10 = F11;
        F11 = F12;
        F12 = F13;
        F13 = F20;
        F20 = F21;
        F21 = F22;
        F22 = F23;
        F23 = F30;
        F30 = F31;
        F31 = F32;
        F32 = F33;
    }

    private static void AddRow<TForm, TKind>(ArrayView<float> a, ArrayView<float> b, int originA, int originB, int partA,
        uint b00, uint b01, uint b10, uint b11, uint b20, uint b21, uint b30, uint b31, ref Float4 c0, ref Float4 c1, ref Float4 c2, ref Float4 c3)
        where TForm : struct, IProductForm
        where TKind : struct, ITensorKind
    {
        int upper = originA + partA, lower = upper + (8 * TensorTile<TForm, TKind>.RowA);
        uint a0 = Part<TKind>(a, upper, TensorTile<TForm, TKind>.TermA, 0), a1 = Part<TKind>(a, lower, TensorTile<TForm, TKind>.TermA, 0);
        uint a2 = Part<TKind>(a, upper, TensorTile<TForm, TKind>.TermA, 1), a3 = Part<TKind>(a, lower, TensorTile<TForm, TKind>.TermA, 1);
        c0 = Multiply<TForm, TKind>(c0, a0, a1, a2, a3, b00, b01, a, b, originA, originB);
        c1 = Multiply<TForm, TKind>(c1, a0, a1, a2, a3, b10, b11, a, b, originA, originB + (8 * TensorTile<TForm, TKind>.ColumnB));
        c2 = Multiply<TForm, TKind>(c2, a0, a1, a2, a3, b20, b21, a, b, originA, originB + (16 * TensorTile<TForm, TKind>.ColumnB));
        c3 = Multiply<TForm, TKind>(c3, a0, a1, a2, a3, b30, b31, a, b, originA, originB + (24 * TensorTile<TForm, TKind>.ColumnB));
    }

    private static Float4 Multiply<TForm, TKind>(Float4 c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1, ArrayView<float> a, ArrayView<float> b, int originA, int originB)
        where TForm : struct, IProductForm
        where TKind : struct, ITensorKind =>
        default(TKind).Multiply(c, a0, a1, a2, a3, b0, b1, TensorCore.Address(ref a[originA]), TensorCore.Address(ref b[originB]),
            TensorTile<TForm, TKind>.RowA, TensorTile<TForm, TKind>.TermA, TensorTile<TForm, TKind>.ColumnB, TensorTile<TForm, TKind>.TermB);

    /// <summary>One register of a fragment: a term, or two of halves, in the first or the second half of an instruction's terms.</summary>
    private static uint Part<TKind>(ArrayView<float> shared, int i, int term, int half) where TKind : struct, ITensorKind
    {
        if (!default(TKind).IsPaired) return default(TKind).Single(shared[i + (4 * half * term)]);
        return default(TKind).Pair(shared[i + (8 * half * term)], shared[i + (8 * half * term) + term]);
    }
}
