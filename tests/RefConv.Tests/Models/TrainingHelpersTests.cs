using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Optim;

namespace RefConv.Tests.Models;

/// <summary>Optimisers, schedules, clipping, mixup and the average of the weights beside PyTorch's, 20 steps each, through the trainer's own step.</summary>
public sealed class TrainingHelpersTests : DeviceTest
{
    private const int Steps = 20, BatchSize = 6, Classes = 4;
    private static readonly string[] s_keys = ["conv.weight", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var", "fc.weight", "fc.bias"];

    public static TheoryData<string, bool> Runs
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var run in TrainingHelpersFixture.Runs)
            {
                data.Add(run.Name, false);
                data.Add(run.Name, true);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public void TwentyStepsAreThoseOfPyTorch(string name, bool cpu)
    {
        var golden = TrainingHelpersFixture.Runs.Single(r => r.Name == name);
        var (recipe, mixed) = RecipeOf(name);
        recipe.Validate();
        double tolerance = cpu ? 1e-6 : 1e-12;
        using var net = new Net(cpu ? Cpu : Reference);
        using var optimizer = recipe.MakeOptimizer(net.NamedParameters());
        using var average = new ModelEma(net, recipe.EmaDecay, recipe.EmaWarmup);
        using var log = new StepLog(net.Device);
        var schedule = recipe.MakeSchedule(stepsPerEpoch: 1);
        for (int step = 0; step < Steps; step++)
        {
            var batch = Pictures(step);
            if (mixed) batch = Mixup.Mix(batch, ((step * 37) + 11) % 64 / 64.0);
            TrainingStep.Run(net, optimizer, recipe, batch, step, schedule.At(step), log);
            var result = log.Read()[0];
            average.Update(step);
            Assert.True(Math.Abs(result.Loss - golden.Losses[step]) < tolerance, $"step {step}: loss {result.Loss:R} instead of {golden.Losses[step]:R}");
        }
        Check(net, golden.Sums, "the model");
        Check(average.Model, golden.Average, "its average");
        Assert.Equal(Steps, average.Model.NamedParameters().Single(p => p.Name == "norm.num_batches_tracked").Parameter.Item());
        average.CopyToModel();
        Check(net, golden.Average, "the model that took its average");

        void Check(Model model, double[] expected, string what)
        {
            var state = model.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter);
            for (int i = 0; i < s_keys.Length; i++)
            {
                double[] values = state[s_keys[i]].ToTorchDouble();
                double sum = values.Sum(), weighted = values.Select((v, n) => v * ((n % 17) + 1)).Sum(), size = values.Select((v, n) => Math.Abs(v) * ((n % 17) + 1)).Sum();
                Assert.True(Math.Abs(sum - expected[2 * i]) <= tolerance * Math.Max(1, size) && Math.Abs(weighted - expected[(2 * i) + 1]) <= tolerance * Math.Max(1, size),
                    $"{s_keys[i]} of {what}: sums {sum:R}, {weighted:R} instead of {expected[2 * i]:R}, {expected[(2 * i) + 1]:R}");
            }
        }
    }

    [Fact]
    public void SchedulesAreThoseOfPyTorch()
    {
        foreach (var (name, rates) in TrainingHelpersFixture.Schedules)
        {
            ILearningRateSchedule schedule = name switch
            {
                "polynomial" => new WarmupPolynomial(0.2, Steps, 4, power: 2),
                "cosine" => new WarmupCosine(0.2, Steps, 4, minimum: 1e-3),
                "step" => new WarmupMultiStep(0.2, [9, 15], 0.3, 4),
                "step alone" => new WarmupMultiStep(0.2, [8, 14], 0.3),
                "polynomial alone" => new WarmupPolynomial(0.2, Steps, power: 0.5),
                "constant" => new WarmupMultiStep(0.2, [], warmupSteps: 4),
                _ => throw new ArgumentException(name),
            };
            for (int i = 0; i < Steps; i++) Assert.True(Math.Abs(rates[i] - schedule.At(i)) < 1e-15, $"{name}, step {i}: {schedule.At(i):R} instead of {rates[i]:R}");
            if (name.StartsWith("polynomial", StringComparison.Ordinal)) Assert.Equal(0, schedule.At(Steps + 5)); // not a power of something negative
        }
        // The recipe counts milestones in epochs of the run and has its step in the middle of none.
        var recipe = new Recipe { Epochs = 10, WarmupEpochs = 0, LearningRate = 1, Schedule = ScheduleKind.Step, Milestones = [3, 7], DecayFactor = 0.5 };
        Assert.Equal([1, 0.5, 0.5, 0.25], new[] { 14L, 15, 34, 35 }.Select(recipe.MakeSchedule(stepsPerEpoch: 5).At));
    }

    [Fact]
    public void ClippingBringsALongGradientToTheNormAndLeavesAShortOne()
    {
        foreach (var device in new Device[] { Cpu, Reference })
        {
            using Parameter a = new(device, ParameterLayout.Plain(new Shape(3))), b = new(device, ParameterLayout.Plain(new Shape(2, 2))), none = new(device, ParameterLayout.Plain(new Shape(5)));
            Parameter[] all = [a, none, b];
            a.FromTorch([3.0, 0, 0]);
            b.FromTorch([0.0, 4, 0, 0]);
            Backward(1);
            Assert.Equal(5, GradientClipping.ClipNorm(all, 6), 1e-6);
            Assert.Equal([3, 0, 0], a.GradientToDoubleArray());
            Assert.Equal(5, GradientClipping.ClipNorm(all, 2.5), 1e-6);
            Assert.Equal(2.5, GradientClipping.ClipNorm(all, 10), 1e-6);
            Assert.Equal(2, b.GradientToDoubleArray()[1], 1e-6);
            Assert.False(none.HasGradient);
            Assert.Throws<ArgumentException>(() => GradientClipping.ClipNorm(all, 0));
            Backward(double.NaN);
            Assert.True(double.IsNaN(GradientClipping.ClipNorm(all, 2.5)));

            // ½Σx² has x for a gradient.
            void Backward(double factor)
            {
                foreach (var p in all) p.ZeroGrad();
                using var tape = Tape.Train();
                using var half = Tensor.Full(device, new Shape(1), factor / 2);
                tape.Backward(a.Multiply(a).Sum().Add(b.Multiply(b).Sum()).Multiply(half));
            }
        }
    }

    [Theory]
    [InlineData(OptimizerKind.Sgd)]
    [InlineData(OptimizerKind.AdamW)]
    public void ARefocusedLayerIsTrainedTheSameWithItsGradientWrittenDown(OptimizerKind kind)
    {
        // A clipping that never clips makes the gradients that are deferred be written down: the steps are the same up to rounding. AdamW always reads them.
        float[][] results = [.. new[] { 0.0, 1e9, 1e-3 }.Select(clip =>
        {
            using var model = TrainingBench.Model(Cpu, "mobilenet_v1", refocused: true);
            var recipe = TrainingBench.Short with { Epochs = 1, WarmupEpochs = 0, LearningRate = 0.01, Optimizer = kind, ClipNorm = clip };
            using (var trainer = new Trainer(model, TrainingBench.Pictures, TrainingBench.State(recipe))) trainer.Run();
            var map = model.NamedParameters().Last(p => p.Name.EndsWith("convmap.weight", StringComparison.Ordinal)).Parameter;
            return map.ToTorch();
        })];
        Assert.True(Distance(results[0], results[1]) < 1e-5, $"written down: {Distance(results[0], results[1])}");
        if (kind == OptimizerKind.Sgd) Assert.True(Distance(results[0], results[2]) > 1e-4, "clipping changed nothing");

        static double Distance(float[] a, float[] b) => a.Zip(b, (x, y) => Math.Abs((double)x - y)).Max();
    }

    [Fact]
    public void AnAverageOfWhatDoesNotChangeKeepsItsBits()
    {
        using var plain = TrainingBench.Model(Cpu, "mobilenet_v1");
        using var model = plain.Expand(new RefConvMethod(), LayerPolicy.LargerThan1, seed: 5);
        var recipe = TrainingBench.Short with { Epochs = 2, EmaDecay = 0.7 };
        using var trainer = new Trainer(model, TrainingBench.Pictures, TrainingBench.State(recipe));
        trainer.Run();
        var before = plain.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToTorch());
        foreach (string layer in model.Forms[0].Layers)
            Assert.Equal(before[layer + ".weight"], model.NamedParameters().Single(p => p.Name == layer + ".weight").Parameter.ToTorch());
    }

    private static (Recipe Recipe, bool Mixed) RecipeOf(string name)
    {
        var common = new Recipe { Epochs = Steps, BatchSize = BatchSize, LearningRate = 0.02, WarmupEpochs = 0, NormWeightDecay = 0 };
        return name switch
        {
            "sgd" => (common with
            {
                LearningRate = 0.2, WarmupEpochs = 4, Schedule = ScheduleKind.Polynomial, Power = 2, MinimumLearningRate = 0, Nesterov = true, WeightDecay = 0.01,
                ClipNorm = 0.5, LabelSmoothing = 0.1, EmaDecay = 0.9,
            }, true),
            "adamw" => (common with
            {
                Optimizer = OptimizerKind.AdamW, Beta2 = 0.99, Epsilon = 1e-6, WeightDecay = 0.05, Schedule = ScheduleKind.Step, Milestones = [8, 14], DecayFactor = 0.3,
                ClipNorm = 0.6, EmaDecay = 0.95, EmaWarmup = true,
            }, false),
            "adam" => (common with
            {
                Optimizer = OptimizerKind.Adam, Beta1 = 0.8, Beta2 = 0.99, Epsilon = 1e-6, WeightDecay = 0.02, WarmupEpochs = 4, MinimumLearningRate = 1e-3, LabelSmoothing = 0.2,
                EmaDecay = 0.5,
            }, true),
            _ => throw new ArgumentException(name),
        };
    }

    /// <summary>The batch of a step: 2·fill(n, c, h, w) in single precision, as maps [n, h, w, c].</summary>
    private static Batch Pictures(int step)
    {
        const int C = 3, Side = 6;
        double[] values = Golden(BatchSize * C * Side * Side, 60 + step);
        float[] images = new float[values.Length];
        for (int i = 0; i < values.Length; i++)
        {
            int x = i % Side, y = i / Side % Side, c = i / (Side * Side) % C, n = i / (Side * Side * C);
            images[(((((n * Side) + y) * Side) + x) * C) + c] = (float)(2 * values[i]);
        }
        return new Batch(step, BatchSize, Side, Side, C, images, [.. Enumerable.Range(0, BatchSize).Select(i => (float)(((i * 7) + (step * 3)) % Classes))]);
    }

    /// <summary>3×3 convolution, norm, ReLU, average, linear.</summary>
    private sealed class Net : Model
    {
        public Net(Device device)
            : base(new ModelSpec("net") { Classes = Classes, ImageSize = 6 })
        {
            var init = new Initializer(device, 1);
            Add("conv", new Conv2d(init, 3, 5, 3, padding: 1, bias: false));
            Add("norm", new BatchNorm2d(init, 5));
            Add("fc", new Linear(init, 5, Classes));
            var state = NamedParameters().ToDictionary(p => p.Name, p => p.Parameter);
            state["conv.weight"].FromTorch(Golden(135, 50));
            state["norm.weight"].FromTorch([.. Golden(5, 51).Select(v => 1 + (0.5 * v))]);
            state["norm.bias"].FromTorch(Golden(5, 52));
            state["fc.weight"].FromTorch([.. Golden(20, 53).Select(v => 2 * v)]);
            state["fc.bias"].FromTorch(Golden(Classes, 54));
        }

        public override Tensor Forward(Tensor x) => Child("fc").Forward(ConvNorm.Forward(Child("conv"), Child("norm"), x, ActivationKind.ReLU).GlobalAvgPool2d().Flatten());
    }
}
