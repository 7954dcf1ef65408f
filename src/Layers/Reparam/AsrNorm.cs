using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// A norm whose channels are scaled by v = Π attention(ψ): y = norm(x) ⊙ v. State: <c>bn.*</c> (a layer norm: <c>ln.*</c>), <c>vector [1, C, 1, 1]</c> (ψ) and
/// <c>attention_module.fc1/fc2.*</c>; further units are <c>vector1</c>, <c>attention_module1</c> …; in "both" mode <c>se.fc1/fc2.*</c>.
/// </summary>
/// <remarks>
/// norm(x) ⊙ v is a norm with γ ⊙ v and β ⊙ v, and that is how it is computed: products of C numbers instead of a pass over the map. So the residual and the
/// activation stay in the norm's pass, as in a plain network.
/// </remarks>
internal sealed class AsrNorm : Module, INormalization, IReparameterizedNorm
{
    private readonly int _channels, _units;
    private readonly string _key;

    internal AsrNorm(Module norm, int channels, AsrOptions options, Initializer init)
    {
        (_channels, _units) = (channels, options.Insertions);
        Add(_key = KeyOf(norm), norm);
        AsrUnits.Make(_units, channels, options, init, (name, vector) => Add(name, vector), (name, attention) => Add(name, attention));
        if (options.Both) Add("se", new ChannelAttention(init, channels, options.Reduction));
    }

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, ActivationKind.Identity, null);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual)
    {
        if (Attention is { } se) return se.Scale(Scaled(x, ActivationKind.Identity, null), activation, residual, Name);
        return Scaled(x, activation, residual);
    }

    /// <summary>v [C], which depends on no picture.</summary>
    public Tensor Factors() => AsrUnits.Factors(_units, _channels, Parameter, name => (ChannelAttention)Child(name), Name);

    /// <summary>The name under which a norm stands in a form.</summary>
    internal static string KeyOf(Module norm) => norm is LayerNorm ? "ln" : "bn";

    /// <summary>γ' = γ ⊙ v, β' = β ⊙ v, a batch norm's statistics as they are.</summary>
    public Module Merge()
    {
        double[] v;
        using (Tape.Inference()) v = Factors().ToDoubleArray();
        var merged = Norm.Clone();
        foreach (var parameter in merged switch
        {
            BatchNorm2d batch => [batch.Weight, batch.Bias],
            LayerNorm layer => (Parameter[])[layer.Weight, layer.Bias],
            _ => throw new InvalidOperationException($"The norm of {this} was absorbed by another training form. Merge the model, which merges that form first."),
        })
        {
            double[] values = parameter.ToTorchDouble();
            for (int c = 0; c < v.Length; c++) values[c] *= v[c];
            parameter.FromTorch(values);
        }
        return Attention is { } se ? new AttentiveNorm(merged, (ChannelAttention)se.Clone()) : merged;
    }

    private Module Norm => Child(_key);

    private ChannelAttention? Attention => (ChannelAttention?)Children.FirstOrDefault(c => c.Key == "se").Value;

    private Tensor Scaled(Tensor x, ActivationKind activation, Tensor? residual)
    {
        var v = Factors();
        if (Norm is BatchNorm2d batch) return batch.Forward(x, batch.Weight.Multiply(v, Name), batch.Bias.Multiply(v, Name), activation, residual);
        if (Norm is LayerNorm layer)
            return ChannelAttention.Finish(x.LayerNorm(layer.Weight.Multiply(v, Name), layer.Bias.Multiply(v, Name), layer.Eps, layer.Name), activation, residual, Name);
        // The norm's work is done by the form before it. A norm that leaves everything as it is, but for a scale of v, adds and activates in one pass here too.
        var (tape, shape) = (Tape.Current, new Shape(_channels));
        const double Eps = 1e-5;
        var zero = tape.Constant(v.Device, shape, 0);
        return x.BatchNorm2d(v, v.Multiply(zero, Name), zero, tape.Constant(v.Device, shape, 1 - Eps), training: false, eps: Eps, activation: activation, residual: residual, name: Name);
    }
}

/// <summary>What ASR's "both" mode leaves after merging: a norm, and attention that looks at the picture. State: <c>bn.*</c> or <c>ln.*</c>, <c>se.fc1/fc2.*</c>.</summary>
internal sealed class AttentiveNorm : Module, INormalization, IUnmergeable
{
    private readonly string _key;

    internal AttentiveNorm(Module norm, ChannelAttention attention)
    {
        Add(_key = AsrNorm.KeyOf(norm), norm);
        Add("se", attention);
    }

    /// <inheritdoc/>
    public string Reason => "its channel attention looks at the picture";

    /// <inheritdoc/>
    public override Tensor Forward(Tensor x) => Forward(x, ActivationKind.Identity, null);

    /// <inheritdoc/>
    public Tensor Forward(Tensor x, ActivationKind activation, Tensor? residual) =>
        ((ChannelAttention)Child("se")).Scale(Child(_key).Forward(x), activation, residual, Name);
}

/// <summary>The attention module of squeeze-excitation as ASR's code has it: sigmoid(W₂·relu(W₁·x)), linear layers named <c>fc1</c> and <c>fc2</c>.</summary>
internal sealed class ChannelAttention : Module
{
    public ChannelAttention(Initializer init, int channels, int reduction)
    {
        // Python's round(), which the code uses: halves go to the even number.
        int middle = Math.Max(1, (int)Math.Round(channels / (double)reduction, MidpointRounding.ToEven));
        Add("fc1", new Linear(init, channels, middle));
        Add("fc2", new Linear(init, middle, channels));
    }

    /// <summary>[rows, C], all factors, of [rows, C], all descriptions.</summary>
    public Tensor Factors(Tensor x) =>
        Child("fc2").Forward(Child("fc1").Forward(x).Activation(ActivationKind.ReLU, Name)).Activation(ActivationKind.Sigmoid, Name);

    /// <summary>x with its channels scaled by what the module makes of their means.</summary>
    public override Tensor Forward(Tensor x)
    {
        var s = Factors(x.GlobalAvgPool2d(Name).Flatten());
        return x.Multiply(s.Reshape(new Shape(x.Shape[0], 1, 1, x.Shape[3])), Name);
    }

    /// <summary>act(attention(y) + residual); y is released.</summary>
    public Tensor Scale(Tensor y, ActivationKind activation, Tensor? residual, string name)
    {
        var z = Forward(y);
        Tape.Current.Release(y);
        return Finish(z, activation, residual, name);
    }

    /// <summary>act(z + residual); z is released where that is something else.</summary>
    public static Tensor Finish(Tensor z, ActivationKind activation, Tensor? residual, string name)
    {
        var tape = Tape.Current;
        if (residual != null) z = Step(z, z.Add(residual, name));
        return activation == ActivationKind.Identity ? z : Step(z, z.Activation(activation, name));

        Tensor Step(Tensor old, Tensor next)
        {
            tape.Release(old);
            return next;
        }
    }
}
