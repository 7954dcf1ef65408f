using RefConv.Kernels;

namespace RefConv.Tests;

public sealed class ErrorFunctionTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1e-20, 1.1283791670955126e-20)]
    [InlineData(0.1, 0.1124629160182849)]
    [InlineData(0.5, 0.5204998778130465)]
    [InlineData(1, 0.8427007929497149)]
    [InlineData(2, 0.9953222650189527)]
    [InlineData(2.5, 0.999593047982555)]
    [InlineData(3, 0.9999779095030014)]
    [InlineData(6, 1)]
    public void ErfIsRight(double x, double value)
    {
        Assert.Equal(value, ErrorFunction.Erf(x), 1e-15 * value);
        Assert.Equal(-value, ErrorFunction.Erf(-x), 1e-15 * value);
    }

    [Theory]
    [InlineData(-3, 1.9999779095030015)]
    [InlineData(0.5, 0.4795001221869535)]
    [InlineData(2.5, 0.00040695201744495886)]
    [InlineData(3, 2.2090496998585445e-05)]
    [InlineData(5, 1.5374597944280347e-12)]
    [InlineData(10, 2.088487583762545e-45)]
    public void ErfcKeepsItsDigitsInTheTail(double x, double value) => Assert.Equal(value, ErrorFunction.Erfc(x), 4e-15 * value);

    [Fact]
    public void TheTwoBranchesMeet() =>
        Assert.Equal(ErrorFunction.Erfc(2.5), ErrorFunction.Erfc(Math.BitDecrement(2.5)), 1e-15);
}
