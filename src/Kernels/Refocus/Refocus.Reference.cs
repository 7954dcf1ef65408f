namespace RefConv.Kernels;

internal sealed partial class ReferenceKernels
{
    public void RefocusUnfold(in RefocusGeometry g, BufferView basis, BufferView unfolded)
    {
        if (g.Groups == 1) return;
        var b = S(basis);
        var to = S(unfolded);
        int at = 0, k = g.MapK;
        for (int q = 0; q < g.D / g.Groups; q++)
        for (int y = 0; y < g.R; y++)
        for (int x = 0; x < g.S; x++)
        for (int j = 0; j < g.Groups; j++)
        for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++)
        {
            int row = y + u - (k / 2), column = x + v - (k / 2);
            to[at++] = Inside(g, row, column) ? b[KernelIndex(g, (q * g.Groups) + j, row, column)] : 0;
        }
    }

    public void RefocusForward(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView map, BufferView result, bool shortcut)
    {
        var b = S(basis);
        var m = S(map);
        var w = S(result);
        int k = g.MapK;
        for (int d = 0; d < g.D; d++)
        for (int y = 0; y < g.R; y++)
        for (int x = 0; x < g.S; x++)
        {
            double sum = 0;
            for (int j = 0; j < g.Groups; j++)
            for (int u = 0; u < k; u++)
            for (int v = 0; v < k; v++)
            {
                int row = y + u - (k / 2), column = x + v - (k / 2);
                if (!Inside(g, row, column)) continue;
                sum += m[MapIndex(g, d, j, u, v)] * b[KernelIndex(g, (d / g.Groups * g.Groups) + j, row, column)];
            }
            int at = KernelIndex(g, d, y, x);
            // −0 + 0 is +0: where nothing is added, the basis keeps even the sign of its zeros.
            w[at] = !shortcut ? sum : sum == 0 ? b[at] : b[at] + sum;
        }
    }

    public void RefocusMapGradient(in RefocusGeometry g, BufferView basis, BufferView unfolded, BufferView dw, BufferView dmap, bool accumulate)
    {
        var b = S(basis);
        var dws = S(dw);
        var dm = S(dmap);
        int k = g.MapK;
        for (int d = 0; d < g.D; d++)
        for (int j = 0; j < g.Groups; j++)
        for (int u = 0; u < k; u++)
        for (int v = 0; v < k; v++)
        {
            double sum = 0;
            for (int y = 0; y < g.R; y++)
            for (int x = 0; x < g.S; x++)
            {
                int row = y + u - (k / 2), column = x + v - (k / 2);
                if (!Inside(g, row, column)) continue;
                sum += dws[KernelIndex(g, d, y, x)] * b[KernelIndex(g, (d / g.Groups * g.Groups) + j, row, column)];
            }
            Put(ref dm[MapIndex(g, d, j, u, v)], sum, accumulate);
        }
    }

    public void RefocusMapStep(in RefocusGeometry g, in SgdStepGeometry step, BufferView basis, BufferView unfolded, BufferView dw, BufferView map, BufferView velocity)
    {
        using var device = new ReferenceDevice();
        using var gradient = device.Rent(g.MapLength);
        RefocusMapGradient(g, basis, unfolded, dw, gradient.View, accumulate: false);
        SgdStep(step, map, gradient.View, velocity);
    }

    public void RefocusBasisGradient(in RefocusGeometry g, BufferView map, BufferView dw, BufferView dbasis, bool shortcut, bool accumulate)
    {
        var m = S(map);
        var dws = S(dw);
        var db = S(dbasis);
        int k = g.MapK;
        for (int c = 0; c < g.D; c++)
        for (int y = 0; y < g.R; y++)
        for (int x = 0; x < g.S; x++)
        {
            int at = KernelIndex(g, c, y, x), first = c / g.Groups * g.Groups;
            double sum = shortcut ? dws[at] : 0;
            for (int d = first; d < first + g.Groups; d++)
            for (int u = 0; u < k; u++)
            for (int v = 0; v < k; v++)
            {
                int row = y - u + (k / 2), column = x - v + (k / 2);
                if (!Inside(g, row, column)) continue;
                sum += m[MapIndex(g, d, c % g.Groups, u, v)] * dws[KernelIndex(g, d, row, column)];
            }
            Put(ref db[at], sum, accumulate);
        }
    }

    private static bool Inside(in RefocusGeometry g, int y, int x) => y >= 0 && y < g.R && x >= 0 && x < g.S;

    /// <summary>Where kernel channel d = o·(Cin/g) + i has its pixel (y, x): kernels are stored [r, s, i, o].</summary>
    private static int KernelIndex(in RefocusGeometry g, int d, int y, int x)
    {
        int o = d / g.GroupC, i = d % g.GroupC;
        return (((((y * g.S) + x) * g.GroupC) + i) * g.Cout) + o;
    }

    /// <summary>Where the map has [d, j, u, v]: stored so for g &gt; 1, and [u, v, i, o] for g = 1 (where j is always 0).</summary>
    private static int MapIndex(in RefocusGeometry g, int d, int j, int u, int v)
    {
        int tap = (u * g.MapK) + v;
        if (g.Groups > 1) return (((d * g.Groups) + j) * g.MapK * g.MapK) + tap;
        int o = d / g.GroupC, i = d % g.GroupC;
        return (((tap * g.GroupC) + i) * g.Cout) + o;
    }
}
