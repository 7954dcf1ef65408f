using System.Text.Json;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;
using static RefConv.Tests.Models.TrainingBench;

namespace RefConv.Tests.Models;

/// <summary>Whole runs with the training helpers: to the bit whatever happens on the way, and the average is what comes out.</summary>
public sealed class HelperRunsTests : DeviceTest
{
    private static readonly Recipe s_all = Short with
    {
        Optimizer = OptimizerKind.AdamW, LearningRate = 0.005, Schedule = ScheduleKind.Polynomial, ClipNorm = 1, EmaDecay = 0.8, EmaWarmup = true,
        LabelSmoothing = 0.1, Mixup = 0.3, Cutout = 8, CropPadding = 2, HorizontalFlip = true,
    };

    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [InlineData("mobilenet_v1", false, OptimizerKind.AdamW)]
    [InlineData("mobilenet_v2", false, OptimizerKind.Sgd)] // has dropout
    [InlineData("mobilenet_v1", true, OptimizerKind.AdamW)]
    [InlineData("resnet18", true, OptimizerKind.Sgd)]
    public void AnInterruptedRunEndsAsAnUninterruptedOne(string architecture, bool refocused, OptimizerKind optimizer)
    {
        var recipe = s_all with { Optimizer = optimizer };
        string whole = _folder.File("whole"), pieces = _folder.File("pieces");
        Assert.True(Start(Cpu, architecture, refocused, recipe, whole));
        using var single = new CpuDevice(threads: 1);
        Assert.False(Start(single, architecture, refocused, recipe, pieces, cancelAfterStep: 3));
        Assert.False(Resume(Cpu, pieces, cancelAfterStep: StepsPerEpoch - 2));
        Assert.False(Resume(single, pieces, stopAfter: 2));
        Assert.True(Resume(single, pieces));
        AssertSameRun(whole, pieces);
        Assert.Equal(0, single.Memory.RentedBuffers);
    }

    [Fact]
    public void AFormThatChangesBeginsItsAverageAgainAndStaysResumable()
    {
        string whole = Train("whole", null), pieces = Train("pieces", 2 * StepsPerEpoch - 1);
        Assert.True(Resume(Cpu, pieces));
        AssertSameRun(whole, pieces);

        string Train(string name, int? cancelAfter)
        {
            using var plain = Model(Cpu, "resnet18");
            using var model = plain.Expand(new DyRepMethod(new DyRepOptions { Every = 1 }));
            var run = new RunFolder(_folder.File(name));
            run.Create();
            using var trainer = new Trainer(model, Pictures, State(s_all), run);
            using var stop = new CancellationTokenSource();
            int steps = 0;
            trainer.Observer = new Observer(() =>
            {
                if (++steps == cancelAfter) stop.Cancel();
            });
            Assert.Equal(cancelAfter == null, trainer.Run(cancellation: stop.Token));
            return run.Path;
        }
    }

    [Fact]
    public void TheAverageIsEvaluatedKeptAsBestAndBecomesTheModel()
    {
        string path = _folder.File("run");
        var recipe = Short with { EmaDecay = 0.9, Epochs = 3 };
        Assert.False(Start(Cpu, "mobilenet_v1", false, recipe, path, stopAfter: 2));
        var run = new RunFolder(path);
        using (Model raw = ModelFile.Load(run.LastFile, Cpu), best = ModelFile.Load(run.BestFile, Cpu))
        {
            var top = History(path).MaxBy(h => h.Accuracy)!;
            Assert.Equal(top.TestLoss, Evaluator.Evaluate(best, Pictures.Test).Loss);
            // While the run goes on its checkpoint holds the weights that are trained; what is evaluated is beside them.
            Assert.NotEqual(History(path)[^1].TestLoss, Evaluator.Evaluate(raw, Pictures.Test).Loss);
            Assert.Contains(Tensors(run.LastFile).Keys, k => k.StartsWith("optimizer.ema.", StringComparison.Ordinal));
        }
        Assert.True(Resume(Cpu, path));
        using var last = ModelFile.Load(run.LastFile, Cpu);
        Assert.Equal(History(path)[^1].TestLoss, Evaluator.Evaluate(last, Pictures.Test).Loss);
        Assert.DoesNotContain(Tensors(run.LastFile).Keys, k => k.StartsWith("optimizer.ema.", StringComparison.Ordinal));
        Assert.True(Resume(Cpu, path)); // nothing is left to do
    }

    [Fact]
    public void PatienceEndsTheRunWhereItSaysAndNowhereElse()
    {
        const int Patience = 2;
        string patient = _folder.File("patient"), whole = _folder.File("whole");
        // The schedule does not depend on the patience, so the run without it shows where the one with it has to stop.
        var recipe = Short with { Epochs = 8, LearningRate = 0.2 };
        EpochResult[] epochs = [];
        for (ulong seed = 1; StopIn(epochs) is null or < Patience + 1; seed++)
        {
            Assert.True(seed <= 8, "none of eight runs has a pause in it");
            if (Directory.Exists(whole)) Directory.Delete(whole, recursive: true);
            recipe = recipe with { Seed = seed };
            Start(Cpu, "mobilenet_v1", false, recipe, whole);
            epochs = History(whole);
        }
        int stop = StopIn(epochs)!.Value;
        Assert.False(Start(Cpu, "mobilenet_v1", false, recipe with { Patience = Patience }, patient, stopAfter: stop - 1));
        Assert.True(Resume(Cpu, patient));
        Assert.Equal(epochs[..stop], History(patient));
        Assert.True(Resume(Cpu, patient)); // done is done
        Assert.Equal(stop, History(patient).Length);

        static int? StopIn(EpochResult[] epochs)
        {
            for (int i = 0, best = 0; i < epochs.Length - 1; i++)
            {
                if (epochs[i].Accuracy > epochs[best].Accuracy) best = i;
                if (i - best >= Patience) return i + 1;
            }
            return null;
        }
    }

    [Fact]
    public void RecipesOfEarlierVersionsHaveTodaysDefaults()
    {
        const string Old = """{"epochs":30,"batchSize":64,"learningRate":0.2,"warmupEpochs":2,"minimumLearningRate":1E-06,"momentum":0.8,"nesterov":true,"weightDecay":0.001,"normWeightDecay":0.002,"labelSmoothing":0.1,"cropPadding":3,"horizontalFlip":false,"seed":7,"saveMemory":true}""";
        var expected = new Recipe
        {
            Epochs = 30, BatchSize = 64, LearningRate = 0.2, WarmupEpochs = 2, MinimumLearningRate = 1e-6, Momentum = 0.8, Nesterov = true, WeightDecay = 0.001, NormWeightDecay = 0.002,
            LabelSmoothing = 0.1, CropPadding = 3, HorizontalFlip = false, Seed = 7, SaveMemory = true,
        };
        var state = RunState.FromJson($$"""{"kind":"train","data":"shapes","recipe":{{Old}},"epoch":3}""", "old");
        Assert.Equal(expected, state.Recipe);
        Assert.Equal(0.999, state.Recipe.Beta2);
        var setup = JsonSerializer.Deserialize($$"""{"model":{"architecture":"resnet18"},"data":"shapes","trainImages":5,"testImages":5,"recipe":{{Old}}}""", TableJson.Default.ComparisonSetup)!;
        Assert.Equal(expected, setup.Recipe);

        // Written and read again they are equal; lists too, and other lists are not.
        var steps = expected with { Schedule = ScheduleKind.Step, Milestones = [10, 20] };
        Assert.Equal(steps, RunState.FromJson((state with { Recipe = steps }).ToJson(), "new").Recipe);
        Assert.Equal(steps.GetHashCode(), (expected with { Schedule = ScheduleKind.Step, Milestones = new List<int> { 10, 20 } }).GetHashCode());
        Assert.NotEqual(steps, steps with { Milestones = [10, 21] });
        Assert.Contains("\"optimizer\": \"adamw\"", (state with { Recipe = s_all }).ToJson());
    }

    [Theory]
    [InlineData("milestone number 2", "a later epoch")]
    [InlineData("schedule 'step'", "needs milestones")]
    [InlineData("Milestones belong", "leave them out")]
    [InlineData("β₂", "below 1")]
    [InlineData("decay of the average", "below 1")]
    [InlineData("cutout", "at least 0")]
    [InlineData("mixup", "at least 0")]
    [InlineData("patience", "at least 0")]
    [InlineData("gradient norm", "at least 0")]
    [InlineData("decay factor", "at most 1")]
    [InlineData("power", "above 0")]
    [InlineData("optimiser", "adamw")]
    [InlineData("Nesterov", "above 0")]
    public void HelpersAreChecked(string what, string rule)
    {
        var recipe = what switch
        {
            "milestone number 2" => Short with { Schedule = ScheduleKind.Step, Milestones = [2, 2] },
            "schedule 'step'" => Short with { Schedule = ScheduleKind.Step },
            "Milestones belong" => Short with { Milestones = [2] },
            "β₂" => Short with { Beta2 = 1 },
            "decay of the average" => Short with { EmaDecay = 1 },
            "cutout" => Short with { Cutout = -1 },
            "mixup" => Short with { Mixup = double.NaN },
            "patience" => Short with { Patience = -1 },
            "gradient norm" => Short with { ClipNorm = double.PositiveInfinity },
            "decay factor" => Short with { DecayFactor = 2 },
            "power" => Short with { Power = 0 },
            "optimiser" => Short with { Optimizer = (OptimizerKind)9 },
            _ => Short with { Nesterov = true, Momentum = 0 },
        };
        string message = Assert.Throws<ArgumentException>(recipe.Validate).Message;
        Assert.Contains(what, message);
        Assert.Contains(rule, message);
    }

    [Fact]
    public void AStateOfAnotherOptimiserIsRefused()
    {
        string path = _folder.File("run");
        Start(Cpu, "mobilenet_v1", false, s_all, path, stopAfter: 1);
        var (model, state, training, _) = new RunFolder(path).Load(Cpu);
        using (model)
        {
            Assert.Contains("nothing that SGD keeps", Assert.Throws<ArgumentException>(() => new Trainer(model, Pictures, state with { Recipe = Short }, null, training)).Message);
            var less = training.Where(t => t.Key != "ema.fc.bias" && t.Key != "ema.classifier.bias" && !t.Key.StartsWith("ema.model.0.0", StringComparison.Ordinal)).ToDictionary();
            Assert.Contains("is missing", Assert.Throws<ArgumentException>(() => new Trainer(model, Pictures, state, null, less)).Message);
        }
    }

    [Fact]
    public void TheFinderLeavesTheModelAloneAndSuggestsWhereTheLossFallsFastest()
    {
        using var model = Model(Cpu, "mobilenet_v1");
        var before = model.NamedParameters().Select(p => p.Parameter.ToTorch()).ToArray();
        List<LearningRatePoint> seen = [];
        var finder = new LearningRateFinder { Recipe = s_all, Minimum = 1e-5, Maximum = 1e4, Steps = 40 };
        var sweep = finder.Run(model, Pictures.Train, seen.Add);
        Assert.Equal(before, model.NamedParameters().Select(p => p.Parameter.ToTorch()));
        Assert.True(model.Training);
        Assert.Equal(sweep.Points, seen);
        Assert.Equal(1e-5, seen[0].LearningRate, 1e-12);
        Assert.Equal(Math.Pow(10, 9 / 39.0), seen[1].LearningRate / seen[0].LearningRate, 1e-9);
        Assert.Equal(seen[0].Loss, seen[0].Smoothed, 1e-9); // the average has no bias towards zero
        Assert.Equal(sweep.Points, finder.Run(model, Pictures.Train).Points);

        // Of −tanh(u) over u = log η the steepest place is 0.
        LearningRatePoint[] curve = [.. Enumerable.Range(0, 81).Select(i => (i - 50) / 8.0).Select(u => new LearningRatePoint(Math.Exp(u), -Math.Tanh(u), -Math.Tanh(u)))];
        Assert.Equal(1, LearningRateFinder.Steepest(curve)!.Value, 1e-9);
        Assert.Null(LearningRateFinder.Steepest([.. curve.Select(p => p with { Smoothed = -p.Smoothed })]));
        Assert.Contains("must be above 0 and grow", Assert.Throws<ArgumentException>(() => new LearningRateFinder { Recipe = Short, Minimum = 1, Maximum = 1 }.Run(model, Pictures.Train)).Message);
        Assert.Contains("more than 12 steps", Assert.Throws<ArgumentException>(() => new LearningRateFinder { Recipe = Short, Steps = 12 }.Run(model, Pictures.Train)).Message);

        // Plain gradient descent with rates up to 1e30 cannot stay finite: the sweep ends there.
        var wild = new LearningRateFinder { Recipe = Short with { Momentum = 0 }, Minimum = 1e-3, Maximum = 1e30, Steps = 30 }.Run(model, Pictures.Train);
        Assert.True(wild.Stopped);
        Assert.True(wild.Points.Count < 30);
        Assert.All(wild.Points, p => Assert.True(double.IsFinite(p.Smoothed)));
    }
}
