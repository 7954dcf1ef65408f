using RefConv.Kernels;
using RefConv.Layers;

namespace RefConv.Tests.Layers;

/// <summary>Expand and Merge on whole models.</summary>
public sealed class ReparameterizationTests : DeviceTest
{
    [Fact]
    public void ExpandCopiesAndMergeGivesThePlainModelBack()
    {
        using var model = Net(Cpu);
        string[] plainKeys = [.. model.NamedParameters().Select(p => p.Name)];
        float[][] before = [.. model.NamedParameters().Select(p => p.Parameter.ToArray())];
        using var expanded = Reparameterization.Expand(model, new RefConvMethod());
        Assert.Equal(["0", "3"], expanded.NamedModules().Where(m => m.Module is RefConv2d).Select(m => m.Name));
        Assert.Equal(plainKeys.Append("0.convmap.weight").Append("3.convmap.weight").Order(), expanded.NamedParameters().Select(p => p.Name).Order());

        // Loading the baseline lacks the refocus weights and nothing else.
        var mismatch = StateDict.Load(expanded, StateDict.Of(model), strict: false);
        Assert.Equal(["0.convmap.weight", "3.convmap.weight"], mismatch.Missing.Order());
        Assert.Empty(mismatch.Unexpected);

        using var x = Normal(Cpu, new(2, 8, 8, 3), 1);
        expanded.Eval();
        var (merged, report) = Reparameterization.Merge(expanded, x);
        using (merged)
        {
            Assert.Equal(plainKeys, merged.NamedParameters().Select(p => p.Name));
            Assert.Equal(0, report.Worst.MaxAbsDifference);
            Assert.Equal(["0", "3", "output"], report.Layers.Select(l => l.Name));
            using var fresh = Net(Cpu);
            StateDict.Load(fresh, StateDict.Of(merged), strict: true);
            fresh.Eval();
            using var tape = Tape.Inference();
            Assert.Equal(expanded.Forward(x).ToArray(), fresh.Forward(x).ToArray());
        }
        Assert.Contains(expanded.NamedModules(), m => m.Module is RefConv2d); // Merge left it as it was
        Assert.Equal(before, model.NamedParameters().Select(p => p.Parameter.ToArray())); // and Expand the model
    }

    [Fact]
    public void MergeRefusesTrainingModeAndModelsWithNothingToMerge()
    {
        using var model = Net(Cpu);
        using var expanded = Reparameterization.Expand(model, new RefConvMethod());
        using var x = Normal(Cpu, new(2, 8, 8, 3), 1);
        Assert.Contains("Eval()", Assert.Throws<InvalidOperationException>(() => Reparameterization.Merge(expanded, x)).Message);
        expanded.Eval();
        expanded.Find("1").Train();
        Assert.Contains("'1'", Assert.Throws<InvalidOperationException>(() => Reparameterization.Merge(expanded, x)).Message);
        model.Eval();
        Assert.Contains("Nothing to merge", Assert.Throws<InvalidOperationException>(() => Reparameterization.Merge(model, x)).Message);
    }

    [Fact]
    public void AMergeThatIsWrongIsNotHandedOut()
    {
        using var model = new Sequential(new WrongMerge(new Conv2d(new Initializer(Cpu, 1), 3, 4, 3, padding: 1)));
        using var x = Normal(Cpu, new(1, 5, 5, 3), 1);
        model.Eval();
        Assert.Contains("differs at '0'", Assert.Throws<InvalidOperationException>(() => Reparameterization.Merge(model, x)).Message);
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [Fact]
    public void PoliciesChooseLayers()
    {
        using var model = new Sequential(
            new Conv2d(new Initializer(Cpu, 1), 3, 4, 4, stride: 4), new Conv2d(new Initializer(Cpu, 2), 4, 4, 2, stride: 2),
            new Conv2d(new Initializer(Cpu, 3), 4, 4, 1), new Conv2d(new Initializer(Cpu, 4), 4, 4, 3, padding: 1));
        Assert.Equal(["0", "1", "3"], Chosen(LayerPolicy.LargerThan1));
        Assert.Equal(["0", "3"], Chosen(LayerPolicy.AtLeast3));
        Assert.Equal(["3"], Chosen(LayerPolicy.OddOnly));
        Assert.Equal(["1"], Chosen(LayerPolicy.Named("1")));
        Assert.Contains("no convolution named '7'", Assert.Throws<ArgumentException>(() => Chosen(LayerPolicy.Named("7"))).Message);
        Assert.Contains("'2'", Assert.Throws<ArgumentException>(() => Chosen(LayerPolicy.Named("2"))).Message);
        using var none = new Sequential(new Conv2d(new Initializer(Cpu, 1), 3, 4, 1));
        Assert.Contains("would change nothing", Assert.Throws<ArgumentException>(() => Reparameterization.Expand(none, new RefConvMethod())).Message);

        string[] Chosen(LayerPolicy policy)
        {
            using var expanded = Reparameterization.Expand(model, new RefConvMethod(), policy);
            return [.. expanded.NamedModules().Where(m => m.Module is RefConv2d).Select(m => m.Name)];
        }
    }

    [Fact]
    public void AStateDictThatDoesNotFitChangesNothing()
    {
        using var model = Net(Cpu);
        float[] before = model.NamedParameters().First().Parameter.ToArray();
        var state = StateDict.Of(model).ToDictionary();
        state.Remove("1.bias");
        state["extra"] = new StateEntry(new Shape(1), () => [1]);
        state["0.weight"] = new StateEntry(state["0.weight"].Shape, () => new float[8 * 3 * 9]);
        var lists = Assert.Throws<StateDictException>(() => StateDict.Load(model, state)).Mismatch;
        Assert.Equal(["1.bias"], lists.Missing);
        Assert.Equal(["extra"], lists.Unexpected);
        Assert.Equal(before, model.NamedParameters().First().Parameter.ToArray());
        state["0.weight"] = new StateEntry(new Shape(1, 2), () => [1, 2]);
        var strict = Assert.Throws<StateDictException>(() => StateDict.Load(model, state, strict: false));
        Assert.Contains("0.weight ([1, 2] in the file, [8, 3, 3, 3] in the model)", strict.Message);
        Assert.Equal(before, model.NamedParameters().First().Parameter.ToArray());
    }

    [Fact]
    public void ANormThatComesBackOnlyShifts()
    {
        // γ = 1 and variance 1 − ε: a factor of exactly 1, where variance 1 would leave 1/√(1 + ε).
        foreach (double eps in new[] { 1e-5, 1e-3 })
        {
            using var norm = new BatchNorm2d(new Initializer(Reference), 3, eps);
            using var conv = new Conv2d(new Initializer(Reference, 1), 3, 3, 3);
            using var back = new AbsorbedNorm(new ConvSite("conv", conv), norm).Restore([1, -2, 0.5], Reference);
            var (scale, shift) = KernelAlgebra.Affine(back);
            Assert.All(scale, s => Assert.Equal(1, s, 1e-12));
            Assert.Equal([1, -2, 0.5], shift);
        }
    }

    private static Sequential Net(Device device)
    {
        var init = new Initializer(device, 7);
        return new Sequential(
            new Conv2d(init, 3, 8, 3, padding: 1, bias: false), new BatchNorm2d(init, 8), new Activation(ActivationKind.ReLU),
            new Conv2d(init, 8, 8, 3, padding: 1, groups: 8, bias: false), new BatchNorm2d(init, 8), new Activation(ActivationKind.ReLU6),
            new Conv2d(init, 8, 4, 1), new GlobalAvgPool2d(), new Flatten(), new Linear(init, 4, 3));
    }

    private sealed class WrongMerge : Module, IReparameterized
    {
        public WrongMerge(Conv2d conv) => Add("conv", conv);

        public override Tensor Forward(Tensor x) => Child("conv").Forward(x).Activation(ActivationKind.Identity, Name);

        public bool HasBias => true;

        public Conv2d Merge()
        {
            var conv = (Conv2d)((Conv2d)Child("conv")).Clone();
            float[] w = conv.Weight.ToTorch();
            w[4] += 0.01f;
            conv.Weight.FromTorch(w);
            return conv;
        }
    }
}
