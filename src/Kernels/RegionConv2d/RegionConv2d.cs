namespace RefConv.Kernels;

/// <summary>
/// Shape of a convolution in which every image has kernels of its own, one for each of several regions, and every output pixel belongs to one region
/// (dynamic region-aware convolution, arXiv 2003.12243).
/// </summary>
/// <param name="Conv">The convolution. One group.</param>
/// <param name="Regions">m, kernels an image.</param>
/// <param name="RegionsOutside">Kernels of an image are stored [m, R, S, C, K]; otherwise [R, S, m, C, K], as a 1×1 convolution in m groups over R×S pixels gives them.</param>
public readonly record struct RegionConv2dGeometry(Conv2dGeometry Conv, int Regions, bool RegionsOutside = false)
{
    /// <summary>Elements of the kernels of one image.</summary>
    public long ImageKernelLength => Conv.WeightLength * Regions;

    /// <summary>Elements of all kernels.</summary>
    public long KernelLength => Conv.N * ImageKernelLength;

    /// <summary>Elements of the mask, one an output pixel.</summary>
    public long MaskLength => (long)Conv.N * Conv.P * Conv.Q;

    /// <summary>From one tap of a kernel to the next.</summary>
    internal long TapStride => (long)Conv.C * Conv.K * (RegionsOutside ? 1 : Regions);

    /// <summary>From one region's kernel to the next.</summary>
    internal long RegionStride => (long)Conv.C * Conv.K * (RegionsOutside ? Conv.R * Conv.S : 1);

    /// <inheritdoc/>
    public override string ToString() => $"{Conv} m{Regions}{(RegionsOutside ? " outside" : "")}";
}

public partial interface IKernels
{
    /// <summary><c>y[n,p,q,k] = b[k] + Σ_{r,s,c} x[n, p·stride + r·dilation − pad, …, c] · w[n, j; r,s,c,k]</c> with j = mask[n,p,q].</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="mask">[N, P, Q]: whole numbers from 0 to m − 1</param>
    /// <param name="w">Kernels of all images.</param>
    /// <param name="b">[K], or empty</param>
    /// <param name="y">[N, P, Q, K]</param>
    void RegionConv2dForward(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView w, BufferView b, BufferView y);

    /// <summary>Gradient of x in <see cref="RegionConv2dForward"/>: each output pixel through the kernel of its region.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="dy">[N, P, Q, K]</param>
    /// <param name="mask">[N, P, Q]</param>
    /// <param name="w">Kernels of all images.</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void RegionConv2dInputGradient(in RegionConv2dGeometry g, BufferView dy, BufferView mask, BufferView w, BufferView dx, bool accumulate);

    /// <summary>Gradient of the kernels: a region's kernel gets it from the pixels of that region only.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="mask">[N, P, Q]</param>
    /// <param name="dy">[N, P, Q, K]</param>
    /// <param name="dw">Gradients of the kernels of all images.</param>
    /// <param name="accumulate">Add to dw instead of overwriting it.</param>
    void RegionConv2dKernelGradient(in RegionConv2dGeometry g, BufferView x, BufferView mask, BufferView dy, BufferView dw, bool accumulate);

    /// <summary>
    /// How much every region's kernel would have to do with the gradient at a pixel: <c>a[n,p,q,j] = Σ_k dy[n,p,q,k] · O_j[n,p,q,k]</c>, O_j being the result
    /// with kernel j everywhere (and without a bias, which adds the same to every a_j). The gradient of the guide needs it; m times the work of the forward pass.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="w">Kernels of all images.</param>
    /// <param name="dy">[N, P, Q, K]</param>
    /// <param name="a">[N, P, Q, m]</param>
    void RegionConv2dScores(in RegionConv2dGeometry g, BufferView x, BufferView w, BufferView dy, BufferView a);

    /// <summary><c>y[row] = the channel of the row's largest value</c>; of equals the lowest.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="x">[rows, channels]</param>
    /// <param name="y">[rows]</param>
    void ArgMaxChannels(long rows, int channels, BufferView x, BufferView y);

    /// <summary>
    /// The softmax in the place of the choice of the largest: with s = softmax of x over the channels, <c>dx[c] (+)= s[c]·(a[c] − Σ_j s[j]·a[j])</c>, the gradient of
    /// Σ_j s[j]·a[j].
    /// </summary>
    /// <param name="rows">Rows.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="x">[rows, channels]</param>
    /// <param name="a">[rows, channels]</param>
    /// <param name="dx">[rows, channels]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void SoftmaxChannelsGradient(long rows, int channels, BufferView x, BufferView a, BufferView dx, bool accumulate);
}
