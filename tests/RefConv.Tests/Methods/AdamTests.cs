using RefConv.Kernels;
using RefConv.Optim;

namespace RefConv.Tests.Methods;

/// <summary>Adam, AMSGrad and AdamW beside PyTorch's.</summary>
public sealed class AdamTests : DeviceTest
{
    [Fact]
    public void TwentyStepsAreThoseOfPyTorch()
    {
        foreach (var (name, weights) in WeightNormFixture.Adam)
        foreach (var device in new Device[] { Reference, Cpu })
        {
            var (options, decay) = Variant(name);
            using var w = New(device);
            using var optimizer = Make(w, options, decay);
            Steps(w, optimizer, 0, 20);
            double[] actual = w.ToDoubleArray();
            for (int i = 0; i < 11; i++) Assert.True(Math.Abs(weights[i] - actual[i]) < (device is CpuDevice ? 1e-6 : 1e-13), $"{name} on {device}: {actual[i]:R} instead of {weights[i]:R}");
        }
    }

    [Fact]
    public void ItGoesOnFromItsStateToTheBit()
    {
        foreach (bool amsGrad in new[] { false, true })
        {
            var options = new AdamOptions { AmsGrad = amsGrad };
            using Parameter whole = New(Cpu), first = New(Cpu), second = New(Cpu);
            using Adam a = Make(whole, options), b = Make(first, options), c = Make(second, options);
            Steps(whole, a, 0, 9);
            Steps(first, b, 0, 4);
            var state = b.State().ToDictionary(s => s.Key, s => s.Values);
            Assert.Equal(amsGrad ? ["exp_avg.w", "exp_avg_sq.w", "max_exp_avg_sq.w", "step.w"] : ["exp_avg.w", "exp_avg_sq.w", "step.w"], state.Keys.Order());
            c.Load(state);
            second.CopyFrom(first.ToArray());
            Steps(second, c, 4, 9);
            Assert.Equal(whole.ToArray(), second.ToArray());
            Assert.Contains("no parameter 'x'", Assert.Throws<ArgumentException>(() => c.Load(new Dictionary<string, float[]> { ["step.x"] = [1] })).Message);
            Assert.Contains("2 values", Assert.Throws<ArgumentException>(() => c.Load(new Dictionary<string, float[]> { ["exp_avg.w"] = [1, 2] })).Message);
            if (!amsGrad) Assert.Contains("without AMSGrad", Assert.Throws<ArgumentException>(() => c.Load(new Dictionary<string, float[]> { ["max_exp_avg_sq.w"] = new float[11] })).Message);
        }
    }

    [Fact]
    public void WhatMakesNoSenseIsRefused()
    {
        using var w = New(Cpu);
        Assert.Contains("β₁", Assert.Throws<ArgumentException>(() => Make(w, new AdamOptions { Beta1 = 1 })).Message);
        Assert.Contains("twice", Assert.Throws<ArgumentException>(() => new Adam([new ParameterGroup([("a", w), ("b", w)])])).Message);
        w.Trainable = false;
        Assert.Contains("frozen", Assert.Throws<ArgumentException>(() => Make(w, new AdamOptions())).Message);
    }

    private static (AdamOptions Options, double Decay) Variant(string name) => name switch
    {
        "adam" => (new(), 0),
        "adam with decay" => (new(), 0.1),
        "amsgrad" => (new() { AmsGrad = true }, 0),
        "adamw" => (new() { DecoupledDecay = true }, 0.1),
        "adamw amsgrad" => (new() { DecoupledDecay = true, AmsGrad = true, Beta1 = 0.8, Beta2 = 0.95, Epsilon = 1e-4 }, 0.1),
        _ => throw new ArgumentException(name),
    };

    private static Adam Make(Parameter w, AdamOptions options, double decay = 0) => new([new ParameterGroup([("w", w)], decay)], options);

    private static Parameter New(Device device)
    {
        var w = new Parameter(device, ParameterLayout.Plain(new Shape(11)));
        w.FromTorch(Golden(11, 20));
        return w;
    }

    /// <summary>Loss of step t: (Σ w·fill(21 + t) + ½·Σ w²)/(1 + t).</summary>
    private static void Steps(Parameter w, Adam optimizer, int first, int last)
    {
        for (int t = first; t < last; t++)
        {
            using var tape = Tape.Train();
            using var direction = Tensor.From(w.Device, Golden(11, 21 + t), w.Shape);
            using var factor = Tensor.Full(w.Device, new Shape(1), 1.0 / (1 + t));
            using var half = Tensor.Full(w.Device, new Shape(1), 0.5 / (1 + t));
            tape.Backward(w.Multiply(direction).Sum().Multiply(factor).Add(w.Multiply(w).Sum().Multiply(half)));
            optimizer.Step(0.01);
            optimizer.ZeroGrad();
        }
    }
}
