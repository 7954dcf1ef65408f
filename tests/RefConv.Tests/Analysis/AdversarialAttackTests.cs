using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models;
using RefConv.Models.Analysis;
using RefConv.Models.Data;
using RefConv.Models.Train;
using RefConv.Tests.Models;

namespace RefConv.Tests.Analysis;

/// <summary>Attacks beside PyTorch, and what must hold of every one.</summary>
public sealed class AdversarialAttackTests : DeviceTest
{
    private static readonly ChannelStatistics s_statistics = new([0.4914f, 0.4822f, 0.4465f], [0.2470f, 0.2435f, 0.2616f]);

    [Theory]
    [InlineData("reference", 1e-6)]
    [InlineData("cpu", 1e-3)]
    public void GradientsOfPicturesArePyTorchs(string device, double tolerance)
    {
        using var model = ParityNet(Get(device));
        var batch = ParityPictures();
        var expected = Expected(AttackFixture.Gradient);
        var actual = Digest.Of(AdversarialAttack.InputGradient(model, batch.Images, batch));
        Assert.True(actual.Distance(expected) <= tolerance * expected.Norm, $"{actual} instead of {expected}");
        Assert.Equal(AttackFixture.Gradient[0], Loss(model, batch.Images, batch), 1e-5);
        Assert.All(model.TrainableParameters(), p => Assert.False(p.HasGradient));
        Assert.NotEmpty(model.TrainableParameters());
    }

    [Fact]
    public void AttackedPicturesArePyTorchs()
    {
        using var model = ParityNet(Reference); // in double: no sign is decided by rounding
        var batch = ParityPictures();
        foreach (var (epsilon, stepSize, steps, result) in AttackFixture.Attacks)
        {
            var attack = new AttackOptions("PGD", epsilon / 255, steps, stepSize / 255, RandomStart: false);
            float[] attacked = AdversarialAttack.Attack(model, batch, s_statistics, attack);
            Assert.Equal(result[0], Loss(model, attacked, batch), 1e-5);
            var (actual, expected) = (Digest.Of([.. attacked.Select(v => (double)v)]), Expected(result));
            Assert.True(actual.Distance(expected) <= 1e-5 * expected.Norm, $"{attack}: {actual} instead of {expected}");
        }
    }

    [Theory]
    [InlineData(1, 0.0)]
    [InlineData(1, 0.03)]
    [InlineData(5, 0.03)]
    [InlineData(3, 0.4)]
    public void AttackedPicturesStayInTheBoxAndInTheRangeOfPictures(int steps, double epsilon)
    {
        using var model = new SmallNet(Cpu, channels: 16);
        model.Eval();
        var data = ShapesDataset.Test(12);
        var batch = BatchLoader.Evaluation(data, 12).Epoch().First();
        float[] clean = [.. batch.Images];
        var attack = steps == 1 ? AttackOptions.Fgsm(epsilon) : AttackOptions.Pgd(epsilon, steps);
        float[] attacked = AdversarialAttack.Attack(model, batch, data.Statistics, attack);
        Assert.Equal(clean, batch.Images);
        if (epsilon == 0) Assert.Equal(clean, attacked);
        double furthest = 0;
        for (int i = 0; i < attacked.Length; i++)
        {
            double mean = data.Statistics.Mean[i % 3], std = data.Statistics.Std[i % 3];
            furthest = Math.Max(furthest, Math.Abs(attacked[i] - clean[i]) * std);
            Assert.InRange((attacked[i] * std) + mean, -1e-6, 1 + 1e-6);
        }
        Assert.Equal(epsilon, furthest, 1e-6); // somewhere it goes all the way
        if (epsilon == 0.03) Assert.True(Loss(model, attacked, batch) > Loss(model, clean, batch) + 1e-3);
        if (epsilon == 0.03)
        {
            // The loss rises because of the gradient's sign, not because pictures change.
            float[] away = [.. clean.Zip(attacked, (c, a) => (2 * c) - a)];
            if (steps == 1) Assert.True(Loss(model, away, batch) < Loss(model, clean, batch));
        }
    }

    [Fact]
    public void EvaluationCountsWhatTheAttackLeaves()
    {
        using var model = new SmallNet(Cpu, channels: 16);
        var data = ShapesDataset.Test(30);
        var clean = Evaluator.Evaluate(model, data);
        var none = AdversarialAttack.Evaluate(model, data, AttackOptions.Pgd(0), batchSize: 30);
        Assert.Equal((clean.Loss, clean.Accuracy, clean.Top5, 30), (none.Loss, none.Accuracy, none.Top5, none.Count));
        Assert.True(model.Training); // as it was
        // A picture's random start does not depend on the batch it is in; another seed gives another one.
        var pgd = AttackOptions.Pgd(0.05, 2);
        var whole = AdversarialAttack.Evaluate(model, data, pgd, batchSize: 30);
        Assert.Equal(whole.Loss, AdversarialAttack.Evaluate(model, data, pgd, batchSize: 7).Loss, 1e-5);
        Assert.NotEqual(whole.Loss, AdversarialAttack.Evaluate(model, data, pgd, batchSize: 30, seed: 2).Loss);
        Assert.True(whole.Loss > clean.Loss);
    }

    [Fact]
    public void WhatMakesNoSenseIsSaid()
    {
        using var model = new SmallNet(Cpu);
        var data = ShapesDataset.Test(4);
        var batch = BatchLoader.Evaluation(data, 4).Epoch().First();
        Says("evaluation mode", AttackOptions.Fgsm(0.1));
        model.Eval();
        Says("between 0 and 1", AttackOptions.Fgsm(-0.1));
        Says("between 0 and 1", AttackOptions.Fgsm(double.NaN));
        Says("at least one step", AttackOptions.Pgd(0.1, 0, 0.1));

        void Says(string phrase, AttackOptions attack) =>
            Assert.Contains(phrase, Assert.Throws<ArgumentException>(() => AdversarialAttack.Attack(model, batch, data.Statistics, attack)).Message);
    }

    /// <summary>ResNet-20 with the weights of the fixture.</summary>
    private static Model ParityNet(Device device)
    {
        var model = Zoo.Create(ParityFixture.Read("resnet20").Spec, Initializer.ForLoading(device));
        var parameters = model.NamedParameters().ToArray();
        var norms = parameters.Where(p => p.Name.EndsWith(".running_mean", StringComparison.Ordinal)).Select(p => p.Name[..^".running_mean".Length]).ToHashSet();
        for (int a = 0; a < parameters.Length; a++)
            parameters[a].Parameter.FromTorch(ParityFilling.Of(parameters[a].Name, parameters[a].Parameter, a, norms.Contains(parameters[a].Name[..Math.Max(0, parameters[a].Name.LastIndexOf('.'))])));
        model.Eval();
        return model;
    }

    private static Batch ParityPictures()
    {
        double[] pixels = ToChannelsLast(ParityFilling.Of(2 * 3 * 16 * 16, 1001), 2, 3, 16, 16);
        float[] images = [.. pixels.Select((p, i) => (float)(((float)(p + 0.5) - (double)s_statistics.Mean[i % 3]) / s_statistics.Std[i % 3]))];
        return new Batch(0, 2, 16, 16, 3, images, [3, 0]);
    }

    private static Digest Expected(double[] row) => new(row[1], row[2], row[3]);

    private static double Loss(Model model, float[] images, Batch batch)
    {
        using var x = Tensor.From(model.Device, images, new Shape(batch.Count, batch.Height, batch.Width, batch.Channels));
        using var labels = Tensor.From(model.Device, batch.Labels, new Shape(batch.Count));
        using var tape = Tape.Inference();
        return model.Forward(x).CrossEntropy(labels).Item();
    }
}
