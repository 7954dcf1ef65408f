using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>Diverse Branch Blocks.</summary>
public sealed class DbbTests : MethodTest
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void TheMergedKernelComputesTheSame(string device)
    {
        foreach (int k in new[] { 3, 5, 7 })
        foreach (int stride in new[] { 1, 2 })
        foreach (var shape in Shapes((k, k), Same((k, k), stride)))
            CheckMerge(new DbbMethod(), Get(device), shape);
        CheckMerge(new DbbMethod(new DbbOptions { InternalRatio = 3 }), Get(device), new(4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 2)));
        CheckMerge(new DbbMethod(new DbbOptions { InternalRatio = 1 }), Get(device), new(5, 5, (3, 3), new Conv2dOptions(1, 1, 1, 5)));
    }

    [Fact]
    public void ABorderOfZerosIsWrongAtTheEdgeAndNowhereElse()
    {
        // What the block must not do: pad the map between 1×1 and k×k with 0 instead of the norm's image of 0.
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 1);
        using var norm = RandomNorm(Reference, 4, 2);
        using var block = Randomise(new DbbMethod().Expand(Site(conv, norm), new Initializer(Reference, 3)));
        block.Eval();
        using var x = Normal(Reference, new(2, 8, 7, 4), 4);
        using var tape = Tape.Inference();
        var good = block.Find("dbb_1x1_kxk").Forward(x);
        BatchNorm2d inner = (BatchNorm2d)block.Find("dbb_1x1_kxk.bn1.bn"), outer = (BatchNorm2d)block.Find("dbb_1x1_kxk.bn2");
        var careless = outer.Forward(block.Find("dbb_1x1_kxk.conv2").Forward(inner.Forward(block.Find("dbb_1x1_kxk.idconv1").Forward(x))));
        double[] a = good.ToDoubleArray(), b = careless.ToDoubleArray();
        double border = 0, interior = 0;
        for (int i = 0; i < a.Length; i++)
        {
            int pixel = i / 4 % 56, row = pixel / 7, column = pixel % 7;
            ref double place = ref row is 0 or 7 || column is 0 or 6 ? ref border : ref interior;
            place = Math.Max(place, Math.Abs(a[i] - b[i]));
        }
        Assert.True(interior < 1e-10, $"interior {interior}");
        Assert.True(border > 0.1, $"border {border}");
    }

    [Fact]
    public void TheBorderIsOfTheRunningStatisticsAlsoInTraining()
    {
        // One window over the whole image: the step's result, written out with a padded map.
        using var norm = RandomNorm(Reference, 3, 1);
        using var after = RandomNorm(Reference, 2, 5);
        using var padded = new PaddedNorm((BatchNorm2d)norm.Clone());
        using var conv = RandomConv(Reference, 3, 2, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 9);
        using var x = Normal(Reference, new(2, 4, 3, 3), 7);
        using var second = (BatchNorm2d)after.Clone();
        using var tape = Tape.Inference();
        double[] map = norm.Forward(x).ToDoubleArray(), wide = new double[2 * 6 * 5 * 3];
        var (scale, shift) = KernelAlgebra.Affine(norm); // after the step
        for (int n = 0; n < 2; n++)
        for (int h = 0; h < 6; h++)
        for (int w = 0; w < 5; w++)
        for (int c = 0; c < 3; c++)
            wide[(((((n * 6) + h) * 5) + w) * 3) + c] = h is 0 or 5 || w is 0 or 4 ? shift[c] : map[(((((n * 4) + h - 1) * 3) + w - 1) * 3) + c];
        using var wideMap = Tensor.From(Reference, wide, new Shape(2, 6, 5, 3));
        using var open = new Conv2d(Reference, 3, 2, (3, 3), new Conv2dOptions(), bias: false);
        open.Weight.FromTorch(conv.Weight.ToTorchDouble());
        double[] expected = after.Forward(open.Forward(wideMap)).ToDoubleArray();
        AssertClose(expected, second.Forward(padded.ThenConv(conv, conv.Options, padded.Forward(x), isNormalised: true)).ToDoubleArray(), 1e-10, "conv");
        AssertClose(after.RunningMean.ToTorchDouble(), second.RunningMean.ToTorchDouble(), 1e-10, "running mean behind");
        AssertClose(norm.RunningVar.ToTorchDouble(), padded.Norm.RunningVar.ToTorchDouble(), 1e-10, "running variance");
        Assert.Equal(scale.Length, padded.Norm.Channels);
    }

    [Fact]
    public void SingleInitStartsAtTheTrainedLayer()
    {
        foreach (bool bias in new[] { false, true })
        foreach (int groups in new[] { 1, 2, 4 })
        {
            using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, groups), bias, 1);
            using var norm = RandomNorm(Reference, 4, 2);
            using var x = Normal(Reference, new(2, 5, 6, 4), 4);
            using var pair = new Sequential((Conv2d)conv.Clone(), (BatchNorm2d)norm.Clone());
            double[] expected = Run(pair, x);
            using var single = new DbbMethod(new DbbOptions { SingleInit = true }).Expand(Site(conv, norm), new Initializer(Reference, 3));
            AssertClose(expected, Run(single, x), 1e-12, "single_init");
            using var usual = new DbbMethod().Expand(Site(conv, norm), new Initializer(Reference, 3));
            Assert.True(Difference(expected, Run(usual, x)) > 0.01);
            AssertClose(expected, Run(usual.Find("dbb_origin"), x), 1e-12, "the original branch");
        }
    }

    [Fact]
    public void StateIsThatOfTheAuthorsCode()
    {
        string[] norms = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
        Check(4, 6, 2, ["dbb_origin.conv", "dbb_origin.bn", "dbb_avg.conv", "dbb_avg.bn.bn", "dbb_avg.avgbn", "dbb_1x1.conv", "dbb_1x1.bn",
            "dbb_1x1_kxk.idconv1", "dbb_1x1_kxk.bn1.bn", "dbb_1x1_kxk.conv2", "dbb_1x1_kxk.bn2"], (12 + 12) + (12 + 24) + (8 + 8 + (9 * 12) + 12));
        Check(4, 4, 4, ["dbb_origin.conv", "dbb_origin.bn", "dbb_avg.avgbn", "dbb_1x1_kxk.conv1", "dbb_1x1_kxk.bn1.bn", "dbb_1x1_kxk.conv2", "dbb_1x1_kxk.bn2"],
            8 + 8 + 16 + (2 * 9 * 4) + 8);
        var options = ((DbbMethod)Reparameterizations.Create("dbb", new DbbMethod(new DbbOptions { SingleInit = true, InternalRatio = 2 }).Options)).Settings;
        Assert.Equal(new DbbOptions { SingleInit = true, InternalRatio = 2 }, options);

        void Check(int cin, int cout, int groups, string[] layers, long more)
        {
            using var conv = RandomConv(Reference, cin, cout, (3, 3), new Conv2dOptions(1, 1, 1, groups), false, 1);
            using var norm = RandomNorm(Reference, cout, 2);
            using var block = new DbbMethod().Expand(Site(conv, norm), new Initializer(Reference, 3));
            Assert.Equal([.. layers.SelectMany(l => l.Contains("conv", StringComparison.Ordinal) ? [l + ".weight"] : norms.Select(n => $"{l}.{n}"))], block.NamedParameters().Select(p => p.Name));
            Assert.Equal(conv.ParameterCount() + norm.ParameterCount() + more, block.ParameterCount());
        }
    }

    [Fact]
    public void WhatCannotBeIsRefused()
    {
        foreach (var (shape, reason) in new (LayerShape, string)[]
        {
            (new(4, 4, (4, 4), new Conv2dOptions(1, 2, 1, 1)), "even kernel"),
            (new(4, 4, (1, 1), new Conv2dOptions(1, 0, 1, 1)), "1×1"),
            (new(4, 4, (3, 5), Same((3, 5))), "square"),
            (new(4, 4, (3, 3), new Conv2dOptions(1, 2, 2, 1)), "dilation"),
            (new(4, 4, (3, 3), new Conv2dOptions(1, 0, 1, 1)), "padding of 1"),
            (new(4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1) { StrideW = 2 }), "one stride"),
            (new(8, 4, (3, 3), new Conv2dOptions(1, 1, 1, 4)), "as many input channels"),
        })
        {
            using var conv = RandomConv(Reference, shape.In, shape.Out, shape.Kernel, shape.Options, true, 1);
            string message = Assert.Throws<ArgumentException>(() => new DbbMethod().Expand(Site(conv), new Initializer(Reference))).Message;
            Assert.Contains(reason, message);
            Assert.True(message.Contains("Use ", StringComparison.Ordinal) || message.Contains("Leave it", StringComparison.Ordinal), message);
        }
        Assert.Throws<ArgumentException>(() => new DbbMethod(new DbbOptions { InternalRatio = -1 }));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients(bool training)
    {
        CheckGradients(new DbbMethod(), new(4, 6, (3, 3), new Conv2dOptions(2, 1, 1, 2)), training);
        CheckGradients(new DbbMethod(), new(3, 3, (3, 3), new Conv2dOptions(1, 1, 1, 1), Bias: true), training);
        CheckGradients(new DbbMethod(), new(3, 3, (3, 3), new Conv2dOptions(1, 1, 1, 3)), training);
    }
}
