using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Optim;

namespace RefConv.Tests.Methods;

/// <summary>Collapsible linear blocks: the one convolution computes, learns and merges as the two it stands for.</summary>
public sealed class ClbTests : ComputedKernelTest
{
    private static ClbOptions Options(int width = 12, bool residual = true, bool leading = false, bool expanded = false, ClbInit init = ClbInit.Inherit) =>
        new() { Width = width, Residual = residual, LeadingPointwise = leading, Expanded = expanded, Init = init };

    /// <summary>Made elsewhere with the filling that tests/Golden/weightnorm.py describes: W₁ = fill([12,4,3,3], 5), W₂ = fill([5,12,1,1], 6), b₁ = fill([12], 7), b₂ = fill([5], 8).</summary>
    [Fact]
    public void GoldenValues()
    {
        using var conv = new Conv2d(Reference, 4, 5, (3, 3), new Conv2dOptions(1, 1, 1, 1), bias: true);
        using var form = Expand<Module>(new ClbMethod(Options()), conv);
        Set(form, "conv1.weight", Golden(432, 5));
        Set(form, "conv2.weight", Golden(60, 6));
        Set(form, "conv1.bias", Golden(12, 7));
        Set(form, "conv2.bias", Golden(5, 8));
        using var merged = ((IReparameterized)form).Merge();
        var (sum, weighted) = Checksum(merged.Weight.ToTorchDouble());
        Assert.Equal(-0.056148282897, sum, 1e-10);
        Assert.Equal(-5.460052785584, weighted, 1e-10);
        (sum, weighted) = Checksum(merged.Bias!.ToTorchDouble());
        Assert.Equal(-0.757978982026, sum, 1e-10);
        Assert.Equal(1.080061900772, weighted, 1e-10);
    }

    [Fact]
    public void TheCollapsedLayerIsTheExpandedOne()
    {
        foreach (var layer in Layers)
        foreach (var device in new Device[] { Cpu, Reference })
        foreach (bool leading in layer.Options.Groups == 1 ? new[] { false, true } : [false])
        {
            using var conv = Random(device, layer);
            var (collapsed, expanded) = Pair(conv, Options(leading: leading));
            using (collapsed)
            using (expanded)
            using (var x = Normal(device, new(2, 9, 7, layer.In), 4))
            {
                string what = $"{layer}{(leading ? ", leading 1×1" : "")} on {device}";
                // It starts where the plain layer was.
                AssertClose(Run(conv, x), Run(collapsed, x), Tolerance(device), what);
                Randomise(collapsed, expanded);
                double[] y = Run(expanded, x);
                AssertClose(y, Run(collapsed, x), Tolerance(device), what);
                foreach (var form in new[] { collapsed, expanded })
                {
                    using var merged = ((IReparameterized)form).Merge();
                    Assert.Equal((conv.Options, layer.Bias), (merged.Options, merged.Bias != null));
                    AssertClose(y, Run(merged, x), Tolerance(device), what + ", merged");
                    if (form == collapsed) Assert.Equal(Run(form, x), Run(merged, x));
                }
            }
        }
    }

    [Fact]
    public void GradientsAreThoseOfTheExpandedBlock()
    {
        foreach (var layer in new Layer[]
        {
            new(1, 8, (5, 5), new Conv2dOptions(1, 2, 1, 1), false), new(8, 8, (3, 3), new Conv2dOptions(1, 1, 1, 1), true),
            new(8, 4, (5, 5), new Conv2dOptions(1, 2, 1, 1), false), new(6, 6, (3, 3), new Conv2dOptions(2, 1, 1, 3), true),
        })
        foreach (bool leading in layer.Options.Groups == 1 ? new[] { false, true } : [false])
        {
            using var conv = Random(Reference, layer);
            var (collapsed, expanded) = Pair(conv, Options(12, leading: leading));
            using (collapsed)
            using (expanded)
            {
                Randomise(collapsed, expanded);
                double[][][] gradients = [.. new[] { collapsed, expanded }.Select(form =>
                {
                    using var x = Normal(Reference, new(2, 6, 5, layer.In), 4, requiresGrad: true);
                    using var tape = Tape.Train();
                    var y = form.Forward(x);
                    tape.Backward(y.Multiply(y).Multiply(y).Mean());
                    return new[] { x }.Concat(form.NamedParameters().Select(p => (Tensor)p.Parameter)).Select(t => t.GradientToDoubleArray()).ToArray();
                })];
                for (int i = 0; i < gradients[0].Length; i++) AssertClose(gradients[1][i], gradients[0][i], 1e-10, $"{layer}, gradient {i}");
                foreach (var form in new[] { collapsed, expanded }) form.ZeroGrad();
                using var x = Normal(Reference, new(1, 5, 4, layer.In), 5, requiresGrad: true);
                var result = GradCheck.Run([x, .. collapsed.TrainableParameters()], () => collapsed.Forward(x), maxElements: 8);
                Assert.True(result.MaxError < 1e-6, $"{layer}: {result}");
            }
        }
    }

    [Fact]
    public void FiveStepsOfAdamGiveTheSameKernelInBothForms()
    {
        foreach (var device in new Device[] { Reference, Cpu })
        {
            using var conv = Random(device, new(4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), true));
            var (collapsed, expanded) = Pair(conv, Options(24));
            using (collapsed)
            using (expanded)
            {
                double[] before = EffectiveKernel(collapsed);
                foreach (var form in new[] { collapsed, expanded })
                {
                    using var optimizer = new Adam([new ParameterGroup([.. form.NamedParameters()])], new AdamOptions { AmsGrad = true });
                    using var x = Normal(device, new(2, 7, 6, 4), 4);
                    for (int step = 0; step < 5; step++)
                    {
                        using var tape = Tape.Train();
                        var y = form.Forward(x);
                        tape.Backward(y.Multiply(y).Mean());
                        optimizer.Step(0.01);
                        optimizer.ZeroGrad();
                    }
                }
                // Adam divides gradients by their own size, so where one is next to nothing its rounding decides: hence the wider limit in single precision.
                AssertClose(EffectiveKernel(expanded), EffectiveKernel(collapsed), device is CpuDevice ? 1e-3 : 1e-9, $"{device}");
                Assert.True(Difference(before, EffectiveKernel(collapsed)) > 0.01);
            }
        }
    }

    [Fact]
    public void ABiasThatLeaksIntoTheKernelIsNotTheSameLayer()
    {
        // The authors' code collapses by sending impulses through layers with biases: every tap of the kernel gets W₂·b₁ + b₂, and the layer no bias.
        using var conv = Random(Reference, new(4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), true));
        var (collapsed, expanded) = Pair(conv, Options());
        using (collapsed)
        using (expanded)
        {
            Randomise(collapsed, expanded);
            using var merged = ((IReparameterized)collapsed).Merge();
            double[] bias = merged.Bias!.ToTorchDouble(), weight = merged.Weight.ToTorchDouble();
            using var leaky = new Conv2d(Reference, 4, 4, (3, 3), conv.Options, bias: false);
            leaky.Weight.FromTorch([.. weight.Select((w, i) => w + bias[i / 36])]);
            using var x = Normal(Reference, new(2, 6, 5, 4), 4);
            Assert.True(Difference(Run(expanded, x), Run(leaky, x)) > 0.1);
            AssertClose(Run(expanded, x), Run(merged, x), 1e-10, "true bias");
        }
    }

    [Fact]
    public void TheResidualIsInTheKernelWhereTheShapeAllowsIt()
    {
        Check(new(6, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1), false), true);
        Check(new(6, 6, (3, 3), new Conv2dOptions(1, 2, 2, 3), false), true);      // dilated and grouped
        Check(new(6, 6, (3, 3), new Conv2dOptions(2, 1, 1, 1), false), false);     // stride
        Check(new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1), false), false);     // other channels
        Check(new(6, 6, (3, 3), new Conv2dOptions(1, 0, 1, 1), false), false);     // cropped: the middle tap lies elsewhere
        Check(new(6, 6, (2, 2), new Conv2dOptions(1, 1, 1, 1), false), false);     // no middle

        void Check(Layer layer, bool residual)
        {
            using var conv = Random(Reference, layer);
            using var with = Expand<Module>(new ClbMethod(Options()), conv);
            using var without = Expand<Module>(new ClbMethod(Options(residual: false)), conv);
            foreach (var (name, parameter) in with.NamedParameters()) without.NamedParameters().Single(p => p.Name == name).Parameter.FromTorch(parameter.ToTorchDouble());
            double[] a = EffectiveKernel(with), b = EffectiveKernel(without);
            int n = (int)conv.FanIn, area = layer.Kernel.H * layer.Kernel.W, inner = n / area;
            for (int o = 0; o < layer.Out; o++)
            for (int i = 0; i < n; i++)
            {
                bool middle = i / area == o % inner && i % area == area / 2;
                Assert.Equal(residual && middle ? 1 : 0, a[(o * n) + i] - b[(o * n) + i], 1e-12);
            }
        }
    }

    [Fact]
    public void KeysWidthsRefusalsAndOptions()
    {
        using var conv = Random(Cpu, new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1), true));
        using var form = Expand<Module>(new ClbMethod(Options(leading: true)), conv);
        Assert.Equal(["conv0.weight [12, 4, 1, 1]", "conv1.weight [12, 12, 3, 3]", "conv1.bias [12]", "conv2.weight [6, 12, 1, 1]", "conv2.bias [6]"],
            form.NamedParameters().Select(p => $"{p.Name} {p.Parameter.TorchShape}"));
        using var narrow = Expand<Module>(new ClbMethod(Options(width: 2)), conv); // two channels could not make six outputs
        Assert.Equal(6, narrow.NamedParameters().First().Parameter.TorchShape[0]);
        using var grouped = Random(Cpu, new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 2), false));
        Assert.Contains("has groups", new ClbMethod(Options(leading: true)).Refusal(new ConvSite("conv", grouped)));
        Assert.Null(new ClbMethod(Options()).Refusal(new ConvSite("conv", grouped)));
        Assert.Contains("merge that first", new ClbMethod().Refusal(new ConvSite("conv", form)));
        Assert.Contains("at least 1 channel", Assert.Throws<ArgumentException>(() => new ClbMethod(Options(width: 0))).Message);
        Assert.Equal(256, new ClbMethod().Settings.Width);
        var options = new ClbMethod(Options(8, false, true, true, ClbInit.Glorot)).Options;
        Assert.Equal(options.ToJsonString(), Reparameterizations.Create("clb", options).Options.ToJsonString());

        // From scratch: uniform in ±√(6/((in + out)·area)).
        using var scratch = Expand<Module>(new ClbMethod(Options(width: 64, init: ClbInit.Glorot)), conv);
        float[] first = scratch.NamedParameters().First().Parameter.ToArray();
        double bound = Math.Sqrt(6.0 / ((4 + 64) * 9));
        Assert.InRange(first.Max(MathF.Abs), 0.99 * bound, bound);
        using var copy = scratch.Clone();
        using var x = Normal(Cpu, new(1, 5, 5, 4), 4);
        Assert.Equal(Run(scratch, x), Run(copy, x));
    }

    /// <summary>The same block, collapsed and expanded, with the same values.</summary>
    private static (Module Collapsed, Module Expanded) Pair(Conv2d conv, ClbOptions options) =>
        (Expand<Module>(new ClbMethod(options), conv), Expand<Module>(new ClbMethod(options with { Expanded = true }), conv));

    private static void Randomise(params Module[] forms)
    {
        foreach (var form in forms)
        {
            ulong tag = 50;
            foreach (var (_, parameter) in form.NamedParameters()) parameter.FromTorch([.. Normal(parameter.Data.Length, tag++).Select(v => 0.2 * v)]);
        }
    }

    private static void Set(Module form, string name, double[] values) => form.NamedParameters().Single(p => p.Name == name).Parameter.FromTorch(values);
}
