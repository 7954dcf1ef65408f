using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Models;

/// <summary>Weights under other names, in other wrappers, of other sizes: they come in bit for bit, or one sentence says why not.</summary>
public sealed class ForeignWeightsTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    /// <summary>One key of each kind there is, as it stands in files, and the zoo's name for it.</summary>
    public static TheoryData<string, string, string, string> Keys => new()
    {
        { "mobilenet_v1", "Ding", "conv1.bn.running_mean", "model.0.1.running_mean" },
        { "mobilenet_v1", "Ding", "stem.0.depthwise.conv.weight", "model.1.0.weight" },
        { "mobilenet_v1", "Ding", "stem.12.pointwise.bn.bias", "model.13.4.bias" },
        { "mobilenet_v1", "Ding", "linear.bias", "fc.bias" },
        { "mobilenet_v2", "timm", "conv_stem.weight", "features.0.0.weight" },
        { "mobilenet_v2", "timm", "blocks.0.0.conv_dw.weight", "features.1.conv.0.0.weight" },
        { "mobilenet_v2", "timm", "blocks.0.0.bn2.running_var", "features.1.conv.2.running_var" },
        { "mobilenet_v2", "timm", "blocks.1.0.conv_pw.weight", "features.2.conv.0.0.weight" },
        { "mobilenet_v2", "timm", "blocks.3.3.conv_dw.weight", "features.10.conv.1.0.weight" },
        { "mobilenet_v2", "timm", "blocks.6.0.bn3.weight", "features.17.conv.3.weight" },
        { "mobilenet_v2", "timm", "bn2.weight", "features.18.1.weight" },
        { "mobilenet_v2", "timm", "classifier.weight", "classifier.1.weight" },
        { "mobilenet_v2", "flat blocks", "features.1.conv.3.weight", "features.1.conv.1.weight" },
        { "mobilenet_v2", "flat blocks", "features.17.conv.7.bias", "features.17.conv.3.bias" },
        { "mobilenet_v2", "flat blocks", "conv.1.weight", "features.18.1.weight" },
        { "mobilenet_v3_large", "timm", "blocks.0.0.conv_pw.weight", "features.1.block.1.0.weight" },
        { "mobilenet_v3_large", "timm", "blocks.2.0.conv_dw.weight", "features.4.block.1.0.weight" },
        { "mobilenet_v3_large", "timm", "blocks.2.0.se.conv_reduce.bias", "features.4.block.2.fc1.bias" },
        { "mobilenet_v3_large", "timm", "blocks.3.0.conv_pwl.weight", "features.7.block.2.0.weight" },
        { "mobilenet_v3_large", "timm", "blocks.5.2.bn3.weight", "features.15.block.3.1.weight" },
        { "mobilenet_v3_large", "timm", "blocks.6.0.conv.weight", "features.16.0.weight" },
        { "mobilenet_v3_large", "timm", "conv_head.weight", "classifier.0.weight" },
        { "mobilenet_v3_large", "timm", "classifier.bias", "classifier.3.bias" },
        { "mobilenet_v3_small", "timm", "blocks.0.0.se.conv_expand.weight", "features.1.block.1.fc2.weight" },
        { "mobilenet_v3_small", "timm", "blocks.4.2.conv_pwl.weight", "features.11.block.3.0.weight" },
        { "mobilenet_v3_small", "timm", "blocks.5.0.bn1.bias", "features.12.1.bias" },
        { "efficientnet_b0", "timm", "blocks.0.0.se.conv_reduce.weight", "features.1.0.block.1.fc1.weight" },
        { "efficientnet_b0", "timm", "blocks.2.1.conv_dw.weight", "features.3.1.block.1.0.weight" },
        { "efficientnet_b0", "timm", "conv_head.weight", "features.8.0.weight" },
        { "resnet50", "Ding", "stage0.conv1.bn.weight", "bn1.weight" },
        { "resnet50", "Ding", "stage3.5.conv3.conv.weight", "layer3.5.conv3.weight" },
        { "resnet50", "Ding", "stage2.0.shortcut.bn.running_var", "layer2.0.downsample.1.running_var" },
        { "densenet121", "torchvision before 0.3", "features.denseblock3.denselayer24.norm.2.running_var", "features.denseblock3.denselayer24.norm2.running_var" },
        { "densenet121", "torchvision before 0.3", "features.denseblock1.denselayer1.conv.1.weight", "features.denseblock1.denselayer1.conv1.weight" },
        { "densenet121", "torchvision before 0.3", "features.transition1.norm.weight", "features.transition1.norm.weight" },
        { "convnext_tiny", "facebookresearch", "downsample_layers.0.0.weight", "features.0.0.weight" },
        { "convnext_tiny", "facebookresearch", "downsample_layers.3.1.bias", "features.6.1.bias" },
        { "convnext_tiny", "facebookresearch", "stages.2.8.pwconv2.weight", "features.5.8.block.5.weight" },
        { "convnext_tiny", "facebookresearch", "stages.0.1.gamma", "features.1.1.layer_scale" },
        { "convnext_tiny", "facebookresearch", "norm.weight", "classifier.0.weight" },
        { "convnext_tiny", "facebookresearch", "head.weight", "classifier.2.weight" },
        { "convnext_tiny", "timm", "stem.1.bias", "features.0.1.bias" },
        { "convnext_tiny", "timm", "stages.1.downsample.1.weight", "features.2.1.weight" },
        { "convnext_tiny", "timm", "stages.2.blocks.4.mlp.fc1.weight", "features.5.4.block.3.weight" },
        { "convnext_tiny", "timm", "head.fc.bias", "classifier.2.bias" },
        { "fasternet_t0", "timm", "stages.0.blocks.0.mlp.1.weight", "stages.0.blocks.0.mlp.1.weight" },
        { "fasternet_t0", "timm", "stages.3.blocks.1.spatial_mixing.partial_conv3.weight", "stages.6.blocks.1.spatial_mixing.partial_conv3.weight" },
        { "fasternet_t0", "timm", "stages.2.downsample.reduction.weight", "stages.3.reduction.weight" },
        { "fasternet_t0", "timm", "conv_head.weight", "avgpool_pre_head.1.weight" },
        { "fasternet_t0", "timm", "classifier.weight", "head.weight" },
        { "repvgg_a0", "timm", "stem.conv_1x1.bn.bias", "stage0.rbr_1x1.bn.bias" },
        { "repvgg_b1g4", "timm", "stages.2.15.identity.running_var", "stage3.15.rbr_identity.running_var" },
        { "repvgg_b3", "timm", "stages.3.0.reparam_conv.bias", "stage4.0.rbr_reparam.bias" },
        { "repvgg_a0", "timm", "head.fc.weight", "linear.weight" },
        { "vgg16_bn", "timm", "pre_logits.fc1.weight", "classifier.0.weight" },
        { "vgg16_bn", "timm", "features.0.weight", "features.0.weight" },
    };

    /// <summary>Every architecture of the zoo that has maps, with each of them.</summary>
    public static TheoryData<string, string> Maps
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string name in Zoo.Names)
            {
                if (name.StartsWith("resnet", StringComparison.Ordinal) && name != "resnet18") continue; // the same map
                if (name.StartsWith("repvgg_", StringComparison.Ordinal) && name != "repvgg_b1g4") continue;
                if (name.StartsWith("fasternet_", StringComparison.Ordinal) && name != "fasternet_t0") continue;
                foreach (var map in KeyMaps.For(new ModelSpec(name)).Where(m => m.Rows.Count > 0)) data.Add(name, map.Source);
            }
            return data;
        }
    }

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void NamesAreTranslated(string architecture, string source, string there, string here) =>
        Assert.Equal(here, KeyMaps.For(new ModelSpec(architecture)).Single(m => m.Source == source).Rename(there));

    [Theory]
    [MemberData(nameof(Maps))]
    public void EveryNameOfTheModelIsFound(string architecture, string source)
    {
        // The map read backwards names the model's tensors as that repository does; the loader must find all of them again.
        bool grid = architecture.StartsWith("vgg", StringComparison.Ordinal);
        using var model = Zoo.Create(new ModelSpec(architecture) { Classes = 10, Width = grid ? 0.05 : 0.1 }, Initializer.ForLoading(Cpu));
        var map = KeyMaps.For(model.Spec).Single(m => m.Source == source);
        var back = map.Rows.Where(r => r.Key != r.Value).ToDictionary(r => r.Value, r => r.Key);
        var reverse = new KeyMap("backwards", back);
        Dictionary<string, StateEntry> foreign = model.NamedParameters().ToDictionary(p => reverse.Rename(p.Name), p => new StateEntry(p.Parameter.TorchShape, p.Parameter.ToTorch));
        int renamed = model.NamedParameters().Count(p => !foreign.ContainsKey(p.Name));
        Assert.True(renamed > 2, $"only {renamed} names differ");
        string[] names = [.. model.NamedParameters().Select(p => p.Name)];
        Check(foreign, "");
        Check(foreign.ToDictionary(f => "module._orig_mod.model." + f.Key, f => f.Value), "module._orig_mod.model.");

        void Check(Dictionary<string, StateEntry> state, string prefix)
        {
            var found = Assert.Single(new WeightFinder(state, [.. KeyMaps.For(model.Spec)], WeightLoader.Wanted(model)).Complete(names));
            Assert.Equal((prefix, source), (found.Prefix, found.Map?.Source));
            Assert.Equal(names.Order(), found.State.Keys.Order());
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("module.")]
    [InlineData("_orig_mod.module.")]
    [InlineData("model.")]
    [InlineData("module.net.")]
    public void PrefixesOfWrappersAreTakenOff(string prefix)
    {
        using Model model = TrainingBench.Model(Cpu, "mobilenet_v1"), other = Zoo.Create(model.Spec, new Initializer(Cpu, 77));
        SafeTensorsWriter.Write(_folder.File("w"), StateDict.Of(model).Select(e => SafeTensorsEntry.FromFloats(prefix + e.Key, Long(e.Value.Shape), e.Value.Read())));
        Assert.True(ModelFile.LoadWeights(other, _folder.File("w")).IsEmpty);
        AssertEqual(model, other);
    }

    [Fact]
    public void DingsMobileNetComesInAsTorchPickle()
    {
        using Model model = TrainingBench.Model(Cpu, "mobilenet_v1"), other = Zoo.Create(model.Spec, new Initializer(Cpu, 77));
        var reverse = new KeyMap("backwards", KeyMaps.For(model.Spec).Single().Rows.ToDictionary(r => r.Value, r => r.Key));
        TorchWriter.Write(_folder.File("w.pth"), StateDict.Of(model).Where(e => !e.Key.EndsWith("num_batches_tracked", StringComparison.Ordinal))
            .Select(e => SafeTensorsEntry.FromFloats(reverse.Rename(e.Key), Long(e.Value.Shape), e.Value.Read())));
        Assert.True(ModelFile.LoadWeights(other, _folder.File("w.pth")).IsEmpty);
        AssertEqual(model, other);
    }

    [Fact]
    public void RepVggAsItIsTrainedIsFolded()
    {
        // One block with an identity branch in two groups: [4, 2, 3, 3]. Expected: the branches on an image, one after another.
        var state = new Dictionary<string, StateEntry>();
        Add("stage1.1.rbr_dense.conv.weight", new(4, 2, 3, 3), 1);
        Add("stage1.1.rbr_1x1.conv.weight", new(4, 2, 1, 1), 2);
        foreach (string norm in new[] { "rbr_dense.bn", "rbr_1x1.bn", "rbr_identity" })
        {
            foreach (string part in new[] { "weight", "bias", "running_mean", "running_var" }) Add($"stage1.1.{norm}.{part}", new(4), (ulong)state.Count + 9);
            state[$"stage1.1.{norm}.num_batches_tracked"] = new StateEntry(new Shape(), () => [5]);
        }
        Add("linear.weight", new(2, 4), 3);
        var deployed = RepVggTrained.Deploy(state)!;
        Assert.Equal(["linear.weight", "stage1.1.rbr_reparam.bias", "stage1.1.rbr_reparam.weight"], deployed.Keys.Order());
        Assert.Null(RepVggTrained.Deploy(deployed)); // already deployed: nothing to fold

        using var image = Normal(Cpu, new Shape(1, 5, 5, 4), 50);
        using var tape = Tape.Inference();
        double[] expected = Branch("rbr_dense", 3), pointwise = Branch("rbr_1x1", 1), identity = Norm(image, "stage1.1.rbr_identity").ToDoubleArray();
        double[] actual = Convolve(deployed["stage1.1.rbr_reparam.weight"], deployed["stage1.1.rbr_reparam.bias"]).ToDoubleArray();
        for (int i = 0; i < actual.Length; i++) Assert.Equal(expected[i] + pointwise[i] + identity[i], actual[i], 1e-4);

        double[] Branch(string name, int k) => Norm(Convolve(state[$"stage1.1.{name}.conv.weight"], null), $"stage1.1.{name}.bn").ToDoubleArray();

        Tensor Convolve(StateEntry weight, StateEntry? bias)
        {
            int k = weight.Shape[2];
            using var conv = new Conv2d(new Initializer(Cpu), 4, 4, k, 1, k / 2, groups: 2, bias: bias is not null);
            conv.Weight.FromTorch(weight.Read());
            if (bias is not null) conv.Bias!.FromTorch(bias.Read());
            return conv.Forward(image);
        }

        Tensor Norm(Tensor x, string name)
        {
            using var norm = new BatchNorm2d(new Initializer(Cpu), 4);
            StateDict.Load(norm, state.Where(s => s.Key.StartsWith(name + ".", StringComparison.Ordinal)).ToDictionary(s => s.Key[(name.Length + 1)..], s => s.Value));
            norm.Eval();
            return norm.Forward(x);
        }

        void Add(string name, Shape shape, ulong tag)
        {
            float[] values = [.. Normal(shape.Count, tag).Select(v => (float)(name.EndsWith("var", StringComparison.Ordinal) ? (v * v) + 0.5 : v))];
            state[name] = new StateEntry(shape, () => values);
        }
    }

    [Theory]
    [InlineData(-1f, 1f, "because a running variance is below zero")]
    [InlineData(1f, 1e38f, "too large for single precision")]
    public void RepVggThatFoldsIntoNoNumbersChangesNothing(float variance, float gamma, string why)
    {
        using var model = Zoo.Create(new ModelSpec("repvgg_a0") { Classes = 2, Width = 0.05, ImageSize = 32, SmallImages = true }, new Initializer(Cpu, 3));
        List<SafeTensorsEntry> file = [];
        foreach (var (name, parameter) in model.NamedParameters())
        {
            var shape = parameter.TorchShape;
            if (!name.Contains("rbr_reparam", StringComparison.Ordinal)) file.Add(SafeTensorsEntry.FromFloats(name, Long(shape), parameter.ToTorch()));
            if (!name.EndsWith("rbr_reparam.weight", StringComparison.Ordinal)) continue;
            string block = name[..^".rbr_reparam.weight".Length];
            Add($"{block}.rbr_dense.conv.weight", shape, 100);
            Add($"{block}.rbr_1x1.conv.weight", new Shape(shape[0], shape[1], 1, 1), 1);
            bool bad = block == "stage3.2";
            foreach (string norm in new[] { "rbr_dense.bn", "rbr_1x1.bn" })
            {
                foreach (string part in new[] { "bias", "running_mean" }) Add($"{block}.{norm}.{part}", new Shape(shape[0]), 0);
                Add($"{block}.{norm}.weight", new Shape(shape[0]), bad ? gamma : 1);
                Add($"{block}.{norm}.running_var", new Shape(shape[0]), bad ? variance : 1);
            }
        }
        SafeTensorsWriter.Write(_folder.File("w"), file);
        float[][] before = [.. model.NamedParameters().Select(p => p.Parameter.ToArray())];
        string message = Assert.Throws<FileFormatException>(() => ModelFile.LoadWeights(model, _folder.File("w"))).Message;
        Assert.StartsWith(_folder.File("w") + ": ", message);
        Assert.Contains("'stage3.2'", message);
        Assert.Contains(why, message);
        Assert.Equal(before, model.NamedParameters().Select(p => p.Parameter.ToArray()));

        void Add(string name, Shape shape, float value) => file.Add(SafeTensorsEntry.FromFloats(name, Long(shape), Enumerable.Repeat(value, (int)shape.Count).ToArray()));
    }

    [Fact]
    public void NormsWithAnotherEpsilonComputeTheSame()
    {
        float[] gamma = [1.5f, -2, 0.3f, 1], variance = [0.5f, 2e-3f, 1e-4f, 0]; // the last two cannot take the difference
        var state = NormEpsilon.Change(new()
        {
            ["bn.weight"] = new StateEntry(new Shape(4), () => gamma),
            ["bn.running_var"] = new StateEntry(new Shape(4), () => variance),
            ["bn.bias"] = new StateEntry(new Shape(4), () => [1, 2, 3, 4]),
        }, there: 1e-5, here: 1e-3);
        float[] weights = state["bn.weight"].Read(), variances = state["bn.running_var"].Read();
        for (int c = 0; c < 4; c++)
            Assert.Equal(gamma[c] / Math.Sqrt(variance[c] + 1e-5), weights[c] / Math.Sqrt(variances[c] + 1e-3), 1e-6 * Math.Abs(gamma[c]) / Math.Sqrt(variance[c] + 1e-5));
        Assert.All(variances, v => Assert.True(v >= 0));
        Assert.Equal(gamma[..2], weights[..2]); // where the variance can take it, it does
        Assert.Equal([1, 2, 3, 4], state["bn.bias"].Read());
        variance[2] = -1;
        var bad = NormEpsilon.Change(new() { ["bn.weight"] = new StateEntry(new Shape(4), () => gamma), ["bn.running_var"] = new StateEntry(new Shape(4), () => variance) }, 1e-5, 1e-3);
        Assert.Contains("'bn.running_var' holds a variance below zero", Assert.Throws<FileFormatException>(() => bad["bn.weight"].Read()).Message);
    }

    [Fact]
    public void TimmsMobileNetV3IsBroughtToTheEpsilonHereAndTorchvisionsIsNot()
    {
        using Model model = Zoo.Create(new ModelSpec("mobilenet_v3_small") { Classes = 5, Width = 0.1 }, new Initializer(Cpu, 3)), other = Zoo.Create(model.Spec, new Initializer(Cpu, 77));
        var reverse = new KeyMap("backwards", KeyMaps.For(model.Spec).Single().Rows.ToDictionary(r => r.Value, r => r.Key));
        SafeTensorsWriter.Write(_folder.File("timm"), StateDict.Of(model).Select(e => SafeTensorsEntry.FromFloats(reverse.Rename(e.Key), Long(e.Value.Shape), e.Value.Read())));
        ModelFile.LoadWeights(other, _folder.File("timm"));
        foreach (var (name, parameter) in other.NamedParameters())
        {
            if (name.EndsWith("running_var", StringComparison.Ordinal)) Assert.All(parameter.ToArray(), v => Assert.Equal(1 + 1e-5 - 1e-3, v, 1e-7));
            else Assert.True(parameter.ToArray().AsSpan().SequenceEqual(((Parameter)model.NamedParameters().Single(p => p.Name == name).Parameter).ToArray()), name);
        }
        ModelFile.SaveTorch(model, _folder.File("torchvision.pth"));
        ModelFile.LoadWeights(other, _folder.File("torchvision.pth"));
        AssertEqual(model, other);
    }

    [Fact]
    public void EfficientNetWithTensorFlowsPaddingIsRefused()
    {
        // efficientnet_pytorch has the same shapes, and computes something else.
        using var model = Zoo.Create(new ModelSpec("efficientnet_b0") { Classes = 5, Width = 0.1 }, Initializer.ForLoading(Cpu));
        Assert.All(KeyMaps.For(model.Spec), map => Assert.Equal("_conv_stem.weight", map.Rename("_conv_stem.weight")));
        SafeTensorsWriter.Write(_folder.File("w"), [SafeTensorsEntry.FromFloats("_conv_stem.weight", [8, 3, 3, 3], new float[216])]);
        Assert.Contains("missing", Assert.Throws<StateDictException>(() => ModelFile.LoadWeights(model, _folder.File("w"))).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void WeightsAreCheckedByTheThreadsOfTheDevice(int threads)
    {
        using var device = new CpuDevice(threads);
        using var linear = new Linear(new Initializer(device), 2, 2);
        List<int> told = [];
        var state = StateDict.Of(linear).ToDictionary(e => e.Key, e => e.Value with { Check = told.Add });
        StateDict.Load(linear, state);
        Assert.Equal([threads, threads], told);
    }

    [Fact]
    public void OtherClassesHaveASentenceAndAWayOut()
    {
        using var seven = TrainingBench.Model(Cpu, "mobilenet_v1");
        using var ten = Zoo.Create(seven.Spec with { Classes = seven.Spec.Classes + 3 }, new Initializer(Cpu, 77));
        ModelFile.SaveTorch(seven, _folder.File("w.pth"));
        float[] before = ten.NamedParameters().First().Parameter.ToArray(), head = ten.NamedParameters().Last().Parameter.ToArray();
        var e = Assert.Throws<StateDictException>(() => ModelFile.LoadWeights(ten, _folder.File("w.pth")));
        Assert.Contains($"is for {seven.Spec.Classes} classes and the model has {ten.Spec.Classes}", e.Message);
        Assert.Contains("--no-classifier", e.Message);
        Assert.Equal(2, e.Mismatch.Mismatched.Count);
        Assert.Equal(before, ten.NamedParameters().First().Parameter.ToArray());

        Assert.True(ModelFile.LoadWeights(ten, _folder.File("w.pth"), classifier: false).IsEmpty);
        Assert.Equal(seven.NamedParameters().First().Parameter.ToArray(), ten.NamedParameters().First().Parameter.ToArray());
        Assert.Equal(head, ten.NamedParameters().Last().Parameter.ToArray());
    }

    [Fact]
    public void AWeightThatIsNoNumberChangesNothing()
    {
        using Model model = TrainingBench.Model(Cpu, "mobilenet_v1"), other = Zoo.Create(model.Spec, new Initializer(Cpu, 77));
        var bad = model.NamedParameters().Last().Parameter;
        float[] values = bad.ToTorch();
        values[^1] = float.NaN;
        bad.FromTorch(values);
        ModelFile.Save(model, _folder.File("w"));
        float[] before = other.NamedParameters().First().Parameter.ToArray();
        Assert.Contains("fc.bias F32 [10] holds values that are not numbers (NaN)", Assert.Throws<FileFormatException>(() => ModelFile.LoadWeights(other, _folder.File("w"))).Message);
        Assert.Throws<FileFormatException>(() => ModelFile.Load(_folder.File("w"), Cpu));
        Assert.Equal(before, other.NamedParameters().First().Parameter.ToArray());
    }

    /// <summary>The memory of a model that is about to get all its values is not filled before; whatever a file did not fill would be NaN here.</summary>
    [Theory]
    [InlineData("mobilenet_v3_small")]
    [InlineData("convnext_tiny")]
    [InlineData("densenet121")]
    [InlineData("shufflenet_v2_x0_5")]
    [InlineData("sesr_m3_x2")]
    public void EveryValueOfANewModelIsFromItsFile(string architecture)
    {
        var spec = new ModelSpec(architecture) { Classes = 5, ImageSize = 32, Width = 0.5 };
        if (architecture.StartsWith("sesr", StringComparison.Ordinal)) spec = spec with { Classes = 1000, Width = 1, InChannels = 1 };
        if (architecture.StartsWith("shuffle", StringComparison.Ordinal)) spec = spec with { Width = 1 };
        using var model = Zoo.Create(spec, new Initializer(Cpu, 4));
        model.Eval();
        ModelFile.Save(model, _folder.File("w"));
        using var poisoned = new CpuDevice(2) { PoisonBuffers = true };
        using var loaded = ModelFile.Load(_folder.File("w"), poisoned);
        AssertEqual(model, loaded);
        float[] image = [.. Normal(model.InputShape(1).Count, 3).Select(v => (float)v)];
        Assert.Equal(model.Predict(image, 1), loaded.Predict(image, 1));
    }

    [Fact]
    public void AFileAloneMakesAModel()
    {
        using var model = TrainingBench.Model(Cpu, "mobilenet_v1");
        model.Eval();
        ModelFile.Save(model, _folder.File("w"));
        using var loaded = Model.Load(_folder.File("w"));
        using var again = Model.Load(_folder.File("w"));
        Assert.Same(loaded.Device, again.Device);
        Assert.Equal(model.Spec, loaded.Spec);
        float[] image = [.. Normal(model.InputShape(1).Count, 3).Select(v => (float)v)];
        Assert.Equal(model.Predict(image, 1), loaded.Predict(image, 1));
        using var here = Model.Load(_folder.File("w"), Reference);
        Assert.Same(Reference, here.Device);
        Assert.Contains("is a folder", Assert.Throws<FileFormatException>(() => Model.Load(_folder.Path)).Message);
        ModelFile.SaveTorch(model, _folder.File("w.pth"));
        Assert.Contains("refconv convert", Assert.Throws<FileFormatException>(() => Model.Load(_folder.File("w.pth"))).Message);
    }

    private static IEnumerable<long> Long(Shape shape) => shape.Sizes.ToArray().Select(s => (long)s);

    private static void AssertEqual(Model expected, Model actual)
    {
        foreach (var ((name, a), (_, b)) in expected.NamedParameters().Zip(actual.NamedParameters())) Assert.True(a.ToArray().AsSpan().SequenceEqual(b.ToArray()), name);
    }
}
