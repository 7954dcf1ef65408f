using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Engine;

/// <summary>What operations say that their backward passes read is true, and giving the rest back early changes no bit.</summary>
public sealed class BackwardReadsTests : DeviceTest
{
    [Theory]
    [MemberData(nameof(Gradients.Rows), MemberType = typeof(Gradients))]
    public void WhatABackwardPassDoesNotReadMayBeAnything(string name)
    {
        var row = Gradients.AllRows.First(r => r.ToString() == name);
        foreach (Device device in new Device[] { Cpu, Reference })
        {
            // With every leaf, and with each of them frozen: what is read depends on whose gradients are wanted.
            for (int frozen = -1; frozen < (row.Leaves.Length > 1 ? row.Leaves.Length : 0); frozen++)
            {
                double[][] kept = Run(device, row, frozen, overwrites: false), overwritten = Run(device, row, frozen, overwrites: true);
                for (int i = 0; i < kept.Length; i++)
                    Assert.True(kept[i].AsSpan().SequenceEqual(overwritten[i]), $"{name} on {device}, leaf {frozen} frozen: the gradient of leaf {i} depends on what the operation says it does not read.");
            }
        }
    }

    private static double[][] Run(Device device, Gradients.Row row, int frozen, bool overwrites)
    {
        var leaves = row.Leaves.Select((shape, i) => Normal(device, shape, (ulong)(100 + i), requiresGrad: i != frozen)).ToArray();
        using (var tape = Tape.Train())
        {
            var result = row.Function(leaves);
            if (result.RequiresGrad)
            {
                using var gradient = Normal(device, result.Shape, 5);
                if (overwrites) OverwriteWhatIsNotRead(tape.Nodes);
                tape.Backward(result, gradient);
            }
        }
        double[][] gradients = [.. leaves.Where(l => l.HasGradient).Select(l => l.GradientToDoubleArray())];
        foreach (var leaf in leaves) leaf.Dispose();
        return gradients;
    }

    private static void OverwriteWhatIsNotRead(IReadOnlyList<Op> nodes)
    {
        var tensors = nodes.SelectMany(n => n.Inputs.Append(n.Output)).ToList();
        var read = nodes.SelectMany(n => n.Inputs.Append(n.Output).Where(n.BackwardReads)).Select(t => t.HeldIn).ToHashSet();
        foreach (var t in tensors.Where(t => !t.IsDropped && !read.Contains(t.HeldIn) && !t.HeldIn.IsDisposed)) t.Device.Kernels.Fill(t.Data, double.NaN);
    }

    [Theory]
    [InlineData("mobilenet_v1")]
    [InlineData("mobilenet_v2")]
    [InlineData("mobilenet_v3_small")]
    [InlineData("mobilenet_v3_small_refconv")]
    [InlineData("mobilenext")]
    [InlineData("hbonet")]
    [InlineData("efficientnet_b0")]
    [InlineData("shufflenet_v1_g3_x0_5")]
    [InlineData("shufflenet_v2_x0_5", 0.75)]
    [InlineData("resnet18")]
    [InlineData("resnet50")]
    [InlineData("densenet121", 0.97)]
    [InlineData("fasternet_t1")]
    [InlineData("convnext_tiny")]
    [InlineData("vgg16_bn")]
    [InlineData("repvgg_a0")]
    [InlineData("sesr_m3_x2", 0.9)]
    public void GivingBackEarlyChangesNoBitOfAnyGradient(string architecture, double share = 1) => Compare(architecture, method: null, share);

    [Fact]
    public void NorInTheFormOfAnyMethod()
    {
        foreach (string method in Reparameterizations.Names) Compare("resnet20", method, share: 1);
    }

    /// <summary>A step with results given back early beside one that keeps everything, the memory between filled with NaN.</summary>
    private static void Compare(string architecture, string? method, double share)
    {
        float[][] kept = Step(architecture, method, keeps: true, out long most), early = Step(architecture, method, keeps: false, out long fewer);
        Assert.Equal(kept.Length, early.Length);
        Assert.All(kept.Zip(early), pair => Assert.True(pair.First.AsSpan().SequenceEqual(pair.Second), $"{architecture} {method}: a gradient or statistic differs"));
        Assert.Contains(kept, g => g.Any(v => v != 0));
        Assert.True(fewer <= share * most, $"{architecture} {method}: {fewer} bytes of {most}");
    }

    private static float[][] Step(string architecture, string? method, bool keeps, out long peak)
    {
        using var device = new CpuDevice(2) { PoisonBuffers = true };
        var spec = new ModelSpec(architecture) { Classes = 10, Width = 0.25, SmallImages = true, ImageSize = architecture == "vgg16_bn" ? 32 : 16 };
        using var plain = Zoo.Create(spec, new Initializer(device, 4));
        using var form = method == null ? null : plain.Expand(Reparameterizations.Create(method));
        var model = form ?? plain;
        model.Train();
        using var x = Normal(device, model.InputShape(4), 3);
        using var labels = Tensor.Full(device, new(4), 1);
        using (var tape = Tape.Train(step: 1, seed: 2))
        {
            tape.KeepsReleased = keeps;
            var y = model.Forward(x);
            tape.Backward(y.Shape.Rank == 2 ? y.CrossEntropy(labels) : y.Multiply(y).Sum());
        }
        peak = device.Memory.PeakRentedBytes;
        return [.. model.NamedParameters().Select(p => p.Parameter.HasGradient ? p.Parameter.GradientToDoubleArray().Select(v => (float)v).ToArray() : p.Parameter.ToArray())];
    }
}
