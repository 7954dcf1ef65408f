using ILGPU;

namespace RefConv.Kernels;

/// <summary>
/// The refocusing transform on a GPU. As on the processor its cost is the traffic of the map, Cin·Cout·k² weights: every kernel here goes through it once, in storage
/// order, 128 bits a thread, and what it is multiplied with is small and comes from the caches. g &gt; 1: <c>Refocus.Gpu.Grouped.cs</c> (forward),
/// <c>.GroupedMap.cs</c> (map gradient, with or without the optimiser's step), <c>.GroupedBasis.cs</c>. g = 1: <c>.Dense3x3.cs</c>, and <c>.Dense.cs</c> for other sizes.
/// </summary>
internal sealed partial class GpuKernels
{
    public void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded)
    {
        if (g.Groups == 1) return;
        LaunchElements<RefocusUnfoldArguments>(RefocusUnfoldKernel, g.UnfoldedLength, new() { Shape = new(g), Basis = V(basis), Unfolded = V(unfolded), Count = (int)g.UnfoldedLength });
    }

    public void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut)
    {
        if (g.Groups == 1) RefocusDense(g, map, basis, result, shortcut, mirrored: false, accumulate: false);
        else RefocusGrouped(g, basis, unfolded, map, result, shortcut);
    }

    public void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate)
    {
        var target = new RefocusMapTarget { Map = V(dmap), Velocity = V(dmap), Mode = accumulate ? RefocusMapTarget.Add : RefocusMapTarget.Write };
        RefocusMap(g, basis, unfolded, dw, target, AreAligned(basis, unfolded, dw, dmap));
    }

    public void RefocusMapStep(in RefocusGeometry g, in SgdStepGeometry step, BufferView basis, BufferView unfolded, BufferView dw, BufferView map, BufferView velocity)
    {
        var target = new RefocusMapTarget
        {
            Map = V(map), Velocity = V(velocity), Mode = step.Momentum == 0 ? RefocusMapTarget.Step : step.First ? RefocusMapTarget.FirstStep : RefocusMapTarget.MomentumStep,
            Constants = new(step),
        };
        RefocusMap(g, basis, unfolded, dw, target, AreAligned(basis, unfolded, dw, map, velocity));
    }

    public void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate)
    {
        // Each kernel filtered alone: the same transform of dw, with the taps in reverse.
        if (g.Groups == 1) RefocusDense(g, map, dw, dbasis, shortcut, mirrored: true, accumulate);
        else RefocusGroupedBasis(g, map, dw, dbasis, shortcut, accumulate);
    }

    private void RefocusMap(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, RefocusMapTarget target, bool aligned)
    {
        if (g.Groups == 1) RefocusDenseMap(g, basis, dw, target, aligned);
        else RefocusGroupedMap(g, unfolded, dw, target, aligned);
    }

    /// <summary>The geometry in the words of the kernels.</summary>
    internal struct RefocusShape(in RefocusGeometry g)
    {
        public int Cout = g.Cout, GroupC = g.GroupC, Groups = g.Groups, D = g.D, R = g.R, S = g.S, K = g.MapK, Pixels = g.R * g.S, Length = g.Groups * g.MapK * g.MapK;

        /// <summary>Where kernel channel d has a pixel: kernels are stored [r, s, i, o], and d = o·(Cin/g) + i.</summary>
        public readonly int KernelIndex(int d, int pixel)
        {
            if (GroupC == 1) return (pixel * D) + d;
            int o = d / GroupC;
            return (((pixel * GroupC) + (d - (o * GroupC))) * Cout) + o;
        }

        /// <summary>The pixel that a tap of the map looks at from here, or −1 outside the kernel.</summary>
        public readonly int Neighbour(int pixel, int tap)
        {
            int row = (pixel / S) + (tap / K) - (K / 2), column = (pixel % S) + (tap % K) - (K / 2);
            return row >= 0 && row < R && column >= 0 && column < S ? (row * S) + column : -1;
        }
    }

    internal struct RefocusUnfoldArguments
    {
        public RefocusShape Shape;
        public ArrayView<float> Basis, Unfolded;
        public int Count;
    }

    /// <remarks>Once for a frozen basis, so nothing was done for its divisions: written in order, read from the caches.</remarks>
    [GpuKernel(ElementGroup)]
    private static void RefocusUnfoldKernel(RefocusUnfoldArguments a)
    {
        int taps = a.Shape.K * a.Shape.K;
        for (int i = GpuThread.First; i < a.Count; i += GpuThread.Step)
        {
            int tap = i % taps, j = i / taps % a.Shape.Groups, row = i / a.Shape.Length, pixel = row % a.Shape.Pixels, group = row / a.Shape.Pixels;
            int neighbour = a.Shape.Neighbour(pixel, tap);
            float value = 0;
            if (neighbour >= 0) value = a.Basis[a.Shape.KernelIndex((group * a.Shape.Groups) + j, neighbour)];
            a.Unfolded[i] = value;
        }
    }

    /// <summary>basis + change, and exactly the basis where the change is zero: −0 + 0 would be +0, and a zero map promises the basis bit for bit.</summary>
    private static float RefocusChanged(float basis, float change) => change == 0 ? basis : basis + change;
}
