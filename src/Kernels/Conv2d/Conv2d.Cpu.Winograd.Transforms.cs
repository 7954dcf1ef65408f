using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// The three small linear maps of Winograd's F(4×4, 3×3): of a 6×6 window of the source, of a 3×3 filter, and of a 6×6 product back to 4×4 results.
/// Each is a matrix applied to the columns and then to the rows; the lanes of a vector are channels, which all go the same way.
/// </summary>
/// <remarks>
/// <para>
/// The idea in one dimension: 4 outputs of a filter of 3 are the middle part of a product of polynomials. A polynomial product can be computed by
/// evaluating both factors at enough points, multiplying value by value, and finding the polynomial through the results. Six points, 6 multiplications
/// instead of 4 · 3 = 12; in two dimensions 36 instead of 144. Evaluating and finding again costs additions, but these are shared by all filters and
/// by all channels.
/// </para>
/// <para>
/// The points are 0, ±<see cref="A"/>, ±<see cref="B"/> and ∞. Opposite pairs share their even and odd halves. 0, ±1, ±2 is the choice of the
/// books; with the points below the entries of the matrices are of more even size, and the rounding error is about 2.5 times smaller.
/// </para>
/// </remarks>
internal static unsafe class Winograd
{
    /// <summary>Results along one side of a tile, points along one side, and products a tile.</summary>
    public const int Outputs = 4, Points = 6, Products = Points * Points;

    private const float A = 0.75f, B = 1.5f;
    private const float A2 = A * A, B2 = B * B, A3 = A2 * A, B3 = B2 * B, Sum = A2 + B2, Product = A2 * B2;

    /// <summary>What the interpolation at ±A and at ±B divides by; at 0 by <see cref="Product"/>, at ∞ by 1.</summary>
    private const float AtA = 1 / (2 * A2 * (A2 - B2)), AtB = 1 / (2 * B2 * (B2 - A2));

    /// <summary>
    /// target[point · stride + channel] = (Bᵀ d B)[point] for all channels, d being the 6×6 pixels of a window.
    /// </summary>
    /// <param name="pixels">Pointers to the 36 pixels.</param>
    /// <param name="channels">Channels; whole vectors are read and written, so pixels and target must have that much room.</param>
    /// <param name="target">Transformed window.</param>
    /// <param name="stride">Floats from one point to the next.</param>
    /// <param name="half">Room for 36 vectors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TransformSource<V>(float** pixels, int channels, float* target, nint stride, float* half) where V : unmanaged
    {
        int w = Simd.Width<V>();
        for (nint c = 0; c < channels; c += w)
        {
            for (int s = 0; s < Points; s++)
            {
                float** p = pixels + s;
                SourcePoints(
                    Simd.Load<V>(p[0] + c), Simd.Load<V>(p[6] + c), Simd.Load<V>(p[12] + c),
                    Simd.Load<V>(p[18] + c), Simd.Load<V>(p[24] + c), Simd.Load<V>(p[30] + c), half + (s * w), Points * w);
            }
            for (int r = 0; r < Points; r++)
            {
                float* h = half + (r * Points * w);
                SourcePoints(
                    Simd.Load<V>(h), Simd.Load<V>(h + w), Simd.Load<V>(h + (2 * w)),
                    Simd.Load<V>(h + (3 * w)), Simd.Load<V>(h + (4 * w)), Simd.Load<V>(h + (5 * w)), target + (r * Points * stride) + c, stride);
            }
        }
    }

    /// <summary>Six pixels in a line, seen as polynomials: their parts that meet the six points.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SourcePoints<V>(V d0, V d1, V d2, V d3, V d4, V d5, float* to, nint stride) where V : unmanaged
    {
        V minusA2 = Simd.Broadcast<V>(-A2), minusB2 = Simd.Broadcast<V>(-B2), minusSum = Simd.Broadcast<V>(-Sum), product = Simd.Broadcast<V>(Product);
        Simd.Store(to, Simd.Fma(product, d0, Simd.Fma(minusSum, d2, d4)));
        V even = Simd.Fma(minusB2, d2, d4), odd = Simd.Fma(minusB2, d1, d3);
        Simd.Store(to + stride, Simd.Fma(Simd.Broadcast<V>(A), odd, even));
        Simd.Store(to + (2 * stride), Simd.Fma(Simd.Broadcast<V>(-A), odd, even));
        even = Simd.Fma(minusA2, d2, d4);
        odd = Simd.Fma(minusA2, d1, d3);
        Simd.Store(to + (3 * stride), Simd.Fma(Simd.Broadcast<V>(B), odd, even));
        Simd.Store(to + (4 * stride), Simd.Fma(Simd.Broadcast<V>(-B), odd, even));
        Simd.Store(to + (5 * stride), Simd.Fma(product, d1, Simd.Fma(minusSum, d3, d5)));
    }

    /// <summary>
    /// target[point · stride] = (G f Gᵀ)[point], one vector of filters.
    /// </summary>
    /// <param name="filter">The 9 taps, stride <paramref name="tapStride"/>, in reading order; reversed with <paramref name="flip"/>.</param>
    /// <param name="tapStride">Floats from one tap to the next.</param>
    /// <param name="flip">Turn the filter by half a turn: the input gradient walks the window backwards.</param>
    /// <param name="target">Transformed filter.</param>
    /// <param name="stride">Floats from one point to the next.</param>
    /// <param name="half">Room for 18 vectors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TransformFilter<V>(float* filter, nint tapStride, bool flip, float* target, nint stride, float* half) where V : unmanaged
    {
        int w = Simd.Width<V>();
        if (flip)
        {
            filter += 8 * tapStride;
            tapStride = -tapStride;
        }
        for (int s = 0; s < 3; s++)
        {
            float* f = filter + (s * tapStride);
            FilterPoints(Simd.Load<V>(f), Simd.Load<V>(f + (3 * tapStride)), Simd.Load<V>(f + (6 * tapStride)), half + (s * w), 3 * w);
        }
        for (int r = 0; r < Points; r++)
        {
            float* h = half + (3 * r * w);
            FilterPoints(Simd.Load<V>(h), Simd.Load<V>(h + w), Simd.Load<V>(h + (2 * w)), target + (r * Points * stride), stride);
        }
    }

    /// <summary>
    /// The values of f0 + f1·t + f2·t² at the points, each divided by what the interpolation at that point divides by.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FilterPoints<V>(V f0, V f1, V f2, float* to, nint stride) where V : unmanaged
    {
        Simd.Store(to, Simd.Multiply(f0, Simd.Broadcast<V>(1 / Product)));
        V even = Simd.Multiply(Simd.Broadcast<V>(AtA), Simd.Fma(Simd.Broadcast<V>(A2), f2, f0)), odd = Simd.Multiply(Simd.Broadcast<V>(AtA * A), f1);
        Simd.Store(to + stride, Simd.Add(even, odd));
        Simd.Store(to + (2 * stride), Simd.Subtract(even, odd));
        even = Simd.Multiply(Simd.Broadcast<V>(AtB), Simd.Fma(Simd.Broadcast<V>(B2), f2, f0));
        odd = Simd.Multiply(Simd.Broadcast<V>(AtB * B), f1);
        Simd.Store(to + (3 * stride), Simd.Add(even, odd));
        Simd.Store(to + (4 * stride), Simd.Subtract(even, odd));
        Simd.Store(to + (5 * stride), f2);
    }

    /// <summary>
    /// y[row][column][channel] (+)= (Aᵀ m A)[row][column] + bias for channels [<paramref name="first"/>, <paramref name="channels"/>) and those of the
    /// 4×4 results that lie inside the map. The last few channels go through narrower vectors: nothing beyond them is written.
    /// </summary>
    /// <param name="product">m[point · <paramref name="stride"/> + channel].</param>
    /// <param name="stride">Floats from one point to the next.</param>
    /// <param name="first">First channel.</param>
    /// <param name="channels">Channels.</param>
    /// <param name="bias">A value a channel, or null.</param>
    /// <param name="y">The tile's first pixel.</param>
    /// <param name="rowStride">Floats from one row of y to the next.</param>
    /// <param name="pixelStride">Floats from one pixel to the next.</param>
    /// <param name="rows">Rows inside the map, 1 to 4.</param>
    /// <param name="columns">Columns inside the map, 1 to 4.</param>
    /// <param name="half">Room for 24 vectors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TransformProduct<V, TTarget>(
        float* product, nint stride, int first, int channels, float* bias, float* y, nint rowStride, nint pixelStride,
        int rows, int columns, float* half)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>();
        nint c = first;
        for (; c <= channels - w; c += w)
        {
            for (int s = 0; s < Points; s++) ProductColumn<V>(product + (s * stride) + c, Points * stride, half + (s * w), Points * w);
            V b = bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(bias + c);
            for (int r = 0; r < rows; r++)
            {
                float* h = half + (r * Points * w), to = y + (r * rowStride) + c;
                V m0 = Simd.Load<V>(h), m1 = Simd.Load<V>(h + w), m2 = Simd.Load<V>(h + (2 * w));
                V m3 = Simd.Load<V>(h + (3 * w)), m4 = Simd.Load<V>(h + (4 * w)), m5 = Simd.Load<V>(h + (5 * w));
                V p = Simd.Add(m1, m2), q = Simd.Subtract(m1, m2), u = Simd.Add(m3, m4), z = Simd.Subtract(m3, m4);
                TTarget.Put(to, Simd.Add(Simd.Add(Simd.Add(m0, b), p), u));
                if (columns > 1) TTarget.Put(to + pixelStride, Simd.Fma(Simd.Broadcast<V>(A), q, Simd.Fma(Simd.Broadcast<V>(B), z, b)));
                if (columns > 2) TTarget.Put(to + (2 * pixelStride), Simd.Fma(Simd.Broadcast<V>(A2), p, Simd.Fma(Simd.Broadcast<V>(B2), u, b)));
                m5 = Simd.Add(m5, b);
                if (columns > 3) TTarget.Put(to + (3 * pixelStride), Simd.Fma(Simd.Broadcast<V>(A3), q, Simd.Fma(Simd.Broadcast<V>(B3), z, m5)));
            }
        }
        if (c == channels) return;
        int rest = (int)c;
        if (typeof(V) == typeof(Vector512<float>))
            TransformProduct<Vector256<float>, TTarget>(product, stride, rest, channels, bias, y, rowStride, pixelStride, rows, columns, half);
        else if (typeof(V) == typeof(Vector256<float>))
            TransformProduct<Vector128<float>, TTarget>(product, stride, rest, channels, bias, y, rowStride, pixelStride, rows, columns, half);
        else
            TransformProduct<float, TTarget>(product, stride, rest, channels, bias, y, rowStride, pixelStride, rows, columns, half);
    }

    /// <summary>From the values at six points to the four middle coefficients.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void ProductColumn<V>(float* m, nint stride, float* to, nint toStride) where V : unmanaged
    {
        V m1 = Simd.Load<V>(m + stride), m2 = Simd.Load<V>(m + (2 * stride)), m3 = Simd.Load<V>(m + (3 * stride)), m4 = Simd.Load<V>(m + (4 * stride));
        V p = Simd.Add(m1, m2), q = Simd.Subtract(m1, m2), u = Simd.Add(m3, m4), z = Simd.Subtract(m3, m4);
        Simd.Store(to, Simd.Add(Simd.Add(Simd.Load<V>(m), p), u));
        Simd.Store(to + toStride, Simd.Fma(Simd.Broadcast<V>(A), q, Simd.Multiply(Simd.Broadcast<V>(B), z)));
        Simd.Store(to + (2 * toStride), Simd.Fma(Simd.Broadcast<V>(A2), p, Simd.Multiply(Simd.Broadcast<V>(B2), u)));
        Simd.Store(to + (3 * toStride), Simd.Fma(Simd.Broadcast<V>(A3), q, Simd.Fma(Simd.Broadcast<V>(B3), z, Simd.Load<V>(m + (5 * stride)))));
    }

    /// <summary>target[point · stride + channel] = (A d Aᵀ)[point] for all channels, d being the 4×4 pixels of a tile of dy: the transpose of what brings products back to results.</summary>
    /// <param name="pixels">Pointers to the 16 pixels.</param>
    /// <param name="channels">Channels; whole vectors are read and written.</param>
    /// <param name="target">Transformed tile.</param>
    /// <param name="stride">Floats from one point to the next.</param>
    /// <param name="half">Room for 24 vectors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TransformGradient<V>(float** pixels, int channels, float* target, nint stride, float* half) where V : unmanaged
    {
        int w = Simd.Width<V>();
        for (nint c = 0; c < channels; c += w)
        {
            for (int s = 0; s < Outputs; s++)
            {
                float** p = pixels + s;
                GradientPoints(
                    Simd.Load<V>(p[0] + c), Simd.Load<V>(p[4] + c), Simd.Load<V>(p[8] + c), Simd.Load<V>(p[12] + c), half + (s * w), Outputs * w);
            }
            for (int r = 0; r < Points; r++)
            {
                float* h = half + (r * Outputs * w);
                GradientPoints(
                    Simd.Load<V>(h), Simd.Load<V>(h + w), Simd.Load<V>(h + (2 * w)), Simd.Load<V>(h + (3 * w)), target + (r * Points * stride) + c, stride);
            }
        }
    }

    /// <summary>The values of d0 + d1·t + d2·t² + d3·t³ at the points; at ∞ that is d3.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void GradientPoints<V>(V d0, V d1, V d2, V d3, float* to, nint stride) where V : unmanaged
    {
        Simd.Store(to, d0);
        V even = Simd.Fma(Simd.Broadcast<V>(A2), d2, d0), odd = Simd.Multiply(Simd.Broadcast<V>(A), Simd.Fma(Simd.Broadcast<V>(A2), d3, d1));
        Simd.Store(to + stride, Simd.Add(even, odd));
        Simd.Store(to + (2 * stride), Simd.Subtract(even, odd));
        even = Simd.Fma(Simd.Broadcast<V>(B2), d2, d0);
        odd = Simd.Multiply(Simd.Broadcast<V>(B), Simd.Fma(Simd.Broadcast<V>(B2), d3, d1));
        Simd.Store(to + (3 * stride), Simd.Add(even, odd));
        Simd.Store(to + (4 * stride), Simd.Subtract(even, odd));
        Simd.Store(to + (5 * stride), d3);
    }

    /// <summary>
    /// dw[tap · <paramref name="tapStride"/> + column] (+)= (Gᵀ m G)[tap] for columns [<paramref name="first"/>, <paramref name="columns"/>): the transpose of
    /// <see cref="TransformFilter{V}"/>. The last few columns go through narrower vectors: nothing beyond them is written.
    /// </summary>
    /// <param name="sums">m[point · <paramref name="stride"/> + column].</param>
    /// <param name="stride">Floats from one point to the next.</param>
    /// <param name="first">First column.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="dw">The first tap's row.</param>
    /// <param name="tapStride">Floats from one tap to the next.</param>
    /// <param name="half">Room for 18 vectors.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TransformFilterBack<V, TTarget>(float* sums, nint stride, int first, int columns, float* dw, nint tapStride, float* half)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>();
        nint c = first;
        for (; c <= columns - w; c += w)
        {
            for (int s = 0; s < Points; s++)
            {
                float* m = sums + (s * stride) + c;
                FilterTaps<V, Overwrite>(
                    Simd.Load<V>(m), Simd.Load<V>(m + (6 * stride)), Simd.Load<V>(m + (12 * stride)), Simd.Load<V>(m + (18 * stride)),
                    Simd.Load<V>(m + (24 * stride)), Simd.Load<V>(m + (30 * stride)), half + (s * w), Points * w);
            }
            for (int r = 0; r < 3; r++)
            {
                float* h = half + (r * Points * w);
                FilterTaps<V, TTarget>(
                    Simd.Load<V>(h), Simd.Load<V>(h + w), Simd.Load<V>(h + (2 * w)), Simd.Load<V>(h + (3 * w)), Simd.Load<V>(h + (4 * w)),
                    Simd.Load<V>(h + (5 * w)), dw + (3 * r * tapStride) + c, tapStride);
            }
        }
        if (c == columns) return;
        int rest = (int)c;
        if (typeof(V) == typeof(Vector512<float>)) TransformFilterBack<Vector256<float>, TTarget>(sums, stride, rest, columns, dw, tapStride, half);
        else if (typeof(V) == typeof(Vector256<float>)) TransformFilterBack<Vector128<float>, TTarget>(sums, stride, rest, columns, dw, tapStride, half);
        else TransformFilterBack<float, TTarget>(sums, stride, rest, columns, dw, tapStride, half);
    }

    /// <summary>From six points to three taps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void FilterTaps<V, TTarget>(V m0, V m1, V m2, V m3, V m4, V m5, float* to, nint stride)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        V p = Simd.Multiply(Simd.Broadcast<V>(AtA), Simd.Add(m1, m2)), q = Simd.Subtract(m1, m2);
        V u = Simd.Multiply(Simd.Broadcast<V>(AtB), Simd.Add(m3, m4)), z = Simd.Subtract(m3, m4);
        TTarget.Put(to, Simd.Fma(Simd.Broadcast<V>(1 / Product), m0, Simd.Add(p, u)));
        TTarget.Put(to + stride, Simd.Fma(Simd.Broadcast<V>(AtA * A), q, Simd.Multiply(Simd.Broadcast<V>(AtB * B), z)));
        TTarget.Put(to + (2 * stride), Simd.Fma(Simd.Broadcast<V>(A2), p, Simd.Fma(Simd.Broadcast<V>(B2), u, m5)));
    }
}
