using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Optim;

namespace RefConv.Tests.Layers;

/// <summary>Modules: names, modes, fused chains, statistics, initial values, and the optimiser over them.</summary>
public sealed class LayerTests : DeviceTest
{
    [Fact]
    public void KeysAreThoseOfPyTorch()
    {
        var init = new Initializer(Cpu, 1);
        using var model = new Sequential(new Conv2d(init, 3, 4, 3), new BatchNorm2d(init, 4), new Sequential(new SqueezeExcitation(init, 4, 2)));
        Assert.Equal(
            ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked",
                "2.0.fc1.weight", "2.0.fc1.bias", "2.0.fc2.weight", "2.0.fc2.bias"],
            model.NamedParameters().Select(p => p.Name));
        Assert.Equal(new Shape(4, 3, 3, 3), model.NamedParameters().First().Parameter.TorchShape);
        Assert.Equal((3 * 4 * 9) + 4 + 8 + (4 * 2) + 2 + (4 * 2) + 4, model.ParameterCount());
        Assert.Equal("2.0.fc1", model.Find("2.0.fc1").Name);
        Assert.Contains("has 0, 1, 2", Assert.Throws<KeyNotFoundException>(() => model.Find("5")).Message);
    }

    [Fact]
    public void ABatchNormAndItsActivationFusedAreTheTwoApart()
    {
        var init = new Initializer(Cpu, 1);
        foreach (var kind in new[] { ActivationKind.ReLU, ActivationKind.ReLU6, ActivationKind.Hardswish, ActivationKind.SiLU })
        {
            using var norm = new BatchNorm2d(init, 5);
            norm.Weight.FromTorch(Normal(5, 1).Select(v => 3 * v).ToArray());
            norm.Bias.FromTorch(Normal(5, 2));
            using var chain = new Sequential(norm.Clone(), new Activation(kind));
            using var x = Normal(Cpu, new(3, 4, 2, 5), 3, requiresGrad: true);
            var (a, ga) = Run(x => chain.Forward(x));
            var (b, gb) = Run(x => norm.Forward(x).Activation(kind));
            Assert.Equal(a, b);
            // The backward pass computes again what the activation was given, and rounds it once more; a slope of 0 or 1 does not show that.
            if (kind is ActivationKind.ReLU or ActivationKind.ReLU6) Assert.Equal(ga, gb);
            else Assert.All(ga.Zip(gb), p => Assert.Equal(p.First, p.Second, 1e-5));
            Assert.Throws<ShapeException>(() => norm.Forward(x, ActivationKind.GELU));
            if (kind is ActivationKind.Hardswish or ActivationKind.SiLU) Assert.Throws<ShapeException>(() => norm.Forward(x, kind, residual: x));

            (float[], double[]) Run(Func<Tensor, Tensor> f)
            {
                x.ZeroGrad();
                using var tape = Tape.Train();
                var y = f(x);
                float[] values = y.ToArray();
                tape.Backward(y.Multiply(y).Sum());
                return (values, x.GradientToDoubleArray());
            }
        }
    }

    [Fact]
    public void RunningStatisticsMoveInTrainingAndServeInEvaluation()
    {
        using var norm = new BatchNorm2d(new Initializer(Reference), 1, momentum: 0.1);
        using var x = Tensor.From(Reference, [1f, 2f, 3f, 6f], new Shape(4, 1, 1, 1)); // mean 3, biased variance 3.5, unbiased 14/3
        using (Tape.Inference())
        {
            double[] y = norm.Forward(x).ToDoubleArray();
            Assert.Equal((1 - 3) / Math.Sqrt(3.5 + 1e-5), y[0], 1e-12);
        }
        Assert.Equal(0.3, norm.RunningMean.Item(), 1e-12);
        Assert.Equal(0.9 + (0.1 * 14 / 3), norm.RunningVar.Item(), 1e-12);
        Assert.Equal(1, norm.NamedParameters().Single(p => p.Name == "num_batches_tracked").Parameter.Item());
        norm.Eval();
        using (Tape.Inference()) Assert.Equal((1 - 0.3) / Math.Sqrt(0.9 + (0.1 * 14 / 3) + 1e-5), norm.Forward(x).ToDoubleArray()[0], 1e-12);
        Assert.Equal(0.3, norm.RunningMean.Item(), 1e-12);
        norm.Train();
        using var single = Tensor.From(Reference, [1f], new Shape(1, 1, 1, 1));
        using (Tape.Inference()) Assert.Contains("larger batch", Assert.Throws<ShapeException>(() => norm.Forward(single)).Message);
    }

    [Fact]
    public void DropoutActsInTrainingOnlyAndDrawsAnewEveryStep()
    {
        using var dropout = new Dropout(new Initializer(Cpu, 3), 0.5);
        using var x = Tensor.Full(Cpu, new(1, 1000), 1);
        float[] Run(long step)
        {
            using var tape = Tape.Train(step);
            return dropout.Forward(x).ToArray();
        }

        Assert.Equal(Run(5), Run(5));
        Assert.NotEqual(Run(5), Run(6));
        Assert.InRange(Run(5).Count(v => v == 0), 400, 600);
        Assert.All(Run(5), v => Assert.True(v is 0 or 2));
        dropout.Eval();
        Assert.All(Run(5), v => Assert.Equal(1, v));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Dropout(new Initializer(Cpu), 1));
    }

    [Fact]
    public void StochasticDepthDropsWholeImagesInTrainingOnly()
    {
        using var layer = new StochasticDepth(new Initializer(Cpu, 3), 0.2);
        using var twin = new StochasticDepth(new Initializer(Cpu, 4), 0.2);
        using var x = Normal(Cpu, new(1000, 2, 3, 5), 8);
        float[] values = x.ToArray();

        float[] kept = Run(layer, 5);
        int dropped = 0;
        for (int image = 0; image < 1000; image++)
        {
            var y = kept.AsSpan(image * 30, 30);
            bool gone = y[0] == 0;
            dropped += gone ? 1 : 0;
            for (int i = 0; i < 30; i++) Assert.Equal(gone ? 0 : values[(image * 30) + i] / 0.8f, y[i], 1e-6f * Math.Abs(y[i]));
        }
        Assert.InRange(dropped, 150, 250);
        Assert.Equal(kept, Run(layer, 5));
        Assert.NotEqual(kept, Run(layer, 6));
        Assert.NotEqual(kept, Run(twin, 5));
        Assert.Equal(Run(layer, 5, seed: 9), Run(twin, 5, seed: 9)); // the run's seed counts, not the layer's
        Assert.True(layer.IsActive);
        layer.Eval();
        Assert.False(layer.IsActive);
        Assert.Equal(values, Run(layer, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StochasticDepth(new Initializer(Cpu), 1));

        float[] Run(StochasticDepth module, long step, ulong? seed = null)
        {
            using var tape = Tape.Train(step, seed);
            return module.Forward(x).ToArray();
        }
    }

    [Fact]
    public void SqueezeExcitationIsItsFormula()
    {
        using var se = new SqueezeExcitation(new Initializer(Reference, 4), 3, 2, ActivationKind.ReLU, ActivationKind.Hardsigmoid);
        using var x = Normal(Reference, new(2, 2, 2, 3), 1);
        double[] w1 = P("fc1.weight"), b1 = P("fc1.bias"), w2 = P("fc2.weight"), b2 = P("fc2.bias"), xs = x.ToDoubleArray(), y;
        using (Tape.Inference()) y = se.Forward(x).ToDoubleArray();
        for (int n = 0; n < 2; n++)
        {
            double[] mean = [.. Enumerable.Range(0, 3).Select(c => Enumerable.Range(0, 4).Average(p => xs[(((n * 4) + p) * 3) + c]))];
            double[] hidden = [.. Enumerable.Range(0, 2).Select(h => Math.Max(0, b1[h] + Enumerable.Range(0, 3).Sum(c => w1[(h * 3) + c] * mean[c])))];
            for (int c = 0; c < 3; c++)
            {
                double gate = Math.Clamp(b2[c] + Enumerable.Range(0, 2).Sum(h => w2[(c * 2) + h] * hidden[h]) + 3, 0, 6) / 6;
                for (int p = 0; p < 4; p++) Assert.Equal(xs[(((n * 4) + p) * 3) + c] * gate, y[(((n * 4) + p) * 3) + c], 1e-12);
            }
        }

        double[] P(string name) => se.NamedParameters().Single(p => p.Name == name).Parameter.ToTorchDouble();
    }

    [Fact]
    public void GradientsThroughAChainOfLayersAgreeWithDifferences()
    {
        var init = new Initializer(Reference, 4);
        using var model = new Sequential(new Conv2d(init, 2, 4, 3, padding: 1), new BatchNorm2d(init, 4), new Activation(ActivationKind.ReLU),
            new SqueezeExcitation(init, 4, 2), new MaxPool2d(2, 2), new Flatten(), new Linear(init, 16, 3, height: 2, width: 2));
        using var x = Normal(Reference, new(3, 4, 4, 2), 1, requiresGrad: true);
        using var labels = Tensor.From(Reference, [0f, 2f, 1f], new Shape(3));
        var result = GradCheck.Run([x, .. model.TrainableParameters()], () => model.Forward(x).CrossEntropy(labels, 0.1));
        Assert.True(result.MaxError < 1e-6, result.ToString());
    }

    [Fact]
    public void InitialValuesAreThoseOfPyTorch()
    {
        using var conv = new Conv2d(new Initializer(Cpu, 1), 16, 64, 3);
        double bound = 1 / Math.Sqrt(16 * 9);
        Assert.InRange(conv.Weight.ToArray().Max(MathF.Abs), 0.999 * bound, bound);
        Assert.InRange(conv.Bias!.ToArray().Max(MathF.Abs), 0.9 * bound, bound);
        Initializer.KaimingNormalFanOut(conv.Weight, new RandomStream(1, 1));
        double variance = conv.Weight.ToArray().Average(v => (double)v * v);
        Assert.Equal(2.0 / (64 * 9), variance, 0.05 * 2.0 / (64 * 9));
        using var again = new Conv2d(new Initializer(Cpu, 1), 16, 64, 3);
        using var other = new Conv2d(new Initializer(Cpu, 2), 16, 64, 3);
        Assert.NotEqual(again.Weight.ToArray(), other.Weight.ToArray());
        using var third = new Conv2d(new Initializer(Reference, 1), 16, 64, 3);
        Assert.Equal(again.Weight.ToTorch(), third.Weight.ToTorch()); // the device's memory order does not matter
    }

    [Fact]
    public void SgdIsPyTorchsFormula()
    {
        foreach (var (momentum, nesterov) in new[] { (0.0, false), (0.9, false), (0.9, true) })
        {
            using var parameter = new Parameter(Reference, ParameterLayout.Plain(new Shape(2)));
            parameter.FromTorch([1.0, -2.0]);
            using var optimizer = new Sgd([new ParameterGroup([("p", parameter)], WeightDecay: 0.1, LearningRateFactor: 2)], momentum, nesterov);
            double[] w = [1, -2], v = [0, 0];
            for (int step = 0; step < 4; step++)
            {
                using (var tape = Tape.Train()) tape.Backward(parameter.Multiply(parameter).Sum());
                optimizer.Step(0.05);
                optimizer.ZeroGrad();
                for (int i = 0; i < 2; i++)
                {
                    double d = (2 * w[i]) + (0.1 * w[i]);
                    v[i] = step == 0 ? d : (momentum * v[i]) + d;
                    w[i] -= 0.1 * (momentum == 0 ? d : nesterov ? d + (momentum * v[i]) : v[i]);
                    Assert.Equal(w[i], parameter.ToDoubleArray()[i], 1e-14);
                }
            }
        }
        using var p = new Parameter(Cpu, ParameterLayout.Plain(new Shape(1)));
        Assert.Throws<ArgumentException>(() => new Sgd([new ParameterGroup([("p", p)])], momentum: 0, nesterov: true));
        Assert.Contains("twice", Assert.Throws<ArgumentException>(() => new Sgd([new ParameterGroup([("p", p)]), new ParameterGroup([("p", p)])])).Message);
    }

    [Fact]
    public void TheScheduleIsThePublishedOne()
    {
        // 5 epochs of warm-up and 100 of cosine, L iterations each; from 0.1·5e-6, to 5e-7 at the end and not back up after it.
        const int L = 10;
        var schedule = new WarmupCosine(0.1, 105 * L, 5 * L);
        Assert.Equal(0.1 * 5e-6, schedule.At(0), 1e-15);
        Assert.Equal(0.1 * (5e-6 + ((1 - 5e-6) * 7 / (5.0 * L))), schedule.At(7), 1e-15);
        Assert.Equal(0.1, schedule.At(5 * L), 1e-15);
        for (int i = 0; i < 100 * L; i += 37)
            Assert.Equal(5e-7 + (0.5 * (0.1 - 5e-7) * (1 + Math.Cos(Math.PI * i / (100.0 * L)))), schedule.At((5 * L) + i), 1e-15);
        Assert.Equal(5e-7, schedule.At(105 * L), 1e-15);
        Assert.Equal(5e-7, schedule.At((105 * L) + 1), 1e-15);
    }

    [Fact]
    public void AReplacedModuleTakesNameAndModeOfItsPlace()
    {
        var init = new Initializer(Cpu, 1);
        using var model = new Sequential(new Sequential(new Conv2d(init, 2, 2, 1), new Identity()));
        model.Eval();
        using var fresh = new Conv2d(init, 2, 2, 3, padding: 1);
        using var old = model.Replace("0.0", fresh);
        Assert.Equal("0.0", fresh.Name);
        Assert.Equal("", old.Name);
        Assert.False(fresh.Training);
        Assert.Same(fresh, model.Find("0.0"));
    }
}
