namespace RefConv.Layers;

/// <summary>
/// ASR where no norm could take the factors up: a convolution whose result is scaled by v = Π attention(ψ), computed as a convolution with the kernel
/// W[o]·v_o and the bias b[o]·v_o, which is also what remains of it. State: that of the convolution, and <see cref="AsrUnits"/>' keys.
/// </summary>
internal sealed class AsrConv2d : ComputedKernelConv2d
{
    private readonly int _units;

    public AsrConv2d(Conv2d conv, AsrOptions options, Initializer init)
        : base(conv)
    {
        _units = options.Insertions;
        Add("weight", conv.Weight.Clone());
        AddBias(conv);
        AsrUnits.Make(_units, OutChannels, options, init, (name, vector) => Add(name, vector), (name, attention) => Add(name, attention));
    }

    /// <inheritdoc/>
    public override Tensor EffectiveKernel() => Parameter("weight").Multiply(Factors().Reshape(new Shape(1, 1, 1, OutChannels)), Name);

    /// <inheritdoc/>
    public override Tensor? EffectiveBias() => base.EffectiveBias()?.Multiply(Factors(), Name);

    /// <summary>v [out]</summary>
    private Tensor Factors() => AsrUnits.Factors(_units, OutChannels, Parameter, name => (ChannelAttention)Child(name), Name);
}

/// <summary>
/// The units of ASR at one place, in whatever module they stand: constants <c>vector [1, C, 1, 1]</c>, <c>vector1</c> … and modules <c>attention_module.fc1/fc2.*</c>,
/// <c>attention_module1</c> …
/// </summary>
internal static class AsrUnits
{
    /// <summary>Makes them.</summary>
    public static void Make(int units, int channels, AsrOptions options, Initializer init, Action<string, Parameter> addVector, Action<string, ChannelAttention> addAttention)
    {
        for (int j = 0; j < units; j++)
        {
            var vector = new Parameter(init.Device, ParameterLayout.Plain(new Shape(1, channels, 1, 1)));
            init.Device.Kernels.Fill(vector.Data, options.Initial);
            addVector(Key("vector", j), vector);
            addAttention(Key("attention_module", j), new ChannelAttention(init, channels, options.Reduction));
        }
    }

    /// <summary>v [C], the product of what all units give.</summary>
    public static Tensor Factors(int units, int channels, Func<string, Parameter> vector, Func<string, ChannelAttention> attention, string name)
    {
        Tensor? product = null;
        for (int j = 0; j < units; j++)
        {
            var psi = vector(Key("vector", j)).Reshape(new Shape(1, channels));
            var v = attention(Key("attention_module", j)).Factors(psi).Reshape(new Shape(channels));
            product = product == null ? v : product.Multiply(v, name);
        }
        return product!;
    }

    private static string Key(string name, int unit) => unit == 0 ? name : $"{name}{unit}";
}
