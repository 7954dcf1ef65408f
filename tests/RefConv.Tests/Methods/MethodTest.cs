using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>What the tests of all methods do alike: layers with random values, and comparisons relative to the largest value.</summary>
public abstract class MethodTest : DeviceTest
{
    /// <summary>Single precision on one block, and double: what the two ways of computing it may differ by.</summary>
    protected static double Tolerance(Device device) => device is CpuDevice ? 1e-5 : 1e-10;

    /// <summary>
    /// Gives every norm random statistics, γ and β, and every weight that starts at 0 random values: with fresh norms (0, 1, 1, 0) most errors of
    /// padding and folding cannot be seen.
    /// </summary>
    protected static T Randomise<T>(T module, ulong tag = 1) where T : Module
    {
        foreach (var (_, part) in module.NamedModules())
        {
            tag += 10;
            if (part is BatchNorm2d norm)
            {
                norm.Weight.FromTorch(Normal(norm.Channels, tag));
                norm.Bias.FromTorch(Normal(norm.Channels, tag + 1));
                norm.RunningMean.FromTorch(Normal(norm.Channels, tag + 2));
                norm.RunningVar.FromTorch([.. Normal(norm.Channels, tag + 3).Select(v => 0.3 + (v * v))]);
            }
            else if (part is IdentityConv2d identity)
            {
                identity.Weight.FromTorch([.. Normal(identity.Weight.Data.Length, tag).Select(v => 0.3 * v)]);
            }
        }
        return module;
    }

    /// <summary>A norm with random values.</summary>
    protected static BatchNorm2d RandomNorm(Device device, int channels, ulong tag) => Randomise(new BatchNorm2d(new Initializer(device), channels), tag);

    /// <summary>A convolution with random values.</summary>
    protected static Conv2d RandomConv(Device device, int cin, int cout, (int H, int W) k, Conv2dOptions options, bool bias, ulong tag)
    {
        var conv = new Conv2d(device, cin, cout, k, options, bias);
        double scale = 1 / Math.Sqrt(conv.FanIn);
        conv.Weight.FromTorch([.. Normal(conv.Weight.Data.Length, tag).Select(v => v * scale)]);
        conv.Bias?.FromTorch(Normal(cout, tag + 1));
        return conv;
    }

    protected static ConvSite Site(Conv2d conv, BatchNorm2d? norm = null) => new("conv", conv) { NormName = norm == null ? null : "norm", Norm = norm };

    /// <summary>The largest difference relative to the largest value.</summary>
    protected static double Difference(double[] expected, double[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = expected.Max(Math.Abs);
        Assert.True(largest > 1e-3, "the values compared are all next to nothing");
        double worst = 0;
        // Max() would step over a NaN.
        for (int i = 0; i < expected.Length; i++) worst = Math.Max(worst, double.IsNaN(actual[i]) ? double.PositiveInfinity : Math.Abs(expected[i] - actual[i]));
        return worst / largest;
    }

    protected static void AssertClose(double[] expected, double[] actual, double tolerance, string what)
    {
        double difference = Difference(expected, actual);
        Assert.True(difference <= tolerance, $"{what}: differs by {difference:E2} of the largest value, {tolerance:E0} is allowed");
    }

    /// <summary>What a module computes in evaluation.</summary>
    protected static double[] Run(Module module, Tensor x)
    {
        module.Eval();
        using var tape = Tape.Inference();
        return module.Forward(x).ToDoubleArray();
    }

    /// <summary>
    /// Makes the training form of one layer, gives it random values, and compares it with what it merges to: same output, options of the plain layer.
    /// </summary>
    protected static void CheckMerge(IReparameterization method, Device device, LayerShape s)
    {
        string what = $"{method.Name} {s} on {device.GetType().Name}";
        using var conv = RandomConv(device, s.In, s.Out, s.Kernel, s.Options, s.Bias, 100);
        using var norm = s.Norm ? RandomNorm(device, s.Out, 200) : null;
        using var block = Randomise(method.Expand(Site(conv, norm), new Initializer(device, 3)), 300);
        block.Eval();
        var form = (IReparameterized)block;
        Assert.Equal(s.Bias, form.HasBias);
        using var merged = form.Merge();
        Assert.Equal(conv.Options, merged.Options);
        Assert.Equal(conv.KernelSize, merged.KernelSize);
        using var x = Normal(device, new(2, 9, 7, s.In), 7);
        double[] plain = Run(merged, x);
        AssertClose(plain, Run(block, x), Tolerance(device), what);

        // As the last layer of a residual branch: the sum and the activation in the block's last pass.
        using var tape = Tape.Inference();
        using var residual = Tensor.From(device, Normal(plain.Length, 8), merged.Forward(x).Shape);
        double[] expected = merged.Forward(x).Add(residual).Activation(ActivationKind.ReLU).ToDoubleArray();
        AssertClose(expected, ((INormalizedConvolution)block).Forward(x, ActivationKind.ReLU, residual).ToDoubleArray(), Tolerance(device), what + ", fused");
    }

    /// <summary>The shape of a layer under test.</summary>
    public sealed record LayerShape(int In, int Out, (int H, int W) Kernel, Conv2dOptions Options, bool Bias = false, bool Norm = true)
    {
        public override string ToString() => $"{In}→{Out} {Kernel.H}×{Kernel.W} {Options}{(Bias ? " bias" : "")}{(Norm ? "" : " without norm")}";
    }

    /// <summary>Groups 1, some, and one a channel (with more outputs than inputs too), with and without bias and norm, for a kernel, stride and dilation.</summary>
    protected static IEnumerable<LayerShape> Shapes((int H, int W) k, Conv2dOptions options)
    {
        yield return new(3, 5, k, options);
        yield return new(4, 4, k, options, Bias: true);
        yield return new(4, 6, k, options with { Groups = 2 }, Bias: true, Norm: false);
        yield return new(6, 6, k, options with { Groups = 3 });
        yield return new(5, 5, k, options with { Groups = 5 });
    }

    /// <summary>"Same" padding of a kernel.</summary>
    protected static Conv2dOptions Same((int H, int W) k, int stride = 1, int dilation = 1) => new(stride, 0, dilation, 1)
    {
        PadTop = dilation * (k.H / 2), PadBottom = dilation * ((k.H - 1) / 2), PadLeft = dilation * (k.W / 2), PadRight = dilation * ((k.W - 1) / 2),
    };

    /// <summary>
    /// The backward pass of a block against differences. Its first norms are left out where they stand before a padded border, which has no gradient by
    /// definition; running statistics stand still, since differences would otherwise be taken between different functions.
    /// </summary>
    protected void CheckGradients(IReparameterization method, LayerShape s, bool training)
    {
        using var conv = RandomConv(Reference, s.In, s.Out, s.Kernel, s.Options, s.Bias, 100);
        using var norm = new BatchNorm2d(new Initializer(Reference), s.Out, momentum: 0);
        using var block = Randomise(method.Expand(Site(conv, norm), new Initializer(Reference, 3)), 300);
        if (training) block.Train();
        else block.Eval();
        using var x = Normal(Reference, new(2, 5, 4, s.In), 7, requiresGrad: true);
        Tensor[] leaves = [x, .. block.NamedParameters().Where(p => p.Parameter.Trainable && !p.Name.Contains("bn.bn", StringComparison.Ordinal) && !p.Name.Contains("bn1.bn", StringComparison.Ordinal)).Select(p => p.Parameter)];
        var result = GradCheck.Run(leaves, () => block.Forward(x), maxElements: 20);
        Assert.True(result.MaxError < 1e-6, $"{method.Name} {s}: {result}, leaf {leaves[result.Tensor].Shape}");
        block.ZeroGrad();
    }
}
