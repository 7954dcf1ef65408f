using RefConv.Kernels;
using RefConv.Tests.Engine;

namespace RefConv.Tests.Gpu;

/// <summary>
/// Every operation of the tape on a GPU device: result and gradients of the rows that <see cref="Gradients"/> holds against differences in double, here against the
/// same rows on the reference device.
/// </summary>
public sealed class GpuGradients
{
    private const double Limit = 2e-5;

    [GpuTheory("opencl")]
    [InlineData("opencl")]
    public void EveryOperationAgreesWithTheReference(string kind) => Agree(kind);

    [GpuTheory("cuda")]
    [InlineData("cuda")]
    public void EveryOperationAgreesOnCuda(string kind) => Agree(kind);

    private static void Agree(string kind)
    {
        var device = GpuDevices.Open(kind);
        using var reference = new ReferenceDevice();
        List<string> wrong = [];
        lock (device)
        {
            foreach (var row in Gradients.AllRows)
            {
                try
                {
                    Compare(row, Values(row, reference), Values(row, device));
                }
                catch (Exception e) when (e is Xunit.Sdk.XunitException or NotImplementedException or InvalidOperationException)
                {
                    wrong.Add($"{row}: {e.Message}");
                }
            }
            Assert.Equal(0, device.Memory.RentedBuffers);
        }
        Assert.True(wrong.Count == 0, $"{wrong.Count} rows of {Gradients.AllRows.Count()}:\n{string.Join('\n', wrong)}");
    }

    /// <summary>The result, and the gradients of all leaves for a gradient of the result that is as random as they are.</summary>
    private static double[][] Values(Gradients.Row row, Device device)
    {
        var leaves = row.Leaves.Select((shape, i) => Normal(device, shape, (ulong)(100 + i), requiresGrad: true)).ToArray();
        try
        {
            using var tape = Tape.Train();
            var result = row.Function(leaves);
            using var upstream = Normal(device, result.Shape, 50);
            double[] values = result.ToDoubleArray();
            tape.Backward(result, upstream);
            return [values, .. leaves.Select(l => l.HasGradient ? l.GradientToDoubleArray() : [])];
        }
        finally
        {
            foreach (var leaf in leaves) leaf.Dispose();
        }
    }

    private static void Compare(Gradients.Row row, double[][] expected, double[][] actual)
    {
        for (int i = 0; i < expected.Length; i++)
        {
            string what = i == 0 ? "the result" : $"the gradient of leaf {i - 1}";
            Assert.True(expected[i].Length == actual[i].Length, $"{what} has {actual[i].Length} elements instead of {expected[i].Length}");
            double scale = Math.Max(1, expected[i].Select(Math.Abs).DefaultIfEmpty().Max());
            for (int j = 0; j < expected[i].Length; j++)
            {
                if (!(Math.Abs(expected[i][j] - actual[i][j]) <= Limit * scale)) Assert.Fail($"{what} [{j}] is {actual[i][j]:R}, the reference says {expected[i][j]:R}");
            }
        }
    }

    private static Tensor Normal(Device device, Shape shape, ulong tag, bool requiresGrad = false)
    {
        var random = new RandomStream(31, tag);
        double[] values = new double[shape.Count];
        for (int i = 0; i < values.Length; i++) values[i] = (float)random.NextNormal();
        return Tensor.From(device, values, shape, requiresGrad);
    }
}
