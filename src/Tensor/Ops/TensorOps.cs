using RefConv.Kernels;

namespace RefConv;

/// <summary>The operations, as extension methods on tensors, under the current tape. Names and argument order are PyTorch's.</summary>
public static class TensorOps
{
    /// <summary>2-d convolution of [n, h, w, c] with weights [kh, kw, c/groups, k]; gives [n, p, q, k].</summary>
    /// <exception cref="ShapeException">Channels, groups or sizes do not fit.</exception>
    public static Tensor Conv2d(this Tensor x, Tensor weight, Tensor? bias = null, int stride = 1, int padding = 0, int dilation = 1, int groups = 1, string? name = null) =>
        new Conv2dOp(x, weight, bias, new Conv2dOptions(stride, padding, dilation, groups), moments: false, name).Run();

    /// <summary>2-d convolution with everything per axis and side.</summary>
    /// <param name="x">[n, h, w, c]</param>
    /// <param name="weight">[kh, kw, c/groups, k]</param>
    /// <param name="bias">[k], or null</param>
    /// <param name="options">Stride, padding, dilation, groups.</param>
    /// <param name="moments">A batch norm in training reads the result: find the mean and variance it needs on the way.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Channels, groups or sizes do not fit.</exception>
    public static Tensor Conv2d(this Tensor x, Tensor weight, Tensor? bias, Conv2dOptions options, bool moments = false, string? name = null) =>
        new Conv2dOp(x, weight, bias, options, moments, name).Run();

    /// <summary><c>x·W + b</c> over the last axis of x [..., in], W stored [in, out].</summary>
    /// <exception cref="ShapeException">Sizes do not fit.</exception>
    public static Tensor Linear(this Tensor x, Tensor weight, Tensor? bias = null, string? name = null) => new LinearOp(x, weight, bias, name).Run();

    /// <summary>Batch norm over the last axis; with an activation computed in the same pass.</summary>
    /// <param name="x">[…, c]</param>
    /// <param name="weight">γ [c]</param>
    /// <param name="bias">β [c]</param>
    /// <param name="runningMean">[c]; moved when training</param>
    /// <param name="runningVar">[c]; moved when training</param>
    /// <param name="training">Normalise by the batch's statistics, otherwise by the running ones.</param>
    /// <param name="momentum">How far the running statistics move.</param>
    /// <param name="eps">Added to the variance inside the root.</param>
    /// <param name="activation">One that <see cref="BatchNormGeometry.Fuses"/>.</param>
    /// <param name="residual">Added before the activation, of x's shape; or null.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Sizes do not fit, training on one value per channel, or an activation that is not fused.</exception>
    public static Tensor BatchNorm2d(this Tensor x, Tensor weight, Tensor bias, Tensor runningMean, Tensor runningVar, bool training,
        double momentum = 0.1, double eps = 1e-5, ActivationKind activation = ActivationKind.Identity, Tensor? residual = null, string? name = null) =>
        new BatchNorm2dOp(x, weight, bias, runningMean, runningVar, training, momentum, eps, activation, residual, name).Run();

    /// <summary>Layer norm over the last axis: every pixel is normalised by the mean and variance of its own channels.</summary>
    /// <param name="x">[…, c]</param>
    /// <param name="weight">γ [c]</param>
    /// <param name="bias">β [c]</param>
    /// <param name="eps">Added to the variance inside the root.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Sizes do not fit.</exception>
    public static Tensor LayerNorm(this Tensor x, Tensor weight, Tensor bias, double eps = 1e-5, string? name = null) => new LayerNormOp(x, weight, bias, eps, name).Run();

    /// <summary>x where it is positive, elsewhere x times its channel's slope [c].</summary>
    /// <exception cref="ShapeException">Not one slope for every channel.</exception>
    public static Tensor PReLU(this Tensor x, Tensor weight, string? name = null) => new PReLUOp(x, weight, name).Run();

    /// <summary>act(Σ norms + residual), every norm by its batch's statistics: one operation instead of one a norm.</summary>
    internal static Tensor BatchNormSum(NormTerm[] terms, ActivationKind activation = ActivationKind.Identity, Tensor? residual = null, string? name = null) =>
        new BatchNormSumOp(terms, activation, residual, name).Run();

    /// <summary>An activation function on every element.</summary>
    public static Tensor Activation(this Tensor x, ActivationKind function, string? name = null) => new ActivationOp(x, function, name).Run();

    /// <summary>a + b, of one shape.</summary>
    /// <exception cref="ShapeException">Shapes differ.</exception>
    public static Tensor Add(this Tensor a, Tensor b, string? name = null) => new AddOp(a, b, name).Run();

    /// <summary>a · b element by element; when b is [n, 1, 1, c] or [1, 1, 1, c] it scales the channels of a.</summary>
    /// <exception cref="ShapeException">Shapes do not fit.</exception>
    public static Tensor Multiply(this Tensor a, Tensor b, string? name = null) =>
        a.Shape == b.Shape ? new MultiplyOp(a, b, name).Run() : new MultiplyChannelsOp(a, b, name).Run();

    /// <summary>Zeroes elements with probability p and scales the rest by 1/(1−p). The mask is a function of (seed, stream).</summary>
    /// <exception cref="ShapeException">p is not in [0, 1).</exception>
    public static Tensor Dropout(this Tensor x, double p, ulong seed, ulong stream, string? name = null) => new DropoutOp(x, p, seed, stream, name).Run();

    /// <summary>Zeroes whole images (the first axis) with probability p and scales the rest by 1/(1−p). Which ones is a function of (seed, stream).</summary>
    /// <exception cref="ShapeException">p is not in [0, 1).</exception>
    public static Tensor StochasticDepth(this Tensor x, double p, ulong seed, ulong stream, string? name = null) => new StochasticDepthOp(x, p, seed, stream, name).Run();

    /// <summary>Average over windows. Padding counts in the divisor unless told otherwise, as in PyTorch.</summary>
    /// <exception cref="ShapeException">Sizes do not fit.</exception>
    public static Tensor AvgPool2d(this Tensor x, int kernelSize, int stride, int padding = 0, bool countIncludePad = true, string? name = null) =>
        new Pool2dOp(x, max: false, kernelSize, stride, padding, countIncludePad, name).Run();

    /// <summary>Maximum over windows.</summary>
    /// <exception cref="ShapeException">Sizes do not fit.</exception>
    public static Tensor MaxPool2d(this Tensor x, int kernelSize, int stride, int padding = 0, string? name = null) =>
        new Pool2dOp(x, max: true, kernelSize, stride, padding, countIncludePad: true, name).Run();

    /// <summary>Mean over all pixels: [n, h, w, c] to [n, 1, 1, c] (PyTorch's AdaptiveAvgPool2d(1)).</summary>
    /// <exception cref="ShapeException">Not a feature map.</exception>
    public static Tensor GlobalAvgPool2d(this Tensor x, string? name = null)
    {
        if (x.Shape.Rank != 4) throw new ShapeException($"GlobalAvgPool2d: the input must be [n, h, w, c], it is {x.Shape}.");
        long pixels = (long)x.Shape[1] * x.Shape[2];
        var g = new ReduceGeometry(x.Shape[0], pixels, x.Shape[3]);
        return new ReduceOp("GlobalAvgPool2d", x, g, new Shape(x.Shape[0], 1, 1, x.Shape[3]), 1.0 / pixels, name).Run();
    }

    /// <summary>Average over height × width bins (PyTorch's AdaptiveAvgPool2d): bins overlap where the map has fewer pixels, or the sizes do not divide.</summary>
    /// <exception cref="ShapeException">Not a feature map.</exception>
    public static Tensor AdaptiveAvgPool2d(this Tensor x, int height, int width, string? name = null) => new AdaptiveAvgPool2dOp(x, height, width, name).Run();

    /// <summary>The channel of the largest value of every pixel, [n, h, w, c] to [n, h, w, 1]; of equals the lowest. Gradients end here.</summary>
    public static Tensor ArgMax(this Tensor x, string? name = null) => new ArgMaxOp(x, name).Run();

    /// <summary>A convolution with kernels of each image's own, one for every region of the image (dynamic region-aware convolution, arXiv 2003.12243).</summary>
    /// <param name="x">[n, h, w, c]</param>
    /// <param name="guide">[n, p, q, m]: what the mask was made from. It gets the gradient of a softmax over the regions.</param>
    /// <param name="mask">[n, p, q, 1]: the region of every pixel of the result, the guide's <see cref="ArgMax"/>.</param>
    /// <param name="kernels">All kernels, in the order that <see cref="RegionConv2dGeometry.RegionsOutside"/> tells.</param>
    /// <param name="bias">[k], or null</param>
    /// <param name="kernelSize">Rows and columns of a kernel.</param>
    /// <param name="options">Stride, padding, dilation; one group.</param>
    /// <param name="regionsOutside">See <see cref="RegionConv2dGeometry.RegionsOutside"/>.</param>
    /// <param name="softKernels">Kernels get their gradient through a softmax of the guide too: every region's from all pixels, by their shares, at m times the work.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Sizes do not fit, or there are groups.</exception>
    public static Tensor RegionConv2d(this Tensor x, Tensor guide, Tensor mask, Tensor kernels, Tensor? bias, (int H, int W) kernelSize, Conv2dOptions options,
        bool regionsOutside = false, bool softKernels = false, string? name = null) =>
        new RegionConv2dOp(x, guide, mask, kernels, bias, kernelSize, options, regionsOutside, softKernels, name).Run();

    /// <summary>Sum of all elements, shape [1].</summary>
    public static Tensor Sum(this Tensor x) => new ReduceOp("Sum", x, new ReduceGeometry(1, x.Shape.Count, 1), new Shape(1), 1, null).Run();

    /// <summary>Mean of all elements, shape [1].</summary>
    public static Tensor Mean(this Tensor x) => new ReduceOp("Mean", x, new ReduceGeometry(1, x.Shape.Count, 1), new Shape(1), 1.0 / x.Shape.Count, null).Run();

    /// <summary>Maps of the same pixels joined along the channels.</summary>
    /// <exception cref="ShapeException">Other axes differ.</exception>
    public static Tensor Concat(params Tensor[] inputs) => new ConcatOp(inputs, null).Run();

    /// <summary>Channels start … start + count of a map.</summary>
    /// <exception cref="ShapeException">They lie outside.</exception>
    public static Tensor SliceChannels(this Tensor x, int start, int count) => new SliceOp(x, start, count, null).Run();

    /// <summary>Channel shuffle (ShuffleNetV2): channels [groups, c/groups] become [c/groups, groups].</summary>
    /// <exception cref="ShapeException">groups does not divide c.</exception>
    public static Tensor ChannelShuffle(this Tensor x, int groups, string? name = null) => new ChannelShuffleOp(x, groups, name).Run();

    /// <summary>The channels of two maps in turn, a0 b0 a1 b1 …: <c>Concat(a, b).ChannelShuffle(2)</c> (the end of ShuffleNetV2's unit) in one pass.</summary>
    /// <exception cref="ShapeException">The shapes differ.</exception>
    public static Tensor Interleave(Tensor a, Tensor b, string? name = null) => new InterleaveOp(a, b, name).Run();

    /// <summary>x with channels start … start + (channels of part) taken from part: a partial convolution is <c>x.ReplaceChannels(conv(x.SliceChannels(0, c/4)))</c>.</summary>
    /// <exception cref="ShapeException">Other axes differ, or the channels lie outside.</exception>
    public static Tensor ReplaceChannels(this Tensor x, Tensor part, int start = 0, string? name = null) => new ReplaceChannelsOp(x, part, start, name).Run();

    /// <summary>Every pixel repeated scale × scale times (<c>torch.nn.Upsample</c>, mode nearest): [n, h, w, c] to [n, h·s, w·s, c].</summary>
    /// <exception cref="ShapeException">Not a feature map, or the scale is below 1.</exception>
    public static Tensor UpsampleNearest(this Tensor x, int scale, string? name = null) => new UpsampleNearestOp(x, scale, name).Run();

    /// <summary>
    /// Channels become pixels, [n, h, w, c·r²] to [n, h·r, w·r, c], in PyTorch's order (<c>torch.pixel_shuffle</c>). For TensorFlow's order see
    /// <see cref="DepthToSpace"/>.
    /// </summary>
    /// <exception cref="ShapeException">r² does not divide the channels.</exception>
    public static Tensor PixelShuffle(this Tensor x, int upscaleFactor, string? name = null) => x.DepthToSpace(upscaleFactor, DepthToSpaceMode.CRD, name);

    /// <summary>The inverse of <see cref="PixelShuffle"/>.</summary>
    /// <exception cref="ShapeException">The map is not made of whole blocks.</exception>
    public static Tensor PixelUnshuffle(this Tensor x, int downscaleFactor, string? name = null) => x.SpaceToDepth(downscaleFactor, DepthToSpaceMode.CRD, name);

    /// <summary>Channels become pixels, [n, h, w, c·r²] to [n, h·r, w·r, c], in the order asked for.</summary>
    /// <exception cref="ShapeException">r² does not divide the channels.</exception>
    public static Tensor DepthToSpace(this Tensor x, int blockSize, DepthToSpaceMode mode, string? name = null) => new DepthToSpaceOp(x, blockSize, mode, toWide: true, name).Run();

    /// <summary>Pixels become channels: the inverse of <see cref="DepthToSpace"/>.</summary>
    /// <exception cref="ShapeException">The map is not made of whole blocks.</exception>
    public static Tensor SpaceToDepth(this Tensor x, int blockSize, DepthToSpaceMode mode, string? name = null) => new DepthToSpaceOp(x, blockSize, mode, toWide: false, name).Run();

    /// <summary>The same elements, in the same order, under another shape; no copy.</summary>
    /// <exception cref="ShapeException">Another number of elements.</exception>
    public static Tensor Reshape(this Tensor x, Shape shape) => new ReshapeOp(x, shape, null).Run();

    /// <summary>[n, …] to [n, everything else]. Elements of a map are counted (h, w, c); see <see cref="ParameterLayout.Linear"/>.</summary>
    public static Tensor Flatten(this Tensor x) => x.Reshape(new Shape(x.Shape[0], (int)(x.Shape.Count / Math.Max(1, x.Shape[0]))));

    /// <summary>Softmax over classes of [rows, classes].</summary>
    /// <exception cref="ShapeException">Not [rows, classes].</exception>
    public static Tensor Softmax(this Tensor x) => new SoftmaxOp(x, null).Run();

    /// <summary>Mean cross-entropy of scores [rows, classes] with class numbers [rows]; gives [1].</summary>
    /// <param name="x">Scores.</param>
    /// <param name="labels">Class numbers, stored as elements.</param>
    /// <param name="labelSmoothing">Share of the target spread over all classes.</param>
    /// <exception cref="ShapeException">Sizes do not fit.</exception>
    public static Tensor CrossEntropy(this Tensor x, Tensor labels, double labelSmoothing = 0) => new CrossEntropyOp(x, labels, labelSmoothing, null).Run();

    /// <summary>
    /// The refocused kernel, basis + refocus(basis): RefConv's transform (arXiv 2310.10563). Shapes and orders are <see cref="RefocusGeometry"/>'s.
    /// </summary>
    /// <param name="basis">[R, S, Cin/g, Cout]</param>
    /// <param name="map">The refocus weights.</param>
    /// <param name="geometry">The shape.</param>
    /// <param name="unfolded">A cached result of <see cref="IKernels.RefocusUnfold"/> for a frozen basis, or empty.</param>
    /// <param name="shortcut">Add the basis.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">map_k is even or too large, or sizes do not fit.</exception>
    public static Tensor Refocus(this Tensor basis, Tensor map, RefocusGeometry geometry, BufferView unfolded = default, bool shortcut = true, string? name = null) =>
        new RefocusOp(basis, map, geometry, unfolded, shortcut, name).Run();

    /// <summary>Every filter of a kernel [kh, kw, in/g, out] brought to the norm that its scale [out] says: weight normalisation.</summary>
    /// <param name="v">The kernel.</param>
    /// <param name="scale">One number a filter.</param>
    /// <param name="center">Take each filter's mean away first.</param>
    /// <param name="eps">Added to the norm.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Not one scale for every filter, or filters of one element to be centred.</exception>
    public static Tensor WeightNorm(this Tensor v, Tensor scale, bool center = false, double eps = 0, string? name = null) => new WeightNormOp(v, scale, center, eps, name).Run();

    /// <summary>The filters of a kernel [kh, kw, in/g, out] centred and, in groups of neighbours, made orthonormal; then filter o times scale[o].</summary>
    /// <param name="v">The kernel.</param>
    /// <param name="scale">One number a filter.</param>
    /// <param name="groupSize">Filters of a group: a divisor of their number, below the number of elements of a filter.</param>
    /// <param name="name">Module, for messages.</param>
    /// <exception cref="ShapeException">Not one scale for every filter, or the group size is not possible.</exception>
    public static Tensor Orthogonalize(this Tensor v, Tensor scale, int groupSize, string? name = null) => new OrthogonalizeOp(v, scale, groupSize, name).Run();

    /// <summary>Mean absolute error, shape [1].</summary>
    /// <exception cref="ShapeException">Shapes differ.</exception>
    public static Tensor L1Loss(this Tensor x, Tensor target) => new L1LossOp(x, target, null).Run();

    /// <summary>x + amount.</summary>
    public static Tensor Shift(this Tensor x, double amount, string? name = null) => new ShiftOp(x, amount, name).Run();

    /// <summary>The kernel [kh, kw, in, out] of a 1×1 convolution with weight a [1, 1, in, q] and, behind it, one with weight z [kh, kw, q, out].</summary>
    /// <exception cref="ShapeException">They do not follow one another.</exception>
    internal static Tensor LeadingProduct(this Tensor a, Tensor z, string? name = null) => new LeadingProductOp(a, z, name).Run();
}
