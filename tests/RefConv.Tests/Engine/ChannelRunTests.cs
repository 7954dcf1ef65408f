using RefConv.Kernels;

namespace RefConv.Tests.Engine;

/// <summary>A slice of channels stays inside its source as long as that is possible, and nobody can tell.</summary>
public sealed class ChannelRunTests : DeviceTest
{
    private static readonly Shape s_shape = new(2, 5, 3, 12);

    [Fact]
    public void IsNotCopiedForReadersThatStepOverTheOtherChannels()
    {
        using var x = Normal(Cpu, s_shape, 1);
        using var w = Normal(Cpu, new(1, 1, 6, 10), 2);
        using var tape = Tape.Trace();
        var y = x.Activation(ActivationKind.SiLU);
        var (left, right) = (y.SliceChannels(0, 6), y.SliceChannels(6, 6));
        int before = Cpu.Memory.RentedBuffers;
        TensorOps.Interleave(left, right);
        TensorOps.Concat(right, left);
        right.Conv2d(w);
        Assert.Equal(before + 3, Cpu.Memory.RentedBuffers);
        Assert.True(left.IsDropped && right.IsDropped);
        float[] expected = [.. y.ToArray().Where((_, i) => i % 12 >= 6)];
        Assert.Equal(expected, right.ToArray());
        Assert.False(right.IsDropped);
        Assert.Equal(expected, right.ToArray());
        Assert.Equal(before + 4, Cpu.Memory.RentedBuffers); // copied once
    }

    [Theory]
    [InlineData("cpu")]
    [InlineData("reference")]
    public void AConvolutionGivesTheSameBitsAsOfACopy(string device)
    {
        var results = new List<double[]>();
        foreach (bool copy in new[] { false, true })
        {
            using var x = Normal(Get(device), new(2, 9, 9, 40), 1, requiresGrad: true);
            using var w = Normal(Get(device), new(1, 1, 23, 30), 2, requiresGrad: true);
            using var b = Normal(Get(device), new(30), 3, requiresGrad: true);
            using var tape = Tape.Train();
            var map = x.Activation(ActivationKind.SiLU);
            var other = map.Activation(ActivationKind.Sigmoid); // its backward pass reads all of the map, so it is kept in any case
            var part = map.SliceChannels(14, 23);
            if (copy) _ = part.Data;
            var y = tape.Retain(part.Conv2d(w, b, new Conv2dOptions(stride: 2, padding: 1, 1, 1)));
            Assert.Equal(!copy, part.IsDropped);
            tape.Backward(y.Multiply(y).Sum().Add(other.Sum()));
            results.Add([.. y.ToDoubleArray(), .. w.GradientToDoubleArray(), .. x.GradientToDoubleArray()]);
        }
        Assert.Equal(results[1], results[0]);
    }

    [Fact]
    public void IsCopiedWhenItsSourceIsGivenBack()
    {
        using var x = Normal(Cpu, s_shape, 1);
        using var tape = Tape.Inference();
        var y = x.Activation(ActivationKind.SiLU);
        float[] expected = [.. y.ToArray().Where((_, i) => i % 12 >= 6)];
        var right = y.SliceChannels(6, 6);
        var left = y.SliceChannels(0, 6);
        tape.Release(left);
        int before = Cpu.Memory.RentedBuffers;
        tape.Release(y);
        Assert.Equal(before, Cpu.Memory.RentedBuffers); // one map given back, one copy made
        Assert.Equal(expected, right.ToArray());
        Assert.Throws<ObjectDisposedException>(() => y.ToArray());
        Assert.Throws<ObjectDisposedException>(() => left.ToArray());
        Assert.Equal(before, Cpu.Memory.RentedBuffers); // what could not be copied left nothing behind
        tape.Release(right);
        Assert.Equal(before - 1, Cpu.Memory.RentedBuffers);
    }

    [Fact]
    public void IsCopiedWhenItsSourceIsKept()
    {
        using var x = Normal(Cpu, s_shape, 1);
        Tensor part, kept;
        using (var tape = Tape.Inference())
        {
            var y = x.Activation(ActivationKind.SiLU);
            part = y.SliceChannels(2, 3);
            kept = tape.Keep(y);
            kept.Dispose();
            Assert.Equal(90, part.ToArray().Length);
        }
        Assert.Throws<ObjectDisposedException>(() => part.ToArray());
    }

    [Fact]
    public void DisposingItLeavesTheSourceAlone()
    {
        using var x = Normal(Cpu, s_shape, 1);
        using var tape = Tape.Inference();
        var y = x.Activation(ActivationKind.SiLU);
        y.SliceChannels(0, 6).Dispose();
        Assert.Equal(360, y.ToArray().Length);
    }

    [Fact]
    public void ATensorOfOnesOwnIsCopiedAtOnce()
    {
        using var x = Normal(Cpu, s_shape, 1); // it may be overwritten, or disposed, before the slice is read
        using var tape = Tape.Inference();
        var part = x.SliceChannels(0, 6);
        Assert.False(part.IsDropped);
        float[] before = part.ToArray();
        x.CopyFrom(new float[360]);
        Assert.Equal(before, part.ToArray());
    }

    [Fact]
    public void GradientsOfSomeChannelsAddUpOverBackwardPasses()
    {
        using var x = Normal(Cpu, new(2, 1, 1, 5), 1, requiresGrad: true);
        foreach (var (first, count) in new[] { (0, 2), (3, 1), (0, 2), (1, 3) })
        {
            using var tape = Tape.Train();
            tape.Backward(x.SliceChannels(first, count).Sum());
        }
        Assert.Equal([2.0, 3, 1, 2, 0, 2, 3, 1, 2, 0], x.GradientToDoubleArray());
        x.ZeroGrad();
        using (var tape = Tape.Train()) tape.Backward(x.SliceChannels(4, 1).Sum());
        Assert.Equal([0.0, 0, 0, 0, 1, 0, 0, 0, 0, 1], x.GradientToDoubleArray());
    }

    [Fact]
    public void ASourceIsGivenBackEarlyWhateverTheBackwardPassReadsOfARun()
    {
        foreach (bool isRead in new[] { false, true })
        {
            using var x = Normal(Cpu, s_shape, 1, requiresGrad: true);
            using var w = Normal(Cpu, new(1, 1, 6, 6), 2, requiresGrad: isRead);
            using var tape = Tape.Train();
            var y = x.Add(x); // no backward pass of its own reads it
            var (left, right) = (y.SliceChannels(0, 6), y.SliceChannels(6, 6));
            var z = TensorOps.Interleave(left, right.Conv2d(w));
            tape.Release(left);
            tape.Release(right);
            int before = Cpu.Memory.RentedBuffers;
            tape.Release(y);
            Assert.Equal(before - 1, Cpu.Memory.RentedBuffers);
            Assert.True(left.IsDropped);
            Assert.Equal(isRead, !right.IsDropped); // the convolution had it copied, for its weights' gradient: half of what its source takes
            tape.Backward(z.Sum());
            Assert.Equal(2.0, x.GradientToDoubleArray()[0]);
        }
    }

    [Fact]
    public void SavingMemoryChangesNothing()
    {
        float[] Run(bool saveMemory)
        {
            using var x = Normal(Cpu, new(2, 5, 4, 6), 1, requiresGrad: true);
            using var w = Normal(Cpu, new(1, 1, 6, 8), 2, requiresGrad: true);
            using var half = Normal(Cpu, new(1, 1, 4, 4), 3, requiresGrad: true);
            using var scale = Normal(Cpu, new(8), 4, requiresGrad: true);
            using var shift = Normal(Cpu, new(8), 5, requiresGrad: true);
            using var mean = Normal(Cpu, new(8), 6);
            using var variance = Tensor.Full(Cpu, new(8), 1);
            using var tape = Tape.Train(saveMemory: saveMemory);
            var y = x.Conv2d(w, null, new Conv2dOptions(), moments: true).BatchNorm2d(scale, shift, mean, variance, training: true, activation: ActivationKind.ReLU);
            var (part, other) = (y.SliceChannels(4, 4), y.SliceChannels(0, 4));
            tape.Release(y);
            var z = TensorOps.Interleave(part.Conv2d(half), other);
            tape.Release(part);
            tape.Release(other);
            tape.Backward(z.Multiply(z).Sum());
            return [.. new[] { x, w, half, scale, shift }.SelectMany(t => t.GradientToDoubleArray()).Select(v => (float)v)];
        }

        Assert.Equal(Run(saveMemory: false), Run(saveMemory: true));
    }

    [Fact]
    public void WhatCannotReadItRefuses()
    {
        var strided = new Conv2dGeometry(1, 4, 4, 9, 20, 3, 3) { InputPitch = 12 };
        var dense = new Conv2dGeometry(1, 4, 4, 9, 20, 1, 1) { InputPitch = 12 };
        using var memory = Cpu.Rent(4096);
        var view = memory.View;
        Assert.False(Cpu.CanReadStrided(strided));
        Assert.True(Cpu.CanReadStrided(dense));
        Assert.Contains("12 elements apart", Assert.Throws<NotSupportedException>(() => Cpu.Kernels.Conv2dForward(strided, view, view, default, view)).Message);
        Assert.Throws<NotSupportedException>(() => Cpu.Kernels.Conv2dWeightGradient(strided, view, view, view, false));
        Assert.Throws<NotSupportedException>(() => Cpu.Kernels.Conv2dPack(strided, view, Conv2dAccuracy.Fast));
        Assert.Throws<NotSupportedException>(() => Cpu.Kernels.Conv2dInputGradient(strided, view, view, view, false));
        Assert.Equal(9, (dense with { InputPitch = 9 }).InputPitch);
        Assert.Equal(new Conv2dGeometry(1, 4, 4, 9, 20, 1, 1), dense with { InputPitch = 9 });
    }
}
