using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Methods;

/// <summary>Attention on a learnable constant.</summary>
public sealed class AsrTests : MethodTest
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void TheMergedNormAndTheMergedConvolutionComputeTheSame(string name)
    {
        var device = Get(name);
        foreach (int channels in new[] { 3, 16, 33 })
        foreach (int insertions in new[] { 1, 3 })
        {
            using var conv = RandomConv(device, 4, channels, (3, 3), new Conv2dOptions(1, 1, 1, 1), true, 1);
            using var norm = RandomNorm(device, channels, 2);
            using var form = Expand(norm, new AsrOptions { Insertions = insertions });
            form.Eval();
            using var x = Normal(device, new(2, 5, 7, channels), 3);
            using var residual = Normal(device, new(2, 5, 7, channels), 4);
            using var merged = (BatchNorm2d)form.Merge();
            string what = $"{channels} channels, {insertions} insertions on {device}";
            AssertClose(Run(merged, x), Run(form, x), Tolerance(device), what);
            using var tape = Tape.Inference();
            AssertClose(merged.Forward(x, ActivationKind.ReLU, residual).ToDoubleArray(), form.Forward(x, ActivationKind.ReLU, residual).ToDoubleArray(), Tolerance(device), what + ", fused");
            Assert.Equal(norm.RunningMean.ToArray(), merged.RunningMean.ToArray());

            // The same on a convolution: fold the norm, then scale.
            double[] v = form.Factors().ToDoubleArray();
            using var image = Normal(device, new(2, 6, 5, 4), 5);
            using var folded = KernelAlgebra.Scale(KernelAlgebra.Fold(Kernel.Of(conv), norm), v).ToConv2d(device, conv.Options);
            AssertClose(form.Forward(conv.Forward(image)).ToDoubleArray(), Run(folded, image), Tolerance(device), what + ", convolution");
        }
    }

    [Fact]
    public void LeavingOutTheShiftIsAnotherLayer()
    {
        using var norm = RandomNorm(Reference, 8, 1);
        using var form = Expand(norm);
        form.Eval();
        using var careless = (BatchNorm2d)form.Merge();
        careless.Bias.FromTorch(norm.Bias.ToTorchDouble()); // γ ⊙ v, but β as it was
        using var x = Normal(Reference, new(2, 5, 4, 8), 2);
        Assert.True(Difference(Run(form, x), Run(careless, x)) > 0.1);
    }

    [Fact]
    public void TheFactorsDependOnNoPicture()
    {
        using var norm = RandomNorm(Reference, 8, 1);
        using var alone = Expand(norm);
        using var both = Expand(norm, new AsrOptions { Both = true });
        using var x = Normal(Reference, new(1, 6, 6, 8), 2);
        using var y = Normal(Reference, new(1, 6, 6, 8), 3);
        double[][] a = Factors(alone), b = Factors(both);
        for (int c = 0; c < 8; c++)
        {
            Assert.Equal(a[0][c], a[1][c], 1e-9);
            Assert.InRange(a[0][c], 0.01, 0.99);
        }
        Assert.True(Difference(b[0], b[1]) > 1e-3); // the ordinary attention in "both" mode does look

        // What every channel is scaled by, found from the outside.
        double[][] Factors(AsrNorm form) => [.. new[] { x, y }.Select(t => Run(norm, t).Zip(Run(form, t), (plain, scaled) => scaled / plain).Take(8).ToArray())];
    }

    [Fact]
    public void StateIsThatOfTheAuthorsCode()
    {
        using var norm = RandomNorm(Reference, 40, 1);
        using var form = (AsrNorm)new AsrMethod(new AsrOptions { Insertions = 2 }).Expand(Site(norm), new Initializer(Reference, 3));
        string[] unit = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
        Assert.Equal(
            ["vector", "vector1", .. ((string[])["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]).Select(p => "bn." + p),
                .. unit.Select(p => "attention_module." + p), .. unit.Select(p => "attention_module1." + p)],
            form.NamedParameters().Select(p => p.Name));
        var state = form.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter);
        Assert.Equal(new Shape(1, 40, 1, 1), state["vector"].TorchShape);
        Assert.All(state["vector"].ToTorchDouble(), v => Assert.Equal(0.1, v, 1e-12));
        Assert.Equal(new Shape(2, 40), state["attention_module.fc1.weight"].TorchShape); // 40/16 = 2.5, to the even number
        Assert.Equal(norm.Weight.ToArray(), state["bn.weight"].ToArray());
        using var narrow = RandomNorm(Reference, 3, 1);
        using var small = new AsrMethod().Expand(Site(narrow), new Initializer(Reference, 3));
        Assert.Equal(1, small.NamedParameters().First(p => p.Name == "attention_module.fc1.weight").Parameter.TorchShape[0]);
        var options = ((AsrMethod)Reparameterizations.Create("asr", new AsrMethod(new AsrOptions { Insertions = 2, Initial = 0.3, Both = true, Reduction = 4 }).Options)).Settings;
        Assert.Equal(new AsrOptions { Insertions = 2, Initial = 0.3, Both = true, Reduction = 4 }, options);
    }

    [Fact]
    public void EveryInsertionHalvesTheBranchAtFirst()
    {
        using var norm = RandomNorm(Reference, 32, 1);
        foreach (int insertions in new[] { 1, 2, 4 })
        {
            using var form = (AsrNorm)new AsrMethod(new AsrOptions { Insertions = insertions }).Expand(Site(norm), new Initializer(Reference, 3));
            using var tape = Tape.Inference();
            Assert.Equal(Math.Pow(0.5, insertions), form.Factors().ToDoubleArray().Average(), 0.15 * Math.Pow(0.5, insertions));
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Gradients(bool training, bool absorbed)
    {
        using var plain = RandomNorm(Reference, 5, 1);
        using var still = new BatchNorm2d(new Initializer(Reference), 5, momentum: 0);
        using var conv = RandomConv(Reference, 5, 5, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 4);
        Module norm = absorbed ? new AbsorbedNorm(new ConvSite("conv", conv), plain) : still;
        using var form = Randomised((AsrNorm)new AsrMethod(new AsrOptions { Insertions = 2, Both = !absorbed }).Expand(new ConvSite("conv", conv) { Norm = norm, NormName = "norm" }, new Initializer(Reference, 3)));
        if (!training) form.Eval();
        using var x = Normal(Reference, new(2, 3, 4, 5), 7, requiresGrad: true);
        using var residual = Normal(Reference, new(2, 3, 4, 5), 8, requiresGrad: true);
        Tensor[] leaves = [x, residual, .. form.TrainableParameters()];
        Assert.Contains(form.TrainableParameters(), p => p.TorchShape == new Shape(1, 5, 1, 1));
        var result = GradCheck.Run(leaves, () => form.Forward(x, ActivationKind.ReLU, residual), maxElements: 20);
        Assert.True(result.MaxError < 1e-6, $"{result}, leaf {leaves[result.Tensor].Shape}");
        form.ZeroGrad();
        if (norm == still) return;
        norm.Dispose();
    }

    [Theory]
    [InlineData("repvgg", true)]
    [InlineData("dbb", true)]
    [InlineData("acb", false)]
    [InlineData("refconv", true)]
    [InlineData("refconv", false)]
    public void OverAnyOtherMethodAndUnderIt(string other, bool asrLast)
    {
        using var plain = Net("resnet18");
        var asr = new AsrMethod(new AsrOptions { Insertions = 2 });
        using var first = plain.Expand(asrLast ? Reparameterizations.Create(other) : asr, seed: 3);
        using var model = Randomised(Randomise(first.Expand(asrLast ? asr : Reparameterizations.Create(other), seed: 4)));
        Assert.Equal(asrLast ? [other, "asr"] : ["asr", other], model.Forms.Select(f => f.Method.Name));
        model.Eval();
        using var x = Normal(Cpu, model.InputShape(2), 5);
        var (merged, report) = model.Merge();
        using (merged)
        {
            Assert.Empty(merged.Forms);
            Assert.Contains("layer1.0.bn2", merged.NamedModules().Where(m => m.Module is BatchNorm2d).Select(m => m.Name));
            using var fresh = Net("resnet18");
            StateDict.Load(fresh, StateDict.Of(merged), strict: true);
            AssertClose(Run(model, x), Run(fresh, x), 1e-4, other);
        }
    }

    [Fact]
    public void AttentionThatLooksAtThePictureStaysAndTheModelSaysSo()
    {
        using var folder = new TemporaryFolder();
        using var plain = Net("resnet18");
        using var model = Randomised(Randomise(plain.Expand(new AsrMethod(new AsrOptions { Both = true }), seed: 3)));
        model.Eval();
        using var x = Normal(Cpu, model.InputShape(2), 5);
        var (merged, _) = model.Merge();
        using (merged)
        {
            Assert.Equal("asr", Assert.Single(merged.Forms).Method.Name);
            Assert.Throws<StateDictException>(() => StateDict.Load(plain, StateDict.Of(merged)));
            Assert.Contains("looks at the picture", Assert.Throws<InvalidOperationException>(() => merged.Merge()).Message);
            Assert.DoesNotContain(merged.NamedParameters(), p => p.Name.Contains("vector", StringComparison.Ordinal));
            ModelFile.Save(merged, folder.File("merged.safetensors"));
            using var loaded = ModelFile.Load(folder.File("merged.safetensors"), Cpu);
            Assert.Equal(Run(merged, x), Run(loaded, x));
            AssertClose(Run(model, x), Run(loaded, x), 1e-4, "merged");
            using var plan = loaded.Compile(2);
            AssertClose(Run(loaded, x), plan.Run(x).ToDoubleArray(), 1e-4, "compiled");
        }
    }

    [Fact]
    public void APlanHasNoOperationMoreThanThePlainNetworks()
    {
        using var plain = Net("resnet18");
        using var model = plain.Expand(new AsrMethod(), seed: 3);
        plain.Eval();
        model.Eval();
        using var plan = plain.Compile(1);
        using var unmerged = model.Compile(1); // the factors are constants, so they fold into the convolution too
        Assert.Equal(plan.Steps, unmerged.Steps);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void WithoutANormTheKernelAndTheBiasAreScaled(bool bias)
    {
        foreach (Device device in new Device[] { Cpu, Reference })
        {
            using var conv = RandomConv(device, 4, 6, (3, 3), new Conv2dOptions(2, 1, 1, 2), bias, 1);
            using var form = Randomised((AsrConv2d)new AsrMethod(new AsrOptions { Insertions = 2 }).Expand(Site(conv), new Initializer(device, 3)));
            using var x = Normal(device, new(2, 7, 5, 4), 7);
            double[] product = [1, 1, 1, 1, 1, 1], plain = Run(conv, x);
            using (Tape.Inference())
            {
                foreach (string unit in new[] { "", "1" })
                {
                    using var psi = Tensor.From(device, form.NamedParameters().Single(p => p.Name == "vector" + unit).Parameter.ToTorchDouble(), new Shape(1, 6));
                    double[] v = ((ChannelAttention)form.Find("attention_module" + unit)).Factors(psi).ToDoubleArray();
                    for (int c = 0; c < 6; c++) product[c] *= v[c];
                }
            }
            AssertClose([.. plain.Select((y, i) => y * product[i % 6])], Run(form, x), Tolerance(device), "scaled");
            using var merged = form.Merge();
            Assert.Equal(Run(form, x), Run(merged, x));
            Assert.Equal(bias, merged.Bias != null);
            using var dx = Normal(Reference, new(2, 4, 4, 4), 8, requiresGrad: true);
            if (device is CpuDevice) continue;
            form.Train();
            var result = GradCheck.Run([dx, .. form.TrainableParameters()], () => form.Forward(dx), maxElements: 20);
            Assert.True(result.MaxError < 1e-6, $"{result}");
            form.ZeroGrad();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ALayerNormTakesTheFactorsUpLikeABatchNorm(bool both)
    {
        foreach (Device device in new Device[] { Cpu, Reference })
        {
            using var conv = RandomConv(device, 4, 6, (3, 3), new Conv2dOptions(1, 1, 1, 1), true, 1);
            using var norm = new LayerNorm(new Initializer(device), 6, 1e-6);
            norm.Weight.FromTorch(Normal(6, 2));
            norm.Bias.FromTorch(Normal(6, 3));
            using var form = Randomised((AsrNorm)new AsrMethod(new AsrOptions { Insertions = 2, Both = both }).Expand(new ConvSite("conv", conv) { Norm = norm, NormName = "norm" }, new Initializer(device, 3)));
            Assert.Contains("ln.weight", form.NamedParameters().Select(p => p.Name));
            using var x = Normal(device, new(2, 5, 7, 6), 4);
            double[] v;
            using (Tape.Inference()) v = form.Factors().ToDoubleArray();
            if (!both) AssertClose([.. Run(norm, x).Select((y, i) => y * v[i % 6])], Run(form, x), Tolerance(device), "scaled");
            using var merged = form.Merge();
            Assert.IsType(both ? typeof(AttentiveNorm) : typeof(LayerNorm), merged);
            AssertClose(Run(merged, x), Run(form, x), Tolerance(device), "merged");
            using var careless = (LayerNorm)norm.Clone();
            careless.Weight.FromTorch([.. norm.Weight.ToTorchDouble().Zip(v, (w, f) => w * f)]); // γ ⊙ v, but β as it was
            Assert.True(Difference(Run(form, x), Run(careless, x)) > 0.1);
            using var dx = Normal(Reference, new(2, 3, 4, 6), 7, requiresGrad: true);
            using var residual = Normal(Reference, new(2, 3, 4, 6), 8, requiresGrad: true);
            if (device is CpuDevice) continue;
            var result = GradCheck.Run([dx, residual, .. form.TrainableParameters()], () => form.Forward(dx, ActivationKind.ReLU, residual), maxElements: 20);
            Assert.True(result.MaxError < 1e-6, $"{result}");
            form.ZeroGrad();
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("refconv")]
    [InlineData("acb")]
    public void ANetworkOfLayerNormsIsScaledBehindThemAndMerges(string? under)
    {
        using var plain = Net("convnext_tiny");
        foreach (var (_, part) in plain.NamedModules())
        {
            if (part is not LayerNorm norm) continue;
            norm.Weight.FromTorch(Normal(norm.Weight.Shape[0], 31));
            norm.Bias.FromTorch(Normal(norm.Weight.Shape[0], 32));
        }
        foreach (var (name, p) in plain.NamedParameters().Where(p => p.Name.EndsWith("layer_scale", StringComparison.Ordinal))) p.FromTorch(Normal(p.Data.Length, 33));
        using var first = under == null ? null : plain.Expand(Reparameterizations.Create(under), seed: 3);
        using var model = Randomised(Randomise((first ?? plain).Expand(new AsrMethod(), seed: 4)));
        Assert.Contains("features.1.0.block.2", model.NamedModules().Where(m => m.Module is AsrNorm).Select(m => m.Name));
        Assert.Contains(model.NamedModules(), m => m.Module is AsrConv2d || under != null); // the strided ones have their norm before them
        Assert.Contains("acts on its norm already", Assert.Throws<ArgumentException>(() => model.Expand(new AsrMethod(), LayerPolicy.Named("features.1.0.block.0"))).Message);
        model.Eval();
        using var x = Normal(Cpu, model.InputShape(2), 5);
        using (var plan = model.Compile(2)) AssertClose(Run(model, x), plan.Run(x).ToDoubleArray(), 1e-4, "compiled");
        var (merged, _) = model.Merge();
        using (merged)
        {
            StateDict.Load(plain, StateDict.Of(merged), strict: true);
            AssertClose(Run(model, x), Run(plain, x), 1e-4, "merged");
        }
    }

    [Fact]
    public void AChainInAnotherFormTakesItTooAndMerges()
    {
        using var plain = Net("mobilenet_v1");
        using var blocks = plain.Expand(new AcbMethod(), seed: 3);
        using var model = Randomised(Randomise(blocks.Expand(new AsrMethod(), seed: 4)));
        Assert.Contains(model.NamedModules(), m => m.Module is AsrNorm);
        model.Eval();
        using var x = Normal(Cpu, model.InputShape(2), 5);
        var (merged, _) = model.Merge();
        using (merged)
        {
            StateDict.Load(plain, StateDict.Of(merged), strict: true);
            AssertClose(Run(model, x), Run(merged, x), 1e-4, "merged");
        }
    }

    [Fact]
    public void ItStandsAtTheEndOfBranchesAndElsewhereBehindKernels()
    {
        using var residual = Net("resnet18");
        using var a = residual.Expand(new AsrMethod());
        Assert.Equal(8, a.NamedModules().Count(m => m.Module is AsrNorm));
        Assert.All(a.NamedModules().Where(m => m.Module is AsrNorm), m => Assert.EndsWith(".bn2", m.Name));
        using var inverted = Net("mobilenet_v2");
        using var b = inverted.Expand(new AsrMethod());
        Assert.All(b.NamedModules().Where(m => m.Module is AsrNorm), m => Assert.True(m.Name.EndsWith(".conv.3", StringComparison.Ordinal) || m.Name == "features.1.conv.2", m.Name)); // the first block has no expansion
        Assert.Equal(12, b.NamedModules().Count(m => m.Module is AsrNorm));
        using var chain = Net("mobilenet_v1");
        using var c = chain.Expand(new AsrMethod());
        Assert.Equal(14, c.NamedModules().Count(m => m.Module is AsrNorm));
    }

    [Fact]
    public void WhatCannotBeIsRefused()
    {
        using var conv = RandomConv(Reference, 2, 2, (3, 3), new Conv2dOptions(1, 1, 1, 1), true, 1);
        Assert.Contains("no norm behind it", Assert.Throws<ArgumentException>(() => new AsrMethod(new AsrOptions { Both = true }).Expand(Site(conv), new Initializer(Reference))).Message);
        using var form = new AsrMethod().Expand(Site(conv), new Initializer(Reference));
        Assert.Contains("acts on it already", new AsrMethod().Refusal(new ConvSite("conv", form)));
        Assert.Contains("insertions", Assert.Throws<ArgumentException>(() => new AsrMethod(new AsrOptions { Insertions = 0 })).Message);
        Assert.Contains("reduction", Assert.Throws<ArgumentException>(() => new AsrMethod(new AsrOptions { Reduction = 0 })).Message);
        using var plain = Net("resnet18");
        using var once = plain.Expand(new AsrMethod());
        Assert.Contains("acts on its norm already", Assert.Throws<ArgumentException>(() => once.Expand(new AsrMethod())).Message);
        var norm = new AbsorbedNorm(new ConvSite("conv", conv), RandomNormOnce());
        using var alone = (AsrNorm)new AsrMethod().Expand(new ConvSite("conv", conv) { Norm = norm }, new Initializer(Reference));
        Assert.Contains("absorbed", Assert.Throws<InvalidOperationException>(() => alone.Merge()).Message);

        BatchNorm2d RandomNormOnce()
        {
            using var n = RandomNorm(Reference, 2, 1);
            return n;
        }
    }

    private static Model Net(string architecture, Device device) =>
        Randomise(Zoo.Create(new ModelSpec(architecture) { Classes = 5, Width = 0.125, ImageSize = 12, SmallImages = true }, new Initializer(device, 3)));

    private Model Net(string architecture) => Net(architecture, Cpu);

    private static ConvSite Site(BatchNorm2d norm)
    {
        using var conv = new Conv2d(norm.Weight.Device, 1, norm.Channels, (1, 1), new Conv2dOptions(), bias: false);
        return Site(conv, norm);
    }

    private static AsrNorm Expand(BatchNorm2d norm, AsrOptions? options = null) =>
        Randomised((AsrNorm)new AsrMethod(options).Expand(Site(norm), new Initializer(norm.Weight.Device, 3)));

    /// <summary>Constants and attention as after some training.</summary>
    private static T Randomised<T>(T module) where T : Module
    {
        ulong tag = 900;
        foreach (var (name, parameter) in module.NamedParameters())
        {
            tag++;
            if (name.Contains("vector", StringComparison.Ordinal) || name.Contains("attention_module", StringComparison.Ordinal) || name.Contains("se.fc", StringComparison.Ordinal))
                parameter.FromTorch([.. Normal(parameter.Data.Length, tag).Select(v => 0.5 * v)]);
        }
        return module;
    }
}
