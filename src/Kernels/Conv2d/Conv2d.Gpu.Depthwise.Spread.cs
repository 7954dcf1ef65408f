using ILGPU;

namespace RefConv.Kernels;

internal sealed partial class GpuKernels
{
    /// <summary>Runs the input gradient of stride 2, where the kernel's width has one.</summary>
    private bool LaunchDepthwiseSpread<L>(in Conv2dGeometry g, DepthwiseArguments a) where L : unmanaged, ILanes<L>
    {
        if (g.DilationH != 1 || g.DilationW != 1 || g.StrideH != 2 || g.StrideW != 2) return false;
        Action<DepthwiseArguments>? kernel = (L.Width, g.S) switch
        {
            (_, 3) => DepthwiseSpreadKernel<L, Width3Stride2>,
            (4, 5) => DepthwiseSpreadKernel<L, Width5Stride2>,
            _ => null,
        };
        if (kernel == null) return false;
        int group = BarrierGroup(DepthwiseGroup);
        // Columns begin at the last pixel with an even place in the padded map: one before the first where the padding is odd.
        int columns = DivideUp(g.W + (g.PadLeft & 1), 4);
        a.Tile = DepthwiseTile.Cut(group, a.Channels.Value, 32 / L.Width, columns, g.H, a.N, out var groups);
        LaunchGroups(kernel, groups, a, group);
        return true;
    }

    /// <summary>
    /// A thread has four neighbouring pixels of dx: two pairs at an even and an odd place of the padded map. The even one of pair m is under the kernel's even columns, of windows
    /// m, m−1, …, the odd one under the odd columns of the same windows: dy is read once for all four, and no product is with a zero between the windows.
    /// </summary>
    /// <remarks>
    /// Bytes: dx and a quarter as much dy: 20 for a Float4 of dx, 1.4 cycles of an H100's multiprocessor. 3×3: 2.3 loads (0.3 cycles) and some 30 instructions (0.3); 5×5: 5.6 loads (0.7)
    /// and 60 instructions (0.5): bound by memory (expected: above 80 % of a copy).
    /// </remarks>
    [GpuKernel(DepthwiseGroup, MinGroups = 3, Hot = true, Wide = true)]
    [GpuVariant(typeof(Float4), typeof(Width3Stride2)), GpuVariant(typeof(Float4), typeof(Width5Stride2)), GpuVariant(typeof(Float1), typeof(Width3Stride2))]
    private static void DepthwiseSpreadKernel<L, T>(DepthwiseArguments a) where L : unmanaged, ILanes<L> where T : struct, IDepthwiseShape
    {
        var place = DepthwisePlace.OfThread(a.Tile);
        int c = place.Channel, n = place.Image, h = place.Row, first = (place.Column * 4) - (a.PadLeft & 1);
        if (c >= a.Channels.Value || n >= a.N || h >= a.H || first >= a.W) return;
        int step = a.Channels.Value, m = (first + a.PadLeft) >> 1, padded = h + a.PadTop, left = m - (T.S >> 1);
        var dy = a.X.Cast<L>();
        var weights = a.Weights.Cast<L>();
        DepthwiseFour<L> sums = default;
        for (int r = padded & 1; r < a.R; r += 2)
        {
            int p = (padded - r) >> 1;
            if (p < 0 || p >= a.P) continue;
            var w = DepthwiseParts.LoadTaps<L, T>(weights, (r * a.WeightRow) + c, a.WeightColumn);
            int row = (((n * a.P) + p) * a.Q * step) + c;
            L v0 = DepthwiseParts.Pixel(dy, row, left, a.Q, step), v1 = DepthwiseParts.Pixel(dy, row, left + 1, a.Q, step);
            L v2 = DepthwiseParts.Pixel(dy, row, left + 2, a.Q, step), v3 = default;
            if (T.S > 3) v3 = DepthwiseParts.Pixel(dy, row, left + 3, a.Q, step);
            if (T.S == 3)
            {
                sums.A = sums.A + (w.W0 * v1) + (w.W2 * v0);
                sums.B = sums.B + (w.W1 * v1);
                sums.C = sums.C + (w.W0 * v2) + (w.W2 * v1);
                sums.D = sums.D + (w.W1 * v2);
            }
            else
            {
                sums.A = sums.A + (w.W0 * v2) + (w.W2 * v1) + (w.W4 * v0);
                sums.B = sums.B + (w.W1 * v2) + (w.W3 * v1);
                sums.C = sums.C + (w.W0 * v3) + (w.W2 * v2) + (w.W4 * v1);
                sums.D = sums.D + (w.W1 * v3) + (w.W3 * v2);
            }
        }
        int rowAt = (((n * a.H) + h) * a.W * step) + c;
        SpreadOne(a, sums.A, rowAt, first);
        SpreadOne(a, sums.B, rowAt, first + 1);
        SpreadOne(a, sums.C, rowAt, first + 2);
        SpreadOne(a, sums.D, rowAt, first + 3);
    }

    private static void SpreadOne<L>(DepthwiseArguments a, L value, int row, int column) where L : unmanaged, ILanes<L>
    {
        if (column >= 0 && column < a.W) Store<L, PlainFinish>(a, value, row + (column * a.Channels.Value));
    }
}
