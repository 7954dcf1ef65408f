using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>What the case tables cannot say of the kernels over columns and rows: values that are no numbers, the same bits again, and the loops of their PTX.</summary>
public sealed partial class ColumnKernelTests
{
    public static TheoryData<string> Loops => new(GpuRuntime.Kernels.Where(k =>
        k.StartsWith("NormaliseKernel", StringComparison.Ordinal) || k.StartsWith("LineKernel", StringComparison.Ordinal) || k.StartsWith("MomentsKernel", StringComparison.Ordinal) ||
        k.StartsWith("ColumnSumsKernel", StringComparison.Ordinal) || k.StartsWith("NormSumKernel", StringComparison.Ordinal) || k.StartsWith("PReLUKernel", StringComparison.Ordinal) ||
        k.StartsWith("LayerNorm", StringComparison.Ordinal) || k.StartsWith("SgdKernel", StringComparison.Ordinal) || k.StartsWith("AdamKernel", StringComparison.Ordinal) ||
        k is "PieceSquaresKernel" or "ClipKernel").DefaultIfEmpty("none in this build"));

    /// <summary>An activation's bound that is no number bounds nothing, and a result that is none goes through.</summary>
    [GpuTheory("opencl")]
    [InlineData(ActivationKind.Identity, new[] { -1e30f, float.NaN, -1, 7, 1e30f })]
    [InlineData(ActivationKind.ReLU, new[] { 0, float.NaN, 0, 7, 1e30f })]
    [InlineData(ActivationKind.ReLU6, new[] { 0, float.NaN, 0, 6, 6f })]
    public void BoundsLetThroughWhatIsNoNumber(ActivationKind activation, float[] expected)
    {
        var device = GpuDevices.Open("opencl");
        lock (device)
        {
            using DeviceBuffer x = device.Rent(5), zeros = device.Rent(5), ones = device.Rent(5), y = device.Rent(5);
            device.Write(x.View, new[] { -1e30f, float.NaN, -1, 7, 1e30f });
            device.Write(zeros.View, new float[5]);
            device.Write(ones.View, new[] { 1f, 1, 1, 1, 1 });
            device.Kernels.BatchNormInference(new(1, 5, 0, activation), x.View, ones.View, zeros.View, zeros.View, ones.View, default, y.View);
            float[] actual = new float[5];
            device.Read(y.View, actual);
            Assert.Equal(expected, actual);
        }
    }

    /// <summary>Sums are added in an order that the shape alone determines.</summary>
    [GpuFact("opencl")]
    public void SumsAreTheSameBitsAgain()
    {
        var device = GpuDevices.Open("opencl");
        var random = new Random(5);
        float[] values = [.. Enumerable.Range(0, 3000 * 24).Select(_ => (float)random.NextDouble())];
        lock (device)
        {
            Assert.Equal(Run(), Run());
            float[] Run()
            {
                using DeviceBuffer x = device.Rent(values.Length), dy = device.Rent(values.Length), c = device.Rent(24), dx = device.Rent(values.Length), result = device.Rent(48);
                device.Write(x.View, values);
                device.Write(dy.View, values.AsSpan().ToArray().Reverse().ToArray());
                device.Write(c.View, Enumerable.Repeat(0.5f, 24).ToArray());
                device.Kernels.BatchNormTrainingBackward(new(3000, 24), x.View, default, dy.View, c.View, c.View, c.View, c.View, dx.View, result.View.Slice(0, 24), result.View.Slice(24, 24), false, false);
                float[] all = new float[48];
                device.Read(result.View, all);
                return all;
            }
        }
    }

    /// <summary>
    /// No division of whole numbers inside a loop: a thread stays in its column. And in the forms with four lanes nothing but constants is read one float at a
    /// time.
    /// </summary>
    [GpuTheory("")]
    [MemberData(nameof(Loops))]
    public void LoopsDivideNothing(string kernel)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        string[] lines = ptx.Split('\n');
        Dictionary<string, int> labels = [];
        for (int i = 0; i < lines.Length; i++)
        {
            if (Label().Match(lines[i]) is { Success: true } m) labels[m.Groups[1].Value] = i;
        }
        int loops = 0;
        for (int i = 0; i < lines.Length; i++)
        {
            if (Branch().Match(lines[i]) is not { Success: true } m || !labels.TryGetValue(m.Groups[1].Value, out int start) || start > i) continue;
            loops++;
            string body = string.Join('\n', lines[start..i]);
            Assert.DoesNotMatch(WholeDivision(), body);
        }
        // Means and factors of rows are single floats, and the tails of parameters.
        if (kernel.Contains("Float4", StringComparison.Ordinal) && !kernel.Contains("LayerNorm", StringComparison.Ordinal)) Assert.DoesNotContain("ld.global.f32", ptx, StringComparison.Ordinal);
        Assert.True(loops > 0, $"{kernel}: no loop was found in its PTX; has ILGPU changed how it writes branches?");
    }

    /// <summary>On CUDA a parameter is found by its distance from one view, which may be negative: addresses must be reckoned in 64 bits, without widening from 32.</summary>
    [GpuTheory("")]
    [InlineData("SgdKernel")]
    [InlineData("AdamKernel")]
    [InlineData("ClipKernel")]
    public void DistancesOfParametersMayBeNegative(string kernel)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        Assert.DoesNotContain("mul.wide", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("mad.wide", ptx, StringComparison.Ordinal);
        Assert.DoesNotContain("cvt.u64.u32", ptx, StringComparison.Ordinal);
        Assert.Matches(@"shr\.s64", ptx); // a quarter of a distance keeps its sign
    }

    [GeneratedRegex(@"^\s*(\S+):\s*$")]
    private static partial Regex Label();

    [GeneratedRegex(@"\bbra(?:\.uni)?\s+(\S+);")]
    private static partial Regex Branch();

    [GeneratedRegex(@"\b(?:div|rem)\.[su](?:32|64)")]
    private static partial Regex WholeDivision();
}
