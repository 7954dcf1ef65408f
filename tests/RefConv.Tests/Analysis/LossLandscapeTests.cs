using RefConv.IO;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Tests.Models;

namespace RefConv.Tests.Analysis;

/// <summary>Landscapes beside evaluating the model by hand, sharpness of known functions, and landscapes that are stopped.</summary>
public sealed class LossLandscapeTests : DeviceTest
{
    private static readonly ImageDataset s_pictures = ShapesDataset.Train(30);
    private readonly TemporaryFolder _folder = new();

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [InlineData("mobilenet_v1", false)]
    [InlineData("mobilenet_v1", true)]
    [InlineData("without norms", false)]
    public void FivePointsOfTheGridAreWhatEvaluatingByHandGives(string architecture, bool refocused)
    {
        using var model = architecture == "without norms" ? new SmallNet(Cpu, norm: false) : TrainingBench.Model(Cpu, architecture, refocused);
        Settle(model);
        var before = model.NamedParameters().Select(p => (p.Name, Values: p.Parameter.ToArray())).ToArray();
        var surface = LossLandscape.Compute(model, s_pictures, new LandscapeOptions { Points = 5, Range = 0.5, Seed = 9 });
        Assert.True(model.Training); // as it was, weights included
        Assert.Equal(before.Select(p => p.Values), model.NamedParameters().Select(p => p.Parameter.ToArray()));
        Assert.Equal([-0.5, -0.25, 0, 0.25, 0.5], surface.Xs);
        Assert.Equal(surface.Xs, surface.Ys!);

        var (x, y) = (LandscapeDirection.Random(model, 9, 0), LandscapeDirection.Random(model, 9, 1));
        using var moved = (Model)model.Clone();
        foreach (var (row, column) in new[] { (0, 0), (2, 2), (4, 1), (1, 3), (2, 4) })
        {
            foreach (var ((name, parameter), (_, w)) in moved.NamedParameters().Zip(before))
            {
                if (x.Steps.TryGetValue(name, out float[]? dx)) parameter.CopyFrom(w.Select((v, i) => v + (surface.Xs[column] * dx[i]) + (surface.Ys![row] * y.Steps[name][i])).ToArray());
            }
            var byHand = Evaluator.Evaluate(moved, s_pictures, batchSize: 7);
            Assert.Equal(byHand.Loss, surface.LossAt(row, column), 2e-5 * byHand.Loss);
            Assert.Equal(byHand.Accuracy, surface.Accuracy[(row * 5) + column], 1e-12);
        }
        var plain = Evaluator.Evaluate(model, s_pictures);
        Assert.Equal(plain.Loss, surface.CentreLoss, 2e-5 * plain.Loss);
        Assert.Equal(surface.LossAt(2, 2), surface.CentreLoss);
        Assert.True(surface.Loss.Distinct().Count() > 20);
    }

    /// <summary>Gives batch norms statistics of what they see. Those of a new model make its maps vanish, and all points alike.</summary>
    private static void Settle(Model model)
    {
        var batch = BatchLoader.Evaluation(s_pictures, s_pictures.Count).Epoch().First();
        using var x = Tensor.From(model.Device, batch.Images, model.InputShape(batch.Count));
        for (int i = 0; i < 30; i++)
        {
            using var tape = Tape.Inference();
            model.Forward(x);
        }
    }

    [Fact]
    public void SharpnessOfAQuadraticFunctionIsKnown()
    {
        double[] axis = [-1.5, -1, -0.5, 0, 0.5, 1, 1.5];
        // f'' = 6 along x and −1 along y, whatever the tilt and the mixed term.
        var s = Sharpness.Of((x, y) => (3 * x * x) - (0.5 * y * y) + (x * y) + x + 2, axis, axis);
        Assert.Equal((6, -1), (Math.Round(s.CurvatureX, 12), Math.Round(s.CurvatureY!.Value, 12)));
        Assert.Equal(6.5, s.MaxLoss, 1e-12); // at (1, 1), the largest in the unit box; outside it is larger
        // 24 points of the box without the centre: Σ3x² = 3·5·2.5, Σ½y² = ½·5·2.5, the others cancel.
        Assert.Equal((37.5 - 6.25) / 24, s.MeanRise, 1e-12);
        Assert.Equal(10, Sharpness.Curvature(x => (5 * x * x) + (7 * x), 0.01), 1e-6);

        var line = Sharpness.Of((x, _) => x > 0.9 ? double.NaN : x * x, axis, null);
        Assert.Equal((1, 2, null), (line.MaxLoss, line.CurvatureX, line.CurvatureY));
        Assert.Equal((1 + 0.25 + 0.25) / 3, line.MeanRise, 1e-12);
    }

    [Fact]
    public void RandomDirectionsHaveTheNormOfEveryFilter()
    {
        using var model = TrainingBench.Model(Cpu, "mobilenet_v1", refocused: true);
        var direction = LandscapeDirection.Random(model, 3, 0);
        int filters = 0;
        foreach (var (name, parameter) in model.NamedParameters())
        {
            bool moves = parameter.Trainable && parameter.TorchShape.Rank > 1;
            Assert.Equal(moves, direction.Steps.ContainsKey(name)); // norms, biases and the frozen basis do not
            if (!moves) continue;
            double[] w = parameter.ToTorchDouble(), d = [.. parameter.Layout.ToTorch<float>(direction.Steps[name]).Select(v => (double)v)];
            int size = w.Length / parameter.TorchShape[0];
            for (int f = 0; f < w.Length; f += size, filters++)
            {
                double norm = Math.Sqrt(w.AsSpan(f, size).ToArray().Sum(v => v * v));
                Assert.Equal(norm, Math.Sqrt(d.AsSpan(f, size).ToArray().Sum(v => v * v)), 1e-5 * norm);
            }
        }
        Assert.True(filters > 500);
        Assert.Equal(direction.Steps["fc.weight"], LandscapeDirection.Random(model, 3, 0).Steps["fc.weight"]);
        Assert.NotEqual(direction.Steps["fc.weight"], LandscapeDirection.Random(model, 3, 1).Steps["fc.weight"]);
        Assert.NotEqual(direction.Steps["fc.weight"], LandscapeDirection.Random(model, 4, 0).Steps["fc.weight"]);
    }

    [Fact]
    public void ALandscapeThatWasStoppedGoesOnToTheSameBits()
    {
        using var model = new SmallNet(Cpu);
        var options = new LandscapeOptions { Points = 5 };
        var whole = LossLandscape.Compute(model, s_pictures, options);
        string part = _folder.File("part.json");
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => LossLandscape.Compute(model, s_pictures, options, part, (done, _) => { if (done == 7) stop.Cancel(); }, stop.Token));
        int? begun = null, computed = 0;
        using var single = new Kernels.CpuDevice(threads: 1);
        using var same = new SmallNet(single);
        var resumed = LossLandscape.Compute(same, s_pictures, options, part, (done, total) =>
        {
            begun ??= done;
            computed++;
            Assert.Equal(25, total);
        });
        Assert.Equal((7, 19), (begun, computed)); // told once before the first point
        Assert.Equal(whole.Loss.Select(BitConverter.DoubleToInt64Bits), resumed.Loss.Select(BitConverter.DoubleToInt64Bits));
        Assert.Equal(whole.Accuracy, resumed.Accuracy);
        Assert.Equal(whole.Sharpness, resumed.Sharpness);

        // What belongs to another landscape, or is damaged, is not gone on with.
        Refused("other weights, directions, pictures or points", () => LossLandscape.Compute(model, s_pictures, options with { Seed = 2 }, part));
        Refused("other weights, directions, pictures or points", () => LossLandscape.Compute(model, s_pictures, options with { Points = 7 }, part));
        Refused("other weights, directions, pictures or points", () => LossLandscape.Compute(model, ShapesDataset.Train(31), options, part));
        model.Deep.Weight.FromTorch(Normal(8 * 9, 8));
        Refused("other weights, directions, pictures or points", () => LossLandscape.Compute(model, s_pictures, options, part));
        foreach (string text in new[] { File.ReadAllText(part)[..^9], "{}", "null" })
        {
            File.WriteAllText(part, text);
            Refused("damaged", () => LossLandscape.Compute(model, s_pictures, options, part));
        }

        void Refused(string phrase, Action action)
        {
            string message = Assert.Throws<FileFormatException>(action).Message;
            Assert.StartsWith(part, message);
            Assert.Contains(phrase, message);
        }
    }

    [Fact]
    public void ALossThatIsNoNumberIsAResult()
    {
        using var model = new SmallNet(Cpu);
        model.Deep.Weight.FromTorch(Normal(8 * 9, 8).Select(v => v * 1e30).ToArray());
        string part = _folder.File("part.json");
        var surface = LossLandscape.Compute(model, s_pictures, new LandscapeOptions { Points = 3, Line = true, Range = 1e10 }, part);
        Assert.Contains(surface.Loss, l => !double.IsFinite(l));
        // Computed is computed: going on with it computes nothing.
        Assert.Equal(surface.Loss, LossLandscape.Compute(model, s_pictures, new LandscapeOptions { Points = 3, Line = true, Range = 1e10 }, part, (done, _) => Assert.Equal(3, done)).Loss);
        Assert.Null(surface.Ys);
        Assert.Null(surface.Sharpness.CurvatureY);
    }

    [Fact]
    public void WhatMakesNoSenseIsSaid()
    {
        using var model = new SmallNet(Cpu);
        Says("odd number of points", s_pictures, new LandscapeOptions { Points = 4 });
        Says("range of a landscape", s_pictures, new LandscapeOptions { Range = 0 });
        Says("channels", new ImageDataset("grey", 32, 32, 1, new byte[1024], [0], [.. "0123456789".Select(c => c.ToString())]), new LandscapeOptions());
        double[] weights = model.Deep.Weight.ToTorchDouble();
        weights[5] = double.NaN;
        model.Deep.Weight.FromTorch(weights);
        Says("'deep.weight' holds values that are no finite numbers", s_pictures, new LandscapeOptions());

        void Says(string phrase, IImageDataset data, LandscapeOptions options) =>
            Assert.Contains(phrase, Assert.Throws<ArgumentException>(() => LossLandscape.Compute(model, data, options)).Message);
    }
}
