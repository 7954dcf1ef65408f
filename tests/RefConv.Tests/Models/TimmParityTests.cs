using System.Globalization;
using RefConv.IO;
using RefConv.Layers;
using RefConv.Models;

namespace RefConv.Tests.Models;

/// <summary>
/// Weights as timm saves them, under the names that its own code gives them, come in and compute what they compute there: names, the order of blocks, ε of the norms,
/// padding and, for RepVGG in training form, the folding of its branches. The fixtures are of tests/Golden/timm_parity.py.
/// </summary>
public sealed class TimmParityTests : DeviceTest
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Names => new(ParityFixture.TimmNames);

    public override void Dispose()
    {
        _folder.Dispose();
        base.Dispose();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void WeightsOfTimmGiveTimmsScores(string name)
    {
        var fixture = ParityFixture.ReadTimm(name);
        var norms = fixture.State.Where(e => e.Key.EndsWith(".running_mean", StringComparison.Ordinal)).Select(e => e.Key[..^".running_mean".Length]).ToHashSet();
        SafeTensorsWriter.Write(_folder.File("w"), fixture.State.Select((e, a) =>
        {
            int[] sizes = e.Shape == "scalar" ? [] : [.. e.Shape.Split('x').Select(s => int.Parse(s, CultureInfo.InvariantCulture))];
            bool isNorm = norms.Contains(e.Key[..Math.Max(0, e.Key.LastIndexOf('.'))]);
            return SafeTensorsEntry.FromFloats(e.Key, sizes.Select(s => (long)s), ParityFilling.Of(e.Key, new Shape(sizes), a, isNorm, isInteger: sizes.Length == 0));
        }));
        using var model = Zoo.Create(fixture.Spec, Initializer.ForLoading(Cpu));
        Assert.True(ModelFile.LoadWeights(model, _folder.File("w")).IsEmpty);
        model.Eval();
        int size = model.Spec.ImageSize;
        double[] image = ParityFilling.Of(3L * size * size, 1000);
        float[] pixels = new float[image.Length];
        for (int i = 0; i < image.Length; i++) pixels[(i % (size * size) * 3) + (i / (size * size))] = (float)image[i];
        float[] scores = model.Predict(pixels, 1);
        double error = scores.Zip(fixture.Logits, (a, b) => Math.Abs(a - b)).Max() / fixture.Logits.Max(Math.Abs);
        Assert.True(scores.Length == fixture.Logits.Count && error <= 1e-4, $"Scores differ by {error:E1} of the largest.");
    }
}
