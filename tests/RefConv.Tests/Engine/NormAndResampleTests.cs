using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Engine;

/// <summary>What the kernels' references cannot tell of themselves: orders, sides and formulas as PyTorch has them, in numbers worked out by hand.</summary>
public sealed class NormAndResampleTests : DeviceTest
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void ALayerNormNormalisesEachPixelByItself(string device)
    {
        // Means 3 and 20, biased variances 3.5 and 200.
        using var x = Tensor.From(Get(device), [1f, 2f, 3f, 6f, 0f, 20f, 20f, 40f], new Shape(1, 1, 2, 4));
        using var norm = new LayerNorm(new Initializer(Get(device)), 4, eps: 0.5);
        norm.Weight.FromTorch((double[])[1, 1, 2, 1]);
        norm.Bias.FromTorch((double[])[0, 0, 0, 10]);
        using var tape = Tape.Inference();
        double[] y = norm.Forward(x).ToDoubleArray();
        double[] expected = [-1, -0.5, 0, 11.5, -20 / Math.Sqrt(200.5), 0, 0, 10 + (20 / Math.Sqrt(200.5))];
        for (int i = 0; i < y.Length; i++) Assert.Equal(expected[i], y[i], 1e-6);
    }

    [Theory]
    [InlineData("cpu", true)]
    [InlineData("cpu", false)]
    [InlineData("reference", true)]
    [InlineData("reference", false)]
    public void AScaleThatHasAGradientAlreadyDoesNotTouchTheShiftsAndTheOtherWayRound(string device, bool layer)
    {
        using var x = Normal(Get(device), new Shape(5, 3), 1);
        using var mean = Tensor.From(Get(device), new float[3], new Shape(3));
        using var variance = Tensor.From(Get(device), [1f, 1f, 1f], new Shape(3));
        using var kept = Tensor.From(Get(device), [1f, 2f, 3f], new Shape(3), requiresGrad: true);
        using var each = Tensor.From(Get(device), [1f, 2f, 3f], new Shape(3), requiresGrad: true);
        foreach (bool scale in new[] { true, false })
        {
            double[] keptOnce = [], eachOnce = [];
            for (int pass = 0; pass < 2; pass++)
            {
                using var tape = Tape.Train();
                var fresh = each.Add(each); // an intermediate: its gradient begins anew in every pass
                var (gamma, beta) = scale ? (kept, fresh) : (fresh, kept);
                tape.Backward((layer ? x.LayerNorm(gamma, beta) : x.BatchNorm2d(gamma, beta, mean, variance, training: false)).Multiply(x).Sum());
                if (pass == 0) (keptOnce, eachOnce) = (kept.GradientToDoubleArray(), each.GradientToDoubleArray());
            }
            double[] keptTwice = kept.GradientToDoubleArray(), eachTwice = each.GradientToDoubleArray();
            for (int c = 0; c < 3; c++)
            {
                Assert.Equal(2 * keptOnce[c], keptTwice[c], 1e-4);
                Assert.Equal(2 * eachOnce[c], eachTwice[c], 1e-4);
            }
            kept.ZeroGrad();
            each.ZeroGrad();
        }
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void PReLUHasTheSlopeOfItsChannelAtZeroToo(string device)
    {
        using var x = Tensor.From(Get(device), [-2f, -2f, 0f, 0f, 3f, 3f], new Shape(3, 2), requiresGrad: true);
        using var prelu = new PReLU(new Initializer(Get(device)), 2);
        Assert.Equal([0.25f, 0.25f], prelu.Weight.ToArray());
        prelu.Weight.FromTorch((double[])[0.5, -1]);
        using (var tape = Tape.Train())
        {
            var y = prelu.Forward(x);
            Assert.Equal([-1, 2, 0, 0, 3, 3], y.ToDoubleArray());
            using var dy = Tensor.From(Get(device), [1f, 10f, 1f, 10f, 1f, 10f], new Shape(3, 2));
            tape.Backward(y, dy);
        }
        Assert.Equal([0.5, -10, 0.5, -10, 1, 10], x.GradientToDoubleArray()); // torch.nn.functional.prelu
        Assert.Equal([-2, -20], prelu.Weight.GradientToDoubleArray());
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void PixelsComeInPyTorchsOrderAndInTensorFlowsWhereAsked(string device)
    {
        using var x = Tensor.From(Get(device), Enumerable.Range(0, 8).Select(i => (float)i).ToArray(), new Shape(1, 1, 1, 8));
        using var tape = Tape.Inference();
        var shuffled = x.PixelShuffle(2);
        Assert.Equal(new Shape(1, 2, 2, 2), shuffled.Shape);
        // torch.pixel_shuffle: channel 0 is [[0, 1], [2, 3]], channel 1 [[4, 5], [6, 7]]; here the channels of a pixel are neighbours.
        Assert.Equal([0, 4, 1, 5, 2, 6, 3, 7], shuffled.ToDoubleArray());
        // tf.nn.depth_to_space: the first C channels are the first pixel.
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], x.DepthToSpace(2, DepthToSpaceMode.DCR).ToDoubleArray());
        Assert.Equal(x.ToDoubleArray(), shuffled.PixelUnshuffle(2).ToDoubleArray());
        Assert.Equal(shuffled.ToDoubleArray(), new PixelShuffle(2).Forward(x).ToDoubleArray());

        using var wide = Tensor.From(Get(device), Enumerable.Range(0, 8).Select(i => (float)i).ToArray(), new Shape(1, 1, 2, 4));
        Assert.Equal([0, 1, 4, 5, 2, 3, 6, 7], wide.PixelShuffle(2).ToDoubleArray()); // blocks side by side
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void UpsamplingRepeatsPixels(string device)
    {
        using var x = Tensor.From(Get(device), [1f, 2f, 3f, 4f], new Shape(1, 2, 2, 1));
        using var tape = Tape.Inference();
        var y = new Upsample(2).Forward(x);
        Assert.Equal(new Shape(1, 4, 4, 1), y.Shape);
        Assert.Equal([1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4], y.ToDoubleArray());
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void ReplacedChannelsLeaveTheInputAsItIs(string device)
    {
        using var x = Tensor.From(Get(device), [1f, 2f, 3f, 4f, 5f, 6f, 7f, 8f], new Shape(1, 1, 2, 4));
        using var part = Tensor.From(Get(device), [-1f, -2f, -3f, -4f], new Shape(1, 1, 2, 2));
        using var tape = Tape.Inference();
        Assert.Equal([-1, -2, 3, 4, -3, -4, 7, 8], x.ReplaceChannels(part).ToDoubleArray());
        Assert.Equal([1, -1, -2, 4, 5, -3, -4, 8], x.ReplaceChannels(part, 1).ToDoubleArray());
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], x.ToDoubleArray());
    }

    [Fact]
    public void WhatDoesNotFitIsRefusedWithShapes()
    {
        using var x = Normal(Cpu, new(2, 3, 5, 6), 1);
        using var four = Normal(Cpu, new(4), 2);
        using var flat = Normal(Cpu, new(2, 6), 3);
        using var part = Normal(Cpu, new(2, 3, 5, 4), 4);
        using var w = Normal(Cpu, new(4, 3), 5);
        using var tape = Tape.Inference();
        Assert.Contains("6 channels, but the norm is made for 4", Message(() => x.LayerNorm(four, four, name: "norm")));
        Assert.StartsWith("LayerNorm 'norm':", Message(() => x.LayerNorm(four, four, name: "norm")));
        Assert.Contains("there are 4 slopes", Message(() => x.PReLU(four)));
        Assert.Contains("must be [n, h, w, c]", Message(() => flat.UpsampleNearest(2)));
        Assert.Contains("at least 1, it is 0", Message(() => x.UpsampleNearest(0)));
        Assert.Contains("need a multiple of 4 channels", Message(() => x.PixelShuffle(2)));
        Assert.Contains("do not fit a map of 3×5", Message(() => x.PixelUnshuffle(2)));
        Assert.Contains("do not lie inside the 6 channels", Message(() => x.ReplaceChannels(part, 3)));
        Assert.Contains("all axes but the last", Message(() => x.ReplaceChannels(flat)));
        Assert.Contains("has 6 features", Message(() => x.Linear(w)));

        static string Message(Action action) => Assert.Throws<ShapeException>(action).Message;
    }
}
