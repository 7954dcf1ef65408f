using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Engine;

/// <summary>A compiled model computes what the model computes, whatever was folded, fused or laid into shared memory.</summary>
public sealed class InferencePlanTests : DeviceTest
{
    public static TheoryData<string, string> Models => new()
    {
        { "mobilenet_v1", "cpu" }, { "mobilenet_v2", "cpu" }, { "resnet18", "cpu" }, { "mobilenet_v1", "reference" }, { "mobilenet_v2", "reference" }, { "resnet18", "reference" },
        { "mobilenet_v3_small", "cpu" }, { "mobilenet_v3_large_refconv", "cpu" }, { "efficientnet_b0", "cpu" }, { "shufflenet_v2_x1_0", "cpu" }, { "resnet20", "cpu" },
        { "resnet50", "cpu" }, { "densenet121", "cpu" }, { "vgg16_bn", "cpu" }, { "mobilenet_v3_small", "reference" }, { "shufflenet_v2_x0_5", "reference" },
        { "mobilenext", "cpu" }, { "hbonet", "cpu" }, { "shufflenet_v1_g3_x1_0", "cpu" }, { "fasternet_t0", "cpu" }, { "convnext_tiny", "cpu" }, { "repvgg_b1g4", "cpu" },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void GivesTheModelsScores(string architecture, string device)
    {
        using var model = Trained(architecture, Get(device));
        using var x = Normal(Get(device), model.InputShape(3), 5);
        double[] expected = Eager(model, x);
        foreach (var accuracy in Enum.GetValues<Conv2dAccuracy>())
        {
            using var plan = model.Compile(3, accuracy);
            AssertClose(expected, plan.Run(x).ToDoubleArray(), device == "reference" ? 1e-10 : 2e-5);
            double[] first = plan.Run(x).ToDoubleArray();
            using var other = Normal(Get(device), model.InputShape(3), 6);
            plan.Run(other);
            Assert.Equal(first, plan.Run(x).ToDoubleArray()); // nothing is left over from a run
        }
    }

    [Fact]
    public void ARefocusedModelIsCompiledLikeItsMergedForm()
    {
        using var plain = Trained("mobilenet_v1", Cpu);
        using var refocused = plain.Expand(new RefConvMethod(), seed: 3);
        refocused.Eval();
        using var x = Normal(Cpu, plain.InputShape(2), 5);
        using var plan = refocused.Compile(2);
        AssertClose(Eager(refocused, x), plan.Run(x).ToDoubleArray(), 2e-5);
        Assert.DoesNotContain(plan.Steps, s => s.Contains("Refocus", StringComparison.Ordinal));
    }

    [Fact]
    public void WhatFollowsAConvolutionIsPartOfItsStep()
    {
        using var model = Trained("resnet18", Cpu);
        using var plan = model.Compile();
        string[] steps = [.. plan.Steps];
        Assert.Equal(22, steps.Length); // 20 convolutions, the linear layer, the mean; the small variant has no max pool
        Assert.Equal(8, steps.Count(s => s.Contains("+ bias + residual + ReLU", StringComparison.Ordinal)));
        Assert.Contains(steps, s => s.Contains("Winograd", StringComparison.Ordinal));
        using var exact = model.Compile(accuracy: Conv2dAccuracy.Exact);
        Assert.DoesNotContain(exact.Steps, s => s.Contains("Winograd", StringComparison.Ordinal));
    }

    [Fact]
    public void ShuffleNetsHalvesAreReadWhereTheyLie()
    {
        using var model = Trained("shufflenet_v2_x1_0", Cpu);
        using var plan = model.Compile();
        string[] steps = [.. plan.Steps];
        Assert.DoesNotContain(steps, s => s.StartsWith("Slice", StringComparison.Ordinal) || s.StartsWith("Concat", StringComparison.Ordinal) || s.StartsWith("ChannelShuffle", StringComparison.Ordinal));
        Assert.Equal(16, steps.Count(s => s.StartsWith("Interleave", StringComparison.Ordinal)));
        Assert.Equal(13, steps.Count(s => s.Contains(" of ", StringComparison.Ordinal) && s.StartsWith("Conv2d", StringComparison.Ordinal))); // the units without stride
    }

    [Fact]
    public void ConvNeXtsScaleAndSkipArePartOfItsLinearLayers()
    {
        using var model = Trained("convnext_tiny", Cpu);
        using var plan = model.Compile();
        string[] steps = [.. plan.Steps];
        Assert.DoesNotContain(steps, s => s.StartsWith("MultiplyChannels", StringComparison.Ordinal) || s.StartsWith("Add", StringComparison.Ordinal));
        Assert.Equal(18, steps.Count(s => s.Contains("+ bias + residual", StringComparison.Ordinal)));
        Assert.Equal(18, steps.Count(s => s.Contains("+ bias + GELU", StringComparison.Ordinal)));
    }

    /// <summary>Patterns where fusing, or sharing memory, would be wrong.</summary>
    public static TheoryData<string> Graphs => new(s_graphs.Keys);

    private static readonly Dictionary<string, Func<Tensor, Tensor[], Tensor>> s_graphs = new()
    {
        ["a sum of a convolution and its own input"] = (x, w) => x.Conv2d(w[0], padding: 1).Add(x),
        ["the same after another step"] = (x, w) => Twice(x.Activation(ActivationKind.Sigmoid), t => t.Conv2d(w[0], padding: 1).Add(t)),
        ["a result that is read twice is not fused away"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => y.Activation(ActivationKind.ReLU).Add(y)),
        ["two convolutions added"] = (x, w) => x.Conv2d(w[0], padding: 1).Add(x.Conv2d(w[1], padding: 1)),
        ["activation, then a sum"] = (x, w) => x.Conv2d(w[0], padding: 1).Activation(ActivationKind.ReLU).Add(x.Conv2d(w[1], padding: 1)),
        ["a tensor added to itself"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => y.Add(y)),
        ["every activation"] = (x, w) => Enum.GetValues<ActivationKind>().Aggregate(x, (t, a) => t.Conv2d(w[0], padding: 1).Activation(a)),
        ["concatenation and slices"] = (x, w) => TensorOps.Concat(x.Conv2d(w[0], padding: 1), x).SliceChannels(3, 8).ChannelShuffle(2).Conv2d(w[1], padding: 1),
        ["two maps in turn"] = (x, w) => TensorOps.Interleave(x.SliceChannels(0, 4), x.Conv2d(w[0], padding: 1).SliceChannels(4, 4)).Conv2d(w[1], padding: 1),
        ["channels read where they lie"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => TensorOps.Interleave(y.SliceChannels(0, 4), y.SliceChannels(4, 4).Conv2d(w[6], w[7]).Activation(ActivationKind.ReLU))),
        ["channels of the input read where they lie"] = (x, w) => TensorOps.Concat(x.SliceChannels(5, 3), x.SliceChannels(4, 4).Conv2d(w[6]), x.SliceChannels(0, 1)),
        ["channels that somebody reads as a map"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1).SliceChannels(2, 4), s => TensorOps.Concat(s.Conv2d(w[6]), s.MaxPool2d(1, 1))),
        ["channels of channels"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1).SliceChannels(1, 6), s => TensorOps.Concat(s.SliceChannels(1, 4).Conv2d(w[6]), s)),
        ["channels of a sum that is written over what it reads"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => TensorOps.Concat(y.SliceChannels(0, 4).Conv2d(w[6]), y.SliceChannels(4, 4)).Activation(ActivationKind.SiLU).Add(y)),
        ["channels as the result"] = (x, w) => x.Conv2d(w[0], padding: 1).SliceChannels(2, 4),
        ["depthwise with a residual, then pooled"] = (x, w) => x.Conv2d(w[2], padding: 1, groups: 8).Add(x).MaxPool2d(2, 2).AvgPool2d(2, 1),
        ["scaled channels"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => y.Multiply(y.GlobalAvgPool2d().Activation(ActivationKind.Hardsigmoid))),
        ["a view of the input"] = (x, w) => x.Reshape(new(x.Shape[0], x.Shape[2], x.Shape[1], x.Shape[3])).Conv2d(w[0], padding: 1),
        ["a view of a result, and the result"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => y.Reshape(y.Shape).Add(y)),
        ["a convolution scaled by constant factors, then a residual"] = (x, w) => x.Conv2d(w[0], padding: 1).Multiply(w[4].Reshape(new(1, 1, 1, 8))).Add(x),
        ["factors after an activation are not folded"] = (x, w) => x.Conv2d(w[0], padding: 1).Activation(ActivationKind.GELU).Multiply(w[4].Reshape(new(1, 1, 1, 8))),
        ["a linear layer over pixels, normed"] = (x, w) => x.LayerNorm(w[3], w[4]).Linear(w[5], w[4]).Activation(ActivationKind.GELU),
        ["PReLU of what is read again"] = (x, w) => Twice(x.Conv2d(w[0], padding: 1), y => y.PReLU(w[4]).Add(y)),
        ["a partial convolution"] = (x, w) => x.Activation(ActivationKind.SiLU).ReplaceChannels(x.Conv2d(w[0], padding: 1).SliceChannels(0, 2)).Add(x),
        ["resampled"] = (x, w) => TensorOps.Concat(x.AvgPool2d(2, 1).UpsampleNearest(2), x.AvgPool2d(2, 1).UpsampleNearest(2)).PixelShuffle(2).PixelUnshuffle(2),
        ["the input alone"] = (x, w) => x.Activation(ActivationKind.ReLU6),
        ["a norm before the convolution"] = (x, w) => x.BatchNorm2d(w[3], w[4], w[4], w[3], training: false).Conv2d(w[0], padding: 1),
        ["a norm with a residual after a step of its own"] = (x, w) => x.AvgPool2d(3, 1, 1).BatchNorm2d(w[3], w[4], w[4], w[3], training: false, activation: ActivationKind.ReLU, residual: x),
        ["a norm whose residual comes later than its convolution"] = (x, w) => Late(x, w),
        ["branches that outlive each other"] = (x, w) => Branches(x, w),
    };

    [Theory]
    [MemberData(nameof(Graphs))]
    public void AGraphKeepsItsMeaning(string name)
    {
        foreach (var device in (Device[])[Cpu, Reference])
        {
            using var w0 = Normal(device, new(3, 3, 8, 8), 11);
            using var w1 = Normal(device, new(3, 3, 8, 8), 12);
            using var w2 = Normal(device, new(3, 3, 1, 8), 13);
            using var positive = Tensor.From(device, Normal(8, 14).Select(v => (v * v) + 0.3).ToArray(), new(8));
            using var shift = Normal(device, new(8), 15);
            using var square = Normal(device, new(8, 8), 16);
            using var half = Normal(device, new(1, 1, 4, 4), 17);
            using var halfShift = Normal(device, new(4), 18);
            Tensor[] w = [w0, w1, w2, positive, shift, square, half, halfShift];
            using var x = Normal(device, new(2, 6, 5, 8), 10);
            double[] expected;
            using (Tape.Inference()) expected = s_graphs[name](x, w).ToDoubleArray();
            using var plan = InferencePlan.Compile(device, x.Shape, t => s_graphs[name](t, w));
            AssertClose(expected, plan.Run(x).ToDoubleArray(), device == Cpu ? 1e-4 : 1e-10);
            AssertClose(expected, plan.Run(x).ToDoubleArray(), device == Cpu ? 1e-4 : 1e-10);
        }
    }

    [Fact]
    public void TheModelMayChangeOrGoAfterwards()
    {
        var model = Trained("mobilenet_v1", Cpu);
        using var x = Normal(Cpu, model.InputShape(1), 5);
        using var plan = model.Compile();
        double[] expected = plan.Run(x).ToDoubleArray();
        foreach (var parameter in model.TrainableParameters()) Cpu.Kernels.Fill(parameter.Data, 0);
        model.Dispose();
        Assert.Equal(expected, plan.Run(x).ToDoubleArray());
    }

    [Fact]
    public void SharesMemoryBetweenResults()
    {
        using var model = Trained("mobilenet_v2", Cpu);
        long all;
        using (var tape = Tape.Trace())
        {
            using var probe = model.Probe(4);
            model.Forward(probe);
            all = tape.Nodes.Where(n => !n.IsView).Sum(n => n.Output.Shape.Count) * sizeof(float);
        }
        using var plan = model.Compile(4);
        Assert.True(plan.ArenaBytes < all / 8, $"{plan.ArenaBytes} bytes of {all}");
    }

    [Fact]
    public void SaysWhatIsWrong()
    {
        using var model = Trained("mobilenet_v1", Cpu);
        using var plan = model.Compile();
        using var wrong = Normal(Cpu, model.InputShape(2), 5);
        Assert.Contains("Compile one for that shape", Assert.Throws<ShapeException>(() => plan.Run(wrong)).Message);
        using var elsewhere = Normal(Reference, model.InputShape(1), 5);
        Assert.Contains("the input is on reference", Assert.Throws<InvalidOperationException>(() => plan.Run(elsewhere)).Message);
        model.Train();
        Assert.Contains("Call Eval() first", Assert.Throws<InvalidOperationException>(() => model.Compile()).Message);
        using var constant = Normal(Cpu, new(2), 1);
        Assert.Contains("does not depend on the input", Assert.Throws<InvalidOperationException>(() => InferencePlan.Compile(Cpu, new(2), _ => constant)).Message);
        using var labels = Normal(Cpu, new(2), 1);
        Assert.Contains("belongs to training", Assert.Throws<NotSupportedException>(() => InferencePlan.Compile(Cpu, new(2, 3), t => t.CrossEntropy(labels))).Message);
        plan.Dispose();
        Assert.Throws<ObjectDisposedException>(() => plan.Run(wrong));
    }

    private static Tensor Twice(Tensor t, Func<Tensor, Tensor> read) => read(t);

    private static Tensor Late(Tensor x, Tensor[] w)
    {
        var early = x.Conv2d(w[0], padding: 1);
        var late = x.Conv2d(w[1], padding: 1).Activation(ActivationKind.SiLU);
        return early.BatchNorm2d(w[3], w[4], w[4], w[3], training: false, residual: late);
    }

    private static Tensor Branches(Tensor x, Tensor[] w)
    {
        var a = x.Conv2d(w[0], padding: 1);
        var b = a.Activation(ActivationKind.Sigmoid);
        var c = b.Conv2d(w[1], padding: 1).Activation(ActivationKind.ReLU);
        var d = c.Conv2d(w[0], padding: 1);
        return d.Add(b).Add(a.Multiply(c));
    }

    private static double[] Eager(Model model, Tensor x)
    {
        using var tape = Tape.Inference();
        return model.Forward(x).ToDoubleArray();
    }

    /// <summary>Running statistics, weights and biases of the norms that are not those of a fresh model, so that folding has something to fold.</summary>
    private static Model Trained(string architecture, Device device)
    {
        var model = Zoo.Create(new ModelSpec(architecture) { Classes = 10, Width = 0.25, SmallImages = true, ImageSize = architecture == "vgg16_bn" ? 32 : 16 }, new Initializer(device, 4));
        var random = new RandomStream(9, 9);
        foreach (var (_, module) in model.NamedModules())
        {
            if (module is not BatchNorm2d norm) continue;
            foreach (var (parameter, draw) in new (Parameter, Func<double>)[]
            {
                (norm.Weight, () => 1 + (0.2 * random.NextNormal())), (norm.Bias, () => 0.3 * random.NextNormal()),
                (norm.RunningMean, () => 0.3 * random.NextNormal()), (norm.RunningVar, () => 0.5 + random.NextSingle()),
            })
            {
                parameter.FromTorch(Enumerable.Range(0, norm.Channels).Select(_ => draw()).ToArray());
            }
        }
        foreach (var (key, parameter) in model.NamedParameters())
        {
            if (key.EndsWith("layer_scale", StringComparison.Ordinal)) // a fresh one is next to nothing, and would hide its branch
                parameter.FromTorch(Enumerable.Range(0, (int)parameter.Data.Length).Select(_ => random.NextNormal()).ToArray());
        }
        model.Eval();
        return model;
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        double largest = expected.Max(Math.Abs), worst = expected.Zip(actual, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(worst <= tolerance * largest, $"{worst:E2} apart where the largest value is {largest:G4}");
    }
}
