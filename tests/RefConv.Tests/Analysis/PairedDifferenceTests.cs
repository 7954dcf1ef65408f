using MathNet.Numerics.Distributions;
using RefConv.Models.Analysis;

namespace RefConv.Tests.Analysis;

/// <summary>The statistics of pairs, against numbers worked out by hand and against another library.</summary>
public sealed class PairedDifferenceTests
{
    [Fact]
    public void ThreePairsByHand()
    {
        // Mean 2, squares of deviations 1 + 0 + 1 over 2, so deviation 1; t = 2/(1/√3) = 2√3.
        // For two degrees of freedom p = 1 − t/√(2 + t²) = 1 − √12/√14.
        var d = PairedDifference.Of([1, 2, 3])!;
        Assert.Equal((3, 2.0, 1.0), (d.Pairs, d.Mean, d.Deviation!.Value));
        Assert.Equal(2 * Math.Sqrt(3), d.T!.Value, 12);
        Assert.Equal(1 - Math.Sqrt(12.0 / 14), d.P!.Value, 12);
        Assert.Equal("3 seeds, too few to tell", d.Verdict);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(9)]
    [InlineData(30)]
    public void ProbabilitiesAreThoseOfStudentsDistribution(int degrees)
    {
        foreach (double t in new[] { 0, 0.3, -1, 2, 4.303, -12.7, 50 })
            Assert.Equal(2 * StudentT.CDF(0, 1, degrees, -Math.Abs(t)), StudentsT.TwoSided(t, degrees), 10);
        foreach (double level in new[] { 0.5, 0.05, 0.001 })
        {
            double quantile = StudentT.InvCDF(0, 1, degrees, 1 - (level / 2));
            Assert.Equal(1, StudentsT.Quantile(level, degrees) / quantile, 8);
        }
    }

    [Theory]
    [InlineData("better", 0.020, 0.021, 0.022)]
    [InlineData("worse", -0.020, -0.021, -0.022)]
    [InlineData("3 seeds, too few to tell", -0.01, 0.03, 0.01)]
    [InlineData("2 seeds, too few to tell", 0.01, 0.03)]
    [InlineData("1 seed, too few to tell", 0.5)]
    [InlineData("equal with every seed", 0.0, 0.0)]
    [InlineData("2 seeds, too few to tell", 0.25, 0.25)]
    public void TheVerdictNeedsMoreThanChance(string verdict, params double[] differences) => Assert.Equal(verdict, PairedDifference.Of(differences)!.Verdict);

    [Fact]
    public void NothingIsInventedForOnePairOrEqualPairs()
    {
        Assert.Null(PairedDifference.Of([]));
        Assert.Equal(new PairedDifference(1, 0.5, null, null, null), PairedDifference.Of([0.5]));
        Assert.Equal(new PairedDifference(2, 0.25, 0, null, null), PairedDifference.Of([0.25, 0.25]));
        // Five points each of accuracies that are tenths and twentieths: only rounding differs, and a t of 10¹⁵ would be made of it.
        double[] same = [0.55 - 0.5, 0.6 - 0.55, 0.7 - 0.65];
        Assert.True(same.Distinct().Count() > 1);
        Assert.Equal((0.0, null, "3 seeds, too few to tell"), (PairedDifference.Of(same)!.Deviation, PairedDifference.Of(same)!.P, PairedDifference.Of(same)!.Verdict));
    }
}
