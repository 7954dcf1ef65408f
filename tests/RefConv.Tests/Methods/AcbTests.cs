using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Methods;

/// <summary>Asymmetric convolution blocks.</summary>
public sealed class AcbTests : MethodTest
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void TheMergedKernelComputesTheSame(string device)
    {
        foreach (var k in new[] { (2, 2), (3, 3), (4, 4), (5, 5), (7, 7), (3, 5), (2, 3) })
        foreach (var (stride, dilation) in new[] { (1, 1), (2, 1), (1, 2), (2, 2) })
        {
            if (dilation * Math.Max(k.Item1, k.Item2) > 10) continue;
            foreach (var shape in Shapes(k, Same(k, stride, dilation))) CheckMerge(new AcbMethod(), Get(device), shape);
        }
        // Padding of any size, also less than half the kernel: then the lines read a cropped input.
        for (int p = 0; p <= 4; p++)
        foreach (int k in new[] { 2, 3, 4, 5 })
            CheckMerge(new AcbMethod(), Get(device), new(3, 4, (k, k), new Conv2dOptions(1 + (p % 2), p, p == 4 ? 2 : 1, 1)));
    }

    [Fact]
    public void TheLinesCrossAtTheTapKHalf()
    {
        foreach (int k in new[] { 3, 4 })
        {
            using var conv = RandomConv(Reference, 1, 1, (k, k), Same((k, k)), true, 1);
            conv.Weight.FromTorch(new double[k * k]);
            using var block = new AcbMethod().Expand(Site(conv), new Initializer(Reference, 3));
            Line("hor_conv", [.. Enumerable.Range(1, k).Select(i => (double)i)]);
            Line("ver_conv", [.. Enumerable.Range(1, k).Select(i => 10.0 * i)]);
            block.Eval();
            double[] w = ((BranchBlock)block).ToKernel().Weight;
            int c = k / 2;
            for (int u = 0; u < k; u++)
            for (int v = 0; v < k; v++)
                Assert.Equal((u == c ? v + 1 : 0) + (v == c ? 10 * (u + 1) : 0), w[(u * k) + v] * Math.Sqrt(1 + 1e-5), 1e-9);

            void Line(string name, double[] values) => ((Conv2d)block.Find(name)).Weight.FromTorch(values);
        }
    }

    [Fact]
    public void ALineOneRowOffIsAnotherLayerForEvenKernels()
    {
        // (k − 1)/2 and k/2 are the same row for odd kernels only.
        using var conv = RandomConv(Reference, 3, 4, (4, 4), Same((4, 4)), true, 1);
        using var block = Randomise(new AcbMethod().Expand(Site(conv), new Initializer(Reference, 3)));
        block.Eval();
        var good = ((BranchBlock)block).ToKernel();
        var hor = KernelAlgebra.Fold(Kernel.Of((Conv2d)block.Find("hor_conv")), (BatchNorm2d)block.Find("hor_bn"));
        var careless = good with { Weight = [.. good.Weight] };
        for (int o = 0; o < 4; o++)
        for (int i = 0; i < 3; i++)
        for (int v = 0; v < 4; v++)
        {
            careless[o, i, 2, v] -= hor[o, i, 0, v];
            careless[o, i, 1, v] += hor[o, i, 0, v];
        }
        using var x = Normal(Reference, new(2, 7, 6, 3), 4);
        using var wrong = careless.ToConv2d(Reference, conv.Options);
        double[] expected = Run(block, x);
        Assert.True(Difference(expected, Run(wrong, x)) > 0.1);
    }

    [Fact]
    public void DilationIsPartOfTheLinesPadding()
    {
        // The published code pads the lines by p − k/2 whatever the dilation: then their results have other sizes than the square's.
        var options = new Conv2dOptions(1, 2, 2, 1);
        var line = Branches.Aligned(options, (3, 3), (1, 3));
        Assert.Equal((0, 0, 2, 2), (line.PadTop, line.PadBottom, line.PadLeft, line.PadRight));
        using var careless = RandomConv(Reference, 2, 2, (1, 3), options with { PadTop = 1, PadBottom = 1 }, false, 1);
        using var x = Normal(Reference, new(1, 7, 7, 2), 2);
        using var tape = Tape.Inference();
        Assert.Equal(new Shape(1, 9, 7, 2), careless.Forward(x).Shape);
    }

    [Fact]
    public void StateIsThatOfTheAuthorsCode()
    {
        using var conv = RandomConv(Reference, 4, 6, (3, 3), Same((3, 3)) with { Groups = 2 }, false, 1);
        using var norm = RandomNorm(Reference, 6, 2);
        using var block = new AcbMethod(new AcbOptions { GammaInit = 1.0 / 3 }).Expand(Site(conv, norm), new Initializer(Reference, 3));
        string[] norms = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
        Assert.Equal([.. ((string[])["square", "hor", "ver"]).SelectMany(b => (string[])[b + "_conv.weight", .. norms.Select(n => $"{b}_bn.{n}")])], block.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(6, 2, 1, 3), ((Conv2d)block.Find("hor_conv")).Weight.TorchShape);
        Assert.Equal(new Shape(6, 2, 3, 1), ((Conv2d)block.Find("ver_conv")).Weight.TorchShape);
        Assert.All((string[])["square", "hor", "ver"], b => Assert.All(((BatchNorm2d)block.Find(b + "_bn")).Weight.ToTorchDouble(), w => Assert.Equal(1.0 / 3, w, 1e-12)));
        // 2k·in·out/g more weights, and two norms.
        Assert.Equal(conv.ParameterCount() + norm.ParameterCount() + (2 * 3 * 12) + (4 * 6), block.ParameterCount());
        // The main branch is the trained layer.
        Assert.Equal(conv.Weight.ToTorchDouble(), ((Conv2d)block.Find("square_conv")).Weight.ToTorchDouble());
        Assert.Equal(norm.RunningMean.ToTorchDouble(), ((BatchNorm2d)block.Find("square_bn")).RunningMean.ToTorchDouble());
        Assert.Equal(0.3, ((AcbMethod)Reparameterizations.Create("acb", new AcbMethod(new AcbOptions { GammaInit = 0.3 }).Options)).Settings.GammaInit);
        Assert.Null(((AcbMethod)Reparameterizations.Create("acb", new AcbMethod().Options)).Settings.GammaInit);
    }

    [Fact]
    public void WhatCannotBeIsRefused()
    {
        var method = new AcbMethod();
        foreach (var k in new[] { (1, 1), (1, 3), (5, 1) })
        {
            using var line = RandomConv(Reference, 2, 2, k, Same(k), true, 1);
            Assert.Contains("Leave it as it is", Assert.Throws<ArgumentException>(() => method.Expand(Site(line), new Initializer(Reference))).Message);
        }
        using var bare = RandomConv(Reference, 2, 2, (3, 3), Same((3, 3)), false, 1);
        Assert.Contains("Give the convolution a bias", method.Refusal(Site(bare)));
        using var norm = RandomNorm(Reference, 2, 1);
        using var block = method.Expand(Site(bare, norm), new Initializer(Reference));
        Assert.Contains("merge that first", method.Refusal(new ConvSite("conv", block)));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients(bool training)
    {
        CheckGradients(new AcbMethod(), new(2, 3, (3, 3), Same((3, 3), 2)), training);
        CheckGradients(new AcbMethod(), new(4, 4, (3, 3), new Conv2dOptions(1, 0, 1, 2), Bias: true), training);
    }
}
