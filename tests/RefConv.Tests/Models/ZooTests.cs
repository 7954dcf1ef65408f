using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Optim;

namespace RefConv.Tests.Models;

/// <summary>The architectures: their widths, variants, and the round through refocusing and merging. ParityTests compares them with PyTorch, ZooCountsTests counts.</summary>
public sealed class ZooTests : DeviceTest
{
    [Fact]
    public void MobileNetV1HasTheNamesOfItsRepository()
    {
        using var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Width = 0.25, Classes = 10 }, new Initializer(Cpu));
        string[] norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];
        List<string> expected = ["model.0.0.weight", .. norm.Select(n => $"model.0.1.{n}")];
        for (int i = 1; i <= 13; i++)
            expected.AddRange([$"model.{i}.0.weight", .. norm.Select(n => $"model.{i}.1.{n}"), $"model.{i}.3.weight", .. norm.Select(n => $"model.{i}.4.{n}")]);
        expected.AddRange(["fc.weight", "fc.bias"]);
        Assert.Equal(expected, model.NamedParameters().Select(p => p.Name));
    }

    [Theory]
    [InlineData(0.25, 250_922)]
    [InlineData(0.35, 408_938)]
    [InlineData(0.75, 1_368_234)]
    [InlineData(1.4, 4_333_706)]
    public void WidthsOfMobileNetV2AreRoundedAsTorchvisionDoes(double width, long parameters)
    {
        using var model = Zoo.Create(new ModelSpec("mobilenet_v2") { Width = width, Classes = 10 }, Initializer.ForLoading(Cpu));
        Assert.Equal(parameters, model.ParameterCount());
    }

    [Theory]
    [InlineData("mobilenet_v3_small", 0.5, 409_394)]
    [InlineData("mobilenet_v3_small", 1.25, 2_376_722)]
    [InlineData("mobilenet_v3_large", 0.75, 2_426_186)]
    [InlineData("efficientnet_b0", 0.75, 2_381_050)]
    [InlineData("efficientnet_b0", 1.4, 7_895_140)]
    public void WidthsOfLaterNetsAreRoundedAsTorchvisionDoes(string name, double width, long parameters)
    {
        using var model = Zoo.Create(new ModelSpec(name) { Width = width, Classes = 10 }, Initializer.ForLoading(Cpu));
        Assert.Equal(parameters, model.ParameterCount());
    }

    [Theory]
    [InlineData("mobilenet_v3_small", 32, 3, 4)]
    [InlineData("mobilenet_v3_small", 28, 1, 4)]
    [InlineData("mobilenet_v3_large", 32, 3, 4)]
    [InlineData("mobilenet_v3_large_refconv", 32, 3, 1)] // the last convolution comes after the mean
    [InlineData("efficientnet_b0", 32, 3, 4)]
    [InlineData("shufflenet_v2_x1_0", 32, 3, 4)]
    [InlineData("shufflenet_v2_x1_0", 28, 1, 4)]
    [InlineData("resnet50", 32, 3, 4)]
    [InlineData("resnet20", 32, 3, 8)]
    [InlineData("resnet164", 16, 3, 4)]
    [InlineData("densenet121", 32, 3, 4)]
    [InlineData("densenet121", 28, 1, 3)]
    [InlineData("vgg16_bn", 32, 3, 2)]
    [InlineData("vgg16_bn", 64, 1, 4)]
    [InlineData("mobilenet_v1", 32, 3, 2)]
    [InlineData("mobilenet_v1", 28, 1, 2)]
    [InlineData("mobilenet_v2", 32, 3, 4)]
    [InlineData("mobilenet_v2", 28, 1, 4)]
    [InlineData("resnet18", 32, 3, 4)]
    [InlineData("resnet18", 28, 1, 4)]
    [InlineData("mobilenext", 28, 1, 4)]
    [InlineData("hbonet", 32, 3, 2)]
    [InlineData("shufflenet_v1_g3_x1_0", 28, 1, 4)]
    [InlineData("fasternet_t0", 28, 1, 1)] // the last convolution comes after the mean
    [InlineData("convnext_tiny", 28, 1, 3)]
    [InlineData("repvgg_a0", 28, 1, 4)]
    public void SmallImageVariantsKeepMapsChannelsLast(string name, int size, int channels, int lastMap)
    {
        using var model = Small(name, Cpu, size, channels);
        model.Eval();
        using var x = model.Probe(3);
        Assert.Equal(new Shape(3, size, size, channels), x.Shape);
        using var tape = Tape.Trace();
        var y = model.Forward(x);
        Assert.Equal(new Shape(3, 10), y.Shape);
        var maps = tape.Nodes.Select(n => n.Output.Shape).Where(s => s.Rank == 4).ToArray();
        Assert.Equal((3, size, size), (maps[0][0], maps[0][1], maps[0][2])); // no stride in the stem
        Assert.All(maps, m => Assert.Equal((3, m[2]), (m[0], m[1])));
        var last = tape.Nodes.Last(n => n.Kind == "Conv2d").Output.Shape;
        Assert.Equal((lastMap, lastMap), (last[1], last[2]));
        Assert.All(tape.Nodes.Where(n => n.Kind == "Conv2d"), n => Assert.Equal(((Conv2d)model.Find(n.Name)).OutChannels, n.Output.Shape[3]));
        Assert.Equal(y.ToArray(), Scores(model, x)); // giving maps back early changes nothing
    }

    /// <summary>One of each kind.</summary>
    public static TheoryData<string> Kinds =>
    [
        "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large_refconv", "efficientnet_b0", "shufflenet_v2_x1_0", "resnet18", "resnet20", "resnet50",
        "densenet121", "vgg16_bn", "mobilenext", "hbonet", "shufflenet_v1_g8_x1_0", "fasternet_t1", "convnext_tiny", "repvgg_b1g4",
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void ACopyComputesTheSameAndIsOnItsOwn(string name)
    {
        using var model = Small(name, Cpu, 32, 3);
        DrawEverything(model);
        model.Eval();
        using var copy = (Model)model.Clone();
        using var x = Normal(Cpu, model.InputShape(2), 7);
        float[] scores = Scores(model, x);
        Assert.True(scores.Max() - scores.Min() > 1e-2);
        Assert.Equal(scores, Scores(copy, x));
        foreach (var (_, parameter) in model.NamedParameters()) Cpu.Kernels.Fill(parameter.Data, 0);
        Assert.Equal(scores, Scores(copy, x));
    }

    [Fact]
    public void EfficientNetLeavesOutItsBranchesImageByImageWhileTraining()
    {
        using var model = Small("efficientnet_b0", Cpu, 32, 3);
        double[] drops = [.. model.NamedModules().Select(m => m.Module).OfType<StochasticDepth>().Select(d => d.P)];
        Assert.Equal(Enumerable.Range(0, 16).Select(i => 0.2 * i / 16), drops);

        var block = model.Find("features.6.3");
        int channels = ((Conv2d)block.Find("block.0.0")).InChannels;
        using var x = Normal(Cpu, new(100, 2, 2, channels), 7);
        float[] input = x.ToArray(), dropping = Run(1);
        Assert.Equal(dropping, Run(1));
        Assert.NotEqual(dropping, Run(2));
        block.Find("stochastic_depth").Eval();
        float[] whole = Run(1);
        int length = 4 * channels, left = 0;
        for (int image = 0; image < 100; image++)
        {
            int at = image * length;
            bool dropped = dropping.AsSpan(at, length).SequenceEqual(input.AsSpan(at, length));
            left += dropped ? 1 : 0;
            for (int i = at; i < at + length; i++) Assert.Equal(dropped ? input[i] : input[i] + ((whole[i] - input[i]) / (1 - drops[14])), dropping[i], 1e-5);
        }
        Assert.InRange(left, 5, 35); // of 100, at p = 0.175

        float[] Run(long step)
        {
            using var tape = Tape.Train(step, seed: 3);
            return block.Forward(x).ToArray();
        }
    }

    [Theory]
    [InlineData("fasternet_t0", 0, 13)]
    [InlineData("fasternet_l", 0.3, 28)]
    [InlineData("convnext_tiny", 0.1, 18)]
    public void BranchesAreDroppedTheMoreTheDeeper(string name, double last, int blocks)
    {
        using var model = Small(name, Cpu, 32, 3);
        double[] drops = [.. model.NamedModules().Select(m => m.Module).OfType<StochasticDepth>().Select(d => d.P)];
        Assert.Equal(Enumerable.Range(0, blocks).Select(i => last * i / (blocks - 1)), drops);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void ATrainedRefocusedModelMergesIntoThePlainOneBitForBit(string name)
    {
        // The whole road of a refocused model: load the baseline, train two steps, merge, load strictly, same scores.
        using var model = Small(name, Cpu, 32, 3);
        DrawEverything(model);
        using var refocused = model.Expand(new RefConvMethod(), LayerPolicy.LargerThan1, seed: 5);
        var lists = StateDict.Load(refocused, StateDict.Of(model), strict: false);
        Assert.Equal(refocused.Forms[0].Layers.Select(l => l + ".convmap.weight").Order(), lists.Missing.Order());
        Assert.Empty(lists.Unexpected);
        TrainTwoSteps(refocused);
        refocused.Eval();

        var (merged, report) = refocused.Merge();
        using (merged)
        {
            Assert.Empty(merged.Forms);
            Assert.Equal(0, report.Worst.MaxAbsDifference);
            Assert.Equal(refocused.Forms[0].Layers.Append("output"), report.Layers.Select(l => l.Name));
            Assert.All(report.Layers, l => Assert.InRange(l.MaxAbsValue, 1e-4, 1e9)); // something was compared
            Assert.Equal(model.NamedParameters().Select(p => p.Name), merged.NamedParameters().Select(p => p.Name));
            using var fresh = Zoo.Create(model.Spec, new Initializer(Cpu, 99));
            Assert.True(StateDict.Load(fresh, StateDict.Of(merged), strict: true).IsEmpty);
            fresh.Eval();
            using var x = Normal(Cpu, model.InputShape(4), 77);
            float[] scores = Scores(refocused, x);
            Assert.Equal(scores, Scores(fresh, x));
            Assert.NotEqual(scores, Scores(model, x));
            Assert.True(scores.Max() - scores.Min() > 1e-2);
        }
    }

    [Fact]
    public void OneSeedOneModel()
    {
        using Model a = Small("mobilenet_v2", Cpu, 32, 3), b = Small("mobilenet_v2", Cpu, 32, 3), c = Small("mobilenet_v2", Reference, 32, 3);
        using var other = Zoo.Create(a.Spec, new Initializer(Cpu, 8));
        Assert.Equal(Values(a), Values(b));
        Assert.Equal(Values(a), Values(c)); // and on every device
        Assert.NotEqual(Values(a)[0], Values(other)[0]);

        static float[][] Values(Model model) => [.. model.NamedParameters().Select(p => p.Parameter.ToTorch())];
    }

    [Fact]
    public void WhatCannotBeBuiltIsRefusedWithTheReason()
    {
        var init = new Initializer(Cpu);
        Assert.Contains("Did you mean 'resnet18'?", Message(new("resnet-18")));
        Assert.Contains("Known are mobilenet_v1, mobilenet_v2, ", Message(new("alexnet")));
        Assert.Contains("224×224 pixels or a multiple of it, not 64×64", Message(new("vgg16_bn") { ImageSize = 64 }));
        Assert.Contains("at least 32×32", Message(new("vgg16_bn") { ImageSize = 28, SmallImages = true }));
        Assert.Contains("at least 2 classes", Message(new("resnet18") { Classes = 1 }));
        Assert.Contains("1,000,000 are the most", Message(new("resnet18") { Classes = 2_000_000_000 }));
        Assert.Contains("width multiplier", Message(new("resnet18") { Width = 0 }));
        Assert.Contains("width multiplier", Message(new("resnet18") { Width = double.NaN }));
        Assert.Contains("not possible", Message(new("resnet18") { ImageSize = 0 }));
        Assert.Contains("multiple of 32; it is 100. Use 96.", Message(new("hbonet") { ImageSize = 100 }));

        string Message(ModelSpec spec) => Assert.Throws<ArgumentException>(() => Zoo.Create(spec, init)).Message;
    }

    private static Model Small(string name, Device device, int size, int channels) => Zoo.Create(
        new ModelSpec(name) { Classes = 10, Width = 0.125, SmallImages = true, ImageSize = size, InChannels = channels }, new Initializer(device, 3));

    private static float[] Scores(Model model, Tensor x)
    {
        using var tape = Tape.Inference();
        return model.Forward(x).ToArray();
    }

    /// <summary>Weights and norms as no initialiser would make them: fresh norms (0, 1, 1, 0) hide most errors of a merge.</summary>
    private static void DrawEverything(Model model)
    {
        ulong stream = 0;
        foreach (var (key, parameter) in model.NamedParameters())
        {
            var random = new RandomStream(12, ++stream);
            if (parameter.IsInteger) continue;
            bool variance = key.EndsWith("running_var", StringComparison.Ordinal), scale = parameter.TorchShape.Rank == 1 && key.EndsWith("weight", StringComparison.Ordinal);
            double fan = parameter.TorchShape.Rank > 1 ? parameter.TorchShape.Count / (double)parameter.TorchShape[0] : 25;
            double[] values = new double[parameter.TorchShape.Count];
            for (int i = 0; i < values.Length; i++)
            {
                double z = random.NextNormal();
                values[i] = variance ? 0.3 + (z * z) : scale ? 1 + (0.3 * z) : z * Math.Sqrt(1 / fan);
            }
            parameter.FromTorch(values);
        }
    }

    private static void TrainTwoSteps(Model model)
    {
        var trained = model.NamedParameters().Where(p => p.Parameter.Trainable).ToArray();
        using var optimizer = new Sgd([new ParameterGroup(trained, 4e-5)], momentum: 0.9);
        float[][] before = [.. trained.Select(p => p.Parameter.ToArray())];
        using var labels = Tensor.From(model.Device, (float[])[3, 0, 9, 5], new Shape(4));
        for (int step = 0; step < 2; step++)
        {
            using var x = Normal(model.Device, model.InputShape(4), 40 + (ulong)step);
            using var tape = Tape.Train(step);
            tape.Backward(model.Forward(x).CrossEntropy(labels));
            optimizer.Step(0.05);
            optimizer.ZeroGrad();
        }
        for (int i = 0; i < trained.Length; i++)
            Assert.False(before[i].AsSpan().SequenceEqual(trained[i].Parameter.ToArray()), $"{trained[i].Name} did not move");
    }
}
