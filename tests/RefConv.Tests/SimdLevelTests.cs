using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// The suite is run again with narrower vectors by setting the runtime's switches. A switch that the runtime does not know is silently
/// ignored (<c>DOTNET_EnableAVX512F</c>, its name before .NET 10, is), so this asserts that the level asked for is the level tested.
/// </summary>
public sealed class SimdLevelTests
{
    [Theory]
    [InlineData("DOTNET_EnableAVX512", 8)]
    [InlineData("DOTNET_EnableAVX2", 4)]
    [InlineData("DOTNET_EnableAVX", 4)]
    [InlineData("DOTNET_EnableHWIntrinsic", 1)]
    public void ALevelSwitchedOffIsOff(string variable, int widest)
    {
        if (Environment.GetEnvironmentVariable(variable) == "0") Assert.InRange(Simd.MaxWidth, 1, widest);
    }

    [Fact]
    public void TheOldNameOfTheSwitchIsNotUsed() =>
        Assert.True(Environment.GetEnvironmentVariable("DOTNET_EnableAVX512F") == null, "This runtime ignores DOTNET_EnableAVX512F; use DOTNET_EnableAVX512.");

    [Fact]
    public void AnythingIsTestedAtAll() => Assert.Contains(Simd.MaxWidth, new[] { 1, 4, 8, 16 });
}
