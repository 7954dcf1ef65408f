using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// The refocusing transform. Its size does not depend on batch or image, so what counts is the traffic of the map, Cin·Cout·k² weights:
/// the forward pass reads it once and its gradient writes it once, in order. Two kinds: <c>Refocus.Cpu.Grouped.cs</c> for g &gt; 1, where
/// kernels mix (depthwise convolutions above all), <c>Refocus.Cpu.Dense.cs</c> for g = 1, where each kernel is filtered alone.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    private const long RefocusGrain = 1 << 19; // multiply-adds a piece of work

    public void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded)
    {
        if (g.Groups == 1) return;
        var shape = g;
        float* from = P(basis), to = P(unfolded);
        long each = (long)g.R * g.S * g.MapK * g.MapK;
        ParallelRange(g.D, Math.Max(16, (1 << 16) / each), (first, last) =>
        {
            for (int d = (int)first; d < last; d++) UnfoldOne(shape, d, from, to);
        });
    }

    public void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut)
    {
        if (g.Groups == 1)
        {
            RunDense(g, DenseProducts.Forward(g), P(map), P(basis), shortcut ? P(basis) : null, P(result), accumulate: false);
            return;
        }
        var shape = g;
        float* init = shortcut ? P(basis) : null, u = P(unfolded), m = P(map), to = P(result);
        ParallelRange(g.D, GroupedRows(g), (first, last) => GroupedForward(shape, (int)first, (int)last, init, u, m, to));
    }

    public void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate)
    {
        if (g.Groups == 1)
        {
            RunDense(g, DenseProducts.MapGradient(g), P(dw), P(basis), null, P(dmap), accumulate);
            return;
        }
        var shape = g;
        float* u = P(unfolded), d = P(dw), to = P(dmap);
        ParallelRange(g.D, GroupedRows(g), (first, last) => GroupedMapGradient(shape, (int)first, (int)last, u, d, to, accumulate, default));
    }

    public void RefocusMapStep(in RefocusGeometry g, in SgdStepGeometry step, BufferView basis, BufferView unfolded, BufferView dw, BufferView map, BufferView velocity)
    {
        if (g.Groups == 1)
        {
            // D·k² weights, as few as the kernel itself: nothing to gain.
            using var gradient = _device.Rent(g.MapLength);
            RefocusMapGradient(g, basis, unfolded, dw, gradient.View, accumulate: false);
            SgdStep(step, new SgdOperand(map, gradient.View, velocity));
            return;
        }
        var shape = g;
        float* u = P(unfolded), d = P(dw);
        var target = new MapStep { Constants = step, Map = P(map), Velocity = P(velocity) };
        ParallelRange(g.D, GroupedRows(g), (first, last) => GroupedMapGradient(shape, (int)first, (int)last, u, d, null, accumulate: false, target));
    }

    /// <summary>What becomes of a piece of the map's gradient where it is not wanted in memory.</summary>
    private struct MapStep
    {
        public SgdStepGeometry Constants;
        public float* Map, Velocity;
    }

    public void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate)
    {
        if (g.Groups == 1) RunDense(g, DenseProducts.BasisGradient(g), P(map), P(dw), shortcut ? P(dw) : null, P(dbasis), accumulate);
        else GroupedBasisGradient(g, P(map), P(dw), shortcut, P(dbasis), accumulate);
    }

    /// <summary>
    /// Kernel channels (an even number) that make one piece of work: enough to be worth a thread, and enough to use a stretch of the basis often.
    /// </summary>
    private static long GroupedRows(in RefocusGeometry g) => Math.Max(2, Math.Max(RefocusGrain / (g.Macs / g.D), Math.Min(32, g.D / 32)) / 2 * 2);

    /// <summary>Where kernel channel d = o·(Cin/g) + i lies within one pixel [i, o] of a stored kernel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint KernelOffset(in RefocusGeometry g, int d)
    {
        int o = d / g.GroupC;
        return ((nint)(d - (o * g.GroupC)) * g.Cout) + o;
    }

    /// <summary>The k² neighbours of every pixel of kernel channel d, as runs of k² in the rows of its group.</summary>
    private static void UnfoldOne(in RefocusGeometry g, int d, float* basis, float* unfolded)
    {
        int k = g.MapK, k2 = k * k, group = d / g.Groups;
        nint length = (nint)g.Groups * k2;
        float* from = basis + KernelOffset(g, d), to = unfolded + (group * g.R * g.S * length) + (d % g.Groups * k2);
        for (int y = 0; y < g.R; y++)
        {
            for (int x = 0; x < g.S; x++, to += length)
            {
                for (int tap = 0; tap < k2; tap++)
                {
                    int row = y + (tap / k) - (k / 2), column = x + (tap % k) - (k / 2);
                    bool inside = (uint)row < (uint)g.R && (uint)column < (uint)g.S;
                    to[tap] = inside ? from[(nint)((row * g.S) + column) * g.D] : 0;
                }
            }
        }
    }

    /// <summary>
    /// basis + change, and exactly the basis where the change is zero: −0 + 0 would be +0, and a zero map promises the basis bit for bit.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V AddChange<V>(V basis, V change) where V : unmanaged
    {
        V size = Simd.Max(change, Simd.Subtract(Simd.Broadcast<V>(0), change)); // |change|; NaN stays NaN and is added
        return Simd.SelectGreater(Simd.Broadcast<V>(float.Epsilon), size, basis, Simd.Add(basis, change));
    }
}
