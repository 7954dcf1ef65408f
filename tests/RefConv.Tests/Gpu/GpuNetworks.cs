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
        double[] Scores(Device on)
        {
            using var model = Plain(on);
            model.Eval();
            using var x = Normal(on, model.InputShape(4), 6);
            using var tape = Tape.Inference();
            return model.Forward(x).ToDoubleArray();
        }

        AssertClose(Scores(Cpu), Scores(device), 1e-5, "scores");
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
        AssertAsGood(Gradients(Reference), Gradients(Cpu), actual);
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void RefocusedTrainedAndMergedItIsTheProcessors(string kind) => OnDevice(kind, device =>
    {
        AssertAsGood(RefocusTrainMerge(Reference), RefocusTrainMerge(Cpu), RefocusTrainMerge(device));
    });

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void TwoRunsGiveTheSameBits(string kind) => OnDevice(kind, device =>
    {
        var first = RefocusTrainMerge(device);
        var second = RefocusTrainMerge(device);
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

    private static void Backward(Model model, Device device, int step)
    {
        using var x = Normal(device, model.InputShape(8), (ulong)(6 + step));
        using var labels = Tensor.From(device, new float[] { 0, 3, 1, 4, 2, 2, 0, 1 }, new Shape(8));
        using var tape = Tape.Train(step, seed: 1);
        tape.Backward(model.Forward(x).CrossEntropy(labels));
    }

    private static Dictionary<string, double[]> RefocusTrainMerge(Device device)
    {
        using var plain = Plain(device);
        using var model = plain.Expand(new RefConvMethod(), seed: 5);
        using (var optimizer = new Sgd([new ParameterGroup([.. model.NamedParameters().Where(p => p.Parameter.Trainable)], 1e-4)], 0.9))
        {
            for (int step = 0; step < 3; step++)
            {
                Backward(model, device, step);
                optimizer.Step(1e-4); // small steps: after large ones no two devices would agree
                optimizer.ZeroGrad();
            }
        }
        model.Eval();
        var (merged, report) = model.Merge();
        using (merged)
        {
            Assert.Equal(0, report.MaxAbsDifference); // the merged kernels are the bits that the refocused layers used
            return merged.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToTorchDouble());
        }
    }

    /// <summary>
    /// Not further from exact arithmetic than the processor by more than a factor: a fresh network with a dozen batch norms multiplies what is rounded a thousandfold, on
    /// every device, so no fixed limit would say anything.
    /// </summary>
    private static void AssertAsGood(Dictionary<string, double[]> exact, Dictionary<string, double[]> processor, Dictionary<string, double[]> device)
    {
        Assert.Equal(exact.Keys, device.Keys);
        // Of all parameters together: which of them rounding hits is chance.
        double usual = exact.Keys.Max(k => Error(exact[k], processor[k]));
        Assert.True(usual < 0.05, $"the processor itself is off by {usual:E1}");
        foreach (var (name, values) in exact)
        {
            double error = Error(values, device[name]);
            Assert.True(error <= (5 * usual) + 1e-3, $"{name} is off by {error:E1} of its largest value, the processor at most by {usual:E1}");
        }

        static double Error(double[] expected, double[] actual) =>
            expected.Zip(actual, (a, b) => Math.Abs(a - b)).Max() / Math.Max(expected.Max(Math.Abs), 1e-3);
    }

    private static void AssertClose(double[] expected, double[] actual, double limit, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double scale = Math.Max(expected.Max(Math.Abs), 1e-6);
        for (int i = 0; i < expected.Length; i++)
            Assert.True(Math.Abs(expected[i] - actual[i]) <= limit * scale, $"{what}[{i}] is {actual[i]:R}, the processor says {expected[i]:R} (largest {scale:E2})");
    }
}
