using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// Y[row, column] = Σ_depth A · B for every group of channels, where rows or terms are pixels of a map. Three forms of it serve convolutions in all directions
/// and matrix products; see <see cref="IProductForm"/>.
/// </summary>
internal struct ProductArguments
{
    /// <summary>The map from which pixels are gathered.</summary>
    public ArrayView<float> A;

    /// <summary>Weights, or in the weight gradient the gradient of the result.</summary>
    public ArrayView<float> B;

    public ArrayView<float> Y;

    public ArrayView<float> Bias;

    /// <summary>Lies as Y does; Y itself where the result is added to what is there.</summary>
    public ArrayView<float> Residual;

    public PixelGrid Pixels;

    /// <summary>Sizes of one group's product.</summary>
    public int Rows, Columns, Depth;

    /// <summary>Tiles side by side.</summary>
    public int ColumnTiles;

    /// <summary>From group to group.</summary>
    public int GroupA, GroupB, GroupY;

    /// <summary>From row to row of B (of columns where they lie along rows).</summary>
    public int PitchB;

    /// <summary>Weights of the first tap, and from tap to tap; for the input gradient, which does not take all.</summary>
    public int FirstTap, TapStrideH, TapStrideW;

    /// <summary>Rows of Y: one after the other, or (not <see cref="IsDense"/>) every so many pixels of the input.</summary>
    public int IsDense, PitchY, ColumnY, FirstY, ImageY, StrideYH, StrideYW;

    /// <summary>The sums are cut into so many parts of so many terms (a multiple of 8), each written on its own.</summary>
    public int Splits, SplitDepth, SplitY;

    public int HasBias, HasResidual;

    public ProductActivation Activation;
}

/// <summary>Which pixels of a map a grid of pixels meets: <c>source = grid · Stride + Offset + tap · Step</c>, zero outside.</summary>
internal struct PixelGrid
{
    public int H, W;
    public int SourceH, SourceW, SourceC;
    public int StrideH, StrideW, OffsetH, OffsetW, StepH, StepW;

    /// <summary>Taps in a row of the kernel, and channels of a tap.</summary>
    public int TapsW, Channels;

    /// <summary>Pixels between those that a thread loads in the weight gradient, as images, rows and columns.</summary>
    public int NextN, NextH, NextW;
}

/// <summary>Which of the three products a kernel is. Constants, as in <see cref="IProductTile"/>.</summary>
internal interface IProductForm
{
    /// <summary>Terms are pixels, rows are taps and channels: the weight gradient, Aᵀ·B.</summary>
    bool SumsPixels { get; }

    /// <summary>B lies along the terms: the input gradient, A·Bᵀ.</summary>
    bool TransposesB { get; }

    /// <summary>Channels come in fours, and everything begins on 16 bytes.</summary>
    bool IsWide { get; }
}

internal readonly struct ForwardForm : IProductForm
{
    public bool SumsPixels => false;

    public bool TransposesB => false;

    public bool IsWide => true;
}

internal readonly struct InputGradientForm : IProductForm
{
    public bool SumsPixels => false;

    public bool TransposesB => true;

    public bool IsWide => true;
}

internal readonly struct WeightGradientForm : IProductForm
{
    public bool SumsPixels => true;

    public bool TransposesB => false;

    public bool IsWide => true;
}

internal readonly struct NarrowForwardForm : IProductForm
{
    public bool SumsPixels => false;

    public bool TransposesB => false;

    public bool IsWide => false;
}

internal readonly struct NarrowInputGradientForm : IProductForm
{
    public bool SumsPixels => false;

    public bool TransposesB => true;

    public bool IsWide => false;
}

internal readonly struct NarrowWeightGradientForm : IProductForm
{
    public bool SumsPixels => true;

    public bool TransposesB => false;

    public bool IsWide => false;
}
