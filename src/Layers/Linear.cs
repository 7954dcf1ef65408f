using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>Fully connected layer (<c>torch.nn.Linear</c>): [rows, in] to [rows, out]. State: <c>weight [out, in]</c>, <c>bias [out]</c>.</summary>
public sealed class Linear : Module
{
    /// <summary>Makes a layer with PyTorch's default initial values.</summary>
    /// <param name="init">Device and random numbers.</param>
    /// <param name="inFeatures">Features of the input.</param>
    /// <param name="outFeatures">Features of the result.</param>
    /// <param name="bias">With a bias.</param>
    /// <param name="height">When the input is a flattened feature map: its rows (PyTorch flattens (c, h, w), the engine (h, w, c)).</param>
    /// <param name="width">Likewise its columns.</param>
    public Linear(Initializer init, int inFeatures, int outFeatures, bool bias = true, int height = 1, int width = 1)
    {
        if (inFeatures < 1 || outFeatures < 1 || inFeatures % (height * width) != 0)
            throw new ShapeException($"Linear: {inFeatures}→{outFeatures} features over a map of {height}×{width} is not possible.");
        (InFeatures, OutFeatures) = (inFeatures, outFeatures);
        var random = init.NextStream();
        Initializer.TorchDefault(Add("weight", new Parameter(init.Device, ParameterLayout.Linear(outFeatures, inFeatures, height, width))), inFeatures, random);
        if (bias) Initializer.TorchDefault(Add("bias", new Parameter(init.Device, ParameterLayout.Plain(new Shape(outFeatures)))), inFeatures, random);
    }

    /// <summary>Features of the input.</summary>
    public int InFeatures { get; }

    /// <summary>Features of the result.</summary>
    public int OutFeatures { get; }

    /// <summary>The matrix.</summary>
    public Parameter Weight => Parameter("weight");

    /// <summary>The bias, or null.</summary>
    public Parameter? Bias => Optional("bias");

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => x.Linear(Weight, Bias, Name);
}
