using System.Text.RegularExpressions;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Optim;

namespace RefConv.Tests.Models;

/// <summary>The architectures: their published counts, widths, variants, and the round through refocusing and merging. ParityTests compares them with PyTorch.</summary>
public sealed class ZooTests : DeviceTest
{
    /// <summary>What an architecture has at ImageNet size, refocused at map_k = 3.</summary>
    /// <param name="Parameters">Weights of the plain model.</param>
    /// <param name="Macs">Multiply-adds of one image of 224×224.</param>
    /// <param name="Convs">Convolutions larger than 1×1.</param>
    /// <param name="Frozen">Their weights.</param>
    /// <param name="Refocus">Refocus weights.</param>
    /// <param name="RefocusMacs">Multiply-adds of all transforms, a step.</param>
    public sealed record Counts(long Parameters, long Macs, int Convs, long Frozen, long Refocus, long RefocusMacs);

    /// <summary>
    /// Parameters and MACs as PyTorch counts them in torchvision's models (otherwise: in the authors' repositories);
    /// refocus weights Cin·Cout·k², their transform k²·K² for every pair of channels.
    /// </summary>
    public static TheoryData<string, Counts> Published => new()
    {
        { "mobilenet_v1", new(4_231_976, 568_740_352, 14, 45_504, 25_114_464, 226_030_176) },
        { "mobilenet_v2", new(3_504_872, 300_774_272, 18, 65_088, 40_611_168, 365_500_512) },
        { "mobilenet_v3_small", new(2_542_856, 56_510_400, 12, 59_016, 8_273_520, 204_932_592) },
        { "mobilenet_v3_large", new(5_483_032, 216_589_760, 16, 92_040, 28_670_832, 593_380_080) },
        { "mobilenet_v3_small_refconv", new(2_938_368, 60_119_520, 12, 59_016, 8_273_520, 204_932_592) },
        { "mobilenet_v3_large_refconv", new(5_476_416, 219_799_200, 16, 92_040, 28_670_832, 593_380_080) },
        { "efficientnet_b0", new(5_288_548, 385_814_752, 17, 182_880, 67_692_384, 1_422_082_656) },
        { "shufflenet_v2_x0_5", new(1_366_792, 40_476_448, 20, 9_936, 627_912, 5_651_208) },
        { "shufflenet_v2_x1_0", new(2_278_604, 144_907_992, 20, 22_788, 3_638_952, 32_750_568) },
        { "shufflenet_v2_x1_5", new(3_503_624, 295_759_392, 20, 34_128, 8_369_352, 75_324_168) },
        { "shufflenet_v2_x2_0", new(7_393_996, 583_253_464, 20, 46_980, 16_080_552, 144_724_968) },
        { "resnet18", new(11_689_512, 1_814_073_344, 17, 10_994_880, 10_987_200, 98_953_920) },
        { "resnet34", new(21_797_672, 3_663_761_408, 33, 21_095_616, 21_087_936, 189_860_544) },
        { "resnet50", new(25_557_032, 4_089_184_256, 17, 11_326_656, 11_318_976, 101_939_904) },
        { "densenet121", new(7_978_856, 2_834_161_664, 59, 2_147_520, 2_139_840, 19_327_680) },
        { "vgg16_bn", new(138_365_992, 15_470_264_320, 13, 14_710_464, 14_710_464, 132_394_176) },
    };

    /// <summary>The same of what is made for CIFAR, in images of 32×32 and 10 classes.</summary>
    public static TheoryData<string, Counts> OnCifar => new()
    {
        { "vgg16_bn", new(14_728_266, 313_201_664, 13, 14_710_464, 14_710_464, 132_394_176) },
        { "resnet20", new(272_474, 40_813_184, 19, 267_696, 267_696, 2_409_264) },
        { "resnet32", new(466_906, 69_124_736, 31, 461_232, 461_232, 4_151_088) },
        { "resnet56", new(855_770, 125_747_840, 55, 848_304, 848_304, 7_634_736) },
        { "resnet110", new(1_730_714, 253_149_824, 109, 1_719_216, 1_719_216, 15_472_944) },
        { "resnet164", new(1_704_154, 247_646_720, 55, 871_344, 871_344, 7_842_096) },
    };

    /// <summary>Names of the convolutions larger than 1×1, and of nothing else.</summary>
    private static readonly (string Architecture, string Convs)[] s_largeConvs =
    [
        ("mobilenet_v1", @"^model\.\d+\.0$"),
        ("mobilenet_v2", @"^features\.0\.0$|^features\.1\.conv\.0\.0$|^features\.([2-9]|1[0-7])\.conv\.1\.0$"),
        ("mobilenet_v3_(small|large)_refconv", @"^features\.0\.0$|^features\.\d+\.conv\.3$"),
        ("mobilenet_v3_large", @"^features\.0\.0$|^features\.1\.block\.0\.0$|^features\.([2-9]|1[0-5])\.block\.1\.0$"),
        ("mobilenet_v3_small", @"^features\.0\.0$|^features\.1\.block\.0\.0$|^features\.([2-9]|1[01])\.block\.1\.0$"),
        ("efficientnet_b0", @"^features\.0\.0$|^features\.1\.0\.block\.0\.0$|^features\.[2-7]\.\d\.block\.1\.0$"),
        ("shufflenet_v2_.*", @"^conv1\.0$|^stage[234]\.0\.branch1\.0$|^stage[234]\.\d\.branch2\.3$"),
        ("resnet(50|164)", @"^conv1$|^layer\d\.\d+\.conv2$"),
        ("resnet.*", @"^conv1$|^layer\d\.\d+\.conv[12]$"),
        ("densenet121", @"^features\.conv0$|denselayer\d+\.conv2$"),
        ("vgg16_bn", @"^features\.(0|3|7|10|14|17|20|24|27|30|34|37|40)$"),
    ];

    [Theory]
    [MemberData(nameof(Published))]
    public void CountsAtImageNetSize(string name, Counts expected) => CompareCounts(new ModelSpec(name), expected);

    [Theory]
    [MemberData(nameof(OnCifar))]
    public void CountsAtCifarSize(string name, Counts expected) => CompareCounts(new ModelSpec(name) { Classes = 10, ImageSize = 32, SmallImages = true }, expected);

    private static void CompareCounts(ModelSpec spec, Counts expected)
    {
        using var device = new ShapeDevice();
        using var model = Zoo.Create(spec, Initializer.ForLoading(device));
        var plain = ModelSummary.Of(model);
        Assert.Equal((expected.Parameters, expected.Parameters), (plain.TrainParameters, plain.DeployParameters));
        Assert.Equal((expected.Macs, expected.Macs, 0), (plain.TrainMacs, plain.DeployMacs, plain.TransformMacs));
        Assert.True(model.Training); // counting leaves the model in the mode it was in

        using var refocused = model.Expand(new RefConvMethod(new RefConvOptions { Init = RefocusInit.Zero }), LayerPolicy.LargerThan1);
        var layers = refocused.NamedModules().Where(m => m.Module is RefConv2d).Select(m => (RefConv2d)m.Module).ToArray();
        Assert.Equal(expected.Convs, layers.Length);
        Assert.Equal(expected.Frozen, layers.Where(l => !l.Basis.Trainable).Sum(l => l.Basis.Data.Length));
        Assert.Equal(expected.Refocus, layers.Sum(l => l.Map.Data.Length));
        Assert.Equal(expected.Parameters + expected.Refocus - expected.Frozen, refocused.TrainableParameters().Sum(p => p.Data.Length));

        var summary = ModelSummary.Of(refocused);
        Assert.Equal(expected.Parameters + expected.Refocus, summary.TrainParameters);
        Assert.Equal(expected.Parameters, summary.DeployParameters);
        Assert.Equal((expected.Macs, expected.Macs, expected.RefocusMacs), (summary.TrainMacs, summary.DeployMacs, summary.TransformMacs));

        // The patterns match the large convolutions one for one, and the refocused model says so of itself.
        string[] convs = [.. model.NamedModules().Where(m => m.Module is Conv2d { KernelSize.H: > 1 }).Select(m => m.Name)];
        string pattern = s_largeConvs.First(p => Regex.IsMatch(spec.Architecture, $"^{p.Architecture}$")).Convs;
        Assert.Equal(convs, model.NamedModules().Where(m => m.Module is Conv2d && Regex.IsMatch(m.Name, pattern)).Select(m => m.Name));
        Assert.Equal(convs, refocused.Forms[0].Layers);
    }

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
    [MemberData(nameof(Kinds))]
    public void ATrainedRefocusedModelMergesIntoThePlainOneBitForBit(string name)
    {
        // Point 7 of the specification of RefConv: load the baseline, train two steps, merge, load strictly, same scores.
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
            Assert.All(report.Layers, l => Assert.InRange(l.MaxAbsValue, 1e-4, 1e6)); // something was compared
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
