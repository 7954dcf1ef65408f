namespace RefConv.Kernels;

/// <summary>Shape of a 2-d convolution. Padding may differ per side and may be negative (the input is cropped).</summary>
/// <param name="N">Images.</param>
/// <param name="H">Input rows.</param>
/// <param name="W">Input columns.</param>
/// <param name="C">Input channels.</param>
/// <param name="K">Output channels.</param>
/// <param name="R">Kernel rows.</param>
/// <param name="S">Kernel columns.</param>
public readonly record struct Conv2dGeometry(int N, int H, int W, int C, int K, int R, int S)
{
    private readonly int _inputPitch;

    /// <summary>Step between output rows, in input rows.</summary>
    public int StrideH { get; init; } = 1;

    /// <summary>Step between output columns, in input columns.</summary>
    public int StrideW { get; init; } = 1;

    /// <summary>Zero rows above the input.</summary>
    public int PadTop { get; init; }

    /// <summary>Zero rows below the input.</summary>
    public int PadBottom { get; init; }

    /// <summary>Zero columns left of the input.</summary>
    public int PadLeft { get; init; }

    /// <summary>Zero columns right of the input.</summary>
    public int PadRight { get; init; }

    /// <summary>Distance between kernel rows, in input rows.</summary>
    public int DilationH { get; init; } = 1;

    /// <summary>Distance between kernel columns, in input columns.</summary>
    public int DilationW { get; init; } = 1;

    /// <summary>Channel groups; divides <see cref="C"/> and <see cref="K"/>.</summary>
    public int Groups { get; init; } = 1;

    /// <summary>
    /// Elements from one pixel of x and dx to the next: <see cref="C"/>, or more where they are a run of the channels of a larger map and begin inside its first pixel. Possible where
    /// <see cref="Device.CanReadStrided"/> says so, and refused elsewhere. The other channels of dx are left alone.
    /// </summary>
    public int InputPitch
    {
        get => _inputPitch == 0 ? C : _inputPitch;
        internal init => _inputPitch = value == C ? 0 : value;
    }

    /// <summary>Output rows: ⌊(H + pads − dilation·(R−1) − 1) / stride⌋ + 1.</summary>
    public int P => (int)Math.Floor((H + PadTop + PadBottom - (DilationH * (R - 1)) - 1) / (double)StrideH) + 1;

    /// <summary>Output columns.</summary>
    public int Q => (int)Math.Floor((W + PadLeft + PadRight - (DilationW * (S - 1)) - 1) / (double)StrideW) + 1;

    /// <summary>Input channels one filter sees, C / Groups.</summary>
    public int GroupC => C / Groups;

    /// <summary>Output channels of one group, K / Groups.</summary>
    public int GroupK => K / Groups;

    /// <summary>Every channel has one filter of its own: Groups = C = K.</summary>
    public bool IsDepthwise => Groups == C && C == K;

    /// <summary>A matrix product and nothing else: 1×1, stride 1, no padding, one group.</summary>
    public bool IsPointwise =>
        R == 1 && S == 1 && StrideH == 1 && StrideW == 1 && Groups == 1 && (PadTop | PadBottom | PadLeft | PadRight) == 0;

    /// <summary>Elements of a dense x.</summary>
    public long InputLength => (long)N * H * W * C;

    /// <summary>Elements of y.</summary>
    public long OutputLength => (long)N * P * Q * K;

    /// <summary>Elements of w.</summary>
    public long WeightLength => (long)R * S * GroupC * K;

    /// <summary>Multiply-adds of one direction, counting those on padding.</summary>
    public long Macs => OutputLength * R * S * GroupC;

    /// <inheritdoc/>
    public override string ToString() =>
        $"N{N} {H}×{W} {C}→{K} k{R}×{S} s{StrideH}" + (StrideW != StrideH ? $"×{StrideW}" : "") +
        (PadTop == PadBottom && PadTop == PadLeft && PadTop == PadRight ? $" p{PadTop}" : $" p{PadTop},{PadBottom},{PadLeft},{PadRight}") +
        (DilationH != 1 || DilationW != 1 ? $" d{DilationH}×{DilationW}" : "") + (Groups != 1 ? $" g{Groups}" : "") + (InputPitch != C ? $" of {InputPitch}" : "");

    /// <summary>Called by whatever counts on dense pixels.</summary>
    /// <exception cref="NotSupportedException">They lie apart.</exception>
    internal void MustBeDense()
    {
        if (InputPitch != C) throw new NotSupportedException($"This convolution ({this}) cannot do with input pixels that lie {InputPitch} elements apart. Ask Device.CanReadStrided first, and copy the {C} channels where it says no.");
    }
}

public partial interface IKernels
{
    /// <summary>
    /// Convolution (cross-correlation): <c>y[n,p,q,k] = b[k] + Σ_{r,s,c} x[n, p·stride + r·dilation − pad, …, c] · w[r,s,c,k]</c>,
    /// where c runs over the input channels of k's group and x is zero outside the image.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="w">[R, S, C/g, K]</param>
    /// <param name="b">[K], or empty</param>
    /// <param name="y">[N, P, Q, K]</param>
    /// <param name="moments">
    /// [2, K], or empty: receives the mean and the (biased) variance of every channel of y. A batch norm that follows needs them, and
    /// here they cost no pass over memory.
    /// </param>
    void Conv2dForward(in Conv2dGeometry g, BufferView x, BufferView w, BufferView b, BufferView y, BufferView moments = default);

    /// <summary>Gradient of the input: <c>dx[n,h,w,c] = Σ dy[n,p,q,k] · w[r,s,c,k]</c> over every (p,q,r,s,k) whose window touches (h,w).</summary>
    /// <param name="g">Shape.</param>
    /// <param name="dy">[N, P, Q, K]</param>
    /// <param name="w">[R, S, C/g, K]</param>
    /// <param name="dx">[N, H, W, C]</param>
    /// <param name="accumulate">Add to dx instead of overwriting it.</param>
    void Conv2dInputGradient(in Conv2dGeometry g, BufferView dy, BufferView w, BufferView dx, bool accumulate);

    /// <summary>Gradient of the weights: <c>dw[r,s,c,k] = Σ_{n,p,q} x[n, p·stride + r·dilation − pad, …, c] · dy[n,p,q,k]</c>.</summary>
    /// <param name="g">Shape.</param>
    /// <param name="x">[N, H, W, C]</param>
    /// <param name="dy">[N, P, Q, K]</param>
    /// <param name="dw">[R, S, C/g, K]</param>
    /// <param name="accumulate">Add to dw instead of overwriting it.</param>
    void Conv2dWeightGradient(in Conv2dGeometry g, BufferView x, BufferView dy, BufferView dw, bool accumulate);
}
