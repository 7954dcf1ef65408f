using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Optim;

namespace RefConv.Tests.Gpu;

/// <summary>A whole network on a GPU device beside the processor: forward, gradients, and the road from a plain network through refocusing to a merged one.</summary>
public sealed class GpuNetworks : DeviceTest
{
    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void ForwardIsTheProcessors(string kind) => OnDevice(kind, device =>
    {
        using Model here = Plain(Cpu), there = Plain(device);
        AssertClose(Scores(here), Scores(there), 1e-5, "scores");
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void GradientsOfAllParametersAreTheProcessors(string kind) => OnDevice(kind, device =>
    {
        Dictionary<string, double[]> Gradients(Device on)
        {
            using var plain = Plain(on);
            using var model = plain.Expand(new RefConvMethod(), seed: 5);
            Backward(model, on, 0);
            return model.NamedParameters().Where(p => p.Parameter.Trainable).ToDictionary(p => p.Name, p => p.Parameter.GradientToDoubleArray());
        }

        var actual = Gradients(device);
        Assert.Contains(actual.Keys, k => k.Contains("convmap", StringComparison.Ordinal));
        var expected = Gradients(Cpu);
        Assert.Equal(expected.Keys, actual.Keys);
        // Some gradients are zero but for rounding (a batch norm takes away what the next one divides out): judged by the others' size. One activation on the other side of
        // its bend moves a gradient by a hundredth; a wrong kernel moves it by its own size.
        double floor = 1e-3 * expected.Values.Max(v => v.Max(Math.Abs));
        foreach (var (name, gradient) in expected) AssertClose(gradient, actual[name], 0.02, name, floor);
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void RefocusedTrainedAndMergedItIsTheProcessors(string kind) => OnDevice(kind, device =>
    {
        var (expected, _) = RefocusTrainMerge(Cpu);
        var (losses, merged) = RefocusTrainMerge(device);
        // Losses, not weights: where an activation lies within rounding of its bend a gradient jumps, and no two devices would take the same way for long.
        AssertClose(expected, losses, 1e-4, "losses");
        using var here = Plain(Cpu);
        foreach (var (name, parameter) in here.NamedParameters()) parameter.FromTorch(merged[name].Select(v => (float)v).ToArray());
        using var there = Plain(device);
        foreach (var (name, parameter) in there.NamedParameters()) parameter.FromTorch(merged[name].Select(v => (float)v).ToArray());
        AssertClose(Scores(here), Scores(there), 1e-5, "scores of the merged model");
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void TwoRunsGiveTheSameBits(string kind) => OnDevice(kind, device =>
    {
        var (_, first) = RefocusTrainMerge(device);
        var (_, second) = RefocusTrainMerge(device);
        foreach (var (name, values) in first)
            Assert.True(values.Select(BitConverter.DoubleToInt64Bits).SequenceEqual(second[name].Select(BitConverter.DoubleToInt64Bits)), $"{name} differs from run to run");
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void TheStepOfTheMapIsItsGradientAndAStepBitForBit(string kind) => OnDevice(kind, device =>
    {
        foreach (var g in new RefocusGeometry[] { new(16, 16, 16, 3, 3, 3), new(9, 9, 3, 3, 3, 3), new(33, 33, 33, 3, 3, 3), new(16, 8, 1, 3, 3, 3), new(5, 7, 1, 5, 5, 3) })
        foreach (var step in new SgdStepGeometry[] { new(0.1, 0, 1e-3, false, false), new(0.1, 0.9, 1e-3, false, true), new(0.1, 0.9, 1e-3, false, false), new(0.1, 0.9, 1e-3, true, false) })
        {
            float[][] Updated(bool fused)
            {
                using var basis = Normal(device, new Shape((int)g.KernelLength), 1);
                using var dw = Normal(device, new Shape((int)g.KernelLength), 2);
                using var map = Normal(device, new Shape((int)g.MapLength), 3);
                using var velocity = Normal(device, new Shape((int)g.MapLength), 4);
                using var gradient = device.Rent(g.MapLength);
                using var unfolded = device.Rent(g.UnfoldedLength);
                var u = g.Groups == 1 ? default : unfolded.View;
                device.Kernels.RefocusUnfold(g, basis.Data, u);
                if (fused)
                {
                    device.Kernels.RefocusMapStep(g, step, basis.Data, u, dw.Data, map.Data, velocity.Data);
                }
                else
                {
                    device.Kernels.RefocusMapGradient(g, basis.Data, u, dw.Data, gradient.View, accumulate: false);
                    device.Kernels.SgdStep(step, new SgdOperand(map.Data, gradient.View, velocity.Data));
                }
                return [map.ToArray(), velocity.ToArray()];
            }

            float[][] one = Updated(fused: true), two = Updated(fused: false);
            for (int i = 0; i < 2; i++)
                Assert.True(one[i].Select(BitConverter.SingleToInt32Bits).SequenceEqual(two[i].Select(BitConverter.SingleToInt32Bits)), $"{g} {step}: {(i == 0 ? "map" : "velocity")} differs");
        }
    });

    /// <summary>Devices are shared by all tests, and used by one at a time.</summary>
    private static void OnDevice(string kind, Action<Device> test)
    {
        var device = GpuDevices.Open(kind);
        lock (device)
        {
            test(device);
            Assert.Equal(0, device.Memory.RentedBuffers);
        }
    }

    /// <summary>The same values on every device: they are drawn on the host.</summary>
    private static Model Plain(Device device) =>
        Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 5, Width = 0.25, ImageSize = 32, SmallImages = true }, new Initializer(device, 3));

    private static double[] Scores(Model model)
    {
        model.Eval();
        using var x = Normal(model.Device, model.InputShape(4), 6);
        using var tape = Tape.Inference();
        return model.Forward(x).ToDoubleArray();
    }

    /// <returns>The loss.</returns>
    private static double Backward(Model model, Device device, int step)
    {
        using var x = Normal(device, model.InputShape(8), (ulong)(6 + step));
        using var labels = Tensor.From(device, new float[] { 0, 3, 1, 4, 2, 2, 0, 1 }, new Shape(8));
        using var tape = Tape.Train(step, seed: 1);
        var loss = tape.Retain(model.Forward(x).CrossEntropy(labels));
        tape.Backward(loss);
        return loss.Item();
    }

    private static (double[] Losses, Dictionary<string, double[]> Merged) RefocusTrainMerge(Device device)
    {
        double[] losses = new double[3];
        using var plain = Plain(device);
        using var model = plain.Expand(new RefConvMethod(), seed: 5);
        using (var optimizer = new Sgd([new ParameterGroup([.. model.NamedParameters().Where(p => p.Parameter.Trainable)], 1e-4)], 0.9))
        {
            for (int step = 0; step < losses.Length; step++)
            {
                losses[step] = Backward(model, device, step);
                optimizer.Step(1e-4);
                optimizer.ZeroGrad();
            }
        }
        model.Eval();
        var (merged, report) = model.Merge();
        using (merged)
        {
            Assert.Equal(0, report.MaxAbsDifference); // the merged kernels are the bits that the refocused layers used
            return (losses, merged.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToTorchDouble()));
        }
    }

    private static void AssertClose(double[] expected, double[] actual, double limit, string what, double floor = 1e-6)
    {
        Assert.Equal(expected.Length, actual.Length);
        double scale = Math.Max(expected.Max(Math.Abs), floor);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= limit * scale, $"{what}[{i}] is {actual[i]:R}, the processor says {expected[i]:R} (largest {scale:E2})");
    }
}
