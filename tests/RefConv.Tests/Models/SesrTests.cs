using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Train;

namespace RefConv.Tests.Models;

/// <summary>The SESR networks: their published sizes, the order of their pixels, and their training form.</summary>
public sealed class SesrTests : DeviceTest
{
    /// <summary>Weights of the collapsed convolutions, as the paper counts them, and PReLU's slopes beside.</summary>
    [Theory]
    [InlineData("sesr_m3_x2", 8_912, 3 * 16)]
    [InlineData("sesr_m5_x2", 13_520, 5 * 16)]
    [InlineData("sesr_m7_x2", 18_128, 7 * 16)]
    [InlineData("sesr_m11_x2", 27_344, 11 * 16)]
    [InlineData("sesr_xl_x2", 105_376, 11 * 32)]
    [InlineData("sesr_m5_x4", 18_320, 5 * 16)]
    [InlineData("sesr_m11_x4", 32_144, 11 * 16)]
    [InlineData("sesr_xl_x4", 114_976, 11 * 32)]
    public void CollapsedWeights(string name, long weights, long slopes)
    {
        using var model = Zoo.Create(new ModelSpec(name) { ImageSize = 8 }, new Initializer(Cpu));
        Assert.Equal(weights, model.NamedParameters().Where(p => p.Parameter.TorchShape.Rank == 4).Sum(p => p.Parameter.Data.Length));
        Assert.Equal(weights + slopes, model.ParameterCount());
        Assert.Equal(1, model.Spec.InChannels);
        Assert.Equal(weights * 64, ModelSummary.Of(model).DeployMacs);
    }

    [Fact]
    public void TrainingSpaceCostsWhatThePaperSays()
    {
        // SESR-M5, 32 patches of 64×64: 41.78 G multiply-adds expanded, 1.77 G collapsed and 0.07 G for collapsing. Per patch here: a step is one.
        using var model = Zoo.Create(new ModelSpec("sesr_m5_x2") { ImageSize = 16 }, new Initializer(Cpu));
        using var collapsed = model.Expand(new ClbMethod());
        using var expanded = model.Expand(new ClbMethod(new ClbOptions { Expanded = true }));
        const double pixels = 32 * 64 * 64, here = 16 * 16;
        ModelSummary a = ModelSummary.Of(collapsed), b = ModelSummary.Of(expanded);
        Assert.Equal(1.77, a.TrainMacs / here * pixels / 1e9, 0.005);
        Assert.Equal(41.78, b.TrainMacs / here * pixels / 1e9, 0.01);
        // Collapsing by the products W₂·W₁ takes less than the authors' impulses.
        Assert.True(a.TransformMacs is > 1_000_000 and < 70_000_000, $"{a.TransformMacs}");
        Assert.Equal(0, b.TransformMacs);
        Assert.Equal(model.ParameterCount(), a.DeployParameters);
    }

    [Theory]
    [InlineData("sesr_m3_x2")]
    [InlineData("sesr_m3_x4")]
    public void PixelsComeInTheOrderOfTensorFlowsShuffles(string name)
    {
        using var model = (Sesr)Zoo.Create(new ModelSpec(name) { ImageSize = 5 }, new Initializer(Reference));
        int s = model.Scale;
        // Feature 0 is x − ½, the blocks are zero, and channel c of the last convolution is c + 1 times feature 0.
        foreach (var (key, parameter) in model.NamedParameters()) parameter.FromTorch(new double[parameter.Data.Length]);
        Set("first.weight", (0, 0, 1));
        Set("last.weight", [.. Enumerable.Range(0, s * s).Select(c => (c, 0, c + 1.0))]);
        using var x = Normal(Reference, new(1, 5, 3, 1), 1);
        double[] input = x.ToDoubleArray(), y;
        using (Tape.Inference()) y = model.Forward(x).ToDoubleArray();
        for (int row = 0; row < 5 * s; row++)
        for (int column = 0; column < 3 * s; column++)
        {
            int i = row % s, j = column % s;
            // ×4 is two shuffles of 2: the outer pair of bits first. One shuffle of 4 would be channel 4·i + j.
            int channel = s == 2 ? (2 * i) + j : (8 * (i / 2)) + (4 * (j / 2)) + (2 * (i % 2)) + (j % 2);
            double v = input[(row / s * 3) + (column / s)];
            Assert.Equal(((channel + 1) * (v - 0.5)) + v, y[(row * 3 * s) + column], 1e-12);
        }

        void Set(string key, params (int Out, int In, double Value)[] taps)
        {
            var parameter = model.NamedParameters().Single(p => p.Name == key).Parameter;
            double[] values = new double[parameter.Data.Length];
            foreach (var (o, i, value) in taps) values[(((o * parameter.TorchShape[1]) + i) * 25) + 12] = value;
            parameter.FromTorch(values);
        }
    }

    [Fact]
    public void FourTimesStartsFromTwiceWithAllLayersButTheLast()
    {
        using var twice = (Sesr)Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.5 }, new Initializer(Cpu, 1));
        using var four = (Sesr)Zoo.Create(new ModelSpec("sesr_m3_x4") { Width = 0.5 }, new Initializer(Cpu, 2));
        var fresh = four.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToArray());
        four.StartFrom(twice);
        var trained = twice.NamedParameters().ToDictionary(p => p.Name, p => p.Parameter.ToArray());
        foreach (var (name, parameter) in four.NamedParameters())
            Assert.Equal(name == "last.weight" ? fresh[name] : trained[name], parameter.ToArray());
        Assert.NotEqual(fresh["first.weight"], trained["first.weight"]);

        using var same = (Sesr)Zoo.Create(new ModelSpec("sesr_m3_x2") { Width = 0.5 }, new Initializer(Cpu, 3));
        same.StartFrom(twice);
        Assert.All(same.NamedParameters(), p => Assert.Equal(trained[p.Name], p.Parameter.ToArray()));

        using var wide = (Sesr)Zoo.Create(new ModelSpec("sesr_m3_x4"), new Initializer(Cpu, 4));
        using var longer = (Sesr)Zoo.Create(new ModelSpec("sesr_m5_x4") { Width = 0.5 }, new Initializer(Cpu, 4));
        Assert.Contains("only the scale may differ", Assert.Throws<ArgumentException>(() => wide.StartFrom(twice)).Message);
        Assert.Contains("only the scale may differ", Assert.Throws<ArgumentException>(() => longer.StartFrom(twice)).Message);
        using var expanded = twice.Expand(new ClbMethod(new ClbOptions { Width = 8 }));
        Assert.Contains("merged", Assert.Throws<ArgumentException>(() => four.StartFrom((Sesr)expanded)).Message);
    }

    [Fact]
    public void InCollapsibleFormItStartsThereSavesAndMerges()
    {
        using var folder = new TemporaryFolder();
        using var plain = Zoo.Create(new ModelSpec("sesr_m3_x2") { ImageSize = 12 }, new Initializer(Cpu, 3));
        using var model = plain.Expand(new ClbMethod(new ClbOptions { Width = 32 }), seed: 4);
        Assert.Equal(5, model.Forms[0].Layers.Count);
        using var x = Normal(Cpu, new(2, 9, 14, 1), 1); // no size is fixed
        plain.Eval();
        model.Eval();
        float[] expected = Predict(plain, x);
        Close(expected, Predict(model, x), 1e-5);
        foreach (var (name, parameter) in model.NamedParameters()) parameter.FromTorch([.. parameter.ToTorchDouble().Select((v, i) => v + (0.02 * ((i % 7) - 3)))]);
        expected = Predict(model, x);
        ModelFile.Save(model, folder.File("m.safetensors"));
        using var loaded = ModelFile.Load(folder.File("m.safetensors"), Cpu);
        Assert.Equal(expected, Predict(loaded, x));
        var (merged, report) = model.Merge();
        using (merged)
        {
            Assert.Equal(0, report.MaxAbsDifference); // the very kernels of the forward pass
            using var fresh = Zoo.Create(new ModelSpec("sesr_m3_x2") { ImageSize = 12 }, new Initializer(Cpu, 9));
            StateDict.Load(fresh, StateDict.Of(merged), strict: true);
            fresh.Eval();
            Assert.Equal(expected, Predict(fresh, x));
        }
        using var plan = model.Compile(new Shape(2, 9, 14, 1));
        Close(expected, plan.Run(x).ToArray(), 1e-4);
    }

    [Fact]
    public void ItIsNoClassifierAndClassifiersEnlargeNothing()
    {
        using var sesr = Zoo.Create(new ModelSpec("sesr_m3_x2") { ImageSize = 8 }, new Initializer(Cpu));
        Assert.Equal(ModelTask.SuperResolution, sesr.Task);
        var data = DataSource.Open("shapes", 20, 10);
        Assert.Contains("no classifier", Assert.Throws<ArgumentException>(() => Evaluator.Evaluate(sesr, data.Test)).Message);
        using var classifier = Zoo.Create(new ModelSpec("resnet18") { Width = 0.125, SmallImages = true, ImageSize = 8 }, new Initializer(Cpu));
        Assert.Contains("sesr_m5_x2", Assert.Throws<ArgumentException>(() => SuperResolver.Enlarge(classifier, new LumaImage(2, 2, new float[4]))).Message);
    }

    private static float[] Predict(Model model, Tensor x)
    {
        using var tape = Tape.Inference();
        return model.Forward(x).ToArray();
    }

    private static void Close(float[] expected, float[] actual, double tolerance)
    {
        float largest = expected.Max(MathF.Abs);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance * largest);
    }
}
