using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Optim;

namespace RefConv.Tests.Layers;

/// <summary>RefConv2d: its golden values, its promises about the frozen basis, and its merge.</summary>
public sealed class RefConvTests : DeviceTest
{
    /// <summary>Checksums (sum, weighted sum) made with PyTorch in double; see tests/Golden/refconv.py.</summary>
    public static TheoryData<string, int[], double[]> Goldens => new()
    {
        { "depthwise", [6, 6, 6, 5, 3], [-0.437855632312, 30.421934502265, -6.406950319772, -94.841287358689, -1.881317872713, -36.035311056885, -3.433873011261, -9.403368223677] },
        { "grouped", [4, 8, 2, 3, 3], [-0.282935247785, -4.739152385714, -2.035923988590, -23.151429100377, 3.435663122943, 40.744360301420, -0.886732617863, -32.118560259909] },
        { "dense", [4, 3, 1, 3, 3], [-2.708608647053, -3.968419506896, 0.160147025828, 9.630136044374, -2.916494141479, -30.085565559583, 0.320433593516, -25.339668861098] },
        { "depthwise 7×7 map 5", [4, 4, 4, 7, 5], [-3.346872694805, -31.130235217041, 13.105450549312, 207.231886660171, 9.589365737564, 49.293941193775, -2.575025014828, -58.097349798472] },
    };

    [Theory]
    [MemberData(nameof(Goldens))]
    public void GoldenValues(string name, int[] shape, double[] golden)
    {
        Assert.NotEmpty(name);
        var (cin, cout, g, k, mapK) = (shape[0], shape[1], shape[2], shape[3], shape[4]);
        foreach (var device in new Device[] { Reference, Cpu })
        {
            double tolerance = device is ReferenceDevice ? 1e-10 : 2e-3;
            using var conv = new Conv2d(device, cin, cout, (k, k), new Conv2dOptions(2, k / 2, 1, g), bias: false);
            conv.Weight.FromTorch(Golden(conv.Weight.Data.Length, 1));
            using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { MapK = mapK, BaseTrainable = true }).Expand(new ConvSite("conv", conv), new Initializer(device));
            layer.Map.FromTorch(Golden(layer.Map.Data.Length, 2));
            using var x = Tensor.From(device, ToChannelsLast(Golden(2 * cin * 8 * 7, 3), 2, cin, 8, 7), new Shape(2, 8, 7, cin));

            using var tape = Tape.Train();
            var kernel = layer.EffectiveKernel();
            Check(conv.Weight.Layout.ToTorch<double>(kernel.ToDoubleArray()), 0);
            var y = layer.Forward(x);
            Check(ToChannelsFirst(y.ToDoubleArray(), y.Shape), 2);
            double[] upstream = ToChannelsLast(Golden(y.Shape.Count, 4), y.Shape[0], y.Shape[3], y.Shape[1], y.Shape[2]);
            using var dy = Tensor.From(device, upstream, y.Shape);
            tape.Backward(y, dy);
            Check(layer.Map.Layout.ToTorch<double>(layer.Map.GradientToDoubleArray()), 4);
            Check(layer.Basis.Layout.ToTorch<double>(layer.Basis.GradientToDoubleArray()), 6);

            void Check(double[] values, int at)
            {
                var (sum, weighted) = Checksum(values);
                Assert.Equal(golden[at], sum, tolerance);
                Assert.Equal(golden[at + 1], weighted, tolerance * 10);
            }
        }
    }

    [Theory]
    [InlineData(8, 8, 8, 3, 3)]
    [InlineData(4, 8, 2, 3, 3)]
    [InlineData(6, 9, 3, 3, 3)]
    [InlineData(5, 7, 1, 3, 1)]
    [InlineData(4, 4, 4, 7, 5)]
    [InlineData(4, 6, 2, 4, 3)]
    [InlineData(3, 3, 3, 5, 3)]
    [InlineData(16, 8, 8, 3, 3)]
    [InlineData(8, 16, 8, 3, 3)]
    [InlineData(2, 5, 1, 5, 5)]
    public void TheTransformIsAGroupedConvolutionOverTheKernel(int cin, int cout, int g, int k, int mapK)
    {
        // Loops over the definition, and the number of refocus weights.
        using var conv = Conv(Reference, cin, cout, k, groups: g);
        using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { MapK = mapK }).Expand(new ConvSite("conv", conv), new Initializer(Reference, 5));
        var geometry = layer.Geometry;
        Assert.Equal((long)cin * cout * mapK * mapK, layer.Map.Data.Length);
        Assert.Equal(new Shape(geometry.D, g, mapK, mapK), layer.Map.TorchShape);
        double[] basis = conv.Weight.ToTorchDouble(), map = layer.Map.ToTorchDouble(), kernel;
        using (Tape.Inference()) kernel = conv.Weight.Layout.ToTorch<double>(layer.EffectiveKernel().ToDoubleArray());
        int p = mapK / 2;
        for (int d = 0; d < geometry.D; d++)
        for (int y = 0; y < k; y++)
        for (int x = 0; x < k; x++)
        {
            double sum = basis[(((d * k) + y) * k) + x];
            for (int j = 0; j < g; j++)
            for (int u = 0; u < mapK; u++)
            for (int v = 0; v < mapK; v++)
            {
                int yy = y + u - p, xx = x + v - p;
                if (yy < 0 || yy >= k || xx < 0 || xx >= k) continue;
                sum += map[(((((d * g) + j) * mapK) + u) * mapK) + v] * basis[(((((d / g * g) + j) * k) + yy) * k) + xx];
            }
            Assert.Equal(sum, kernel[(((d * k) + y) * k) + x], 1e-12);
        }
    }

    [Fact]
    public void ZeroWeightsGiveTheBasisBackBitForBit()
    {
        foreach (var (cin, cout, g, k) in new[] { (8, 8, 8, 3), (5, 7, 1, 3), (4, 8, 2, 5), (48, 48, 48, 5) })
        {
            using var conv = Conv(Cpu, cin, cout, k, groups: g);
            using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { Init = RefocusInit.Zero }).Expand(new ConvSite("conv", conv), new Initializer(Cpu));
            using (Tape.Inference()) Assert.Equal(Bits(conv.Weight.ToArray()), Bits(layer.EffectiveKernel().ToArray()));
        }
    }

    [Theory]
    [InlineData(1, 1, false)]
    [InlineData(2, 1, true)]
    [InlineData(1, 2, true)]
    [InlineData(2, 2, false)]
    public void MergeIsThePlainConvolutionBitForBit(int stride, int dilation, bool bias)
    {
        foreach (var (cin, cout, g, k, mapK) in new[] { (8, 8, 8, 3, 3), (5, 7, 1, 3, 3), (4, 8, 2, 5, 3), (6, 6, 6, 7, 5), (4, 4, 4, 4, 3) })
        {
            using var conv = new Conv2d(new Initializer(Cpu, 2), cin, cout, k, stride, k / 2 * dilation, dilation, g, bias);
            using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { MapK = mapK, Init = RefocusInit.TorchDefault }).Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
            using var merged = layer.Merge();
            Assert.Equal(conv.Options, merged.Options);
            Assert.Equal(bias, merged.Bias != null);
            using var x = Normal(Cpu, new(2, 11, 9, cin), 4);
            using var tape = Tape.Inference();
            Assert.Equal(Bits(layer.Forward(x).ToArray()), Bits(merged.Forward(x).ToArray()));
            Assert.NotEqual(Bits(conv.Weight.ToArray()), Bits(merged.Weight.ToArray()));
        }
    }

    [Fact]
    public void AMergedLayerFollowedByABatchNormFoldsIntoOneConvolution()
    {
        // Point 4: W' = W·γ/√(var+ε), b' = β − μ·γ/√(var+ε). With √(var)+ε instead, the small variance drawn here would show.
        using var conv = Conv(Reference, 6, 6, 3, groups: 6);
        using var layer = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Reference, 3));
        using var norm = new BatchNorm2d(new Initializer(Reference), 6);
        double[] gamma = Normal(6, 1), beta = Normal(6, 2), mean = Normal(6, 3), variance = [1e-5, 0.5, 2, 1e-4, 1, 3];
        norm.Weight.FromTorch(gamma);
        norm.Bias.FromTorch(beta);
        norm.RunningMean.FromTorch(mean);
        norm.RunningVar.FromTorch(variance);
        norm.Eval();
        using var merged = layer.Merge();
        using var folded = new Conv2d(Reference, 6, 6, (3, 3), merged.Options, bias: true);
        double[] w = merged.Weight.ToTorchDouble(), b = new double[6];
        for (int o = 0; o < 6; o++)
        {
            double t = gamma[o] / Math.Sqrt(variance[o] + 1e-5);
            for (int i = 0; i < 9; i++) w[(o * 9) + i] *= t;
            b[o] = beta[o] - (mean[o] * t);
        }
        folded.Weight.FromTorch(w);
        folded.Bias!.FromTorch(b);
        using var x = Normal(Reference, new(2, 5, 5, 6), 4);
        using var tape = Tape.Inference();
        double[] expected = norm.Forward(layer.Forward(x)).ToDoubleArray(), actual = folded.Forward(x).ToDoubleArray();
        double largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 1e-10 * largest);
    }

    [Fact]
    public void TheBasisIsNeverTouchedByTraining()
    {
        using var conv = Conv(Cpu, 6, 6, 3, groups: 6, bias: true);
        using var layer = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        int[] before = Bits(layer.Basis.ToArray());
        float[] mapBefore = layer.Map.ToArray();
        var trained = layer.NamedParameters().Where(p => p.Parameter.Trainable).ToArray();
        Assert.Equal(["bias", "convmap.weight"], trained.Select(p => p.Name).Order());
        using var optimizer = new Sgd([new ParameterGroup(trained, WeightDecay: 0.1)], momentum: 0.9);
        using var x = Normal(Cpu, new(2, 6, 6, 6), 4);
        for (int step = 0; step < 5; step++)
        {
            using var tape = Tape.Train();
            var y = layer.Forward(x);
            tape.Backward(y.Multiply(y).Mean());
            optimizer.Step(0.1);
            optimizer.ZeroGrad();
            Assert.False(layer.Basis.HasGradient);
        }
        Assert.Equal(before, Bits(layer.Basis.ToArray()));
        Assert.NotEqual(mapBefore, layer.Map.ToArray());
        Assert.Contains("frozen", Assert.Throws<ArgumentException>(() => new Sgd([new ParameterGroup([("weight", layer.Basis)])])).Message);
    }

    [Fact]
    public void LoadingAnotherBasisIsNoticed()
    {
        // The unfolded basis is cached; a state dict loaded later must not leave the old one in place.
        using var conv = Conv(Cpu, 6, 6, 3, groups: 6);
        using var layer = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        using (Tape.Inference()) layer.EffectiveKernel();
        layer.Basis.FromTorch(Golden(layer.Basis.Data.Length, 9));
        using var fresh = Conv(Cpu, 6, 6, 3, groups: 6);
        fresh.Weight.FromTorch(Golden(layer.Basis.Data.Length, 9));
        using var other = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", fresh), new Initializer(Cpu, 3));
        using (Tape.Inference()) Assert.Equal(Bits(other.EffectiveKernel().ToArray()), Bits(layer.EffectiveKernel().ToArray()));
    }

    [Fact]
    public void InitialWeightsHaveTheRightSpread()
    {
        // Depthwise C = 64: PyTorch's default is ±1/√(g·k²), Xavier ±√(6/((g + D)·k²)).
        using var conv = Conv(Cpu, 64, 64, 3, groups: 64);
        foreach (var (init, bound) in new[] { (RefocusInit.TorchDefault, 1 / Math.Sqrt(64 * 9)), (RefocusInit.XavierUniform, Math.Sqrt(6.0 / ((64 + 64) * 9))), (RefocusInit.Zero, 0) })
        {
            using var layer = (RefConv2d)new RefConvMethod(new RefConvOptions { Init = init }).Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
            float[] map = layer.Map.ToArray();
            Assert.InRange(map.Max(MathF.Abs), 0.999 * bound, bound);
            Assert.Equal(bound * bound / 3, map.Average(v => (double)v * v), bound * bound * 0.01);
        }
        // Dense 64→64: Xavier counts D = 4096 output channels: 0.0128 against the default's 0.333.
        using var dense = Conv(Cpu, 64, 64, 3);
        using var xavier = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", dense), new Initializer(Cpu, 3));
        Assert.InRange(xavier.Map.ToArray().Max(MathF.Abs), 0.0127, 0.01276);
        using var torch = (RefConv2d)new RefConvMethod(new RefConvOptions { Init = RefocusInit.TorchDefault }).Expand(new ConvSite("conv", dense), new Initializer(Cpu, 3));
        Assert.InRange(torch.Map.ToArray().Max(MathF.Abs), 0.3330, 0.33334);
    }

    [Fact]
    public void TheAblationsDoWhatTheySay()
    {
        using var conv = Conv(Cpu, 6, 6, 3, groups: 6);
        using var plain = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        using var bare = (RefConv2d)new RefConvMethod(new RefConvOptions { Shortcut = false }).Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        using var random = (RefConv2d)new RefConvMethod(new RefConvOptions { BaseRandom = true }).Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        using var learnt = (RefConv2d)new RefConvMethod(new RefConvOptions { BaseTrainable = true }).Expand(new ConvSite("conv", conv), new Initializer(Cpu, 3));
        using var tape = Tape.Inference();
        float[] w = conv.Weight.ToArray(), with = plain.EffectiveKernel().ToArray(), without = bare.EffectiveKernel().ToArray();
        for (int i = 0; i < w.Length; i++) Assert.Equal(with[i], w[i] + without[i], 1e-6f);
        Assert.NotEqual(w, random.Basis.ToArray());
        Assert.False(random.Basis.Trainable);
        Assert.Equal(w, learnt.Basis.ToArray());
        Assert.True(learnt.Basis.Trainable);
        Assert.Equal(with, learnt.EffectiveKernel().ToArray());
    }

    [Fact]
    public void WhatCannotBeRefocusedIsRefusedWithTheReason()
    {
        Assert.Contains("must be odd", Assert.Throws<ArgumentException>(() => new RefConvMethod(new RefConvOptions { MapK = 2 })).Message);
        Assert.Contains("shortcut", Assert.Throws<ArgumentException>(() => new RefConvMethod(new RefConvOptions { Init = RefocusInit.Zero, Shortcut = false })).Message);
        using var pointwise = Conv(Cpu, 4, 4, 1);
        Assert.Contains("1×1", Assert.Throws<ArgumentException>(() => new RefConvMethod().Expand(new ConvSite("conv", pointwise), new Initializer(Cpu))).Message);
        using var zero = new Conv2d(Cpu, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), bias: false);
        Assert.Contains("Train the plain model first", Assert.Throws<ArgumentException>(() => new RefConvMethod().Expand(new ConvSite("conv", zero), new Initializer(Cpu))).Message);
        using var basis = Normal(Cpu, new(3, 3, 1, 4), 1);
        using var map = Normal(Cpu, new(4, 4, 5, 5), 2);
        using var tape = Tape.Inference();
        Assert.Contains("at most 3", Assert.Throws<ShapeException>(() => basis.Refocus(map, new RefocusGeometry(4, 4, 4, 3, 3, 5))).Message);
        Assert.Contains("must be odd", Assert.Throws<ShapeException>(() => basis.Refocus(map, new RefocusGeometry(4, 4, 4, 3, 3, 2))).Message);
    }

    [Theory]
    [InlineData(3, 3, 3)]
    [InlineData(5, 3, 3)]
    [InlineData(3, 2, 1)]
    [InlineData(3, 4, 3)]
    [InlineData(5, 4, 3)]
    [InlineData(7, 7, 7)]
    public void ALayerTakesTheLargestOddMapThatFits(int wanted, int kernel, int got) => Assert.Equal(got, RefConv2d.FittingMapK(wanted, (kernel, kernel)));

    [Fact]
    public void GradientsOfTheWholeLayerAgreeWithDifferences()
    {
        using var conv = Conv(Reference, 4, 4, 3, groups: 4, bias: true);
        using var layer = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Reference, 3));
        using var x = Normal(Reference, new(2, 5, 5, 4), 1, requiresGrad: true);
        var result = GradCheck.Run([x, .. layer.TrainableParameters()], () => layer.Forward(x));
        Assert.True(result.MaxError < 1e-7, result.ToString());
    }

    private static Conv2d Conv(Device device, int cin, int cout, int k, int groups = 1, bool bias = false) =>
        new(new Initializer(device, 1), cin, cout, k, padding: k / 2, groups: groups, bias: bias);

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];
}
