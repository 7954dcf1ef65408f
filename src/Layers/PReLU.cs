namespace RefConv.Layers;

/// <summary>ReLU with a trained slope left of zero, one for every channel (<c>torch.nn.PReLU(channels)</c>). State: <c>weight [channels]</c>.</summary>
public sealed class PReLU : Module
{
    /// <summary>Makes the layer.</summary>
    /// <param name="init">Device.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="slope">Where all slopes start.</param>
    public PReLU(Initializer init, int channels, double slope = 0.25) =>
        init.Device.Kernels.Fill(Add("weight", new Parameter(init.Device, ParameterLayout.Plain(new Shape(channels)))).Data, slope);

    /// <summary>The slopes α.</summary>
    public Parameter Weight => Parameter("weight");

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.PReLU(Weight, Name);
}
