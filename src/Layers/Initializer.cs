using RefConv.Kernels;

namespace RefConv.Layers;

/// <summary>
/// Where a model is built and with which random numbers. Every layer draws from a stream of its own, in the order in which layers are made,
/// so one seed gives the same weights on every machine.
/// </summary>
/// <param name="device">Where parameters live.</param>
/// <param name="seed">Seed of all initial values.</param>
public sealed class Initializer(Device device, ulong seed = 0)
{
    // Streams for a model whose values come from elsewhere: drawing millions of numbers to overwrite them would be most of the time of loading.
    private static readonly RandomStream s_unused = new(0, 0);

    private readonly bool _draws = true;
    private ulong _layers;

    private Initializer(Device device, bool draws)
        : this(device) => _draws = draws;

    /// <summary>Where parameters live.</summary>
    public Device Device { get; } = device;

    /// <summary>Seed of all initial values.</summary>
    public ulong Seed { get; } = seed;

    /// <summary>For a model whose values are loaded right after it was built: whatever would be random is left zero.</summary>
    public static Initializer ForLoading(Device device) => new(device, draws: false);

    /// <summary>A stream for the next layer.</summary>
    public RandomStream NextStream() => NextLayer() is var layer && _draws ? new(Seed, layer) : s_unused;

    /// <summary>The number of the next layer: the same in every model of an architecture, whatever the seed.</summary>
    internal ulong NextLayer() => ++_layers;

    /// <summary>Uniform in ±bound, in PyTorch's element order.</summary>
    public static void Uniform(Parameter parameter, double bound, RandomStream random) =>
        Fill(parameter, random, () => random.NextUniform(-bound, bound));

    /// <summary>Normal with mean 0.</summary>
    public static void Normal(Parameter parameter, double deviation, RandomStream random) =>
        Fill(parameter, random, () => deviation * random.NextNormal());

    /// <summary>
    /// PyTorch's default for convolutions and linear layers, <c>kaiming_uniform_(a=√5)</c>: uniform in ±1/√fan_in,
    /// fan_in being the inputs one output sees.
    /// </summary>
    public static void TorchDefault(Parameter parameter, long fanIn, RandomStream random) => Uniform(parameter, 1 / Math.Sqrt(fanIn), random);

    /// <summary><c>xavier_uniform_</c>: uniform in ±√(6/(fan_in + fan_out)), both from the PyTorch shape [out, in, …].</summary>
    public static void XavierUniform(Parameter parameter, RandomStream random)
    {
        var shape = parameter.TorchShape;
        long area = shape.Count / ((long)shape[0] * shape[1]);
        Uniform(parameter, Math.Sqrt(6.0 / ((shape[0] + (long)shape[1]) * area)), random);
    }

    /// <summary><c>kaiming_normal_(mode="fan_out")</c> for ReLU: deviation √(2/fan_out), fan_out = out·kh·kw.</summary>
    public static void KaimingNormalFanOut(Parameter parameter, RandomStream random)
    {
        var shape = parameter.TorchShape;
        Normal(parameter, Math.Sqrt(2.0 / (shape.Count / shape[1])), random);
    }

    private static void Fill(Parameter parameter, RandomStream random, Func<double> draw)
    {
        if (random == s_unused) return;
        double[] values = new double[parameter.TorchShape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = draw();
        parameter.FromTorch(values);
    }
}
