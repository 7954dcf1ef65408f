namespace RefConv.Layers;

/// <summary>
/// Layer norm over the channels of every pixel (<c>torch.nn.LayerNorm(channels)</c>; torchvision's <c>LayerNorm2d</c>, whose permutation is not needed
/// here because channels come last). State: <c>weight, bias</c>.
/// </summary>
public sealed class LayerNorm : Module
{
    /// <summary>Makes a norm with γ = 1 and β = 0.</summary>
    /// <param name="init">Device.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="eps">ε, added to the variance inside the root.</param>
    public LayerNorm(Initializer init, int channels, double eps = 1e-5)
    {
        Eps = eps;
        var layout = ParameterLayout.Plain(new Shape(channels));
        init.Device.Kernels.Fill(Add("weight", new Parameter(init.Device, layout)).Data, 1);
        Add("bias", new Parameter(init.Device, layout));
    }

    /// <summary>ε</summary>
    public double Eps { get; }

    /// <summary>γ</summary>
    public Parameter Weight => Parameter("weight");

    /// <summary>β</summary>
    public Parameter Bias => Parameter("bias");

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.LayerNorm(Weight, Bias, Eps, Name);
}
