namespace RefConv.Models.Analysis;

/// <summary>What an analysis found: numbers, one record a kind. Matrices are row by row; a number that is NaN or infinite is <c>null</c> in files.</summary>
public abstract record AnalysisResults
{
    private protected AnalysisResults()
    {
    }
}

/// <summary>How much of one kernel channel goes into another: see <see cref="KernelAnalysis.ConnectionDegree(Layers.RefConv2d, int)"/>.</summary>
/// <param name="Layers">Refocused layers.</param>
public sealed record ConnectionResults(IReadOnlyList<ConnectionLayer> Layers) : AnalysisResults;

/// <summary>The connection degrees of one layer.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="Groups">Members of a refocus group: as many channels can be connected with one.</param>
/// <param name="Size">Rows and columns shown.</param>
/// <param name="Values">[size, size].</param>
/// <param name="DiagonalMean">Mean of what a channel takes from itself.</param>
/// <param name="OffDiagonalMean">Mean of what it takes from another; NaN where there is no other.</param>
/// <param name="Note">What must be known to read it, in words; or null.</param>
public sealed record ConnectionLayer(string Layer, int Groups, int Size, double[] Values, double DiagonalMean, double OffDiagonalMean, string? Note);

/// <summary>How little kernel channels differ: see <see cref="KernelAnalysis.Redundancy"/>.</summary>
/// <param name="Layers">Layers with k×k kernels.</param>
public sealed record RedundancyResults(IReadOnlyList<RedundancyLayer> Layers) : AnalysisResults;

/// <summary>The redundancy of one layer's channels.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="Channels">Rows and columns shown.</param>
/// <param name="Before">Of the basis or the plain model; null where there is none.</param>
/// <param name="After">Of the kernel that is used.</param>
/// <param name="Note">What must be known to read it, in words; or null.</param>
public sealed record RedundancyLayer(string Layer, int Channels, RedundancyMap? Before, RedundancyMap After, string? Note)
{
    /// <summary>
    /// Mean divergence of the kernel that is used, brought to the size (root mean square) of the one before; null where there is none. Through softmax larger weights differ more, whatever
    /// they look like: here only what they look like counts.
    /// </summary>
    public double? AfterAtEqualSize { get; init; }
}

/// <summary>KL divergences between channels.</summary>
/// <param name="Mean">Mean off the diagonal; NaN where there is one channel only.</param>
/// <param name="Values">[channels, channels].</param>
public sealed record RedundancyMap(double Mean, double[] Values);

/// <summary>Mean magnitude of every position of the kernels: see <see cref="KernelAnalysis.Skeleton"/>.</summary>
/// <param name="Layers">Layers with k×k kernels.</param>
public sealed record SkeletonResults(IReadOnlyList<SkeletonLayer> Layers) : AnalysisResults;

/// <summary>The skeleton of one layer.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="Rows">Kernel rows.</param>
/// <param name="Columns">Kernel columns.</param>
/// <param name="Before">Of the basis or the plain model; null where there is none.</param>
/// <param name="After">Of the kernel that is used.</param>
public sealed record SkeletonLayer(string Layer, int Rows, int Columns, double[]? Before, double[] After);

/// <summary>In how many directions kernel channels point: see <see cref="KernelAnalysis.EffectiveRank"/>.</summary>
/// <param name="Layers">Layers with k×k kernels.</param>
public sealed record RankResults(IReadOnlyList<RankLayer> Layers) : AnalysisResults;

/// <summary>The rank of one layer's kernels.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="EffectiveRankBefore">Of the basis or the plain model; null where there is none.</param>
/// <param name="EffectiveRankAfter">Of the kernel that is used.</param>
/// <param name="CosineBefore">Mean magnitude of the cosine between two of the first channels, before.</param>
/// <param name="CosineAfter">The same after: 1 where all channels are multiples of one, 0 where all are orthogonal; NaN for a single channel.</param>
/// <param name="Maximum">The largest rank possible.</param>
public sealed record RankLayer(string Layer, double? EffectiveRankBefore, double EffectiveRankAfter, double? CosineBefore, double CosineAfter, int Maximum);

/// <summary>Kernel channels themselves, for pictures.</summary>
/// <param name="Layers">Layers with k×k kernels.</param>
public sealed record KernelResults(IReadOnlyList<KernelLayer> Layers) : AnalysisResults;

/// <summary>The first kernel channels of a layer.</summary>
/// <param name="Layer">Path in the model.</param>
/// <param name="Rows">Kernel rows.</param>
/// <param name="Columns">Kernel columns.</param>
/// <param name="Count">Channels shown.</param>
/// <param name="Before">[count, rows, columns] of the basis or the plain model; null where there is none.</param>
/// <param name="After">[count, rows, columns] of the kernel that is used.</param>
public sealed record KernelLayer(string Layer, int Rows, int Columns, int Count, double[]? Before, double[] After);

/// <summary>The loss around a model's weights: see <see cref="LossLandscape"/>.</summary>
/// <param name="Surfaces">One a model and pair of directions.</param>
public sealed record LandscapeResults(IReadOnlyList<LandscapeSurface> Surfaces) : AnalysisResults;

/// <summary>The loss on a grid of points w + x·dx + y·dy.</summary>
/// <param name="Name">Whose: <c>baseline</c>, <c>refconv</c>, or the name of a file.</param>
/// <param name="Directions"><c>filter-normalised random</c> or <c>pca</c>.</param>
/// <param name="Seed">Of random directions.</param>
/// <param name="Xs">Multiples of the first direction; 0 is among them.</param>
/// <param name="Ys">Multiples of the second one; null for a line.</param>
/// <param name="Loss">[ys, xs]: mean cross-entropy.</param>
/// <param name="Accuracy">[ys, xs]: top-1, in [0, 1].</param>
/// <param name="Path">Where the epochs of training lie in the plane; null for random directions.</param>
/// <param name="Explained">Share of the path's variance along each direction; null for random directions.</param>
/// <param name="CentreLoss">Loss at the weights themselves.</param>
/// <param name="Sharpness">How steep it is around them.</param>
public sealed record LandscapeSurface(string Name, string Directions, ulong Seed, double[] Xs, double[]? Ys, double[] Loss, double[] Accuracy,
    double[][]? Path, double[]? Explained, double CentreLoss, Sharpness Sharpness)
{
    /// <summary>The loss at a point of the grid.</summary>
    /// <param name="row">Element of <see cref="Ys"/>; 0 for a line.</param>
    /// <param name="column">Element of <see cref="Xs"/>.</param>
    public double LossAt(int row, int column) => Loss[(row * Xs.Length) + column];
}

/// <summary>What attacks leave of a model's accuracy: see <see cref="AdversarialAttack"/>.</summary>
/// <param name="Models">One each.</param>
public sealed record AttackResults(IReadOnlyList<AttackModel> Models) : AnalysisResults;

/// <summary>One model under attack.</summary>
/// <param name="Name"><c>baseline</c>, <c>refconv</c>, or the name of a file.</param>
/// <param name="Clean">Top-1 on the pictures as they are.</param>
/// <param name="Rows">One an attack.</param>
public sealed record AttackModel(string Name, double Clean, IReadOnlyList<AttackRow> Rows);

/// <summary>One attack.</summary>
/// <param name="Attack"><c>FGSM</c> or <c>PGD</c>.</param>
/// <param name="Epsilon">Largest change of a channel's value, which lies in [0, 1].</param>
/// <param name="Steps">Gradient steps.</param>
/// <param name="StepSize">Their length, in the same unit.</param>
/// <param name="Accuracy">Top-1 on the attacked pictures.</param>
public sealed record AttackRow(string Attack, double Epsilon, int Steps, double StepSize, double Accuracy);

/// <summary>What a training step costs in refocused form, beside the plain one: see <see cref="TrainingCost"/>.</summary>
/// <param name="Rows">Refocused layers, and last <c>total</c>, the whole model.</param>
/// <param name="Memory">Most memory lent at once in a training step.</param>
/// <param name="StepMs">Median milliseconds of a training step.</param>
/// <param name="Batch">Pictures a step.</param>
public sealed record CostResults(IReadOnlyList<CostRow> Rows, CostMemory Memory, CostTime StepMs, int Batch) : AnalysisResults;

/// <summary>One layer in both forms.</summary>
/// <param name="Layer">Path in the model, or <c>total</c>.</param>
/// <param name="Plain">As a plain convolution.</param>
/// <param name="Refconv">In refocused form.</param>
public sealed record CostRow(string Layer, LayerCost Plain, LayerCost Refconv);

/// <summary>What a training step of a layer costs.</summary>
/// <param name="Parameters">Weights, frozen ones included.</param>
/// <param name="Macs">Multiply-adds of the forward pass of the whole batch; computing a kernel counts once.</param>
/// <param name="Bytes">What the forward pass of the whole batch writes and the weights, a computed kernel included.</param>
/// <param name="StepMs">Median milliseconds of forward and backward pass; null where not measured.</param>
public sealed record LayerCost(long Parameters, long Macs, long Bytes, double? StepMs);

/// <summary>Most memory lent at once in a training step, weights, velocities and gradients included.</summary>
/// <param name="PlainPeakBytes">In plain form.</param>
/// <param name="RefconvPeakBytes">In refocused form.</param>
public sealed record CostMemory(long PlainPeakBytes, long RefconvPeakBytes);

/// <summary>Milliseconds of a training step.</summary>
/// <param name="Plain">In plain form.</param>
/// <param name="Refconv">In refocused form.</param>
public sealed record CostTime(double Plain, double Refconv);
