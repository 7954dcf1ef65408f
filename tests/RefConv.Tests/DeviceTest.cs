using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// A test with devices of its own. When it ends, every buffer must have been given back: a test that leaves one behind fails.
/// </summary>
public abstract class DeviceTest : IDisposable
{
    protected CpuDevice Cpu { get; } = new(threads: 2) { PoisonBuffers = true };

    protected ReferenceDevice Reference { get; } = new() { PoisonBuffers = true };

    public virtual void Dispose()
    {
        GC.SuppressFinalize(this);
        Assert.Equal(0, Cpu.Memory.RentedBuffers);
        Assert.Equal(0, Reference.Memory.RentedBuffers);
        Cpu.Dispose();
        Reference.Dispose();
    }

    protected Device Get(string name) => name == "cpu" ? Cpu : Reference;

    /// <summary>Normally distributed values, another set for every tag.</summary>
    protected static double[] Normal(long count, ulong tag)
    {
        var random = new RandomStream(31, tag);
        double[] values = new double[count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
        return values;
    }

    protected static Tensor Normal(Device device, Shape shape, ulong tag, bool requiresGrad = false) =>
        Tensor.From(device, Normal(shape.Count, tag), shape, requiresGrad);

    /// <summary>The fixed filling of the golden values: ((n·7919 + a·104729) mod 1009)/1009 − ½.</summary>
    protected static double[] Golden(long count, int a)
    {
        double[] values = new double[count];
        for (long n = 0; n < count; n++) values[n] = (((n * 7919) + (a * 104729L)) % 1009 / 1009.0) - 0.5;
        return values;
    }

    /// <summary>Sum, and the sum weighted by (n mod 17) + 1: the checksums of the golden values.</summary>
    protected static (double Sum, double Weighted) Checksum(double[] values)
    {
        double sum = 0, weighted = 0;
        for (int n = 0; n < values.Length; n++)
        {
            sum += values[n];
            weighted += values[n] * ((n % 17) + 1);
        }
        return (sum, weighted);
    }

    /// <summary>[n, c, h, w] to [n, h, w, c].</summary>
    protected static double[] ToChannelsLast(double[] values, int n, int c, int h, int w)
    {
        double[] result = new double[values.Length];
        for (int i = 0; i < n; i++)
        for (int j = 0; j < c; j++)
        for (int p = 0; p < h * w; p++)
            result[(((i * h * w) + p) * c) + j] = values[(((i * c) + j) * h * w) + p];
        return result;
    }

    /// <summary>[n, h, w, c] to [n, c, h, w].</summary>
    protected static double[] ToChannelsFirst(double[] values, Shape shape)
    {
        var (n, h, w, c) = (shape[0], shape[1], shape[2], shape[3]);
        double[] result = new double[values.Length];
        for (int i = 0; i < n; i++)
        for (int j = 0; j < c; j++)
        for (int p = 0; p < h * w; p++)
            result[(((i * c) + j) * h * w) + p] = values[(((i * h * w) + p) * c) + j];
        return result;
    }
}
