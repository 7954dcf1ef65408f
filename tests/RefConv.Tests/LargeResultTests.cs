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

    /// <summary>A stem's strips: whole vectors straight to the result, rows that first move together (24), sums that are looked at or changed in between.</summary>
    [Theory]
    [InlineData(32, ActivationKind.Identity, false)]
    [InlineData(32, ActivationKind.Identity, true)]
    [InlineData(24, ActivationKind.Identity, true)]
    [InlineData(24, ActivationKind.ReLU, false)]
    [InlineData(32, ActivationKind.Hardswish, false)]
    public void StemIntoAlignedMemory(int filters, ActivationKind activation, bool wantsMoments)
    {
        var g = new Conv2dGeometry(7, 225, 224, 3, filters, 3, 3) { StrideH = 2, StrideW = 2, PadTop = 1, PadLeft = 1, PadRight = 1 };
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        using var x = device.Rent(g.InputLength);
        using var w = device.Rent(g.WeightLength);
        using var y = device.Rent(g.OutputLength);
        using var moments = device.Rent(wantsMoments ? 2 * filters : 0);
        float[] input = [.. Enumerable.Range(0, (int)g.InputLength).Select(i => (i % 13) - 6f)];
        float[] weight = [.. Enumerable.Range(0, (int)g.WeightLength).Select(i => (i % 7) - 3f)];
        device.Write(x.View, input);
        device.Write(w.View, weight);

        if (wantsMoments)
        {
            device.Kernels.Conv2dForward(g, x.View, w.View, default, y.View, moments.View);
        }
        else
        {
            using var packed = device.Kernels.Conv2dPack(g, w.View, Conv2dAccuracy.Exact);
            device.Kernels.Conv2dPacked(packed, activation, x.View, default, default, y.View);
        }

        float[] output = new float[g.OutputLength];
        device.Read(y.View, output);
        double[] sums = new double[2 * filters];
        for (int i = 0; i < output.Length; i++)
        {
            int k = i % filters, q = i / filters % g.Q, p = i / filters / g.Q % g.P, n = i / filters / g.Q / g.P;
            float sum = 0;
            for (int r = 0; r < 3; r++)
            for (int c = Math.Max(0, 3 - (6 * q)); c < 9 && (6 * q) - 3 + c < g.W * 3; c++)
            {
                int h = (2 * p) - 1 + r;
                if (h >= 0) sum += input[(((n * g.H) + h) * g.W * 3) + (6 * q) - 3 + c] * weight[(((r * 9) + c) * filters) + k];
            }
            float expected = activation switch { ActivationKind.ReLU => Math.Max(sum, 0), ActivationKind.Hardswish => sum * Math.Clamp(sum + 3, 0, 6) / 6, _ => sum };
            Assert.True(Math.Abs(expected - output[i]) <= 1e-6f * Math.Abs(expected), $"y[{i}] is {output[i]}, expected {expected}");
            sums[k] += expected;
            sums[filters + k] += (double)expected * expected;
        }
        if (!wantsMoments) return;
        float[] found = new float[2 * filters];
        device.Read(moments.View, found);
        double points = g.OutputLength / filters;
        for (int k = 0; k < filters; k++)
        {
            double mean = sums[k] / points, variance = (sums[filters + k] / points) - (mean * mean);
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
