using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>One kernel position: where it looks, relative to the source pixel of a grid point, and which weights it uses.</summary>
/// <param name="Top">Rows down from the grid point's source row; negative is up.</param>
/// <param name="Left">Columns right.</param>
/// <param name="Index">r·S + s.</param>
internal readonly record struct Tap(int Top, int Left, int Index);

/// <summary>
/// Which source pixels each target pixel sums over. A convolution, the gradient of its input (one map for each remainder of the stride) and a
/// plain matrix product differ in this map only: target pixel = Σ over taps of source pixel · weights of the tap.
/// </summary>
/// <remarks>
/// The targets are a grid of points (n, u, v). Point (n, u, v) writes target pixel (n, u·TargetStepH + TargetTop, v·TargetStepW + TargetLeft)
/// and reads, for each tap, source pixel (n, u·StepH + tap.Top, v·StepW + tap.Left), which is all zeros where that lies outside the source.
/// </remarks>
internal unsafe struct PixelMap
{
    public int Images, GridH, GridW;
    public int SourceH, SourceW, SourceC, StepH, StepW;

    /// <summary>Floats from one pixel to the next: SourceC and TargetC, or more where the pixels are runs of the channels of a larger map.</summary>
    public int SourcePitch, TargetPitch;
    public int TargetH, TargetW, TargetC, TargetStepH, TargetStepW, TargetTop, TargetLeft;
    public int Taps;
    public Tap* Tap;

    /// <summary>Points of the grid.</summary>
    public readonly int Points => checked(Images * GridH * GridW);

    /// <summary>y[m] = x[m] · w for m in [0, rows): a matrix product.</summary>
    public static PixelMap Identity(int rows, int sourceC, int targetC, Tap* tap)
    {
        *tap = default;
        return new PixelMap
        {
            Images = 1, GridH = 1, GridW = rows, SourceH = 1, SourceW = rows, SourceC = sourceC, SourcePitch = sourceC, StepH = 1, StepW = 1,
            TargetH = 1, TargetW = rows, TargetC = targetC, TargetPitch = targetC, TargetStepH = 1, TargetStepW = 1, Taps = 1, Tap = tap,
        };
    }

    /// <summary>y from x, and what the weight gradient reads of x. Memory for R·S taps is given.</summary>
    public static PixelMap Forward(in Conv2dGeometry g, Tap* taps)
    {
        if (g.IsPointwise) return Identity(checked(g.N * g.H * g.W), g.C, g.K, taps) with { SourcePitch = g.InputPitch };
        for (int r = 0; r < g.R; r++)
        for (int s = 0; s < g.S; s++)
        {
            taps[(r * g.S) + s] = new Tap((r * g.DilationH) - g.PadTop, (s * g.DilationW) - g.PadLeft, (r * g.S) + s);
        }
        return new PixelMap
        {
            Images = g.N, GridH = g.P, GridW = g.Q, SourceH = g.H, SourceW = g.W, SourceC = g.C, SourcePitch = g.InputPitch, StepH = g.StrideH, StepW = g.StrideW,
            TargetH = g.P, TargetW = g.Q, TargetC = g.K, TargetPitch = g.K, TargetStepH = 1, TargetStepW = 1, Taps = g.R * g.S, Tap = taps,
        };
    }

    /// <summary>
    /// dx from dy, for the input pixels with h mod stride = <paramref name="phaseH"/> and w mod stride = <paramref name="phaseW"/>. Output
    /// row p touches h by kernel row r when p·stride = h + pad − r·dilation. So h meets only the r for which the right side is a multiple of
    /// the stride, and these r are the same for all h of one remainder: a phase has a list of taps of its own, no product with an inserted
    /// zero is ever computed, and within a phase the map steps by one.
    /// </summary>
    public static PixelMap InputGradient(in Conv2dGeometry g, int phaseH, int phaseW, Tap* taps)
    {
        if (g.IsPointwise) return Identity(checked(g.N * g.H * g.W), g.K, g.C, taps) with { TargetPitch = g.InputPitch };
        int count = 0;
        // Backwards, so that taps follow one another in dy from left to right as they do in the forward direction.
        for (int r = g.R - 1; r >= 0; r--)
        for (int s = g.S - 1; s >= 0; s--)
        {
            int top = phaseH + g.PadTop - (r * g.DilationH), left = phaseW + g.PadLeft - (s * g.DilationW);
            if (top % g.StrideH == 0 && left % g.StrideW == 0) taps[count++] = new Tap(top / g.StrideH, left / g.StrideW, (r * g.S) + s);
        }
        return new PixelMap
        {
            Images = g.N, GridH = (g.H - phaseH + g.StrideH - 1) / g.StrideH, GridW = (g.W - phaseW + g.StrideW - 1) / g.StrideW,
            SourceH = g.P, SourceW = g.Q, SourceC = g.K, SourcePitch = g.K, StepH = 1, StepW = 1,
            TargetH = g.H, TargetW = g.W, TargetC = g.C, TargetPitch = g.InputPitch, TargetStepH = g.StrideH, TargetStepW = g.StrideW, TargetTop = phaseH, TargetLeft = phaseW,
            Taps = count, Tap = taps,
        };
    }

    /// <summary>
    /// Pointers to the source pixels of points [first, first + count): rows[(tap − firstTap)·stride + point]. Outside the source they
    /// point to zeros.
    /// </summary>
    public readonly void SourceRows(float* source, float* zeros, int firstTap, int lastTap, int first, int count, float** rows, int stride)
    {
        for (int t = firstTap; t < lastTap; t++, rows += stride)
        {
            var (n, u, v) = Point(first);
            for (int done = 0; done < count;)
            {
                // A run of points in one row of the grid: they share the source row.
                int run = Math.Min(GridW - v, count - done);
                int h = (u * StepH) + Tap[t].Top, w = (v * StepW) + Tap[t].Left;
                float* line = source + (((long)n * SourceH) + h) * SourceW * SourcePitch;
                bool inside = (uint)h < (uint)SourceH;
                for (int i = 0; i < run; i++, w += StepW)
                {
                    rows[done + i] = inside && (uint)w < (uint)SourceW ? line + ((long)w * SourcePitch) : zeros;
                }
                done += run;
                v = 0;
                if (++u == GridH) (n, u) = (n + 1, 0);
            }
        }
    }

    /// <summary>Pointers to the target pixels of points [first, first + count).</summary>
    public readonly void TargetRows(float* target, int first, int count, float** rows)
    {
        var (n, u, v) = Point(first);
        for (int i = 0; i < count; i++)
        {
            long h = (u * TargetStepH) + TargetTop, w = (v * TargetStepW) + TargetLeft;
            rows[i] = target + (((((long)n * TargetH) + h) * TargetW) + w) * TargetPitch;
            if (++v < GridW) continue;
            v = 0;
            if (++u == GridH) (n, u) = (n + 1, 0);
        }
    }

    /// <summary>
    /// Copies the windows of points [first, first + count) side by side: windows[point][tap][channel], for the channels [offset, offset + depth).
    /// For few channels, where a sum of short pieces would spend its time on starting pieces: the copy makes one long piece of them.
    /// </summary>
    /// <remarks>
    /// Copies are done in whole vectors and so write up to a vector too much: into the next tap, which is written later, or into the room at the
    /// end of the window, see <see cref="WindowStride{V}"/>. They also read up to a vector too much: the pool's blocks end with 64 spare bytes.
    /// </remarks>
    public readonly void CopyWindows<V>(float* source, int offset, int depth, int first, int count, float* windows) where V : unmanaged
    {
        long stride = WindowStride<V>((long)Taps * depth);
        for (int t = 0, taps; t < Taps; t += taps)
        {
            // Neighbouring taps see neighbouring pixels: with one group the copy of a whole kernel row is one run of memory.
            taps = depth == SourcePitch ? AdjacentTaps(t) : 1;
            float* to = windows + ((long)t * depth);
            var (n, u, v) = Point(first);
            for (int done = 0; done < count;)
            {
                int run = Math.Min(GridW - v, count - done);
                int h = (u * StepH) + Tap[t].Top, w = (v * StepW) + Tap[t].Left;
                float* line = source + (((((long)n * SourceH) + h) * SourceW) * SourcePitch) + offset;
                bool inside = (uint)h < (uint)SourceH;
                for (int i = 0; i < run; i++, w += StepW, to += stride)
                {
                    // Of the taps of the run, [low, high) lie inside the image.
                    int low = 0, high = taps;
                    if (!inside) high = 0;
                    else if (w < 0 || w + taps > SourceW) (low, high) = (Math.Clamp(-w, 0, taps), Math.Clamp(SourceW - w, 0, taps));
                    if (high - low < taps) Fill<V>(to, taps * depth);
                    if (high > low) Copy<V>(line + ((long)(w + low) * SourcePitch), to + (low * depth), (high - low) * depth);
                    if (high < taps) Fill<V>(to + (Math.Max(low, high) * depth), (taps - Math.Max(low, high)) * depth);
                }
                done += run;
                v = 0;
                if (++u == GridH) (n, u) = (n + 1, 0);
            }
        }
    }

    /// <summary>Floats from one copied window to the next: a vector of room at the end, for copies that run over.</summary>
    public static long WindowStride<V>(long floats) where V : unmanaged => floats + Simd.Width<V>();

    /// <summary>How many taps from <paramref name="t"/> on look at pixels that are neighbours in one row.</summary>
    private readonly int AdjacentTaps(int t)
    {
        int last = t + 1;
        while (last < Taps && Tap[last].Top == Tap[t].Top && Tap[last].Left == Tap[last - 1].Left + 1) last++;
        return last - t;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy<V>(float* from, float* to, int count) where V : unmanaged
    {
        for (int i = 0; i < count; i += Simd.Width<V>()) Simd.Store(to + i, Simd.Load<V>(from + i));
    }

    private static void Fill<V>(float* to, int count) where V : unmanaged
    {
        for (int i = 0; i < count; i += Simd.Width<V>()) Simd.Store(to + i, Simd.Broadcast<V>(0));
    }

    private readonly (int N, int U, int V) Point(int index) => (index / (GridH * GridW), index / GridW % GridH, index % GridW);
}
