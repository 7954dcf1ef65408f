using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// Results that are too large for the caches and aligned to vectors are written past the caches. The rows of the case tables are small and shifted by
/// one element, so they never take that path.
/// </summary>
public sealed class LargeResultTests
{
    [Theory]
    [InlineData(8, 32, false)]
    [InlineData(5, 48, false)]
    [InlineData(8, 32, true)]
    [InlineData(5, 48, true)]
    [InlineData(3, 64, true)]
    [InlineData(2, 208, true)]
    public void PointwiseConvolutionIntoAlignedMemory(int channels, int filters, bool wantsMoments)
    {
        int pixels = Math.Max(70_001, (2 << 20) / filters) + 5;
        var g = new Conv2dGeometry(1, 1, pixels, channels, filters, 1, 1);
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        using var x = device.Rent(g.InputLength);
        using var w = device.Rent(g.WeightLength);
        using var y = device.Rent(g.OutputLength);
        using var moments = device.Rent(wantsMoments ? 2 * filters : 0);
        // Small integers: every sum is exact, so it can be compared exactly.
        float[] input = [.. Enumerable.Range(0, (int)g.InputLength).Select(i => (i % 13) - 6f)];
        float[] weight = [.. Enumerable.Range(0, (int)g.WeightLength).Select(i => (i % 7) - 3f)];
        device.Write(x.View, input);
        device.Write(w.View, weight);

        device.Kernels.Conv2dForward(g, x.View, w.View, default, y.View, wantsMoments ? moments.View : default);

        float[] output = new float[g.OutputLength];
        device.Read(y.View, output);
        double[] sums = new double[2 * filters];
        for (int i = 0; i < output.Length; i++)
        {
            float expected = 0;
            for (int c = 0; c < channels; c++) expected += input[(i / filters * channels) + c] * weight[(c * filters) + (i % filters)];
            Assert.True(expected == output[i], $"y[{i}] is {output[i]}, expected {expected}");
            sums[i % filters] += expected;
            sums[filters + (i % filters)] += (double)expected * expected;
        }
        if (!wantsMoments) return;
        float[] found = new float[2 * filters];
        device.Read(moments.View, found);
        for (int k = 0; k < filters; k++)
        {
            double mean = sums[k] / pixels, variance = (sums[filters + k] / pixels) - (mean * mean);
            Assert.Equal(mean, found[k], 1e-4);
            Assert.Equal(variance, found[filters + k], 1e-4 * (1 + variance));
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
