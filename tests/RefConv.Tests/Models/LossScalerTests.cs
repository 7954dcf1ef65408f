using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Train;
using RefConv.Optim;

namespace RefConv.Tests.Models;

/// <summary>Scaling the loss for half precision: what it changes (nothing, where nothing overflows), what it does when something does, and that a run keeps it.</summary>
public sealed class LossScalerTests : DeviceTest
{
    [Fact]
    public void StepsAreTheSameToTheBitWhereNothingOverflows()
    {
        float[] plain = Train(scaler: null), scaled = Train(new LossScaler(null));
        Assert.Equal(plain.Select(BitConverter.SingleToInt32Bits), scaled.Select(BitConverter.SingleToInt32Bits));

        float[] Train(LossScaler? scaler)
        {
            using var weight = Weight();
            using var optimizer = Optimizer(weight);
            for (int i = 0; i < 4; i++) Assert.True(Step(weight, optimizer, scaler, 1));
            if (scaler != null) Assert.Equal(new LossScaling(65536, 4, 0), scaler.State);
            return weight.ToTorch();
        }
    }

    [Fact]
    public void AStepThatOverflowsChangesNothingAndHalvesTheScale()
    {
        using var weight = Weight();
        using var optimizer = Optimizer(weight);
        float[] before = weight.ToTorch();
        var scaler = new LossScaler(new LossScaling(Scale: 1024, GoodSteps: 1999, Skipped: 3));
        Assert.False(Step(weight, optimizer, scaler, 1e37)); // the gradient is a number, 1024 times the gradient is none
        Assert.Equal(before, weight.ToTorch());
        Assert.Empty(optimizer.State()); // no velocity either
        Assert.False(weight.HasGradient);
        Assert.Equal(new LossScaling(512, 0, 4), scaler.State);
        Assert.True(Step(weight, optimizer, scaler, 1));
        Assert.NotEqual(before, weight.ToTorch());
        Assert.Equal(new LossScaling(512, 1, 4), scaler.State);
    }

    [Fact]
    public void ItGrowsAfterManyGoodStepsAndEndsWhereNothingHelps()
    {
        using var weight = Weight();
        using var optimizer = Optimizer(weight);
        var scaler = new LossScaler(new LossScaling(Scale: 8, GoodSteps: 1998));
        Assert.True(Step(weight, optimizer, scaler, 1));
        Assert.Equal(new LossScaling(8, 1999, 0), scaler.State);
        Assert.True(Step(weight, optimizer, scaler, 1));
        Assert.Equal(new LossScaling(16, 0, 0), scaler.State);
        var last = new LossScaler(new LossScaling(Scale: 1));
        Assert.Contains("--precision", Assert.Throws<DivergedException>(() => Step(weight, optimizer, last, double.NaN)).Message, StringComparison.Ordinal);
        optimizer.ZeroGrad();
    }

    [Fact]
    public void ARunKeepsIt()
    {
        var state = new RunState { Data = "shapes", Recipe = new Recipe(), LossScaling = new(4096, 17, 2) };
        Assert.Equal(state.LossScaling, RunState.FromJson(state.ToJson(), "there").LossScaling);
        Assert.DoesNotContain("lossScaling", (state with { LossScaling = null }).ToJson(), StringComparison.Ordinal); // files of runs that have none stay as they were
        var other = new SuperResolutionState { Data = "there", Recipe = new(), LossScaling = new(4096, 17, 2) };
        Assert.Equal(other.LossScaling, SuperResolutionState.FromJson(other.ToJson(), "there").LossScaling);
        Assert.Null(LossScaler.For(Cpu, state.LossScaling)); // 32 bits need none
    }

    private Parameter Weight()
    {
        var weight = new Parameter(Cpu, ParameterLayout.Plain(new Shape(37)));
        weight.FromTorch(Normal(37, 4));
        return weight;
    }

    private static Sgd Optimizer(Parameter weight) => new([new ParameterGroup([("weight", weight)], 1e-3)], 0.9);

    /// <summary>A step on factor·½Σw².</summary>
    private static bool Step(Parameter weight, Sgd optimizer, LossScaler? scaler, double factor)
    {
        using var tape = Tape.Train();
        using var half = Tensor.Full(weight.Device, new Shape(1), factor / 2);
        var loss = weight.Multiply(weight).Sum().Multiply(half);
        if (scaler == null) tape.Backward(loss);
        else scaler.Backward(tape, loss);
        if (scaler != null && !scaler.Unscale(optimizer)) return false;
        optimizer.Step(0.1);
        optimizer.ZeroGrad();
        return true;
    }
}
