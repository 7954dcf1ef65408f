using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>What the refocusing kernels promise about their inner loops.</summary>
public sealed partial class RefocusPtxTests
{
    [GpuFact("")]
    public void TheForwardLoopIsThirteenWideLoadsAnd144Products()
    {
        string loop = Loop("RefocusGroupedKernel<WideQuads>", products: 144);
        Assert.Equal(13, Count(loop, "ld.global.v4.f32"));
        Assert.Equal(0, Count(loop, "ld.global.f32"));
        Assert.Equal(144, Count(loop, "mul.f32"));
        Assert.Equal(144, Count(loop, "add.f32"));
        NothingSlow(loop);
    }

    [GpuFact("")]
    public void TheMapGradientLoopIsOneWideLoadOfEachKindAnd16Products()
    {
        string loop = Loop("RefocusGroupedMapKernel<WideQuads>", products: 16);
        Assert.Equal(1, Count(loop, "ld.global.v4.f32"));
        Assert.Equal(1, Count(loop, "ld.shared.v4.f32"));
        Assert.Equal(16, Count(loop, "mul.f32"));
        NothingSlow(loop);
    }

    [GpuFact("")]
    public void TheBasisGradientLoopReadsTheMapOnce()
    {
        string loop = Loop("RefocusSpreadKernel<WideQuads>", products: 36);
        Assert.Equal(1, Count(loop, "ld.global.v4.f32"));
        Assert.Equal(2, Count(loop, "ld.shared.v4.f32"));
        Assert.Equal(36, Count(loop, "mul.f32"));
        NothingSlow(loop);
    }

    [GpuTheory("")]
    [InlineData("RefocusDense3x3Kernel", 18, 9)]
    [InlineData("RefocusDenseMap3x3Kernel", 18, 9)]
    public void DensePlanesAreReadAndWrittenOnce(string kernel, int loads, int stores)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        Assert.Equal(49 * 4, Count(ptx, "mul.f32") - OfTheStep(ptx));
        Assert.True(Count(ptx, "ld.global.v4.f32") >= loads);
        Assert.True(Count(ptx, "st.global.v4.f32") >= stores);
        Assert.Equal(0, Count(ptx, "ld.global.f32"));
        NothingSlow(ptx);
    }

    /// <summary>Products that are not of the transform: with each of the nine taps come those of the optimiser, four times four.</summary>
    private static int OfTheStep(string ptx) => ptx.Contains("RefocusDenseMap", StringComparison.Ordinal) ? 9 * 4 * 4 : 0;

    /// <summary>Between a label and a branch back to it: the loop that has so many products.</summary>
    private static string Loop(string kernel, int products)
    {
        string ptx = GpuRuntime.CompileToPtx(kernel).Ptx;
        List<string> loops = [];
        foreach (Match label in Label().Matches(ptx))
        {
            var back = Regex.Matches(ptx[label.Index..], $@"bra(\.uni)?\s+{Regex.Escape(label.Groups[1].Value)};");
            if (back.Count > 0) loops.Add(ptx.Substring(label.Index, back[^1].Index));
        }
        string[] those = [.. loops.Where(l => Count(l, "mul.f32") == products).OrderBy(l => l.Length)];
        Assert.True(those.Length > 0, $"{kernel} has no loop of {products} products; its loops have {string.Join(", ", loops.Select(l => Count(l, "mul.f32")))}");
        return those[0];
    }

    private static void NothingSlow(string loop)
    {
        Assert.DoesNotContain("div.", loop, StringComparison.Ordinal);
        Assert.DoesNotContain("rem.", loop, StringComparison.Ordinal);
        Assert.DoesNotContain(".local", loop, StringComparison.Ordinal);
        Assert.DoesNotContain("bar.sync", loop, StringComparison.Ordinal);
    }

    private static int Count(string text, string instruction) => Regex.Count(text, $@"{Regex.Escape(instruction)}\s");

    [GeneratedRegex(@"^\s*(L_\d+):", RegexOptions.Multiline)]
    private static partial Regex Label();
}
