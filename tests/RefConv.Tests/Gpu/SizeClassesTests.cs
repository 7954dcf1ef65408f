using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>Sizes of device blocks.</summary>
public sealed class SizeClassesTests
{
    [Fact]
    public void WasteLittle()
    {
        var random = new RandomStream(1, 1);
        for (int i = 0; i < 10_000; i++)
        {
            long bytes = (long)Math.Pow(2, random.NextUniform(0, 45)), size = SizeClasses.Of(bytes);
            Assert.InRange(size, bytes + 64, Math.Max(256, (bytes + 64) * 1.125));
            Assert.Equal(size, SizeClasses.Of(size - 64)); // a class holds itself
        }
    }
}
