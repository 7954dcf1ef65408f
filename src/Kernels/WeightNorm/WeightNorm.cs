namespace RefConv.Kernels;

/// <summary>Shape of a normalisation of convolution filters. In memory a filter is a column of [FanIn, Filters], because kernels are [kh, kw, in/g, out].</summary>
/// <param name="FanIn">Weights of one filter: kh·kw·in/g.</param>
/// <param name="Filters">Filters: output channels.</param>
/// <param name="Center">Take the mean of each filter away first (centred weight normalisation).</param>
/// <param name="Epsilon">ε, added to the norm.</param>
public readonly record struct WeightNormGeometry(int FanIn, int Filters, bool Center, double Epsilon = 0)
{
    /// <summary>A filter with a smaller norm counts as zero: its direction is noise, and its gradient would grow without bound.</summary>
    public const double SmallestNorm = 1e-12;

    /// <summary>Number of weights.</summary>
    public long Length => (long)FanIn * Filters;

    /// <inheritdoc/>
    public override string ToString() => $"{FanIn}×{Filters}{(Center ? " centred" : "")}{(Epsilon == 0 ? "" : $" ε{Epsilon}")}";
}

public partial interface IKernels
{
    /// <summary>
    /// Every filter brought to a norm: <c>c = v[·,o] − μ[o]</c> (μ the filter's mean with Center, else 0), <c>r[o] = ‖c‖</c>,
    /// <c>w[·,o] = s[o]·c/(r[o] + ε)</c>. A filter of norm 0 gives 0.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="v">[FanIn, Filters]</param>
    /// <param name="scale">[Filters]: s</param>
    /// <param name="mean">[Filters]: μ, for the backward pass</param>
    /// <param name="norm">[Filters]: r, for the backward pass</param>
    /// <param name="w">[FanIn, Filters]</param>
    void WeightNormForward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView w);

    /// <summary>
    /// Gradients of <see cref="WeightNormForward"/>, with <c>d = ⟨dw[·,o], c⟩</c>: <c>ds[o] = d/(r + ε)</c> and
    /// <c>dv = s/(r + ε)·(dw − mean(dw) − c·d/(r·(r + ε)))</c>, the mean only with Center. Both are 0 for a filter of norm 0, but for
    /// the first term where ε bounds it.
    /// </summary>
    /// <param name="g">Shape.</param>
    /// <param name="v">[FanIn, Filters]</param>
    /// <param name="scale">[Filters]</param>
    /// <param name="mean">[Filters], of the forward pass</param>
    /// <param name="norm">[Filters], of the forward pass</param>
    /// <param name="dw">[FanIn, Filters]</param>
    /// <param name="dv">[FanIn, Filters]; empty if not wanted</param>
    /// <param name="dscale">[Filters]; empty if not wanted</param>
    /// <param name="accumulateV">Add to dv instead of overwriting it.</param>
    /// <param name="accumulateScale">Add to ds instead of overwriting it.</param>
    void WeightNormBackward(in WeightNormGeometry g, BufferView v, BufferView scale, BufferView mean, BufferView norm, BufferView dw,
        BufferView dv, BufferView dscale, bool accumulateV, bool accumulateScale);
}

/// <summary>The constants of one filter's gradient, in double on every device.</summary>
internal readonly struct WeightNormFilter(in WeightNormGeometry g, double norm)
{
    /// <summary>1/(r + ε); 0 for a filter of norm 0 without ε.</summary>
    public double Inverse { get; } = norm < WeightNormGeometry.SmallestNorm && g.Epsilon == 0 ? 0 : 1 / (norm + g.Epsilon);

    /// <summary>1/(r·(r + ε)²); 0 for a filter of norm 0.</summary>
    public double InverseCubed { get; } = norm < WeightNormGeometry.SmallestNorm ? 0 : 1 / (norm * (norm + g.Epsilon) * (norm + g.Epsilon));
}
