using System.Text.RegularExpressions;
using RefConv.Kernels;

namespace RefConv.Tests.Gpu;

/// <summary>What can be seen of a kernel's speed without a GPU: its PTX, compiled here for an H100.</summary>
public sealed partial class PtxTests
{
    /// <summary>Shared memory that a kernel may have without asking the driver for more.</summary>
    private const int SharedBytes = 48 * 1024;

    public static TheoryData<string> Kernels => new(GpuRuntime.Kernels.DefaultIfEmpty("none in this build"));

    [GpuTheory("")]
    [MemberData(nameof(Kernels))]
    public void KeepsWhatItPromises(string kernel)
    {
        var listing = GpuRuntime.CompileToPtx(kernel);
        string ptx = listing.Ptx;
        Assert.True(!listing.Hot || !ptx.Contains(".local", StringComparison.Ordinal), $"{kernel}: a hot kernel uses local memory");
        if (listing.Wide)
        {
            Assert.Contains("ld.global.v4.f32", ptx, StringComparison.Ordinal);
            Assert.Contains("st.global.v4.f32", ptx, StringComparison.Ordinal);
        }
        foreach (string instruction in listing.Uses) Assert.Contains(instruction, ptx, StringComparison.Ordinal);
        Assert.Contains($".maxntid {listing.Group}", ptx, StringComparison.Ordinal);
        if (listing.MinGroups > 0) Assert.Contains($".minnctapersm {listing.MinGroups}", ptx, StringComparison.Ordinal);
        Assert.DoesNotMatch(UndefinedCall(), ptx);
        Assert.DoesNotMatch(ConditionalUniformBranch(), ptx);
        int shared = SharedArray().Matches(ptx).Sum(m => int.Parse(m.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture));
        Assert.True(shared <= SharedBytes, $"{kernel}: {shared} bytes of shared memory");
    }

    // ".shared .align 16 .b8 name[4096];"
    [GeneratedRegex(@"\.shared \.align \d+ \.b8 \S+?\[(\d+)\]")]
    private static partial Regex SharedArray();

    // A promise about a warp that ILGPU makes where it does not hold.
    [GeneratedRegex(@"@!?%\w+\s+bra\.uni")]
    private static partial Regex ConditionalUniformBranch();

    // A call into libdevice (__nv_…), which is not there to be linked.
    [GeneratedRegex(@"__nv_\w+")]
    private static partial Regex UndefinedCall();
}
