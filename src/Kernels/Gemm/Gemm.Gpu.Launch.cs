using ILGPU;

namespace RefConv.Kernels;

/// <summary>What follows a product: by default nothing.</summary>
internal readonly record struct ProductEpilogue(BufferView Bias, BufferView Residual, ActivationKind Activation)
{
    /// <summary>Adding to what is there is a residual sum with the result itself.</summary>
    public static ProductEpilogue AddTo(BufferView y) => new(default, y, ActivationKind.Identity);
}

/// <summary>The tiles there are, by name.</summary>
internal enum ProductTile
{
    Large,
    Medium,
    Thin,
    Narrow,
    Tensor,
}

internal sealed partial class GpuKernels
{
    /// <summary>The longest sum of one thread: longer ones are split, because the error of adding one after the other grows with the length.</summary>
    private const int LongestSum = 8192;

    /// <summary>The shortest part of a sum that is worth another group of threads.</summary>
    private const int ShortestSplit = 128;

    /// <summary>Groups in the second dimension of a launch, as CUDA has it.</summary>
    private const int MostSplits = 65535;

    /// <summary>Splits begin on multiples of the most terms that a kernel takes in a step.</summary>
    private const int DepthStep = 16;

    private int Multiprocessors => Math.Max(1, _device.Accelerator.NumMultiprocessors);

    /// <summary>Runs one product, or the several that fill the parts of one result, and what follows them.</summary>
    private void RunProduct<TWide, TNarrow>(ProductArguments[] products, int groups, bool isWide, BufferView y, ProductEpilogue epilogue)
        where TWide : struct, IProductForm
        where TNarrow : struct, IProductForm
    {
        var largest = products.MaxBy(p => (long)p.Rows * p.Depth);
        var tile = ChooseTile(largest, groups, isWide);
        int splits = ChooseSplits(largest, groups, tile, y.Length);
        if (splits == 1)
        {
            foreach (var p in products) LaunchProduct<TWide, TNarrow>(tile, groups, Attach(p, y, epilogue) with { Y = V(y), Splits = 1, SplitDepth = RoundUp(p.Depth, DepthStep) });
            if (!ProductActivation.IsOne(epilogue.Activation)) AddSplits(V(y), 1, largest.Columns * groups, y, new(default, default, epilogue.Activation));
            return;
        }
        using var parts = _device.Scratch(splits * y.Length);
        foreach (var p in products)
        {
            int depth = Math.Max(DepthStep, RoundUp((p.Depth + splits - 1) / splits, DepthStep));
            LaunchProduct<TWide, TNarrow>(tile, groups, Attach(p, y, default) with { Y = parts.Floats, Splits = splits, SplitDepth = depth, SplitY = (int)y.Length });
        }
        AddSplits(parts.Floats, splits, largest.Columns * groups, y, epilogue);
    }

    private ProductArguments Attach(ProductArguments a, BufferView y, ProductEpilogue epilogue) => a with
    {
        Bias = V(epilogue.Bias), HasBias = epilogue.Bias.IsEmpty ? 0 : 1,
        Residual = V(epilogue.Residual), HasResidual = epilogue.Residual.IsEmpty ? 0 : 1,
        Activation = ProductActivation.Of(epilogue.Activation),
    };

    /// <summary>Large tiles where there are enough to give every multiprocessor one, counting parts of long sums; thin ones for few columns.</summary>
    private ProductTile ChooseTile(in ProductArguments a, int groups, bool isWide)
    {
        if (!isWide) return ProductTile.Narrow;
        if (_device.Precision != GpuPrecision.Float32 && a.Columns > 32 && a.Rows > 32 && a.Depth >= DepthStep) return ProductTile.Tensor;
        if (a.Columns <= 32) return ProductTile.Thin;
        long tiles = (long)DivideUp(a.Rows, 128) * DivideUp(a.Columns, 128) * groups * Math.Max(1, a.Depth / (4 * ShortestSplit));
        return a.Columns > 64 && a.Rows > 64 && tiles >= Multiprocessors ? ProductTile.Large : ProductTile.Medium;
    }

    private int ChooseSplits(in ProductArguments a, int groups, ProductTile tile, long length)
    {
        var (rows, columns, resident) = Shape(tile);
        long tiles = (long)DivideUp(a.Rows, rows) * DivideUp(a.Columns, columns) * groups;
        long splits = Math.Min(Multiprocessors * resident / tiles, a.Depth / ShortestSplit);
        splits = Math.Max(splits, DivideUp(a.Depth, LongestSum));
        return (int)Math.Clamp(Math.Min(splits, int.MaxValue / length), 1, MostSplits);
    }

    /// <summary>Rows and columns of a tile, and how many are computed at a time on one multiprocessor.</summary>
    private static (int Rows, int Columns, int Resident) Shape(ProductTile tile) => tile switch
    {
        ProductTile.Large or ProductTile.Tensor => (128, 128, 2),
        ProductTile.Thin => (128, 32, 8),
        _ => (64, 64, 8),
    };

    private void LaunchProduct<TWide, TNarrow>(ProductTile tile, int groups, ProductArguments a)
        where TWide : struct, IProductForm
        where TNarrow : struct, IProductForm
    {
        var (rows, columns, _) = Shape(tile);
        a.ColumnTiles = DivideUp(a.Columns, columns);
        // Tiles of the same rows follow one another: what they gather is in the level-2 cache.
        var grid = (DivideUp(a.Rows, rows) * a.ColumnTiles, a.Splits, groups);
        int apart = 8 / (128 / columns); // Tile.Depth / Tile.LoadsA
        (a.Pixels.NextN, a.Pixels.NextH, a.Pixels.NextW) = (apart / a.Pixels.W / a.Pixels.H, apart / a.Pixels.W % a.Pixels.H, apart % a.Pixels.W);
        switch (tile)
        {
            case ProductTile.Tensor: LaunchTensor<TWide>(grid, a); break;
            case ProductTile.Large: LaunchGroups(ProductLarge<TWide>, grid, a); break;
            case ProductTile.Medium: LaunchGroups(ProductMedium<TWide>, grid, a); break;
            case ProductTile.Thin: LaunchGroups(ProductThin<TWide>, grid, a); break;
            default: LaunchGroups(ProductNarrow<TNarrow>, grid, a); break;
        }
    }

    private void LaunchTensor<TForm>((int X, int Y, int Z) grid, ProductArguments a) where TForm : struct, IProductForm
    {
        switch (_device.Precision)
        {
            case GpuPrecision.Tf32: LaunchGroups(ProductTf32<TForm>, grid, a); break;
            case GpuPrecision.BFloat16: LaunchGroups(ProductBFloat16<TForm>, grid, a); break;
            default: LaunchGroups(ProductFloat16<TForm>, grid, a); break;
        }
    }

    private static int RoundUp(int count, int multiple) => DivideUp(count, multiple) * multiple;

    /// <summary>The second half of a product whose sums were split: adds the parts in their order, and does what follows a product.</summary>
    private void AddSplits(ArrayView<float> parts, int splits, int columns, BufferView y, ProductEpilogue epilogue)
    {
        SplitArguments a = new()
        {
            Parts = parts, Y = V(y), Bias = V(epilogue.Bias), Residual = V(epilogue.Residual), Splits = splits, Length = (int)y.Length, Columns = columns,
            HasBias = epilogue.Bias.IsEmpty ? 0 : 1, HasResidual = epilogue.Residual.IsEmpty ? 0 : 1, Activation = epilogue.Activation,
        };
        if (((y.Length | (uint)columns) & 3) == 0 && AreAligned(y, epilogue.Bias, epilogue.Residual)) LaunchElements<SplitArguments>(AddSplitsKernel, y.Length / 4, a);
        else LaunchElements<SplitArguments>(AddSplitsNarrowKernel, y.Length, a);
    }

    internal struct SplitArguments
    {
        public ArrayView<float> Parts, Y, Bias, Residual;
        public int Splits, Length, Columns, HasBias, HasResidual;
        public ActivationKind Activation;
    }

    /// <remarks>4·(splits + 1) bytes an element, and the sums are few: the level-2 cache has most parts still. Ceiling: memory, expected 80 % of it.</remarks>
    [GpuKernel(ElementGroup, Hot = true, Wide = true)]
    private static void AddSplitsKernel(SplitArguments a)
    {
        var parts = a.Parts.Cast<Float4>();
        for (int i = GpuThread.First; i < a.Length / 4; i += GpuThread.Step)
        {
            Float4 sum = parts[i];
            for (int s = 1; s < a.Splits; s++) sum += parts[i + (s * (a.Length / 4))];
            if (a.HasBias != 0) sum += a.Bias.Cast<Float4>()[i % (a.Columns / 4)];
            if (a.HasResidual != 0) sum += a.Residual.Cast<Float4>()[i];
            a.Y.Cast<Float4>()[i] = new()
            {
                X = GpuActivation.Apply(a.Activation, sum.X),
                Y = GpuActivation.Apply(a.Activation, sum.Y),
                Z = GpuActivation.Apply(a.Activation, sum.Z),
                W = GpuActivation.Apply(a.Activation, sum.W),
            };
        }
    }

    [GpuKernel(ElementGroup)]
    private static void AddSplitsNarrowKernel(SplitArguments a)
    {
        for (int i = GpuThread.First; i < a.Length; i += GpuThread.Step)
        {
            float sum = a.Parts[i];
            for (int s = 1; s < a.Splits; s++) sum += a.Parts[i + (s * a.Length)];
            if (a.HasBias != 0) sum += a.Bias[i % a.Columns];
            if (a.HasResidual != 0) sum += a.Residual[i];
            a.Y[i] = GpuActivation.Apply(a.Activation, sum);
        }
    }
}
