using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Methods;

/// <summary>Dynamic region-aware convolution.</summary>
public sealed class DRConvTests : MethodTest
{
    private static readonly Conv2dOptions s_pointwise = new();

    [Fact]
    public void GoldenValuesOfTheChoiceAndOfBothGradients()
    {
        // The candidates [1, 3, 2, 4, 5] as kernels of a 1×1 convolution that reads which pixel it is at: then every result is any number one likes.
        const int M = 3, Out = 2, H = 4, W = 5, Pixels = H * W;
        double[] candidates = Golden(M * Out * Pixels, 14), kernels = new double[M * Pixels * Out], places = new double[Pixels * Pixels];
        for (int j = 0; j < M; j++)
        for (int o = 0; o < Out; o++)
        for (int p = 0; p < Pixels; p++)
            kernels[(((j * Pixels) + p) * Out) + o] = candidates[(((j * Out) + o) * Pixels) + p];
        for (int p = 0; p < Pixels; p++) places[(p * Pixels) + p] = 1;
        using var x = Tensor.From(Reference, places, new Shape(1, H, W, Pixels));
        using var w = Tensor.From(Reference, kernels, new Shape(M * Pixels, Out), requiresGrad: true);
        using var guide = Tensor.From(Reference, ToChannelsLast(Golden(M * Pixels, 15), 1, M, H, W), new Shape(1, H, W, M), requiresGrad: true);
        using var up = Tensor.From(Reference, ToChannelsLast(Golden(Out * Pixels, 16), 1, Out, H, W), new Shape(1, H, W, Out));
        using (var tape = Tape.Train())
        {
            var y = x.RegionConv2d(guide, guide.ArgMax(), w, null, (1, 1), s_pointwise);
            Check(ToChannelsFirst(y.ToDoubleArray(), y.Shape), -0.554013875124, -15.205649157582);
            tape.Backward(y, up);
        }
        double[] dGuide = ToChannelsFirst(guide.GradientToDoubleArray(), guide.Shape), dw = w.GradientToDoubleArray(), dCandidates = new double[candidates.Length];
        for (int j = 0; j < M; j++)
        for (int o = 0; o < Out; o++)
        for (int p = 0; p < Pixels; p++)
            dCandidates[(((j * Out) + o) * Pixels) + p] = dw[(((j * Pixels) + p) * Out) + o];
        Check(dGuide, 0, -0.270036114551);
        Check(dCandidates, 0.426164519326, 5.928642220020);

        static void Check(double[] values, double sum, double weighted)
        {
            var (s, w) = Checksum(values);
            Assert.Equal(sum, s, 1e-11);
            Assert.Equal(weighted, w, 1e-10);
        }
    }

    public static TheoryData<DRConvGenerator, int, int, int, int> Layers => new()
    {
        { DRConvGenerator.ExpertRouting, 1, 1, 1, 8 }, { DRConvGenerator.ExpertRouting, 3, 1, 1, 4 }, { DRConvGenerator.ExpertRouting, 3, 2, 1, 3 },
        { DRConvGenerator.PoolGenerator, 1, 1, 1, 4 }, { DRConvGenerator.PoolGenerator, 3, 1, 1, 3 }, { DRConvGenerator.PoolGenerator, 5, 2, 1, 2 },
        { DRConvGenerator.PoolGenerator, 3, 1, 2, 3 }, { DRConvGenerator.PoolGenerator, 1, 2, 1, 1 },
    };

    [Theory]
    [MemberData(nameof(Layers))]
    public void TheLayerIsWhatTheLoopsOverPixelsSay(DRConvGenerator generator, int k, int stride, int dilation, int regions)
    {
        foreach (var device in new Device[] { Reference, Cpu })
        {
            foreach (bool bias in new[] { false, true })
            {
                var options = new Conv2dOptions(stride, dilation * (k / 2), dilation, 1);
                using var conv = RandomConv(device, 4, 5, (k, k), options, bias, 1);
                using var layer = Expand(conv, new DRConvOptions { Generator = generator, Regions = regions, Experts = 3 });
                // 2 rows: fewer than a 3×3 kernel has, so that the bins of the pool overlap.
                foreach (int rows in new[] { 7, 2 })
                {
                    using var x = Normal(device, new(2, rows, 6, 4), 5);
                    AssertClose(ByHand(layer, conv, generator, regions, x), Run(layer, x), Tolerance(device), $"{generator} {k}×{k} bias={bias} rows={rows} on {device}");
                }
            }
        }
    }

    [Fact]
    public void OfEqualsTheLowestRegionIsTaken()
    {
        using var guide = Tensor.From(Reference, new double[] { 1, 3, 3, 2, 2, 2, 0, 0, 5 }, new Shape(1, 1, 3, 3));
        using var x = Tensor.From(Reference, new double[] { 1, 1, 1 }, new Shape(1, 1, 3, 1));
        using var w = Tensor.From(Reference, new double[] { 10, 20, 30 }, new Shape(3, 1));
        using var tape = Tape.Inference();
        var mask = guide.ArgMax();
        Assert.Equal([1, 0, 2], mask.ToArray());
        Assert.Equal([20, 10, 30], x.RegionConv2d(guide, mask, w, null, (1, 1), s_pointwise).ToArray());
        // The other order, which is what a comparison with ≥ gives, is another layer.
        using var careless = Tensor.From(Reference, new double[] { 2, 2, 2 }, new Shape(1, 1, 3, 1));
        Assert.Equal([30, 30, 30], x.RegionConv2d(guide, careless, w, null, (1, 1), s_pointwise).ToArray());
    }

    [Fact]
    public void TheGuideGetsTheGradientOfASoftmaxMixture()
    {
        const int M = 3;
        using var x = Normal(Reference, new(2, 4, 3, 2), 1);
        using var w = Normal(Reference, new(2 * M * 2, 5), 2, requiresGrad: true);
        using var up = Normal(Reference, new(2, 4, 3, 5), 3);
        using var guide = Normal(Reference, new(2, 4, 3, M), 4, requiresGrad: true);
        double[] scores = new double[2 * 12 * M];
        using (var tape = Tape.Train())
        {
            tape.Backward(x.RegionConv2d(guide, guide.ArgMax(), w, null, (1, 1), s_pointwise), up);
            // a_j = Σ_c dy·O_j, from M ordinary computations.
            for (int j = 0; j < M; j++)
            {
                using var inner = Tape.Inference();
                using var all = Tensor.Full(Reference, new(2, 4, 3, 1), j);
                double[] o = x.RegionConv2d(guide, all, w, null, (1, 1), s_pointwise).ToDoubleArray(), dy = up.ToDoubleArray();
                for (int i = 0; i < o.Length; i++) scores[(i / 5 * M) + j] += o[i] * dy[i];
            }
        }
        double[] f = guide.ToDoubleArray(), analytic = guide.GradientToDoubleArray();
        const double Epsilon = 1e-6;
        for (int i = 0; i < f.Length; i++)
        {
            double kept = f[i];
            f[i] = kept + Epsilon;
            double above = Mixture();
            f[i] = kept - Epsilon;
            double below = Mixture();
            f[i] = kept;
            Assert.Equal((above - below) / (2 * Epsilon), analytic[i], 1e-7);
        }
        // Kernels get a gradient from their own pixels only: a region that nowhere is chosen gets none.
        Assert.Contains(analytic, g => Math.Abs(g) > 0.01);

        double Mixture()
        {
            double sum = 0;
            for (int pixel = 0; pixel < f.Length / M; pixel++)
            {
                double total = 0, mixed = 0;
                for (int j = 0; j < M; j++)
                {
                    double e = Math.Exp(f[(pixel * M) + j]);
                    total += e;
                    mixed += e * scores[(pixel * M) + j];
                }
                sum += mixed / total;
            }
            return sum;
        }
    }

    [Fact]
    public void ARegionThatIsNowhereGetsNoGradient()
    {
        using var x = Normal(Reference, new(1, 3, 3, 2), 1);
        using var w = Normal(Reference, new(3 * 2, 4), 2, requiresGrad: true);
        using var guide = Tensor.From(Reference, [.. Enumerable.Range(0, 27).Select(i => i % 3 == 0 ? 0.2 : i % 3 == 1 ? -1 : i / 3 % 2 - 0.5)], new Shape(1, 3, 3, 3), requiresGrad: true);
        using var up = Normal(Reference, new(1, 3, 3, 4), 3);
        using (var tape = Tape.Train()) tape.Backward(x.RegionConv2d(guide, guide.ArgMax(), w, null, (1, 1), s_pointwise), up);
        double[] dw = w.GradientToDoubleArray();
        Assert.All(dw[8..16], g => Assert.Equal(0, g));
        Assert.All(dw[..8].Concat(dw[16..]), g => Assert.NotEqual(0, g));
        Assert.Contains(guide.GradientToDoubleArray().Where((_, i) => i % 3 == 1), g => g != 0); // but its guide does, or it could never come back
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 3)]
    public void WithAlphaKernelsLearnByTheSharesOfTheSoftVersion(bool regionsOutside, int k)
    {
        const int M = 3, In = 2, Out = 5;
        var options = new Conv2dOptions(1, k / 2, 1, 1);
        foreach (var device in new Device[] { Reference, Cpu })
        {
            using var x = Normal(device, new(2, 4, 3, In), 1);
            using var w = Normal(device, new(2 * M * k * k * In, Out), 2, requiresGrad: true);
            using var up = Normal(device, new(2, 4, 3, Out), 3);
            using var guide = Normal(device, new(2, 4, 3, M), 4, requiresGrad: true);
            double[][] hard = Gradients(softKernels: false), soft = Gradients(softKernels: true);
            Assert.Equal(hard[1], soft[1]); // the guide's is the softmax's anyway
            Assert.True(Difference(soft[0], hard[0]) > 0.1);

            // The soft version: every region's result by its share. It is linear in the kernels, so that its differences are exact.
            double[] shares = new double[2 * 12 * M], g = guide.ToDoubleArray(), dy = up.ToDoubleArray(), expected = new double[w.Shape.Count];
            for (int i = 0; i < shares.Length; i++) shares[i] = Math.Exp(g[i]) / Enumerable.Range(i / M * M, M).Sum(j => Math.Exp(g[j]));
            for (int region = 0; region < M; region++)
            {
                using var tape = Tape.Train();
                using var all = Tensor.Full(device, new(2, 4, 3, 1), region);
                using var weighted = Tensor.From(device, [.. dy.Select((v, i) => v * shares[(i / Out * M) + region])], up.Shape);
                tape.Backward(x.RegionConv2d(guide, all, w, null, (k, k), options, regionsOutside), weighted);
                double[] part = w.GradientToDoubleArray();
                for (int i = 0; i < expected.Length; i++) expected[i] += part[i];
                w.ZeroGrad();
                guide.ZeroGrad();
            }
            AssertClose(expected, soft[0], Tolerance(device), $"kernels, on {device}");

            double[][] Gradients(bool softKernels)
            {
                using var tape = Tape.Train();
                tape.Backward(x.RegionConv2d(guide, guide.ArgMax(), w, null, (k, k), options, regionsOutside, softKernels), up);
                double[][] result = [w.GradientToDoubleArray(), guide.GradientToDoubleArray()];
                w.ZeroGrad();
                guide.ZeroGrad();
                return result;
            }
        }
    }

    [Fact]
    public void WithAlphaTheLayerComputesTheSameAndEveryRegionLearns()
    {
        using var conv = RandomConv(Reference, 3, 4, (1, 1), s_pointwise, false, 1);
        using var x = Normal(Reference, new(1, 2, 2, 3), 5);
        double[] hard = Layer(useAlpha: false, out int idle), soft = Layer(useAlpha: true, out int none);
        Assert.Equal(hard, soft);
        Assert.True(idle > 0); // eight regions, four pixels
        Assert.Equal(0, none);

        double[] Layer(bool useAlpha, out int without)
        {
            using var layer = Expand(conv, new DRConvOptions { Experts = 2, UseAlpha = useAlpha });
            using var tape = Tape.Train();
            var y = layer.Forward(x);
            double[] values = y.ToDoubleArray();
            tape.Backward(y.Sum());
            without = layer.NamedParameters().Single(p => p.Name == "routing_fc.bias").Parameter.GradientToDoubleArray().Chunk(2).Count(region => region.All(g => g == 0));
            layer.ZeroGrad();
            return values;
        }
    }

    [Theory]
    [InlineData(DRConvGenerator.ExpertRouting)]
    [InlineData(DRConvGenerator.PoolGenerator)]
    public void TheGeneratorsGradientsAgreeWithDifferences(DRConvGenerator generator)
    {
        // One region: the guide plays no part, so x may be a leaf. Three: the mask stands still, since differences do not move it.
        foreach (int regions in new[] { 1, 3 })
        {
            using var conv = RandomConv(Reference, 3, 2, (3, 3), new Conv2dOptions(1, 1, 1, 1), true, 1);
            using var layer = Expand(conv, new DRConvOptions { Generator = generator, Regions = regions, Experts = 2 });
            foreach (var (name, p) in layer.NamedParameters().Where(p => p.Name.StartsWith("conv_guide", StringComparison.Ordinal))) p.Trainable = false;
            using var x = Normal(Reference, new(2, 5, 4, 3), 5, requiresGrad: regions == 1);
            Tensor[] leaves = [.. layer.TrainableParameters(), .. regions == 1 ? new[] { x } : []];
            var result = GradCheck.Run(leaves, () => layer.Forward(x), maxElements: 25);
            Assert.True(result.MaxError < 1e-6, $"{generator}, {regions} regions: {result}");
            layer.ZeroGrad();
        }
    }

    [Fact]
    public void WithEqualKernelsItIsAnOrdinaryConvolution()
    {
        foreach (var (generator, k) in new[] { (DRConvGenerator.ExpertRouting, 3), (DRConvGenerator.ExpertRouting, 1), (DRConvGenerator.PoolGenerator, 1) })
        {
            using var conv = RandomConv(Reference, 6, 5, (k, k), new Conv2dOptions(1, k / 2, 1, 1), true, 1);
            using var layer = new DRConvMethod(new DRConvOptions { Generator = generator }).Expand(Site(conv), new Initializer(Reference, 3));
            using var x = Normal(Reference, new(2, 5, 6, 6), 2);
            if (generator == DRConvGenerator.ExpertRouting)
            {
                // Before the routing has learned anything, the layer is the plain one but for what N(0, 0.01) routing weights do.
                Assert.True(Difference(Run(conv, x), Run(layer, x)) < 0.1);
                foreach (var (_, p) in layer.NamedParameters().Where(p => p.Name == "routing_fc.weight")) p.FromTorch(new double[p.Data.Length]);
            }
            AssertClose(Run(conv, x), Run(layer, x), 1e-10, $"{generator} {k}×{k}");
        }
    }

    [Fact]
    public void CountsAndKeys()
    {
        const int M = 8, Cin = 6, Out = 5, K = 3;
        using var conv = RandomConv(Reference, Cin, Out, (K, K), new Conv2dOptions(1, 1, 1, 1), false, 1);
        using var pool = new DRConvMethod(new DRConvOptions { Generator = DRConvGenerator.PoolGenerator }).Expand(Site(conv), new Initializer(Reference, 3));
        Assert.Equal((Cin * M * M) + (M * M) + (M * Cin * Out * M) + (M * Cin * Out) + (M * Cin * K * K) + M, pool.ParameterCount());
        Assert.Equal(["conv_guide.weight", "conv_guide.bias", "conv_kernel.1.weight", "conv_kernel.1.bias", "conv_kernel.3.weight", "conv_kernel.3.bias"], pool.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(M * Cin * Out, M, 1, 1), pool.NamedParameters().First(p => p.Name == "conv_kernel.3.weight").Parameter.TorchShape);
        using var experts = new DRConvMethod().Expand(Site(conv), new Initializer(Reference, 3));
        Assert.Equal(["conv_guide.weight", "weight", "routing_fc.weight", "routing_fc.bias"], experts.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(Cin * Out * K * K, 8), experts.NamedParameters().First(p => p.Name == "weight").Parameter.TorchShape);
        var options = new DRConvOptions { Regions = 3, Experts = 5, Generator = DRConvGenerator.PoolGenerator, Inherit = false, SharedMask = true, UseAlpha = true };
        Assert.Equal(options, ((DRConvMethod)Reparameterizations.Create("drconv", new DRConvMethod(options).Options)).Settings);
    }

    [Fact]
    public void ItStaysDynamicAndSaysSo()
    {
        using var plain = Net("resnet18");
        using var model = plain.Expand(new DRConvMethod());
        model.Eval();
        string message = Assert.Throws<InvalidOperationException>(() => model.Merge()).Message;
        Assert.Contains("made anew from every picture", message);
        Assert.Contains("Use the model in this form", message);

        // With another method beside it the rest is merged, and what stays is told.
        using var mixed = Randomise(model.Expand(new AsrMethod(), seed: 2));
        mixed.Eval();
        using var x = Normal(Cpu, mixed.InputShape(2), 4);
        var (merged, _) = mixed.Merge();
        using (merged)
        {
            Assert.Equal("drconv", Assert.Single(merged.Forms).Method.Name);
            Assert.DoesNotContain(merged.NamedModules(), m => m.Module is AsrNorm);
            Assert.Contains(merged.NamedModules(), m => m.Module is DRConv2d);
            AssertClose(Run(mixed, x), Run(merged, x), 1e-4, "mixed");
            using var folder = new TemporaryFolder();
            ModelFile.Save(merged, folder.File("m.safetensors"));
            using var loaded = ModelFile.Load(folder.File("m.safetensors"), Cpu);
            Assert.Equal(Run(merged, x), Run(loaded, x));
            using var plan = loaded.Compile(2);
            AssertClose(Run(loaded, x), plan.Run(x).ToDoubleArray(), 1e-4, "compiled");
        }
    }

    [Fact]
    public void APlanComputesTheSame()
    {
        foreach (var generator in Enum.GetValues<DRConvGenerator>())
        {
            using var plain = Net("mobilenet_v2");
            using var model = plain.Expand(new DRConvMethod(new DRConvOptions { Generator = generator, Regions = 3 }));
            using var x = Normal(Cpu, model.InputShape(2), 4);
            double[] expected = Run(model, x);
            using var plan = model.Compile(2);
            for (int i = 0; i < 2; i++) AssertClose(expected, plan.Run(x).ToDoubleArray(), 1e-4, $"{generator}, run {i}");
        }
    }

    [Theory]
    [InlineData(1, 8)]
    [InlineData(2, 8)]
    [InlineData(2, 7)]
    public void TwoLayersOfABranchShareOneMask(int stride, int size)
    {
        var init = new Initializer(Cpu, 3);
        using var branch = new Sequential(
            new Conv2d(init, 8, 8, 1, bias: false), new BatchNorm2d(init, 8), new Activation(ActivationKind.ReLU),
            new Conv2d(init, 8, 8, 3, stride, 1, groups: 8, bias: false), new BatchNorm2d(init, 8),
            new Conv2d(init, 8, 8, 1, bias: false), new BatchNorm2d(init, 8), new Activation(ActivationKind.ReLU));
        using var model = new Sequential(branch);
        using var shared = Reparameterization.Expand(model, new DRConvMethod(new DRConvOptions { SharedMask = true }));
        Assert.Equal(["0.0.conv_guide.weight"], shared.NamedParameters().Where(p => p.Name.Contains("guide", StringComparison.Ordinal)).Select(p => p.Name));
        using var x = Normal(Cpu, new(2, size, size, 8), 4);
        shared.Eval();
        using (var tape = Tape.Trace())
        {
            shared.Forward(x);
            var masks = tape.Nodes.OfType<ArgMaxOp>().Select(op => op.Output).ToArray();
            Assert.Equal(2, masks.Length);
            float[] first = masks[0].ToArray(), second = masks[1].ToArray();
            int small = (size + stride - 1) / stride;
            Assert.Equal(new Shape(2, small, small, 1), masks[1].Shape);
            Assert.True(first.Distinct().Count() > 1);
            for (int i = 0; i < second.Length; i++)
            {
                int n = i / (small * small), h = i / small % small, w = i % small;
                Assert.Equal(first[(((n * size) + (h * stride)) * size) + (w * stride)], second[i]);
            }
        }
        shared.Train();
        using (var tape = Tape.Train()) tape.Backward(shared.Forward(x).Sum());
        Assert.All(shared.TrainableParameters(), p => Assert.True(p.HasGradient));
        shared.ZeroGrad();
        using var halves = Reparameterization.Expand(model, new DRConvMethod(new DRConvOptions { SharedMask = true }), LayerPolicy.Named("0.5"));
        // Its neighbour stays plain and has no regions to share, so it finds its own.
        Assert.Equal(["0.5.conv_guide.weight"], halves.NamedParameters().Where(p => p.Name.Contains("guide", StringComparison.Ordinal)).Select(p => p.Name));
        Assert.Equal(2 * ((size + stride - 1) / stride) * ((size + stride - 1) / stride) * 8, Run(halves, x).Length);
    }

    [Fact]
    public void LayersThatSeeOnePixelAreLeftAlone()
    {
        using var plain = Zoo.Create(new ModelSpec("mobilenet_v3_small") { ImageSize = 64 }, new Initializer(new ShapeDevice()));
        Assert.Contains(plain.NamedModules(), m => m.Name == "features.4.block.2.fc1");
        using var model = plain.Expand(new DRConvMethod());
        Assert.DoesNotContain(model.Forms[0].Layers, name => name.EndsWith("fc1", StringComparison.Ordinal) || name.EndsWith("fc2", StringComparison.Ordinal));
        Assert.Contains("features.4.block.0.0", model.Forms[0].Layers);
    }

    [Fact]
    public void GroupsAreRefused()
    {
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 4), false, 1);
        Assert.Contains("Choose dense convolutions", Assert.Throws<ArgumentException>(() => new DRConvMethod().Expand(Site(conv), new Initializer(Reference))).Message);
        Assert.Contains("regions", Assert.Throws<ArgumentException>(() => new DRConvMethod(new DRConvOptions { Regions = 0 })).Message);
        using var x = Normal(Reference, new(1, 3, 3, 4), 1);
        using var w = Normal(Reference, new(2 * 4, 4), 2);
        using var guide = Normal(Reference, new(1, 3, 3, 2), 3);
        using var tape = Tape.Inference();
        Assert.Contains("groups=2", Assert.Throws<ShapeException>(() => x.RegionConv2d(guide, guide.ArgMax(), w, null, (1, 1), new Conv2dOptions(2))).Message);
        Assert.Contains("guide must be", Assert.Throws<ShapeException>(() => x.RegionConv2d(guide, guide.ArgMax(), w, null, (1, 1), new Conv2dOptions(2, 0, 1, 1))).Message);
    }

    private Model Net(string architecture) =>
        Randomise(Zoo.Create(new ModelSpec(architecture) { Classes = 5, Width = 0.125, ImageSize = 12, SmallImages = true }, new Initializer(Cpu, 3)));

    /// <summary>With every weight random, the generator's too.</summary>
    private static Module Expand(Conv2d conv, DRConvOptions options)
    {
        var layer = new DRConvMethod(options).Expand(Site(conv), new Initializer(conv.Weight.Device, 3));
        ulong tag = 700;
        foreach (var (_, p) in layer.NamedParameters()) p.FromTorch([.. Normal(p.Data.Length, ++tag).Select(v => 0.5 * v)]);
        return layer;
    }

    /// <summary>The layer from its state dict, in loops.</summary>
    private static double[] ByHand(Module layer, Conv2d conv, DRConvGenerator generator, int m, Tensor input)
    {
        var state = layer.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToTorchDouble());
        int n = input.Shape[0], h = input.Shape[1], w = input.Shape[2], cin = conv.InChannels, cout = conv.OutChannels, k = conv.KernelSize.H;
        var o = conv.Options;
        double[] x = input.ToDoubleArray();
        int ho = ((h + (2 * o.PadTop) - (o.DilationH * (k - 1)) - 1) / o.StrideH) + 1, wo = ((w + (2 * o.PadTop) - (o.DilationH * (k - 1)) - 1) / o.StrideH) + 1;
        double[] y = new double[n * ho * wo * cout];
        for (int image = 0; image < n; image++)
        {
            int at = image;
            double[][] kernels = [.. Enumerable.Range(0, m).Select(j => generator == DRConvGenerator.PoolGenerator ? Pooled(at, j) : Mixed(at, j))];
            for (int p = 0; p < ho; p++)
            for (int q = 0; q < wo; q++)
            {
                double[] f = [.. Enumerable.Range(0, m).Select(j => Window(at, p, q, state["conv_guide.weight"].AsSpan(j * cin * k * k, cin * k * k).ToArray()) + (state.TryGetValue("conv_guide.bias", out var b) ? b[j] : 0))];
                int region = Array.IndexOf(f, f.Max());
                for (int c = 0; c < cout; c++)
                    y[(((((image * ho) + p) * wo) + q) * cout) + c] = Window(at, p, q, kernels[region][(c * cin * k * k)..((c + 1) * cin * k * k)]) + (conv.Bias == null ? 0 : state["bias"][c]);
            }
        }
        return y;

        double X(int image, int r, int c, int i) => r < 0 || r >= h || c < 0 || c >= w ? 0 : x[(((((image * h) + r) * w) + c) * cin) + i];

        double Window(int image, int p, int q, double[] kernel)
        {
            double sum = 0;
            for (int i = 0; i < cin; i++)
            for (int u = 0; u < k; u++)
            for (int v = 0; v < k; v++)
                sum += X(image, (p * o.StrideH) + (u * o.DilationH) - o.PadTop, (q * o.StrideH) + (v * o.DilationH) - o.PadTop, i) * kernel[(((i * k) + u) * k) + v];
            return sum;
        }

        double Mean(int image, int i, int top, int bottom, int left, int right)
        {
            double sum = 0;
            for (int r = top; r < bottom; r++)
            for (int c = left; c < right; c++) sum += X(image, r, c, i);
            return sum / ((bottom - top) * (right - left));
        }

        double[] Mixed(int image, int j)
        {
            int experts = state["weight"].Length / (cout * cin * k * k);
            double[] result = new double[cout * cin * k * k];
            for (int e = 0; e < experts; e++)
            {
                int row = (j * experts) + e;
                double sum = state["routing_fc.bias"][row];
                for (int i = 0; i < cin; i++) sum += state["routing_fc.weight"][(row * cin) + i] * Mean(image, i, 0, h, 0, w);
                double share = 2 / (1 + Math.Exp(-sum)) / experts;
                for (int t = 0; t < result.Length; t++) result[t] += share * state["weight"][(t * experts) + e];
            }
            return result;
        }

        double[] Pooled(int image, int j)
        {
            double[] result = new double[cout * cin * k * k];
            for (int u = 0; u < k; u++)
            for (int v = 0; v < k; v++)
            {
                double[] hidden = new double[m * m];
                for (int a = 0; a < hidden.Length; a++)
                {
                    double sum = state["conv_kernel.1.bias"][a];
                    for (int i = 0; i < cin; i++)
                        sum += state["conv_kernel.1.weight"][(a * cin) + i] * Mean(image, i, u * h / k, (int)Math.Ceiling((u + 1) * h / (double)k), v * w / k, (int)Math.Ceiling((v + 1) * w / (double)k));
                    hidden[a] = 1 / (1 + Math.Exp(-sum));
                }
                for (int c = 0; c < cout; c++)
                for (int i = 0; i < cin; i++)
                {
                    int row = (((j * cout) + c) * cin) + i;
                    double sum = state["conv_kernel.3.bias"][row];
                    for (int a = 0; a < m; a++) sum += state["conv_kernel.3.weight"][(row * m) + a] * hidden[(j * m) + a];
                    result[(((c * cin) + i) * k * k) + (u * k) + v] = sum;
                }
            }
            return result;
        }
    }
}
