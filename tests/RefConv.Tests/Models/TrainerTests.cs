using RefConv.IO;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;
using static RefConv.Tests.Models.TrainingBench;

namespace RefConv.Tests.Models;

/// <summary>A run is a function of model, data, recipe and seed, to the bit; and what becomes of one that goes wrong.</summary>
public sealed class TrainerTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [InlineData("mobilenet_v1", false, false)]
    [InlineData("mobilenet_v1", false, true)]
    [InlineData("mobilenet_v1", true, true)]
    [InlineData("mobilenet_v2", false, true)] // has dropout
    [InlineData("mobilenet_v2", true, false)]
    [InlineData("resnet18", true, true)]
    public void AnInterruptedRunEndsAsAnUninterruptedOne(string architecture, bool refocused, bool changesPictures)
    {
        var recipe = changesPictures ? Short with { CropPadding = 4, HorizontalFlip = true } : Short;
        string whole = _folder.File("whole"), halves = _folder.File("halves"), pieces = _folder.File("pieces");
        Assert.True(Start(Cpu, architecture, refocused, recipe, whole));

        Assert.False(Start(Cpu, architecture, refocused, recipe, halves, stopAfter: 2));
        Assert.Equal(2, History(halves).Length);
        Assert.True(Resume(Cpu, halves));
        AssertSameRun(whole, halves);

        // Cancelled in the first epoch and before the evaluation that ends the second, gone on with on one thread.
        using var single = new CpuDevice(threads: 1);
        Assert.False(Start(Cpu, architecture, refocused, recipe, pieces, cancelAfterStep: 3));
        Assert.Empty(History(pieces));
        Assert.False(Resume(single, pieces, cancelAfterStep: (2 * StepsPerEpoch) - 3));
        Assert.Single(History(pieces));
        Assert.True(Resume(single, pieces));
        AssertSameRun(whole, pieces);
        Assert.Equal(0, single.Memory.RentedBuffers);
    }

    [Fact]
    public void TheSeedDecidesAndNothingElse()
    {
        string a = _folder.File("a"), b = _folder.File("b"), c = _folder.File("c");
        var recipe = Short with { Epochs = 1, HorizontalFlip = true };
        using var single = new CpuDevice(threads: 1);
        Assert.True(Start(Cpu, "mobilenet_v2", false, recipe, a));
        Assert.True(Start(single, "mobilenet_v2", false, recipe, b));
        AssertSameRun(a, b);
        Assert.True(Start(Cpu, "mobilenet_v2", false, recipe with { Seed = 12 }, c));
        Assert.NotEqual(Tensors(new RunFolder(a).LastFile)["classifier.1.weight"], Tensors(new RunFolder(c).LastFile)["classifier.1.weight"]);
    }

    [Fact]
    public void EveryStepAndEpochIsTold()
    {
        using var model = Model(Cpu, "mobilenet_v1");
        using var trainer = new Trainer(model, Pictures, State(Short with { Epochs = 2 }));
        var seen = new Observer(() => { });
        trainer.Observer = seen;
        Assert.True(trainer.Run()); // without a folder nothing is written
        Assert.Equal([(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4)], seen.Steps.Select(s => (s.Epoch, s.Step)));
        Assert.All(seen.Steps, s => Assert.Equal((2, StepsPerEpoch, TrainingBench.BatchSize), (s.Epochs, s.Steps, s.BatchSize)));
        Assert.Equal(trainer.State.History, seen.Epochs);
        Assert.Equal(seen.Steps[3].Loss, seen.Epochs[0].TrainLoss, 1e-12);
        Assert.Equal(seen.Steps[7].Accuracy, seen.Epochs[1].TrainAccuracy, 1e-12);
        // One epoch of warm-up, then the cosine from its top.
        Assert.Equal(Short.LearningRate * 5e-6, seen.Steps[0].LearningRate, 1e-12);
        Assert.Equal(Short.LearningRate, seen.Steps[4].LearningRate, 1e-12);
        Assert.True(seen.Steps[7].LearningRate < seen.Steps[6].LearningRate);
        Assert.True(trainer.State.IsFinished);
    }

    [Fact]
    public void ADivergingRunStopsNamesTheStepAndKeepsTheLastGoodCheckpoint()
    {
        string path = _folder.File("run");
        var run = new RunFolder(path);
        run.Create();
        using var model = Model(Cpu, "mobilenet_v1");
        RunState state;
        using (var trainer = new Trainer(model, Pictures, State(), run))
        {
            trainer.Run(stopAfter: 1);
            state = trainer.State;
        }
        var good = Tensors(run.LastFile);
        using var wild = new Trainer(model, Pictures, state with { Recipe = Short with { LearningRate = 1e30 } }, run);
        string message = Assert.Throws<DivergedException>(() => wild.Run()).Message;
        Assert.Contains("at step 2 of epoch 2 (step 6 of the run", message);
        Assert.Contains(run.LastFile, message);
        Assert.Contains("lower learning rate", message);
        Assert.Equal(good, Tensors(run.LastFile));
        using var kept = ModelFile.Load(run.LastFile, Cpu);
        Assert.Equal(state.History[0].Accuracy, Evaluator.Evaluate(kept, Pictures.Test).Accuracy);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void WeightsThatAreNoNumbersAreNeverSaved(bool cancelled)
    {
        // The loss of the only step is still finite; its update is not. Neither the end of the epoch nor an interruption may save that.
        string path = _folder.File("run");
        var run = new RunFolder(path);
        run.Create();
        using var model = Model(Cpu, "mobilenet_v1");
        var recipe = Short with { LearningRate = 1e38, WarmupEpochs = 0, BatchSize = cancelled ? Images / 2 : Images };
        using var trainer = new Trainer(model, Pictures, State(recipe), run);
        using var stop = new CancellationTokenSource();
        if (cancelled) trainer.Observer = new Observer(stop.Cancel);
        Assert.Contains("epoch 1", Assert.Throws<DivergedException>(() => trainer.Run(cancellation: stop.Token)).Message);
        Assert.Equal(["run.json"], Directory.GetFiles(path).Select(Path.GetFileName));
    }

    [Fact]
    public void TheBestEpochIsKeptBesideTheLast()
    {
        // A run whose last epoch is its best would show nothing: take the first seed whose run is not like that.
        string path = "";
        IReadOnlyList<EpochResult> history = [];
        for (ulong seed = 1; history.Count == 0 || history.Max(h => h.Accuracy) == history[^1].Accuracy; seed++)
        {
            Assert.True(seed <= 8, "of eight runs each ended with its best epoch");
            path = _folder.File($"run{seed}");
            Start(Cpu, "mobilenet_v1", false, Short with { Epochs = 6, LearningRate = 0.2, Seed = seed }, path);
            history = History(path);
        }
        var best = history.MaxBy(h => h.Accuracy)!; // the first of equals
        var run = new RunFolder(path);
        using Model last = ModelFile.Load(run.LastFile, Cpu, out var info), top = ModelFile.Load(run.BestFile, Cpu);
        var evaluation = Evaluator.Evaluate(top, Pictures.Test);
        Assert.Equal((best.Accuracy, best.TestLoss, best.Top5), (evaluation.Accuracy, evaluation.Loss, evaluation.Top5));
        Assert.Equal(history[^1].TestLoss, Evaluator.Evaluate(last, Pictures.Test).Loss);
        Assert.Equal(Pictures.Train.ClassNames, info!.ClassNames);
        Assert.Equal(File.ReadAllText(run.StateFile), StateJson(run.LastFile));
    }

    [Fact]
    public void AnEasyTaskIsLearnt()
    {
        var data = new DataSource("bars", Bars(80, 1), Bars(40, 2));
        using var model = Zoo.Create(Spec("resnet18") with { Classes = 4, ImageSize = 16 }, new Initializer(Cpu, 1));
        var recipe = Short with { Epochs = 8, BatchSize = 16, LearningRate = 0.1 };
        using var trainer = new Trainer(model, data, State(recipe));
        trainer.Run();
        var (first, last) = (trainer.State.History[0], trainer.State.History[^1]);
        Assert.True(last.TrainLoss < first.TrainLoss / 3, $"loss {first.TrainLoss} → {last.TrainLoss}");
        Assert.True(last.Accuracy > 0.85, $"accuracy {last.Accuracy}; chance is 0.25");
    }

    [Fact]
    public void RefocusTrainingLeavesTheBasisAsItWas()
    {
        using var model = Model(Cpu, "mobilenet_v1");
        string file = _folder.File("base.safetensors"), path = _folder.File("run");
        ModelFile.Save(model, file);
        using var refocused = model.Expand(new RefConvMethod(), LayerPolicy.LargerThan1);
        var run = new RunFolder(path);
        run.Create();
        using (var trainer = new Trainer(refocused, Pictures, State(Short with { Epochs = 2, WeightDecay = 0.1, NormWeightDecay = 0.1 }), run)) trainer.Run();
        SortedDictionary<string, int[]> before = Tensors(file), after = Tensors(run.LastFile);
        foreach (string layer in refocused.Forms[0].Layers)
        {
            Assert.Equal(before[layer + ".weight"], after[layer + ".weight"]);
            Assert.False(after.ContainsKey($"{ModelFile.OptimizerPrefix}{layer}.weight"));
            Assert.Contains(after[$"{ModelFile.OptimizerPrefix}{layer}.convmap.weight"], bits => bits != 0);
        }
        var frozen = refocused.Forms[0].Layers.Select(l => l + ".weight").ToHashSet();
        foreach (var (key, bits) in before.Where(b => !frozen.Contains(b.Key))) Assert.False(bits.AsSpan().SequenceEqual(after[key]), $"{key} did not move");
    }

    [Fact]
    public void ResumingWhatIsNoRunIsExplained()
    {
        Assert.Contains("holds no run to go on with", Resuming(_folder.Path));
        using var model = Model(Cpu, "mobilenet_v1");
        var run = new RunFolder(_folder.Path);
        ModelFile.Save(model, run.LastFile);
        Assert.Contains("no state of a run", Resuming(_folder.Path));
        ModelFile.Save(model, run.LastFile, null, [], [new("refconv.run", "{\"kind\":")]);
        Assert.Contains("the state of the run in it is damaged", Resuming(_folder.Path));
        ModelFile.Save(model, run.LastFile, null, [], [new("refconv.run", (State() with { Data = "cifar10:/nowhere" }).ToJson())]);
        Assert.Contains("/nowhere", Resuming(_folder.Path));
        string finished = _folder.File("finished");
        Start(Cpu, "mobilenet_v1", false, Short with { Epochs = 1 }, finished);
        Assert.Contains("holds a run already", Assert.Throws<IOException>(() => new RunFolder(finished).Create()).Message);
        var before = Tensors(new RunFolder(finished).LastFile);
        Assert.True(Resume(Cpu, finished)); // nothing is left to do
        Assert.Equal(before, Tensors(new RunFolder(finished).LastFile));

        string Resuming(string path) => Assert.ThrowsAny<IOException>(() => Trainer.Resume(new RunFolder(path), Cpu)).Message;
    }

    [Theory]
    [InlineData("number of epochs", 0)]
    [InlineData("batch size", 0)]
    [InlineData("learning rate", 0)]
    [InlineData("learning rate", double.NaN)]
    [InlineData("warm-up", 5)]
    [InlineData("minimum learning rate", 1)]
    [InlineData("momentum", 1)]
    [InlineData("weight decay", -1)]
    [InlineData("label smoothing", 1)]
    [InlineData("crop padding", -1)]
    public void RecipesAreChecked(string what, double value)
    {
        var recipe = what switch
        {
            "number of epochs" => Short with { Epochs = (int)value },
            "batch size" => Short with { BatchSize = (int)value },
            "learning rate" => Short with { LearningRate = value },
            "warm-up" => Short with { WarmupEpochs = value },
            "minimum learning rate" => Short with { MinimumLearningRate = value },
            "momentum" => Short with { Momentum = value },
            "weight decay" => Short with { NormWeightDecay = value },
            "label smoothing" => Short with { LabelSmoothing = value },
            _ => Short with { CropPadding = (int)value },
        };
        using var model = Model(Cpu, "mobilenet_v1");
        Assert.Contains($"The {what} must be", Assert.Throws<ArgumentException>(() => new Trainer(model, Pictures, State(recipe))).Message);
    }

    private static string StateJson(string file)
    {
        using var tensors = SafeTensorsFile.Open(file);
        return tensors.Metadata["refconv.run"];
    }

    /// <summary>Four classes that anyone tells apart: a bright bar at the top, bottom, left or right of a noisy picture.</summary>
    private static ImageDataset Bars(int count, ulong tag)
    {
        const int Side = 16;
        var random = new RandomStream(7, tag);
        byte[] images = new byte[count * Side * Side * 3], labels = new byte[count];
        for (int i = 0; i < count; i++)
        {
            labels[i] = (byte)(i % 4);
            for (int y = 0; y < Side; y++)
            for (int x = 0; x < Side; x++)
            {
                bool bright = labels[i] switch { 0 => y < 6, 1 => y >= Side - 6, 2 => x < 6, _ => x >= Side - 6 };
                for (int c = 0; c < 3; c++) images[(((((i * Side) + y) * Side) + x) * 3) + c] = (byte)(random.NextInt(100) + (bright ? 120 : 0));
            }
        }
        return new ImageDataset("bars", Side, Side, 3, images, labels, ["top", "bottom", "left", "right"]);
    }
}
