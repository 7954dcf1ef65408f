using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Optim;
using RefConv.Tests.Models;

namespace RefConv.Tests.Gpu;

/// <summary>Training on a device that computes on its own: what the host waits for, and what half precision needs.</summary>
public sealed class GpuTrainingTests : DeviceTest
{
    /// <summary>Loss, hits, clipping: everything stays on the device until somebody wants to see it.</summary>
    [GpuFact("opencl")]
    public void AStepThatClipsWaitsForNothing()
    {
        var device = GpuDevices.Open("opencl");
        lock (device)
        {
            var inspector = GpuBackend.Inspect(device);
            var recipe = new Recipe { Epochs = 1, BatchSize = 4, ClipNorm = 0.01, WarmupEpochs = 0 };
            using var model = Zoo.Create(new ModelSpec("mobilenet_v1") { Classes = 5, Width = 0.125, ImageSize = 32, SmallImages = true }, new Initializer(device, 3));
            using var optimizer = recipe.MakeOptimizer(model.NamedParameters());
            using var log = new StepLog(device);
            var batch = new Batch(0, 4, 32, 32, 3, [.. Normal(4 * 32 * 32 * 3, 2).Select(v => (float)v)], [0, 1, 2, 3]);
            int before = inspector.Reads;
            for (int i = 0; i < 3; i++) TrainingStep.Run(model, optimizer, recipe, batch, i, 0.01, log);
            Assert.Equal(before, inspector.Reads);
            Assert.Equal(3, log.Read().Length);
            Assert.Equal(before + 1, inspector.Reads);
        }
    }

    [GpuFact("opencl")]
    public void SuperResolutionReadsItsLossesTogether()
    {
        var device = GpuDevices.Open("opencl");
        lock (device)
        {
            Assert.Equal(Reads(2), Reads(6));

            int Reads(int steps)
            {
                var pair = SuperResolutionData.MakePair("p", SuperResolutionTests.Picture(32, 32, 1), 2);
                using var model = Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.25 }, new Initializer(device, 1));
                var state = new SuperResolutionState { Data = "", Recipe = new() { Epochs = 1, BatchSize = 2, PatchSize = 8, PatchesPerImage = 2 * steps, LearningRate = 1e-4 } };
                using var trainer = new SuperResolutionTrainer(model, new SuperResolutionData("", 2, [pair], [pair]), state);
                int told = 0, before = GpuBackend.Inspect(device).Reads;
                trainer.OnStep = (_, _, loss) => told += double.IsFinite(loss) ? 1 : 0;
                Assert.True(trainer.Run());
                Assert.Equal(steps, told);
                Assert.Contains("float32", trainer.State.Environment, StringComparison.Ordinal);
                return GpuBackend.Inspect(device).Reads - before;
            }
        }
    }

    /// <summary>A gradient below the smallest half is lost on its way through a product; scaled it arrives.</summary>
    [GpuFact("ilgpu-cpu")]
    public void InHalfPrecisionSmallGradientsNeedTheScale()
    {
        using var device = GpuBackend.Open("ilgpu-cpu", GpuPrecision.Float16);
        Assert.True(device.NeedsLossScaling);
        Assert.Contains("float16", device.Description, StringComparison.Ordinal);
        var scaler = LossScaler.For(device, new LossScaling(65536));
        Assert.NotNull(scaler);
        double[] expected = Gradient(Cpu, null), lost = Gradient(device, null), scaled = Gradient(device, scaler);
        Assert.True(expected.Max(Math.Abs) > 1e-9);
        Assert.Equal(0, lost.Max(Math.Abs));
        double largest = expected.Max(Math.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.True(Math.Abs(expected[i] - scaled[i]) < 4e-3 * largest, $"[{i}] is {scaled[i]:R} instead of {expected[i]:R}");
        Assert.Equal(1, scaler.State.GoodSteps);

        // What is too large for a half is found, and nothing is changed by it.
        var tooLarge = new LossScaler(new LossScaling(Math.Pow(2, 50)));
        Assert.Empty(Gradient(device, tooLarge));
        Assert.Equal(new LossScaling(Math.Pow(2, 49), 0, 1), tooLarge.State);

        static double[] Gradient(Device on, LossScaler? scaler)
        {
            using var conv = new Conv2d(new Initializer(on, 2), 36, 40, 1, bias: false);
            using var x = Normal(on, new Shape(1, 6, 7, 36), 3);
            using var small = Tensor.Full(on, new Shape(1), 1e-9);
            var weight = conv.NamedParameters().Single().Parameter;
            using var optimizer = new Sgd([new ParameterGroup([("weight", weight)])]);
            using var tape = Tape.Train();
            var loss = conv.Forward(x).Sum().Multiply(small);
            if (scaler == null) tape.Backward(loss);
            else scaler.Backward(tape, loss);
            if (scaler != null && !scaler.Unscale(optimizer)) return [];
            double[] gradient = weight.GradientToDoubleArray();
            optimizer.ZeroGrad();
            return gradient;
        }
    }
}
