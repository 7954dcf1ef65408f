using System.Globalization;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Models;

/// <summary>
/// Every architecture beside PyTorch: keys and shapes of its state dict, class scores, and in one training step the loss, every gradient and every
/// running statistic.
/// </summary>
public sealed class ParityTests : DeviceTest
{
    /// <summary>Largest error of a score, relative to the largest score; of the loss; and of a gradient, relative to its norm.</summary>
    private const double LogitsTolerance = 1e-4, LossTolerance = 1e-3, GradientTolerance = 1e-3;

    public static TheoryData<string> Names => new(ParityFixture.Names);

    [Theory]
    [MemberData(nameof(Names))]
    public void KeysScoresLossAndGradientsArePyTorchs(string name)
    {
        var fixture = ParityFixture.Read(name);
        using var model = Zoo.Create(fixture.Spec, Initializer.ForLoading(Cpu));
        var parameters = model.NamedParameters().ToArray();
        Assert.Equal(fixture.State.Select(e => $"{e.Key} {e.Shape}"), parameters.Select(p => $"{p.Name} {TorchShape(p.Parameter)}"));
        Fill(parameters);

        double logits = LogitsError(model, fixture);
        Assert.True(logits <= LogitsTolerance, $"Scores differ by {logits:E1} of the largest.");
        double loss = TrainingStep(model, fixture);
        Assert.True(loss <= LossTolerance, $"The loss differs by {loss:E1} of it.");
        var (worst, gradients) = WorstGradient(parameters, fixture);
        Assert.True(gradients <= GradientTolerance, $"The gradient (or statistic) of {worst} differs by {gradients:E1} of its norm.");
        ModelsTable.RecordCounts(fixture.Spec.Architecture, fixture.Spec.SmallImages);
        ModelsTable.Record(fixture.Spec.Architecture, "logits error", logits);
        ModelsTable.Record(fixture.Spec.Architecture, "gradient error", gradients);
    }

    [Fact]
    public void EveryArchitectureStandsBesidePyTorch() =>
        Assert.Empty(Zoo.NamesOf(ModelTask.Classification).Except(ParityFixture.Names.Select(n => ParityFixture.Read(n).Spec.Architecture)));

    private static void Fill((string Name, Parameter Parameter)[] parameters)
    {
        var norms = parameters.Where(p => p.Name.EndsWith(".running_mean", StringComparison.Ordinal)).Select(p => p.Name[..^".running_mean".Length]).ToHashSet();
        for (int a = 0; a < parameters.Length; a++)
        {
            var (key, parameter) = parameters[a];
            parameter.FromTorch(ParityFilling.Of(key, parameter, a, norms.Contains(key[..Math.Max(0, key.LastIndexOf('.'))])));
        }
    }

    private double LogitsError(Model model, ParityFixture fixture)
    {
        model.Eval();
        using var x = Images(model, 1, 1000);
        using var tape = Tape.Inference();
        float[] scores = model.Forward(x).ToArray();
        Assert.Equal(fixture.Logits.Count, scores.Length);
        return scores.Zip(fixture.Logits, (a, b) => Math.Abs(a - b)).Max() / fixture.Logits.Max(Math.Abs);
    }

    /// <summary>Leaves gradients and moved statistics in the model; gives the error of the loss.</summary>
    private double TrainingStep(Model model, ParityFixture fixture)
    {
        model.Train();
        foreach (var (_, module) in model.NamedModules())
        {
            if (module is Dropout or StochasticDepth) module.Eval();
        }
        using var x = Images(model, fixture.Batch, 1001);
        using var labels = Tensor.From(Cpu, Enumerable.Range(0, fixture.Batch).Select(i => (double)(((7 * i) + 3) % fixture.Spec.Classes)).ToArray(), new Shape(fixture.Batch));
        using var tape = Tape.Train(step: 0, seed: 0);
        var loss = model.Forward(x).CrossEntropy(labels);
        tape.Backward(loss);
        return Math.Abs(loss.ToDoubleArray()[0] - fixture.Loss) / fixture.Loss;
    }

    /// <summary>
    /// An error is taken relative to the tensor's norm. Gradients that are zero but for rounding have none to speak of (a shift before a norm changes nothing):
    /// they may be a millionth of the whole gradient. The very small ones, below 1e-5 of the whole, may be wrong by a thousandth of that.
    /// </summary>
    private static (string Key, double Error) WorstGradient((string Name, Parameter Parameter)[] parameters, ParityFixture fixture)
    {
        double whole = Math.Sqrt(parameters.Zip(fixture.State, (p, e) => p.Parameter.Trainable ? e.Digest.Norm * e.Digest.Norm : 0).Sum());
        var errors = parameters.Zip(fixture.State, (p, expected) =>
        {
            var (key, parameter) = p;
            var actual = Digest.Of(parameter.Trainable ? parameter.Layout.ToTorch<double>(parameter.GradientToDoubleArray()) : parameter.ToTorchDouble());
            double norm = expected.Digest.Norm;
            double size = !parameter.Trainable ? Math.Max(norm, 1e-3) : norm < 1e-9 * whole ? 1e-3 * whole : Math.Max(norm, 1e-5 * whole);
            return (key, Error: actual.Distance(expected.Digest) / size);
        });
        return errors.MaxBy(e => double.IsNaN(e.Error) ? double.PositiveInfinity : e.Error);
    }

    private static string TorchShape(Parameter parameter) => parameter.TorchShape.Rank == 0
        ? "scalar"
        : string.Join('x', parameter.TorchShape.Sizes.ToArray().Select(s => s.ToString(CultureInfo.InvariantCulture)));

    private Tensor Images(Model model, int batch, int filling)
    {
        var (c, size) = (model.Spec.InChannels, model.Spec.ImageSize);
        return Tensor.From(Cpu, ToChannelsLast(ParityFilling.Of((long)batch * c * size * size, filling), batch, c, size, size), model.InputShape(batch));
    }
}
