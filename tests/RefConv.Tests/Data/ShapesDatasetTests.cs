using System.Security.Cryptography;
using RefConv.Models.Data;

namespace RefConv.Tests.Data;

public sealed class ShapesDatasetTests
{
    [Fact]
    public void APictureDependsOnItsNumberAlone()
    {
        var many = ShapesDataset.Train(60);
        var few = ShapesDataset.Train(25);
        Assert.Equal(few.Images, many.Images[..few.Images.Length]);
        Assert.Equal(few.Labels, many.Labels[..25]);
        Assert.Equal(few.Images, ShapesDataset.Train(25).Images);
    }

    /// <summary>Results of training are only comparable on the same pictures: a change of the drawing must be on purpose.</summary>
    [Fact]
    public void TheDefaultPicturesStayAsTheyAre()
    {
        string hash = Convert.ToHexString(SHA256.HashData([.. ShapesDataset.Train(100).Images, .. ShapesDataset.Test(100).Images]));
        Assert.Equal("D4123068A492AB2C", hash[..16]);
    }

    [Fact]
    public void SplitsAndSeedsDiffer()
    {
        byte[][] sets = [ShapesDataset.Train(200).Images, ShapesDataset.Test(200).Images, ShapesDataset.Train(200, seed: 1).Images];
        var pictures = sets.SelectMany(s => s.Chunk(3072)).Select(p => Convert.ToHexString(SHA256.HashData(p)));
        Assert.Equal(600, pictures.Distinct().Count());
    }

    [Fact]
    public void ClassesAreBalancedAndStatisticsFit()
    {
        var data = ShapesDataset.Train(1000);
        Assert.Equal((32, 32, 3, 10), (data.Height, data.Width, data.Channels, data.ClassNames.Count));
        Assert.All(data.Labels.GroupBy(l => l), g => Assert.Equal(100, g.Count()));
        var own = ChannelStatistics.Of(data.Images, 3);
        for (int c = 0; c < 3; c++)
        {
            Assert.Equal(ShapesDataset.Statistics.Mean[c], own.Mean[c], 0.02f);
            Assert.Equal(ShapesDataset.Statistics.Std[c], own.Std[c], 0.02f);
        }
    }

    [Fact]
    public void AnyNumberCanBeAskedFor()
    {
        Assert.Equal(1, ShapesDataset.Test(1).Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => ShapesDataset.Test(0));
        var source = DataSource.Open("shapes", trainLimit: 30, testLimit: 20);
        Assert.Equal((30, 20), (source.Train.Count, source.Test.Count));
    }
}
