using RefConv.IO;
using RefConv.Layers;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Analysis;

/// <summary>Kernels of whole models, before and after; and what is said where there is nothing to measure.</summary>
public sealed class KernelStudyTests : DeviceTest
{
    [Fact]
    public void WhatIsNotRefocusedYetIsTheSameBeforeAndAfter()
    {
        using var model = Refocused(new RefConvOptions { Init = RefocusInit.Zero });
        var pairs = KernelPair.Of(model);
        Assert.Equal(["deep"], pairs.Select(p => p.Layer));
        var redundancy = KernelStudy.Redundancy(pairs).Layers[0];
        Assert.Equal(redundancy.Before!.Values, redundancy.After.Values);
        Assert.True(redundancy.After.Mean > 0);
        var rank = KernelStudy.Rank(pairs).Layers[0];
        Assert.Equal((rank.EffectiveRankBefore, rank.CosineBefore), (rank.EffectiveRankAfter, rank.CosineAfter));
        Assert.Equal(KernelStudy.Skeleton(pairs).Layers[0].Before!, KernelStudy.Skeleton(pairs).Layers[0].After);
        Assert.Equal(0, KernelStudy.Connection(pairs).Layers[0].DiagonalMean);
    }

    [Fact]
    public void BeforeIsTheBasisAndAfterTheKernelThatIsUsed()
    {
        using var model = Refocused(new RefConvOptions());
        var layer = (RefConv2d)model.Find("deep");
        var kernels = KernelStudy.Kernels(KernelPair.Of(model)).Layers[0];
        Assert.Equal(layer.Basis.ToTorchDouble(), kernels.Before!);
        using (var merged = layer.Merge()) Assert.Equal(merged.Weight.ToTorchDouble(), kernels.After);
        Assert.NotEqual(kernels.Before!, kernels.After);

        // Another model's kernels take the place of the basis; a plain model alone has no before.
        using var other = new SmallNet(Cpu);
        other.Deep.Weight.FromTorch(Normal(8 * 9, 7));
        other.Eval();
        Assert.Equal(other.Deep.Weight.ToTorchDouble(), KernelPair.Of(model, other)[0].Before!.Weight);
        Assert.Null(KernelPair.Of(other)[0].Before);
        Assert.Null(KernelStudy.Redundancy(KernelPair.Of(other)).Layers[0].Before);
        using var wider = new SmallNet(Cpu, channels: 16);
        Says("same architecture and width", () => KernelPair.Of(model, wider));
    }

    [Fact]
    public void AMapThatPassesChannelsOnIsDiagonal()
    {
        using var model = Refocused(new RefConvOptions());
        double[] map = new double[8 * 8 * 9];
        for (int i = 0; i < 8; i++) map[(((i * 8) + i) * 9) + 4] = -3;
        ((RefConv2d)model.Find("deep")).Map.FromTorch(map);
        var layer = KernelStudy.Connection(KernelPair.Of(model)).Layers[0];
        Assert.Equal((8, 8, 3.0, 0.0), (layer.Groups, layer.Size, layer.DiagonalMean, layer.OffDiagonalMean));
        for (int i = 0; i < 8; i++)
        {
            for (int j = 0; j < 8; j++) Assert.Equal(i == j ? 3 : 0, layer.Values[(i * 8) + j]);
        }
    }

    [Fact]
    public void EqualChannelsAreFoundInAModel()
    {
        using var net = new SmallNet(Cpu);
        double[] plane = Normal(9, 5);
        net.Deep.Weight.FromTorch(Enumerable.Repeat(plane, 8).SelectMany(p => p).ToArray());
        net.Eval();
        var pairs = KernelPair.Of(net);
        Assert.All(KernelStudy.Redundancy(pairs).Layers[0].After.Values, v => Assert.Equal(0, v, 1e-14));
        var rank = KernelStudy.Rank(pairs).Layers[0];
        Assert.Equal((1, 1, 8), (Math.Round(rank.EffectiveRankAfter, 4), Math.Round(rank.CosineAfter, 10), rank.Maximum));
    }

    [Fact]
    public void LargerWeightsAloneAreNotLessRedundantAtEqualSize()
    {
        // The same kernels, three times as large: through softmax they differ more, at equal size as much as before.
        using var plain = new SmallNet(Cpu);
        using var larger = new SmallNet(Cpu);
        larger.Deep.Weight.FromTorch([.. plain.Deep.Weight.ToTorchDouble().Select(w => 3 * w)]);
        plain.Eval();
        larger.Eval();
        var layer = KernelStudy.Redundancy(KernelPair.Of(larger, plain)).Layers[0];
        Assert.True(layer.After.Mean > 4 * layer.Before!.Mean);
        Assert.Equal(1, layer.AfterAtEqualSize!.Value / layer.Before.Mean, 5);
        Assert.Null(KernelStudy.Redundancy(KernelPair.Of(larger)).Layers[0].AfterAtEqualSize);
    }

    [Theory]
    [InlineData(8, "fewer than 64 channels: all 8 are shown")]
    [InlineData(64, null)]
    [InlineData(70, null)]
    public void FewerChannelsThanShownIsSaid(int channels, string? note)
    {
        using var model = Refocused(new RefConvOptions(), channels);
        var pairs = KernelPair.Of(model);
        var (redundancy, connection, kernels) = (KernelStudy.Redundancy(pairs).Layers[0], KernelStudy.Connection(pairs).Layers[0], KernelStudy.Kernels(pairs).Layers[0]);
        int shown = Math.Min(64, channels);
        Assert.Equal((shown, note), (redundancy.Channels, redundancy.Note));
        Assert.Equal((channels, shown, note), (connection.Groups, connection.Size, connection.Note));
        Assert.Equal((shown * shown, shown * shown, shown * 9), (redundancy.After.Values.Length, connection.Values.Length, kernels.After.Length));
    }

    [Fact]
    public void ADenseLayerIsConnectedWithItselfOnly()
    {
        using var net = new SmallNet(Cpu);
        using var model = net.Expand(new RefConvMethod(), LayerPolicy.Named("deep"));
        using var dense = new Conv2d(new Initializer(Cpu, 1), 8, 8, 3, padding: 1, bias: false);
        model.Replace("deep", new RefConvMethod().Expand(new ConvSite("deep", dense), new Initializer(Cpu))).Dispose();
        model.Eval();
        var layer = KernelStudy.Connection(KernelPair.Of(model)).Layers[0];
        Assert.Equal((1, 1), (layer.Groups, layer.Size));
        Assert.True(double.IsNaN(layer.OffDiagonalMean));
        Assert.StartsWith("dense layer", layer.Note);
    }

    [Fact]
    public void WhereThereIsNothingToMeasureItIsSaid()
    {
        using var points = new SmallNet(Cpu, kernel: 1);
        using var net = new SmallNet(Cpu);
        points.Eval();
        net.Eval();
        Says("a 1×1 kernel has no neighbours", () => KernelPair.Of(points));
        Says("'stem' is a 1×1 convolution", () => KernelPair.Of(net, layers: LayerPolicy.Named("stem", "deep")));
        Says("no convolution named 'depp'", () => KernelPair.Of(net, layers: LayerPolicy.Named("depp")));
        Says("none of these layers is refocused", () => KernelStudy.Connection(KernelPair.Of(net)));
        double[] weights = net.Deep.Weight.ToTorchDouble();
        weights[5] = double.NaN;
        net.Deep.Weight.FromTorch(weights);
        Says("'deep' holds values that are no finite numbers", () => KernelPair.Of(net));
    }

    [Fact]
    public void FilesKeepTheNumbers()
    {
        using var folder = new TemporaryFolder();
        using var model = Refocused(new RefConvOptions());
        var pairs = KernelPair.Of(model);
        var surface = new LandscapeSurface("x", "pca", 1, [-1, 0, 1], null, [1, 2, double.PositiveInfinity], [0, 0.5, 1], [[0.1, 0.2]], [1, 0], 2, new Sharpness(2, double.NaN, 3, null));
        foreach (AnalysisResults results in new AnalysisResults[]
        {
            KernelStudy.Connection(pairs), KernelStudy.Redundancy(pairs), KernelStudy.Skeleton(pairs), KernelStudy.Rank(pairs), KernelStudy.Kernels(pairs), new LandscapeResults([surface]),
            new AttackResults([new("x", 0.5, [new("PGD", 0.1, 3, 0.01, 0.25)])]), new CostResults([new("total", new(1, 2, 3, null), new(4, 5, 6, 7))], new(1, 2), new(3, 4), 8),
        })
        {
            var written = new AnalysisFile("m", "s.safetensors", null, "shapes", 10, "refconv analyze", "cpu", results);
            string path = written.Save(folder.Path);
            Assert.Equal(folder.File(written.Kind + ".json"), path);
            Assert.Equal(written.ToJson().ToJsonString(), AnalysisFile.Read(path).ToJson().ToJsonString());
        }
        string landscape = File.ReadAllText(folder.File("landscape.json"));
        Assert.Contains("\"loss\":[1,2,null]", landscape); // what is no finite number
        Assert.Contains("\"ys\":null", landscape);
        Assert.Contains("\"meanRise\":null", landscape);
        foreach (string damaged in new[] { landscape[..^20], "{}", "[1]", landscape.Replace("\"xs\"", "\"xz\"", StringComparison.Ordinal), landscape.Replace("\"version\":1", "\"version\":9", StringComparison.Ordinal), landscape.Replace("[1,2,null]", "7", StringComparison.Ordinal) })
        {
            string file = folder.Write("damaged.json", System.Text.Encoding.UTF8.GetBytes(damaged));
            Assert.StartsWith(file, Assert.Throws<FileFormatException>(() => AnalysisFile.Read(file)).Message);
        }
    }

    private RefConv.Models.Model Refocused(RefConvOptions options, int channels = 8)
    {
        using var net = new SmallNet(Cpu, channels);
        var model = net.Expand(new RefConvMethod(options), LayerPolicy.LargerThan1, seed: 4);
        model.Eval();
        return model;
    }

    private static void Says(string phrase, Action action) => Assert.Contains(phrase, Assert.Throws<ArgumentException>(action).Message);
}
