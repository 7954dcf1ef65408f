namespace RefConv.Kernels;

/// <summary>
/// Row i of a block is r·C neighbours in the wide map. In DCR order they are neighbours in the deep map too, and the whole is a copy of such runs;
/// in CRD order they are every r²-th element, C times for each of r columns. With one channel the orders agree, and the copy serves both.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    public void DepthToSpace(in DepthToSpaceGeometry g, BufferView x, BufferView y, bool accumulate) => Exchange(g, P(x), P(y), toWide: true, accumulate);

    public void SpaceToDepth(in DepthToSpaceGeometry g, BufferView y, BufferView x, bool accumulate) => Exchange(g, P(x), P(y), toWide: false, accumulate);

    private void Exchange(in DepthToSpaceGeometry g, float* deep, float* wide, bool toWide, bool accumulate)
    {
        int r = g.Block, width = g.W, run = r * g.C, depth = run * r, channels = g.C;
        bool runs = g.Mode == DepthToSpaceMode.DCR || channels == 1;
        ParallelRange((long)g.N * g.H, Math.Max(1, ElementGrain / ((long)width * depth)), (first, last) =>
        {
            for (long h = first; h < last; h++)
            {
                float* pixel = deep + (h * width * depth);
                for (int w = 0; w < width; w++, pixel += depth)
                {
                    for (int i = 0; i < r; i++)
                    {
                        float* row = wide + ((((((h * r) + i) * width) + w) * run));
                        if (!runs) Scattered(pixel + (i * r), row, r, channels, toWide, accumulate);
                        else if (toWide) CopyRun(pixel + (i * run), row, run, accumulate);
                        else CopyRun(row, pixel + (i * run), run, accumulate);
                    }
                }
            }
        });
    }

    /// <summary>deep[c·r² + j] and row[j·C + c] exchanged, for a row of a block.</summary>
    private static void Scattered(float* deep, float* row, int r, int channels, bool toWide, bool accumulate)
    {
        int step = r * r;
        for (int j = 0; j < r; j++)
        {
            float* p = deep + j;
            for (int c = 0; c < channels; c++, p += step, row++)
            {
                if (toWide) *row = accumulate ? *row + *p : *p;
                else *p = accumulate ? *p + *row : *row;
            }
        }
    }
}
