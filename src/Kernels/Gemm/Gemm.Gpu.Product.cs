using ILGPU;

namespace RefConv.Kernels;

/// <remarks>
/// The product kernels: a tile of sums in registers, its factors in two buffers of shared memory (one is filled while the other is used), the next step's on
/// their way from memory in registers. A thread does 64 multiply-adds for 4 reads of 128 bits from shared memory, a step of 8 terms 512 of them for one barrier.
/// FLOPs: 2·rows·columns·depth; bytes from the level-2 cache: 4·rows·columns·depth·(1/tile rows + 1/tile columns). On an H100 the fp32 units are the ceiling
/// (67 TFLOP/s) from about 20 FLOP a byte of memory on, which convolutions with 64 channels and more exceed; below that memory is (3.35 TB/s). Expected: large
/// tiles 75 % of that ceiling (address arithmetic and barriers take the rest), medium and thin ones 50 to 60 %, narrow ones a third.
/// </remarks>
internal sealed partial class GpuKernels
{
    [GpuKernel(256, MinGroups = 2, Hot = true, Wide = true)]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductLarge<TForm>(ProductArguments a) where TForm : struct, IProductForm => Product<LargeTile, TForm>(a);

    [GpuKernel(64, MinGroups = 8, Hot = true, Wide = true)]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductMedium<TForm>(ProductArguments a) where TForm : struct, IProductForm => Product<MediumTile, TForm>(a);

    [GpuKernel(64, MinGroups = 8, Hot = true, Wide = true)]
    [GpuVariant(typeof(ForwardForm))]
    [GpuVariant(typeof(InputGradientForm))]
    [GpuVariant(typeof(WeightGradientForm))]
    private static void ProductThin<TForm>(ProductArguments a) where TForm : struct, IProductForm => Product<ThinTile, TForm>(a);

    /// <summary>Channels that do not come in fours (three colours, ten classes), or operands off 16 bytes: one float at a time.</summary>
    [GpuKernel(64, Hot = true)]
    [GpuVariant(typeof(NarrowForwardForm))]
    [GpuVariant(typeof(NarrowInputGradientForm))]
    [GpuVariant(typeof(NarrowWeightGradientForm))]
    private static void ProductNarrow<TForm>(ProductArguments a) where TForm : struct, IProductForm => Product<MediumTile, TForm>(a);

    private static void Product<TTile, TForm>(ProductArguments a)
        where TTile : struct, IProductTile
        where TForm : struct, IProductForm
    {
        var sharedA = SharedMemory.Allocate<float>(2 * Tile<TTile>.BufferA);
        var sharedB = SharedMemory.Allocate<float>(2 * Tile<TTile>.BufferB);
        int thread = Group.IdxX, split = Grid.IdxY, group = Grid.IdxZ;
        int rowTile = Grid.IdxX / a.ColumnTiles;
        int firstRow = rowTile * Tile<TTile>.Rows, firstColumn = (Grid.IdxX - (rowTile * a.ColumnTiles)) * Tile<TTile>.Columns;
        int begin = split * a.SplitDepth;
        int end = begin + a.SplitDepth < a.Depth ? begin + a.SplitDepth : a.Depth;

        Sums sums = default;
        if (begin < end)
        {
            var loader = Loader<TTile, TForm>.At(a, thread, begin, end, firstRow, firstColumn, group);
            Quads left = default, right = default;
            loader.Load(a, ref left, ref right);
            loader.Store(thread, sharedA, sharedB, 0, 0, left, right);
            Group.Barrier();
            int bufferA = 0, bufferB = 0;
            for (int term = begin; term < end; term += Tile<TTile>.Depth)
            {
                bool more = term + Tile<TTile>.Depth < end;
                if (more) loader.Load(a, ref left, ref right);
                Step<TTile>(ref sums, sharedA, sharedB, bufferA, bufferB, thread);
                bufferA = Tile<TTile>.BufferA - bufferA;
                bufferB = Tile<TTile>.BufferB - bufferB;
                if (more) loader.Store(thread, sharedA, sharedB, bufferA, bufferB, left, right);
                Group.Barrier();
            }
        }
        Finish<TTile>(a, ref sums, thread, firstRow, firstColumn, group, split, default(TForm).IsWide);
    }

    /// <summary>Eight terms, two at a time: the reads of one pass under the multiplications of the other.</summary>
    private static void Step<TTile>(ref Sums sums, ArrayView<float> sharedA, ArrayView<float> sharedB, int bufferA, int bufferB, int thread) where TTile : struct, IProductTile
    {
        var a = sharedA.Cast<Float4>();
        var b = sharedB.Cast<Float4>();
        int i = (bufferA >> 2) + Tile<TTile>.Row(thread), j = (bufferB >> 2) + Tile<TTile>.Column(thread);
        for (int term = 0; term < Tile<TTile>.Depth; term += 2)
        {
            sums.Add(a[i], a[i + (Tile<TTile>.Rows / 8)], b[j], b[j + (Tile<TTile>.Columns / 8)]);
            i += Tile<TTile>.PitchA / 4;
            j += Tile<TTile>.PitchB / 4;
            sums.Add(a[i], a[i + (Tile<TTile>.Rows / 8)], b[j], b[j + (Tile<TTile>.Columns / 8)]);
            i += Tile<TTile>.PitchA / 4;
            j += Tile<TTile>.PitchB / 4;
        }
    }

    private static void Finish<TTile>(ProductArguments a, ref Sums sums, int thread, int firstRow, int firstColumn, int group, int split, bool isWide) where TTile : struct, IProductTile
    {
        int row = firstRow + (4 * Tile<TTile>.Row(thread));
        int left = firstColumn + (4 * Tile<TTile>.Column(thread)), right = left + (Tile<TTile>.Columns / 2);
        Float4 biasLeft = ProductFinish.Bias(a, left, group, isWide), biasRight = ProductFinish.Bias(a, right, group, isWide);
        for (int i = 0; i < 8; i++)
        {
            if (row < a.Rows)
            {
                int start = ProductFinish.RowStart(a, row, group, split);
                ProductFinish.Quad(a, start, left, sums.L0, biasLeft, isWide);
                ProductFinish.Quad(a, start, right, sums.R0, biasRight, isWide);
            }
            sums.Rotate();
            row += i == 3 ? (Tile<TTile>.Rows / 2) - 3 : 1;
        }
    }
}
