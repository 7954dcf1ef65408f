using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>What the kernels that live on memory must not lose: whole lines read once, no arithmetic but the products, no divisions where elements are counted.</summary>
public sealed class DepthwisePtxTests
{
    private const string Rows = "DepthwiseRowsKernel<Float4, {0}, PlainFinish>", Weights = "DepthwiseWeightKernel<Float4, {0}>";

    /// <summary>
    /// The loop over kernel rows has exactly the products of its results, four floats each: 8 results at stride 1, 4 at stride 2. Loads: the window twice (inside the
    /// map and at its border), the kernel row, the bias and a residual for every result.
    /// </summary>
    [GpuTheory("")]
    [InlineData("Width3Stride1", 3, 6, 8)]
    [InlineData("Width5Stride1", 5, 8, 8)]
    [InlineData("Width7Stride1", 7, 10, 8)]
    [InlineData("Width3Stride2", 3, 9, 4)]
    [InlineData("Width5Stride2", 5, 11, 4)]
    public void ForwardReadsAWindowOnceAndMultipliesNothingElse(string shape, int width, int window, int results)
    {
        string ptx = Compile(Rows, shape);
        Assert.Equal(4 * width * results, Count(ptx, @"mul\.f32"));
        Assert.Equal((2 * window) + width + 1 + results, Count(ptx, @"ld\.global\.v4\.f32"));
        Assert.Equal(results, Count(ptx, @"st\.global\.v4\.f32"));
        NothingButWideAccess(ptx);
        Assert.Equal(1, Count(ptx, @"(div|rem)\.")); // the tile, once a thread
    }

    /// <summary>Four gradients and the window under them: S sums of four products.</summary>
    [GpuTheory("")]
    [InlineData("Width3Stride1", 3, 6)]
    [InlineData("Width5Stride1", 5, 8)]
    [InlineData("Width7Stride1", 7, 10)]
    [InlineData("Width3Stride2", 3, 9)]
    [InlineData("Width5Stride2", 5, 11)]
    public void WeightGradientReadsAStripOnceAndMultipliesNothingElse(string shape, int width, int window)
    {
        string ptx = Compile(Weights, shape);
        Assert.Equal(4 * 4 * width, Count(ptx, @"mul\.f32"));
        Assert.Equal(4 + (2 * window), Count(ptx, @"ld\.global\.v4\.f32"));
        NothingButWideAccess(ptx);
        Assert.Equal(1, Count(ptx, @"(div|rem)\.")); // the kernel row, once a thread
        Assert.Contains("ld.shared.v4.f32", ptx, StringComparison.Ordinal);
        Assert.Equal(1, Count(ptx, @"\.shared \.align")); // one buffer for all S sums
    }

    /// <summary>At stride 2 a pixel of dx takes the kernel columns of its own parity only: S·4/2 products for four pixels and four floats, not S·4.</summary>
    [GpuTheory("")]
    [InlineData("Width3Stride2", 3, 3)]
    [InlineData("Width5Stride2", 5, 4)]
    public void InputGradientMultipliesNoZeros(string shape, int width, int gradients)
    {
        string ptx = Compile("DepthwiseSpreadKernel<Float4, {0}>", shape);
        Assert.Equal(2 * width * 4, Count(ptx, @"mul\.f32"));
        Assert.Equal(gradients + width + 4, Count(ptx, @"ld\.global\.v4\.f32"));
        NothingButWideAccess(ptx);
    }

    /// <summary>Where every element is found by dividing its number, the divisions are multiplications.</summary>
    [GpuTheory("")]
    [InlineData("ChannelMapKernel")]
    [InlineData("MapKernel")]
    [InlineData("MoveKernel")]
    [InlineData("GatherKernel")]
    [InlineData("DropoutKernel")]
    [InlineData("LargestKernel")]
    [InlineData("LargestSpreadKernel")]
    public void ElementsAreFoundWithoutDivisions(string kernel)
    {
        var variants = GpuRuntime.Kernels.Where(k => k.Split('<')[0] == kernel).ToArray();
        Assert.NotEmpty(variants);
        foreach (string variant in variants)
        {
            int divisions = Count(GpuRuntime.CompileToPtx(variant).Ptx, @"(div|rem)\.[us]");
            Assert.True(divisions == 0, $"{variant}: {divisions} integer divisions");
        }
    }

    private static string Compile(string kernel, string shape) => GpuRuntime.CompileToPtx(string.Format(System.Globalization.CultureInfo.InvariantCulture, kernel, shape)).Ptx;

    private static void NothingButWideAccess(string ptx)
    {
        Assert.Equal(0, Count(ptx, @"(ld|st)\.global\.f32"));
        Assert.Equal(0, Count(ptx, @"\.local"));
    }

    private static int Count(string ptx, string pattern) => Regex.Count(ptx, pattern);
}
