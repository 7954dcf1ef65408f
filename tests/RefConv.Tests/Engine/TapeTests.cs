using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Engine;

/// <summary>Who owns memory, when it goes back, and what is said when a tape is used wrongly.</summary>
public sealed class TapeTests : DeviceTest
{
    [Fact]
    public void ResultsEndWithTheTapeAndKeptOnesDoNot()
    {
        using var x = Normal(Cpu, new(2, 3), 1);
        Tensor kept, lost;
        using (var tape = Tape.Inference())
        {
            lost = x.Activation(ActivationKind.ReLU);
            kept = tape.Keep(x.Activation(ActivationKind.Sigmoid));
            Assert.Equal(3, Cpu.Memory.RentedBuffers);
        }
        Assert.Equal(2, Cpu.Memory.RentedBuffers);
        Assert.Equal(6, kept.ToArray().Length);
        kept.Dispose();
        Assert.Contains("Tape.Keep", Assert.Throws<ObjectDisposedException>(() => lost.ToArray()).Message);
    }

    [Fact]
    public void SavingMemoryChangesNoBitOfAnyGradient()
    {
        foreach (string architecture in new[] { "mobilenet_v1", "mobilenet_v2", "resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5" })
        {
            float[][] kept = Gradients(architecture, saveMemory: false, out long most), computedAgain = Gradients(architecture, saveMemory: true, out long fewer);
            Assert.All(kept.Zip(computedAgain), pair => Assert.True(pair.First.AsSpan().SequenceEqual(pair.Second), $"{architecture}: a gradient differs"));
            Assert.True(fewer < 0.85 * most, $"{architecture}: {fewer} bytes of {most}");
        }
    }

    private static float[][] Gradients(string architecture, bool saveMemory, out long peak)
    {
        using var device = new CpuDevice(2) { PoisonBuffers = true };
        using var model = Zoo.Create(new ModelSpec(architecture) { Classes = 10, Width = 0.25, SmallImages = true, ImageSize = 32 }, new Initializer(device, 4));
        using var x = Normal(device, model.InputShape(16), 3);
        using var labels = Tensor.Full(device, new(16), 1);
        using (var tape = Tape.Train(step: 1, seed: 2, saveMemory))
        {
            tape.KeepsReleased = !saveMemory; // small maps are dropped in any case
            tape.Backward(model.Forward(x).CrossEntropy(labels));
        }
        peak = device.Memory.PeakRentedBytes;
        // The running statistics too: they must move once.
        return [.. model.NamedParameters().Select(p => p.Parameter.HasGradient ? p.Parameter.GradientToDoubleArray().Select(v => (float)v).ToArray() : p.Parameter.ToArray())];
    }

    [Fact]
    public void BackwardGivesResultsBackAsItGoesButKeepsTheLossAndWhatIsRetained()
    {
        using var x = Normal(Cpu, new(2, 3), 1, requiresGrad: true);
        using var tape = Tape.Train();
        var a = x.Activation(ActivationKind.Sigmoid);
        var b = tape.Retain(a.Multiply(a));
        var loss = b.Sum();
        tape.Backward(loss);
        Assert.Throws<ObjectDisposedException>(() => a.ToArray());
        Assert.Equal(6, b.ToArray().Length);
        Assert.Equal(b.ToDoubleArray().Sum(), loss.Item(), 5);
        Assert.True(x.HasGradient);
    }

    [Fact]
    public void ReleaseGivesBackWhatNoBackwardPassReads()
    {
        using var x = Normal(Cpu, new(2, 3), 1, requiresGrad: true);
        using (var tape = Tape.Inference())
        {
            var y = x.Activation(ActivationKind.ReLU);
            tape.Release(y);
            Assert.Throws<ObjectDisposedException>(() => y.ToArray());
            tape.Release(x); // not the tape's: nothing happens
            Assert.Equal(6, x.ToArray().Length);
        }
        using (var tape = Tape.Train())
        {
            var read = x.Activation(ActivationKind.ReLU);
            var copied = read.Activation(ActivationKind.Sigmoid);
            var retained = tape.Retain(copied.Add(x));
            var sum = retained.Add(copied);
            foreach (var t in new[] { read, copied, retained, x }) tape.Release(t);
            Assert.Equal(6, read.ToArray().Length); // the sigmoid's slope follows from it
            Assert.Equal(6, retained.ToArray().Length);
            Assert.Contains("Tape.Retain", Assert.Throws<ObjectDisposedException>(() => copied.ToArray()).Message); // sums want no values
            Assert.Contains("Tape.Retain", Assert.Throws<ObjectDisposedException>(() => copied.Add(x)).Message);
            tape.Backward(sum.Sum());
            double[] expected = [.. x.ToDoubleArray().Select(v => 1 + (v > 0 ? 2 * Slope(v) : 0))];
            Assert.All(expected.Zip(x.GradientToDoubleArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));

            static double Slope(double v) => 1 / (1 + Math.Exp(-v)) * (1 - (1 / (1 + Math.Exp(-v))));
        }
        using (var tape = Tape.Trace())
        {
            var y = x.Activation(ActivationKind.ReLU);
            tape.Release(y);
            Assert.Equal(6, y.ToArray().Length);
            Assert.Equal("ReLU", Assert.Single(tape.Nodes).Kind);
        }
    }

    [Fact]
    public void ASmallNormIsComputedAgainWhereThatIsCheapAndALargeOneIsNot()
    {
        using var gamma = Tensor.Full(Cpu, new(8), 1, requiresGrad: true);
        using var beta = Tensor.Full(Cpu, new(8), 0, requiresGrad: true);
        using var mean = Tensor.Full(Cpu, new(8), 0);
        using var variance = Tensor.Full(Cpu, new(8), 1);
        using var w = Normal(Cpu, new(1, 1, 8, 8), 2, requiresGrad: true);
        Assert.True(IsDropped(64, ActivationKind.ReLU, saveMemory: false));
        Assert.False(IsDropped(64, ActivationKind.SiLU, saveMemory: false));
        Assert.False(IsDropped(64, ActivationKind.Hardswish, saveMemory: false));
        Assert.True(IsDropped(64, ActivationKind.SiLU, saveMemory: true));
        Assert.False(IsDropped(363, ActivationKind.ReLU, saveMemory: false)); // 363² · 8 elements are 4.2 MB
        Assert.True(IsDropped(363, ActivationKind.ReLU, saveMemory: true));

        bool IsDropped(int size, ActivationKind activation, bool saveMemory)
        {
            using var x = Tensor.Full(Cpu, new(1, size, size, 8), 1);
            using var tape = Tape.Train(saveMemory: saveMemory);
            var y = x.Conv2d(w, null, new Conv2dOptions(), moments: true).BatchNorm2d(gamma, beta, mean, variance, training: true, activation: activation);
            var z = y.Conv2d(w);
            tape.Release(y);
            bool dropped = y.IsDropped;
            Assert.Equal(8L * size * size, y.ToArray().Length); // there again
            Assert.False(y.IsDropped);
            tape.Release(y);
            Assert.Equal(dropped, y.IsDropped); // and dropped again
            tape.Backward(z.Sum());
            w.ZeroGrad();
            return dropped;
        }
    }

    [Fact]
    public void AReleasedResultWhoseMemoryAnotherTensorShowsStays()
    {
        using var gamma = Tensor.Full(Cpu, new(2), 1, requiresGrad: true);
        using var beta = Tensor.Full(Cpu, new(2), 3, requiresGrad: true);
        using var mean = Tensor.Full(Cpu, new(2), 0);
        using var variance = Tensor.Full(Cpu, new(2), 1);
        using var x = Normal(Cpu, new(1, 1, 3, 2), 1);
        using var w = Normal(Cpu, new(1, 1, 2, 2), 2, requiresGrad: true);
        using var last = Normal(Cpu, new(6, 1), 3, requiresGrad: true);
        using var tape = Tape.Train();
        var a = x.Conv2d(w, null, new Conv2dOptions(), moments: true).BatchNorm2d(gamma, beta, mean, variance, training: true);
        double[] values = a.ToDoubleArray();
        var y = a.Reshape(new(1, 6)).Linear(last); // the gradient of its weights reads a's elements, under another shape
        tape.Release(a);
        tape.Backward(y.Sum());
        Assert.Equal(values, last.GradientToDoubleArray());
    }

    [Fact]
    public void AnInnerTapesBackwardPassCountsForTheOuterTape()
    {
        using var x = Normal(Cpu, new(2, 3), 1, requiresGrad: true);
        using var outer = Tape.Train();
        var a = x.Add(x);
        using (var inner = Tape.Train())
        {
            var squares = a.Multiply(a);
            outer.Release(a);
            inner.Backward(squares.Sum());
        }
        Assert.Equal(2 * a.ToDoubleArray()[3], a.GradientToDoubleArray()[3], 1e-6);
    }

    [Fact]
    public void GradientsAddUpOverUsesAndOverBackwardPasses()
    {
        using var x = Tensor.From(Cpu, [1f, 2f, 3f], new Shape(3), requiresGrad: true);
        for (int pass = 1; pass <= 2; pass++)
        {
            using var tape = Tape.Train();
            tape.Backward(x.Multiply(x).Add(x).Sum()); // Σ x² + x, gradient 2x + 1
            Assert.Equal([3.0 * pass, 5.0 * pass, 7.0 * pass], x.GradientToDoubleArray());
        }
        x.ZeroGrad();
        Assert.False(x.HasGradient);
        using (var tape = Tape.Train()) tape.Backward(x.Sum());
        Assert.Equal([1.0, 1.0, 1.0], x.GradientToDoubleArray());
    }

    [Fact]
    public void TheSecondTensorOfASumThatIsReadAgainKeepsItsOwnGradient()
    {
        // The gradient's memory is handed on along sums; a reader that comes later must not write into it.
        using var x = Tensor.From(Cpu, [1f, -2f], new Shape(2), requiresGrad: true);
        using var tape = Tape.Train();
        var a = x.Activation(ActivationKind.Identity);
        var b = a.Add(a);            // 2a
        var c = b.Add(a);            // 3a
        tape.Backward(c.Add(b).Sum()); // 5a
        Assert.Equal([5.0, 5.0], x.GradientToDoubleArray());
    }

    [Fact]
    public void FrozenLeavesCostNothing()
    {
        using var x = Normal(Cpu, new(2, 3), 1);
        using var tape = Tape.Train();
        x.Activation(ActivationKind.ReLU);
        Assert.Empty(tape.Nodes);
    }

    [Fact]
    public void ATapeIsTheThreadsInnermost()
    {
        Assert.Contains("Tape.Train()", Assert.Throws<InvalidOperationException>(() => Tape.Current).Message);
        using var outer = Tape.Train();
        using (var inner = Tape.Inference()) Assert.Same(inner, Tape.Current);
        Assert.Same(outer, Tape.Current);
    }

    [Fact]
    public void WrongUseIsExplained()
    {
        using var x = Normal(Cpu, new(2, 3), 1, requiresGrad: true);
        using var frozen = Normal(Cpu, new(2, 3), 1);
        using (var tape = Tape.Inference())
            Assert.Contains("Tape.Train()", Assert.Throws<InvalidOperationException>(() => tape.Backward(x.Sum())).Message);
        using (var tape = Tape.Train())
        {
            Assert.Contains("one element", Assert.Throws<ShapeException>(() => tape.Backward(x.Activation(ActivationKind.ReLU))).Message);
            Assert.Contains("frozen", Assert.Throws<InvalidOperationException>(() => tape.Backward(frozen.Sum())).Message);
        }
        using (var tape = Tape.Train())
        {
            var loss = x.Sum();
            tape.Backward(loss);
            Assert.Contains("new tape", Assert.Throws<InvalidOperationException>(() => tape.Backward(loss)).Message);
        }
        using var other = Normal(Reference, new(2, 3), 1);
        using (Tape.Inference())
            Assert.Contains("two devices", Assert.Throws<InvalidOperationException>(() => x.Add(other)).Message);
        Assert.Contains("no gradient", Assert.Throws<InvalidOperationException>(() => frozen.GradientData).Message);
    }

    [Fact]
    public void ShapesThatDoNotFitAreNamedWithTheWayOut()
    {
        using var x = Normal(Cpu, new(2, 5, 5, 64), 1);
        using var w = Normal(Cpu, new(3, 3, 32, 128), 2);
        using var tape = Tape.Inference();
        string message = Assert.Throws<ShapeException>(() => x.Conv2d(w, padding: 1, name: "layer2.0.conv1")).Message;
        Assert.StartsWith("Conv2d 'layer2.0.conv1': input has 64 channels", message);
        Assert.EndsWith("Use groups=2?", message);
        Assert.Contains("must divide", Assert.Throws<ShapeException>(() => x.Conv2d(w, groups: 3)).Message);
        using var big = Normal(Cpu, new(7, 7, 64, 2), 3);
        Assert.Contains("smaller than the kernel", Assert.Throws<ShapeException>(() => x.Conv2d(big)).Message);
        Assert.Contains("differ", Assert.Throws<ShapeException>(() => x.Add(w)).Message);
        using var labels = Tensor.From(Cpu, [0f], new Shape(1));
        Assert.Contains("rows", Assert.Throws<ShapeException>(() => x.CrossEntropy(labels)).Message);
        Assert.Contains("Flatten", Assert.Throws<ShapeException>(() => x.Linear(w)).Message);
    }

    [Fact]
    public void TheWholeEngineRunsOnTheReferenceDeviceAndAgrees()
    {
        float[] Run(Device device)
        {
            using var x = Normal(device, new(2, 6, 6, 3), 1);
            using var w = Normal(device, new(3, 3, 3, 5), 2, requiresGrad: true);
            using var labels = Tensor.From(device, [1f, 3f], new Shape(2));
            using var tape = Tape.Train();
            var loss = x.Conv2d(w, padding: 1, stride: 2).Activation(ActivationKind.Hardswish).GlobalAvgPool2d().Flatten().CrossEntropy(labels);
            tape.Backward(loss);
            return [(float)loss.Item(), .. w.GradientToDoubleArray().Select(v => (float)v)];
        }

        float[] a = Run(Cpu), b = Run(Reference);
        for (int i = 0; i < a.Length; i++) Assert.Equal(b[i], a[i], 1e-5f);
    }

    [Fact]
    public void LayoutsGoToPyTorchsOrderAndBack()
    {
        var layout = ParameterLayout.Conv2d(2, 3, 1, 2); // torch [o=2, i=3, kh=1, kw=2], memory [kh, kw, i, o]
        int[] torch = [.. Enumerable.Range(0, 12)];
        int[] memory = layout.ToMemory<int>(torch);
        for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++)
        for (int s = 0; s < 2; s++)
            Assert.Equal((o * 6) + (i * 2) + s, memory[(((s * 3) + i) * 2) + o]);
        Assert.Equal(torch, layout.ToTorch<int>(memory));
        // A flattened [c=2, h=1, w=3] map: PyTorch's column (c·3 + x) is the engine's row (x·2 + c).
        var linear = ParameterLayout.Linear(1, 6, height: 1, width: 3);
        Assert.Equal([0, 3, 1, 4, 2, 5], linear.ToMemory<int>([0, 1, 2, 3, 4, 5]));
    }
}
