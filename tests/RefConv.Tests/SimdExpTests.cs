using System.Runtime.Intrinsics;
using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>The exponential function of the kernels, over the whole range of floats and at every vector width of this machine.</summary>
public sealed unsafe class SimdExpTests
{
    [Fact]
    public void IsWithinAUnitInTheLastPlace()
    {
        var widths = new List<int>();
        if (Vector512.IsHardwareAccelerated) widths.Add(Check<Vector512<float>>());
        if (Vector256.IsHardwareAccelerated) widths.Add(Check<Vector256<float>>());
        if (Vector128.IsHardwareAccelerated) widths.Add(Check<Vector128<float>>());
        widths.Add(Check<float>());
        Assert.Contains(Simd.MaxWidth, widths);
    }

    [Theory]
    [InlineData(float.NaN, float.NaN)]
    [InlineData(float.PositiveInfinity, float.PositiveInfinity)]
    [InlineData(float.MaxValue, float.PositiveInfinity)]
    [InlineData(88.73f, float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity, 0f)]
    [InlineData(float.MinValue, 0f)]
    [InlineData(-104f, 0f)]
    [InlineData(0f, 1f)]
    [InlineData(float.Epsilon, 1f)]
    public void EndsWhereItShould(float x, float expected)
    {
        Assert.Equal(expected, Lane<Vector512<float>>(x, Vector512.IsHardwareAccelerated, expected));
        Assert.Equal(expected, Lane<Vector256<float>>(x, Vector256.IsHardwareAccelerated, expected));
        Assert.Equal(expected, Lane<Vector128<float>>(x, Vector128.IsHardwareAccelerated, expected));
        Assert.Equal(expected, Simd.Exp(x));
    }

    private static float Lane<V>(float x, bool supported, float otherwise) where V : unmanaged
    {
        if (!supported) return otherwise;
        V y = Simd.Exp(Simd.Broadcast<V>(x));
        return *(float*)&y;
    }

    private static int Check<V>() where V : unmanaged
    {
        int w = Simd.Width<V>();
        float* lanes = stackalloc float[16], results = stackalloc float[16];
        // Every 997th float from −104 to 88.7, below and above zero: two million of them.
        foreach (float end in new[] { -104f, 88.7f })
        {
            int last = BitConverter.SingleToInt32Bits(Math.Abs(end));
            for (int bits = 0; bits < last; bits += 997 * w)
            {
                for (int i = 0; i < w; i++) lanes[i] = MathF.CopySign(BitConverter.Int32BitsToSingle(Math.Min(last, bits + (997 * i))), end);
                Simd.Store(results, Simd.Exp(Simd.Load<V>(lanes)));
                for (int i = 0; i < w; i++)
                {
                    double exact = Math.Exp(lanes[i]), unit = Math.Max(float.Epsilon, MathF.BitIncrement((float)exact) - (double)(float)exact);
                    if (!(Math.Abs(results[i] - exact) <= 1.1 * unit)) Assert.Fail($"e^{lanes[i]:R} is {exact:R}, not {results[i]:R}: {(results[i] - exact) / unit:F2} units off, {w} lanes");
                    // A tail that is done lane by lane is what it would be in a vector; below the normal numbers one of them rounds twice.
                    if (exact > 2e-38 && results[i] != Simd.Exp(lanes[i])) Assert.Fail($"e^{lanes[i]:R} is {results[i]:R} of {w} lanes and {Simd.Exp(lanes[i]):R} of one");
                }
            }
        }
        return w;
    }
}
