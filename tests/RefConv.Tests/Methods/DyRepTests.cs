using System.Text.Json.Nodes;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Train;
using RefConv.Tests.Models;

namespace RefConv.Tests.Methods;

/// <summary>Blocks that grow and are cut during training.</summary>
public sealed class DyRepTests : MethodTest
{
    public static TheoryData<int, int, int, int, int, int, int> Layers => new()
    {
        // cin, cout, k, stride, groups, dilation, padding
        { 3, 5, 3, 1, 1, 1, 1 }, { 4, 4, 3, 1, 1, 1, 1 }, { 4, 4, 5, 2, 1, 1, 2 }, { 4, 6, 3, 1, 2, 1, 1 }, { 6, 6, 3, 1, 6, 1, 1 }, { 4, 4, 7, 1, 2, 1, 3 }, { 4, 4, 3, 1, 1, 2, 2 },
        { 5, 5, 3, 2, 5, 1, 1 }, { 4, 4, 3, 1, 1, 1, 0 }, { 4, 6, 3, 2, 2, 1, 3 }, { 5, 5, 3, 1, 5, 1, 2 },
    };

    [Theory]
    [MemberData(nameof(Layers))]
    public void GrowingAndCuttingLeaveTheFunctionAsItIs(int cin, int cout, int k, int stride, int groups, int dilation, int padding)
    {
        foreach (var device in new Device[] { Reference, Cpu })
        foreach (bool bias in new[] { false, true })
        {
            string what = $"{cin}→{cout} {k}×{k} stride {stride} padding {padding} groups {groups} bias={bias} on {device}";
            using var model = Pair(device, cin, cout, k, new Conv2dOptions(stride, padding, dilation, groups), bias);
            using var x = Normal(device, new(2, 9, 7, cin), 5);
            double[] before = Run(model, x), inner = Run(model.Find("0"), x);
            DyRepEvolution.Grow(model, "0", new Initializer(device, 7), 0, null);
            var block = (DyRepBlock)model.Find("0");
            AssertClose(before, Run(model, x), Tolerance(device), what + ", grown");
            AssertClose(inner, Run(block, x), Tolerance(device), what + ", the block alone");
            Assert.Equal(bias, block.HasBias);

            // As after some training, once more inside, merged.
            Trained(block);
            before = Run(model, x);
            DyRepEvolution.Grow(model, "0.dbb_kxk.conv", new Initializer(device, 8), 0, null);
            AssertClose(before, Run(model, x), 10 * Tolerance(device), what + ", nested");
            Assert.IsType<DyRepBlock>(block.Nested);

            // The convolution behind the 1×1 too, whose map comes padded with what the norm before it makes of zeros.
            before = Run(model, x);
            DyRepEvolution.Grow(model, "0.dbb_1x1_kxk.conv2", new Initializer(device, 9), 0, null);
            AssertClose(before, Run(model, x), 10 * Tolerance(device), what + ", nested behind the 1×1");
            var second = Assert.IsType<DyRepBlock>(block.Find("dbb_1x1_kxk.conv2"));
            Assert.Equal(dilation == 1 ? ["1x1_kxk", "1x1_avg", "kxk"] : ["1x1_kxk", "kxk"], second.Branches);
            Trained(block);
            before = Run(block, x);
            using (var merged = block.Merge()) AssertClose(before, Run(merged, x), Tolerance(device), what + ", merged");

            // What has grown behind the 1×1 becomes one convolution again, which has a bias now.
            before = Run(model, x);
            model.Replace("0.dbb_1x1_kxk.conv2", DyRepConv2d.InPlaceOf(second)).Dispose();
            AssertClose(before, Run(model, x), 10 * Tolerance(device), what + ", one convolution behind the 1×1");

            // Some branches fade, and are cut. (One branch alone has nothing to differ from.)
            if (block.Branches.Count < 3) continue;
            Fade(block, b => b is "1x1" or "1x1_kxk");
            before = Run(model, x);
            Assert.True(DyRepEvolution.Cut(model));
            Assert.DoesNotContain("1x1_kxk", block.Branches);
            Assert.Contains("kxk", block.Branches);
            AssertClose(before, Run(model, x), 10 * Tolerance(device), what + ", cut");
        }
    }

    [Fact]
    public void ABlockWithNothingButItsMainBranchBecomesAConvolution()
    {
        using var model = Pair(Reference, 4, 4, 3, new Conv2dOptions(1, 1, 1, 1), false);
        DyRepEvolution.Grow(model, "0", new Initializer(Reference, 7), 0, null);
        var block = (DyRepBlock)model.Find("0");
        Trained(block);
        // One strong branch lifts the mean above the weak ones; when those are gone the strong one is judged alone and stays; so cut in two rounds by hand.
        Fade(block, b => b != "id");
        Assert.True(DyRepEvolution.Cut(model));
        Assert.Equal(["kxk", "id"], block.Branches);
        Assert.False(DyRepEvolution.Cut(model)); // one branch has no deviation
        using var x = Normal(Reference, new(2, 6, 5, 4), 5);
        double[] before = Run(model, x);

        using var plain = DyRepConv2d.InPlaceOf(block);
        Assert.True(plain.HasExtraBias);
        Assert.False(plain.HasBias);
        AssertClose(Run(block, x), Run(plain, x), 1e-10, "one convolution");
        model.Replace("0", (Module)plain.Clone()).Dispose();
        AssertClose(before, Run(model, x), 1e-10, "in the model");
        // The plain layer has no bias: merging hands it to the norm.
        var (merged, _) = Reparameterization.Merge(model, x);
        using (merged)
        {
            Assert.Null(((Conv2d)merged.Find("0")).Bias);
            AssertClose(before, Run(merged, x), 1e-10, "merged");
        }
    }

    [Fact]
    public void WithoutTheEpsilonOfTheMainNormTheFunctionMoves()
    {
        using var model = Pair(Reference, 4, 4, 3, new Conv2dOptions(1, 1, 1, 1), false);
        using var x = Normal(Reference, new(2, 6, 5, 4), 5);
        double[] before = Run(model.Find("0"), x);
        DyRepEvolution.Grow(model, "0", new Initializer(Reference, 7), 0, null);
        var nested = (DyRepConv2d)((DyRepBlock)model.Find("0")).Nested;
        nested.Load(KernelAlgebra.Scale(nested.ToKernel(), [.. Enumerable.Repeat(1 / Math.Sqrt(1 + 1e-5), 4)]));
        double difference = Difference(before, Run(model.Find("0"), x));
        Assert.InRange(difference, 2e-6, 2e-5); // a change of 5e-6, at every growth
    }

    [Fact]
    public void InTrainingTheNormBehindTakesBackWhatTheBranchNormsDo()
    {
        using var model = Pair(Reference, 4, 4, 3, new Conv2dOptions(1, 1, 1, 1), false);
        using var x = Normal(Reference, new(8, 9, 8, 4), 5);
        model.Train();
        double[] conv = Step("0"), both = Step("");
        DyRepEvolution.Grow(model, "0", new Initializer(Reference, 7), 0, null);
        model.Train();
        Assert.True(Difference(conv, Step("0")) > 0.1); // so a layer without a norm behind it is refused
        Assert.True(Difference(both, Step("")) < 0.1);

        double[] Step(string path)
        {
            using var tape = Tape.Inference();
            return (path.Length == 0 ? model : model.Find(path)).Forward(x).ToDoubleArray();
        }
    }

    [Fact]
    public void WeakMeansBelowTheMeanAndBelowATenthWhereBranchesDiffer()
    {
        Assert.Equal(["a"], DyRepBlock.Weak(new Dictionary<string, double> { ["a"] = 0.05, ["b"] = 0.5, ["c"] = 0.3 }));
        Assert.Empty(DyRepBlock.Weak(new Dictionary<string, double> { ["a"] = 0.05, ["b"] = 0.06, ["c"] = 0.07 })); // all alike
        Assert.Empty(DyRepBlock.Weak(new Dictionary<string, double> { ["a"] = 0.15, ["b"] = 0.5 }));               // below the mean only
        Assert.Empty(DyRepBlock.Weak(new Dictionary<string, double> { ["a"] = 0.01 }));
        Assert.Equal(["a", "b"], DyRepBlock.Weak(new Dictionary<string, double> { ["a"] = 0, ["b"] = 0.09, ["c"] = 0.9 }));
        using var model = Pair(Reference, 4, 4, 3, new Conv2dOptions(1, 1, 1, 1), false);
        DyRepEvolution.Grow(model, "0", new Initializer(Reference, 7), 0, null);
        Assert.All(((DyRepBlock)model.Find("0")).Importance().Values, v => Assert.Equal(0.01, v, 1e-12)); // as grown: alike, and nothing is cut at once
        Assert.False(DyRepEvolution.Cut(model));
    }

    [Theory]
    [InlineData(DyRepScore.Synflow, "1")]
    [InlineData(DyRepScore.Snip, "0")]
    [InlineData(DyRepScore.GradNorm, "0")]
    public void TheScoreIsSignedUnlessAskedOtherwise(DyRepScore kind, string chosen)
    {
        foreach (var device in new Device[] { Reference, Cpu })
        {
            using var first = Alone(device, [3, -4]); // g·w = 3·1 − 4·1
            using var second = Alone(device, [0.5, 0.6]);
            using var model = new Sequential(first, second);
            for (int step = 0; step < 2; step++)
            {
                first.Count(kind);
                second.Count(kind);
            }
            double expected = kind switch { DyRepScore.Synflow => -1, DyRepScore.Snip => 7, _ => 5 };
            Assert.Equal(2 * expected, first.ScoreSum, 1e-5);
            Assert.Equal(2, first.Batches);
            Assert.Equal(chosen, DyRepEvolution.Choose(model, kind, 1, 0));
            first.ResetScore();
            second.ResetScore();
            Assert.Null(DyRepEvolution.Choose(model, kind, 1, 0));
            Assert.NotNull(DyRepEvolution.Choose(model, DyRepScore.Random, 1, 0));
        }

        static DyRepConv2d Alone(Device device, double[] gradient)
        {
            using var conv = new Conv2d(device, 1, 1, (1, 2), new Conv2dOptions(), bias: false);
            conv.Weight.FromTorch([1.0, 1.0]);
            var result = new DyRepConv2d(conv, 0);
            using var x = Tensor.From(device, gradient, new Shape(1, 1, 2, 1));
            using var tape = Tape.Train();
            tape.Backward(result.Forward(x).Sum());
            return result;
        }
    }

    [Fact]
    public void BranchesThatAreImpossibleAreLeftOutAndEveryBlockHasAListOfItsOwn()
    {
        Assert.Equal(["1x1", "1x1_kxk", "1x1_avg", "kxk", "1xk", "kx1", "id"], Branches(4, 4, 3, 1, 1, 1));
        Assert.Equal(["1x1", "1x1_kxk", "1x1_avg", "kxk", "1xk", "kx1"], Branches(4, 6, 3, 1, 1, 1));
        Assert.Equal(["1x1", "1x1_kxk", "1x1_avg", "kxk", "1xk", "kx1"], Branches(4, 4, 3, 2, 1, 1));
        Assert.Equal(["1x1_kxk", "1x1_avg", "kxk"], Branches(4, 4, 3, 1, 0, 1));
        Assert.Equal(["1x1_kxk", "1x1_avg", "kxk"], Branches(4, 4, 3, 2, 2, 1));
        Assert.Equal(["1x1_kxk", "kxk"], Branches(4, 4, 3, 1, 2, 2));
        using var conv = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 1);
        using var grows = new DyRepConv2d(conv, 0);
        DyRepBlock.All(grows).Clear(); // the published code shares one list, and cutting one block changes all
        Assert.Equal(7, DyRepBlock.All(grows).Count);

        IReadOnlyList<string> Branches(int cin, int cout, int k, int stride, int padding, int dilation)
        {
            using var conv = RandomConv(Reference, cin, cout, (k, k), new Conv2dOptions(stride, padding, dilation, 1), false, 1);
            using var grows = new DyRepConv2d(conv, 0);
            return DyRepBlock.All(grows);
        }
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void Gradients(bool training, bool nested)
    {
        using var conv = RandomConv(Reference, 3, 3, (3, 3), new Conv2dOptions(1, 1, 1, 1), false, 1);
        using var plain = new DyRepConv2d(conv, 0);
        using var block = new DyRepBlock(plain, DyRepBlock.All(plain), new Initializer(Reference, 3));
        Trained(block);
        if (nested)
        {
            using var parent = new Sequential(block.Find("dbb_1x1_kxk.conv2").Clone());
            DyRepEvolution.Grow(parent, "0", new Initializer(Reference, 5), 0, null);
            Trained((DyRepBlock)parent.Find("0"));
            block.Replace("dbb_1x1_kxk.conv2", parent.Find("0").Clone()).Dispose();
        }
        foreach (var norm in block.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>()) norm.Momentum = 0;
        if (training) block.Train();
        else block.Eval();
        using var x = Normal(Reference, new(2, 5, 4, 3), 7, requiresGrad: true);
        // The norm before a padded border has none through the border by definition.
        Tensor[] leaves = [x, .. block.NamedParameters().Where(p => p.Parameter.Trainable && !p.Name.Contains("bn.bn", StringComparison.Ordinal) && !p.Name.Contains("bn1.bn", StringComparison.Ordinal)).Select(p => p.Parameter)];
        var result = GradCheck.Run(leaves, () => block.Forward(x), epsilon: 1e-6, maxElements: 15);
        Assert.True(result.MaxError < 1e-6, $"{result}, leaf {leaves[result.Tensor].Shape}");
        block.ZeroGrad();
    }

    [Fact]
    public void RecalibrationMovesTheNewStatisticsOnlyAndKeepsTheFunction()
    {
        using var model = Pair(Reference, 4, 4, 3, new Conv2dOptions(1, 1, 1, 1), false);
        using var x = Normal(Reference, new(2, 6, 5, 4), 5);
        double[] before = Run(model, x), mean = ((BatchNorm2d)model.Find("1")).RunningMean.ToDoubleArray();
        int passes = 0;
        DyRepEvolution.Grow(model, "0", new Initializer(Reference, 7), 3, i =>
        {
            model.Train();
            using var batch = Normal(Reference, new(2, 6, 5, 4), (ulong)(40 + i));
            using var tape = Tape.Inference();
            model.Forward(batch);
            passes++;
        });
        Assert.Equal(3, passes);
        AssertClose(before, Run(model, x), 1e-10, "recalibrated");
        var norm = (BatchNorm2d)model.Find("1");
        Assert.Equal(mean, norm.RunningMean.ToDoubleArray());
        Assert.Equal(0, norm.BatchCounter.Item());
        Assert.Equal(0.1, norm.Momentum);
        Assert.Contains(((BatchNorm2d)model.Find("0.dbb_1x1.bn")).RunningMean.ToDoubleArray(), v => v != 0);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    [InlineData(10)]
    public void ARunThatEvolvesResumesToTheBit(int cancelAfterStep)
    {
        using var folder = new TemporaryFolder();
        string whole = folder.File("whole"), pieces = folder.File("pieces");
        var recipe = TrainingBench.Short with { Epochs = 3 };
        Start(whole, null);
        Start(pieces, cancelAfterStep); // in the middle of an epoch: half of the scores are counted
        Assert.True(TrainingBench.Resume(Cpu, pieces));
        TrainingBench.AssertSameRun(whole, pieces);

        using var model = ModelFile.Load(new RunFolder(whole).LastFile, Cpu);
        Assert.Equal(2, model.NamedModules().Count(m => m.Module is DyRepBlock));
        using (var resumed = ModelFile.Load(new RunFolder(pieces).LastFile, Cpu)) // the scores of the last epoch: a lost step would show
            Assert.Equal(model.Forms[0].Method.Describe(model).ToJsonString(), resumed.Forms[0].Method.Describe(resumed).ToJsonString());
        Assert.Contains(model.NamedModules(), m => m.Module is DyRepConv2d { Batches: TrainingBench.StepsPerEpoch });
        var (merged, _) = model.Merge();
        using (merged)
        using (var fresh = TrainingBench.Model(Cpu, "resnet18"))
        {
            StateDict.Load(fresh, StateDict.Of(merged), strict: true);
            using var x = Normal(Cpu, model.InputShape(2), 3);
            AssertClose(Run(model, x), Run(fresh, x), 1e-4, "merged");
        }

        void Start(string path, int? cancel)
        {
            using var plain = TrainingBench.Model(Cpu, "resnet18");
            using var grown = plain.Expand(new DyRepMethod(new DyRepOptions { Every = 1, LastEpoch = 9, RecalibrationBatches = 1 }));
            var run = new RunFolder(path);
            run.Create();
            using var trainer = new Trainer(grown, TrainingBench.Pictures, TrainingBench.State(recipe), run);
            using var stop = new CancellationTokenSource();
            int steps = 0;
            trainer.Observer = new TrainingBench.Observer(() =>
            {
                if (++steps == cancel) stop.Cancel();
            });
            Assert.Equal(cancel == null, trainer.Run(cancellation: stop.Token));
        }
    }

    [Fact]
    public void WhatSurvivesKeepsItsVelocityAndWhatIsNewHasNone()
    {
        using var folder = new TemporaryFolder();
        using var plain = TrainingBench.Model(Cpu, "resnet18");
        using var model = plain.Expand(new DyRepMethod(new DyRepOptions { Every = 1 }));
        var run = new RunFolder(folder.File("run"));
        run.Create();
        using var trainer = new Trainer(model, TrainingBench.Pictures, TrainingBench.State(TrainingBench.Short with { Epochs = 2 }), run);
        Assert.False(trainer.Run(stopAfter: 1));
        var velocities = TrainingBench.Tensors(run.LastFile).Keys.Where(k => k.StartsWith(ModelFile.OptimizerPrefix, StringComparison.Ordinal)).Select(k => k[ModelFile.OptimizerPrefix.Length..]).ToHashSet();
        string path = Assert.Single(model.NamedModules(), m => m.Module is DyRepBlock).Name;
        Assert.DoesNotContain(velocities, v => v.StartsWith(path + ".", StringComparison.Ordinal));
        Assert.Equal(model.NamedParameters().Where(p => p.Parameter.Trainable && !p.Name.StartsWith(path + ".", StringComparison.Ordinal)).Select(p => p.Name).Order(), velocities.Order());
    }

    [Fact]
    public void ADescriptionRebuildsTheStructure()
    {
        using var folder = new TemporaryFolder();
        using var plain = TrainingBench.Model(Cpu, "resnet18");
        using var model = plain.Expand(new DyRepMethod());
        DyRepEvolution.Grow(model, "layer1.0.conv1", new Initializer(Cpu, 7), 0, null);
        DyRepEvolution.Grow(model, "layer1.0.conv1.dbb_kxk.conv", new Initializer(Cpu, 8), 0, null);
        var canGrow = model.NamedModules().Where(m => m.Module is DyRepConv2d { Depth: < 2 }).Select(m => m.Name).ToArray();
        Assert.DoesNotContain("layer1.0.conv1.dbb_kxk.conv.dbb_kxk.conv", canGrow); // nested once
        Assert.Contains("layer1.0.conv1.dbb_1x1_kxk.conv2", canGrow);
        DyRepEvolution.Grow(model, "layer1.0.conv1.dbb_1x1_kxk.conv2", new Initializer(Cpu, 18), 0, null);
        DyRepEvolution.Grow(model, "layer2.0.conv1", new Initializer(Cpu, 9), 0, null);
        var block = (DyRepBlock)model.Find("layer2.0.conv1");
        Trained(block);
        Fade(block, b => b == "1x1");
        Assert.True(DyRepEvolution.Cut(model));
        DyRepEvolution.Grow(model, "layer3.0.conv1", new Initializer(Cpu, 9), 0, null);
        model.Replace("layer3.0.conv1", DyRepConv2d.InPlaceOf((DyRepBlock)model.Find("layer3.0.conv1"))).Dispose();
        DyRepEvolution.Grow(model, "layer2.1.conv1", new Initializer(Cpu, 10), 0, null);
        const string Behind = "layer2.1.conv1.dbb_1x1_kxk.conv2";
        DyRepEvolution.Grow(model, Behind, new Initializer(Cpu, 11), 0, null);
        model.Replace(Behind, DyRepConv2d.InPlaceOf((DyRepBlock)model.Find(Behind))).Dispose();
        ((DyRepConv2d)model.Find("layer1.0.conv2")).RestoreScore(0.1 + 0.2, 3);

        ModelFile.Save(model, folder.File("m.safetensors"));
        using var loaded = ModelFile.Load(folder.File("m.safetensors"), Cpu);
        Assert.Equal(model.NamedParameters().Select(p => p.Name), loaded.NamedParameters().Select(p => p.Name));
        Assert.Equal(0.1 + 0.2, ((DyRepConv2d)loaded.Find("layer1.0.conv2")).ScoreSum);
        using var x = Normal(Cpu, model.InputShape(2), 3);
        Assert.Equal(Run(model, x), Run(loaded, x));
        JsonObject again = model.Forms[0].Method.Describe(loaded);
        Assert.Equal(model.Forms[0].Method.Describe(model).ToJsonString(), again.ToJsonString());
    }

    [Fact]
    public void WhatCannotBeIsRefused()
    {
        var method = new DyRepMethod();
        using var norm = RandomNorm(Reference, 4, 1);
        foreach (var k in new[] { (1, 1), (2, 2), (3, 5) })
        {
            using var conv = RandomConv(Reference, 4, 4, k, new Conv2dOptions(), true, 1);
            Assert.Contains("square odd kernels", Assert.Throws<ArgumentException>(() => method.Expand(Site(conv, norm), new Initializer(Reference))).Message);
        }
        using var good = RandomConv(Reference, 4, 4, (3, 3), new Conv2dOptions(1, 1, 1, 1), true, 1);
        Assert.Contains("no batch norm behind it", method.Refusal(Site(good)));
        Assert.Null(method.Refusal(Site(good, norm)));
        Assert.Contains("at least one epoch", Assert.Throws<ArgumentException>(() => new DyRepMethod(new DyRepOptions { Every = 0 })).Message);
        using var grows = new DyRepConv2d(good, 0);
        Assert.Contains("'5x5'", Assert.Throws<ArgumentException>(() => new DyRepBlock(grows, ["5x5"], new Initializer(Reference))).Message);
    }

    /// <summary>A convolution that may grow, and the norm behind it.</summary>
    private static Sequential Pair(Device device, int cin, int cout, int k, Conv2dOptions options, bool bias)
    {
        using var plain = new Sequential(RandomConv(device, cin, cout, (k, k), options, bias, 1), RandomNorm(device, cout, 2));
        return Reparameterization.Expand(plain, new DyRepMethod(), input: new Shape(2, 9, 8, cin));
    }

    /// <summary>Random norms, their γ far from 0, so that no branch is weak.</summary>
    private static void Trained(DyRepBlock block)
    {
        Randomise(block, 50);
        foreach (var norm in block.NamedModules().Select(m => m.Module).OfType<BatchNorm2d>())
            norm.Weight.FromTorch([.. norm.Weight.ToTorchDouble().Select(v => (v < 0 ? -0.5 : 0.5) + (0.3 * v))]);
    }

    /// <summary>Makes the last γ of some branches small.</summary>
    private static void Fade(DyRepBlock block, Func<string, bool> which)
    {
        foreach (string branch in block.Branches.Where(b => b != "kxk" && which(b)))
        {
            var part = block.Find("dbb_" + branch);
            var norm = part as BatchNorm2d ?? (BatchNorm2d)part.Children.Last().Value;
            norm.Weight.FromTorch([.. Enumerable.Repeat(0.003, norm.Channels)]);
        }
    }
}
