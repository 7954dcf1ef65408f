using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// Results that are too large for the caches and aligned to vectors are written past the caches. The rows of the case tables are small and shifted by
/// one element, so they never take that path.
/// </summary>
public sealed class LargeResultTests
{
    [Theory]
    [InlineData(8, 32)]
    [InlineData(5, 48)]
    public void PointwiseConvolutionIntoAlignedMemory(int channels, int filters)
    {
        const int Pixels = 70_001;
        var g = new Conv2dGeometry(1, 1, Pixels, channels, filters, 1, 1);
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        using var x = device.Rent(g.InputLength);
        using var w = device.Rent(g.WeightLength);
        using var y = device.Rent(g.OutputLength);
        // Small integers: every sum is exact, so it can be compared exactly.
        float[] input = [.. Enumerable.Range(0, (int)g.InputLength).Select(i => (i % 13) - 6f)];
        float[] weight = [.. Enumerable.Range(0, (int)g.WeightLength).Select(i => (i % 7) - 3f)];
        device.Write(x.View, input);
        device.Write(w.View, weight);

        device.Kernels.Conv2dForward(g, x.View, w.View, default, y.View);

        float[] output = new float[g.OutputLength];
        device.Read(y.View, output);
        for (int i = 0; i < output.Length; i++)
        {
            float expected = 0;
            for (int c = 0; c < channels; c++) expected += input[(i / filters * channels) + c] * weight[(c * filters) + (i % filters)];
            Assert.True(expected == output[i], $"y[{i}] is {output[i]}, expected {expected}");
        }
    }

    [Fact]
    public void GroupedConvolutionIntoAlignedMemory()
    {
        var g = new Conv2dGeometry(1, 182, 182, 64, 64, 1, 1) { Groups = 32 };
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        using var x = device.Rent(g.InputLength);
        using var w = device.Rent(g.WeightLength);
        using var y = device.Rent(g.OutputLength);
        float[] input = [.. Enumerable.Range(0, (int)g.InputLength).Select(i => (i % 13) - 6f)];
        float[] weight = [.. Enumerable.Range(0, (int)g.WeightLength).Select(i => (i % 7) - 3f)];
        device.Write(x.View, input);
        device.Write(w.View, weight);

        device.Kernels.Conv2dForward(g, x.View, w.View, default, y.View);

        float[] output = new float[g.OutputLength];
        device.Read(y.View, output);
        for (int i = 0; i < output.Length; i++)
        {
            int k = i % g.K, firstInput = (i / g.K * g.C) + (k / g.GroupK * g.GroupC);
            float expected = (input[firstInput] * weight[k]) + (input[firstInput + 1] * weight[g.K + k]);
            Assert.True(expected == output[i], $"y[{i}] is {output[i]}, expected {expected}");
        }
    }
}
