using RefConv.Models.Data;

namespace RefConv.Tests.Data;

public sealed class DataSourceTests
{
    [Theory]
    [InlineData("cifar", "Did you mean 'cifar10:DIR'?")]
    [InlineData("shape", "Did you mean 'shapes'?")]
    [InlineData("fashion:/x", "Did you mean 'fashion-mnist:DIR'?")]
    [InlineData("mnits:/x", "Did you mean 'mnist:DIR'?")]
    [InlineData("imagenet", "Known are shapes, cifar10:DIR, mnist:DIR, fashion-mnist:DIR, imagefolder:DIR.")]
    [InlineData("cifar10", "Write cifar10:DIR.")]
    [InlineData("mnist:", "Write mnist:DIR.")]
    [InlineData("shapes:/x", "Write just 'shapes'.")]
    public void WrongTextsAreExplained(string spec, string help) =>
        Assert.Contains(help, Assert.Throws<ArgumentException>(() => DataSource.Open(spec)).Message);

    [Fact]
    public void FarAwayWordsAreNotOffered() => Assert.DoesNotContain("Did you mean", Assert.Throws<ArgumentException>(() => DataSource.Open("imagenet")).Message);

    [Fact]
    public void TakeKeepsTheBalanceAndTheOrder()
    {
        byte[] labels = [2, 0, 0, 1, 0, 1, 2, 2, 2, 2];
        var data = new ImageDataset("t", 1, 1, 1, [.. Enumerable.Range(0, 10).Select(i => (byte)i)], labels, ["a", "b", "c"]);
        Assert.Equal([1, 3, 0, 2, 5, 6, 4, 7, 8], data.Take(9).Images);
        Assert.Equal([0, 1, 2, 0, 1, 2, 0, 2, 2], data.Take(9).Labels);
        Assert.Equal(data.Take(5).Images, data.Take(9).Images[..5]);
        Assert.Same(data.Statistics, data.Take(5).Statistics);
        Assert.Same(data, data.Take(10));
        Assert.Throws<ArgumentOutOfRangeException>(() => data.Take(0));
    }

    [Fact]
    public void StatisticsArePlainMeanAndDeviation()
    {
        var s = ChannelStatistics.Of([0, 10, 255, 10, 255, 10, 0, 10], 2);
        Assert.Equal([0.5f, (float)(10 / 255.0)], s.Mean);
        Assert.Equal([0.5f, 1f], s.Std); // the second channel does not vary and is not scaled
    }

    [Fact]
    public void DatasetsAreChecked()
    {
        Assert.Throws<ArgumentException>(() => new ImageDataset("t", 2, 2, 1, new byte[7], new byte[2], ["a"]));
        Assert.Throws<ArgumentException>(() => new ImageDataset("t", 2, 2, 1, new byte[8], [0, 1], ["a"]));
        Assert.Throws<ArgumentException>(() => new ImageDataset("t", 2, 2, 1, [], [], ["a"]));
    }

    [SharedDataFact]
    public void RealCifar()
    {
        var source = DataSource.Open($"cifar10:{SharedData.Path("cifar10")}", trainLimit: 5000);
        Assert.Equal(4000, source.Test.Count);
        Assert.All(((ImageDataset)source.Train).Labels.GroupBy(l => l), g => Assert.Equal(500, g.Count()));
        var whole = DataSource.Open($"cifar10:{SharedData.Path("cifar10")}").Train;
        Assert.Equal(15000, whole.Count);
        // The subset is near the whole set, so its own statistics are near the published ones.
        var own = ChannelStatistics.Of(((ImageDataset)whole).Images, 3);
        for (int c = 0; c < 3; c++)
        {
            Assert.Equal(whole.Statistics.Mean[c], own.Mean[c], 0.01f);
            Assert.Equal(whole.Statistics.Std[c], own.Std[c], 0.01f);
        }
        Assert.Equal("truck", whole.ClassNames[9]);
    }

    [SharedDataFact]
    public void RealFashionMnist()
    {
        var source = DataSource.Open($"fashion-mnist:{SharedData.Path("fashion-mnist")}");
        Assert.Equal((60000, 10000, 28, 28, 1), (source.Train.Count, source.Test.Count, source.Train.Height, source.Train.Width, source.Train.Channels));
        var own = ChannelStatistics.Of(((ImageDataset)source.Train).Images, 1);
        Assert.Equal(0.2860f, own.Mean[0], 0.0001f);
        Assert.Equal(0.3530f, own.Std[0], 0.0001f);
        Assert.Equal([9, 0, 0, 3, 0], ((ImageDataset)source.Train).Labels[..5]);
    }

    [SharedDataFact]
    public void RealMnist()
    {
        var source = DataSource.Open($"mnist:{SharedData.Path("mnist")}");
        Assert.Equal((20000, 10000), (source.Train.Count, source.Test.Count));
        Assert.Equal([5, 0, 4, 1, 9], ((ImageDataset)source.Train).Labels[..5]);
        Assert.Equal(0.1307f, ChannelStatistics.Of(((ImageDataset)source.Train).Images, 1).Mean[0], 0.001f);
    }
}
