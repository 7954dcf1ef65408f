using MathNet.Numerics.LinearAlgebra;
using RefConv.Kernels;
using RefConv.Layers;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Analysis;

/// <summary>Measures of kernels: golden values, and kernels whose answer is known.</summary>
public sealed class KernelAnalysisTests : DeviceTest
{
    [Fact]
    public void TheGoldenValues()
    {
        // Fixtures of tests/Golden/refconv.py's rule, computed in PyTorch.
        var degree = KernelAnalysis.ConnectionDegree(Golden(6 * 6 * 9, 2), 6, 6, 9, 64);
        Assert.Equal(80.871159563925, Checksum(degree.Values).Sum, 1e-9);
        Assert.Equal(690.720019821606, Checksum(degree.Values).Weighted, 1e-9);
        var kl = KernelAnalysis.Redundancy(Of(6, 5, Golden(6 * 25, 1)));
        Assert.Equal(2.763136350768, Checksum(kl.Values).Sum, 1e-9);
        Assert.Equal(24.411457555946, Checksum(kl.Values).Weighted, 1e-9);
    }

    [Fact]
    public void EqualChannelsAreRedundant()
    {
        double[] plane = Golden(9, 3);
        var equal = Of(4, 3, [.. plane, .. plane, .. plane, .. plane]);
        Assert.All(KernelAnalysis.Redundancy(equal).Values, v => Assert.Equal(0, v, 1e-15));
        Assert.All(KernelAnalysis.CosineSimilarity(equal).Values, v => Assert.Equal(1, v, 1e-12));
        Assert.Equal(1, KernelAnalysis.EffectiveRank(equal), 1e-6);
        Assert.True(KernelAnalysis.Redundancy(Of(4, 3, Golden(36, 3))).MeanOffDiagonal() > 0);
        // Fewer channels than asked for, and one alone.
        Assert.Equal(4, KernelAnalysis.Redundancy(equal, 64).Rows);
        Assert.Equal(2, KernelAnalysis.Redundancy(equal, 2).Rows);
        Assert.True(double.IsNaN(KernelAnalysis.Redundancy(Of(1, 3, plane)).MeanOffDiagonal()));
    }

    [Fact]
    public void AMapThatPassesChannelsOnIsDiagonal()
    {
        var conv = new Conv2d(new Initializer(Cpu, 1), 5, 5, 3, padding: 1, groups: 5);
        using var layer = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", conv), new Initializer(Cpu));
        double[] map = new double[5 * 5 * 9];
        for (int i = 0; i < 5; i++) map[(((i * 5) + i) * 9) + 4] = i % 2 == 0 ? 1 : -1;
        layer.Map.FromTorch(map);
        var degree = KernelAnalysis.ConnectionDegree(layer);
        for (int i = 0; i < 5; i++)
        {
            for (int j = 0; j < 5; j++) Assert.Equal(i == j ? 1 : 0, degree[i, j]);
        }
        conv.Dispose();

        // A dense layer's refocus groups have one member each.
        using var dense = new Conv2d(new Initializer(Cpu, 1), 3, 4, 3);
        using var other = (RefConv2d)new RefConvMethod().Expand(new ConvSite("conv", dense), new Initializer(Cpu));
        Assert.Equal((12, 1), (KernelAnalysis.ConnectionDegree(other).Rows, KernelAnalysis.ConnectionDegree(other).Columns));
    }

    [Fact]
    public void TheSkeletonIsTheMeanOfMagnitudes()
    {
        double[] cross = [0, -2, 0, 4, 4, -4, 0, 2, 0];
        var skeleton = KernelAnalysis.Skeleton(Of(2, 3, [.. cross, .. new double[9]]));
        Assert.Equal(cross.Select(v => Math.Abs(v) / 4 / 2), skeleton.Values);
    }

    [Fact]
    public void EffectiveRankOfKnownMatrices()
    {
        double[] unit = new double[9 * 9];
        for (int i = 0; i < 9; i++) unit[i * 10] = 3;
        Assert.Equal(9, KernelAnalysis.EffectiveRank(Of(9, 3, unit)), 1e-9);
        Assert.Equal(0, KernelAnalysis.EffectiveRank(Of(2, 3, new double[18])));
        // Against a singular value decomposition.
        double[] weights = Golden(20 * 25, 4);
        var s = Matrix<double>.Build.DenseOfRowMajor(20, 25, weights).Svd().S;
        double entropy = s.Sum(v => -v / s.Sum() * Math.Log(v / s.Sum()));
        Assert.Equal(Math.Exp(entropy), KernelAnalysis.EffectiveRank(Of(20, 5, weights)), 1e-6);
    }

    private static Kernel Of(int planes, int k, double[] weights) => new(planes, 1, k, k, planes, weights, new double[planes]);
}
