using System.Text.RegularExpressions;

namespace RefConv.Kernels;

/// <summary>
/// Takes a promise out of ILGPU's PTX that it cannot keep. <c>bra.uni</c> tells the driver that all threads of a warp take the same branch. ILGPU 1.5.3 says so where a condition is made of values that are
/// the same for all threads, and overlooks that a choice between two such values may itself depend on the thread: <c>int n = thread &lt; rest ? 1 : 0; if (n == 0) …</c> is called uniform
/// and is not. What the driver makes of a false promise is undefined. A plain <c>bra</c> is always right, and the driver's own compiler finds out by itself which branches are uniform.
/// </summary>
internal static partial class PtxRepair
{
    public static string Apply(string ptx) => ConditionalUniformBranch().Replace(ptx, "$1bra");

    [GeneratedRegex(@"(@!?%\w+\s+)bra\.uni")]
    private static partial Regex ConditionalUniformBranch();
}
