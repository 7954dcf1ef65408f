using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// What follows a convolution in a network, done to its sums while they are still at hand: bias, residual and activation for inference, the moments
/// that a batch norm needs for training. Each of them alone would be a pass over the whole result in memory.
/// </summary>
internal unsafe struct TileFinish
{
    public ActivationKind Activation;

    /// <summary>A map of the target's shape is added before the activation; it lies so many floats behind the target.</summary>
    public bool HasResidual;
    public nint Residual;

    /// <summary>Add the bias here: the sums started from something else.</summary>
    public bool AddBias;

    /// <summary>[row blocks][panels][<see cref="ColumnMoments.Rows"/>][panel width], or null.</summary>
    public float* Moments;

    /// <summary>An activation that tiles apply in registers, and nothing else.</summary>
    public readonly bool IsPlainActivation => !HasResidual && !AddBias && (Activation is ActivationKind.ReLU or ActivationKind.ReLU6);

    /// <summary>Values change. If not, tiles go straight from registers to the target.</summary>
    public readonly bool ChangesValues => Activation != ActivationKind.Identity || HasResidual || AddBias;
}

/// <summary>Memory of one thread for the tile that is being finished: 6 rows, a panel wide, and pointers to them as the tile kernel wants them.</summary>
internal readonly unsafe struct TileScratch
{
    /// <summary>A tile and six pointers, each of which takes the room of two floats; whole cache lines.</summary>
    public const int Floats = Tiles.MaxFloats + 16;

    public TileScratch(float* memory, int stride)
    {
        Tile = memory;
        Stride = stride;
        Rows = (float**)(memory + Tiles.MaxFloats);
        for (int r = 0; r < Tiles.MaxRows; r++) Rows[r] = Tile + (r * stride);
    }

    public float* Tile { get; }

    public float** Rows { get; }

    /// <summary>Floats from one row to the next.</summary>
    public int Stride { get; }
}

/// <summary>
/// Σ(x − p) and Σ(x − p)² of the columns of a few rows, in float, where the pivot p is the first row: near the mean, so that the sums are small and
/// keep their digits whatever the mean is.
/// </summary>
internal static unsafe class ColumnMoments
{
    /// <summary>Rows kept of a panel: the pivots, and the two sums.</summary>
    public const int Rows = 3;

    /// <summary>
    /// Adds rows of the result to the moments of a panel; the first rows set the pivots. Of a panel that is narrower than its vectors the
    /// lanes beyond it take up whatever lies there; nobody looks at them.
    /// </summary>
    /// <param name="rows">Pointers to the rows.</param>
    /// <param name="offset">First column of the panel.</param>
    /// <param name="count">How many rows.</param>
    /// <param name="columns">Columns of the panel, whole vectors.</param>
    /// <param name="moments">[<see cref="Rows"/>][panelWidth]</param>
    /// <param name="panelWidth">Floats of a row of the moments.</param>
    /// <param name="first">These are the first rows of their block.</param>
    public static void Add<V>(float** rows, nint offset, int count, int columns, float* moments, int panelWidth, bool first) where V : unmanaged =>
        Add<V, Nowhere>(rows, offset, count, columns, moments, panelWidth, first, rows, offset);

    /// <summary>The same, and puts the rows where TTarget does.</summary>
    /// <param name="rows">Pointers to the rows.</param>
    /// <param name="offset">First column of the panel.</param>
    /// <param name="count">How many rows.</param>
    /// <param name="columns">Columns of the panel, whole vectors.</param>
    /// <param name="moments">[<see cref="Rows"/>][panelWidth]</param>
    /// <param name="panelWidth">Floats of a row of the moments.</param>
    /// <param name="first">These are the first rows of their block.</param>
    /// <param name="target">Pointers to where each row is to be put.</param>
    /// <param name="targetOffset">First column of the panel there.</param>
    public static void Add<V, TTarget>(
        float** rows, nint offset, int count, int columns, float* moments, int panelWidth, bool first, float** target, nint targetOffset)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>(), c = 0;
        for (; c <= columns - (4 * w); c += 4 * w) Four<V, TTarget>(rows, offset + c, count, moments + c, panelWidth, first, target, targetOffset + c);
        if (c <= columns - (2 * w))
        {
            Two<V, TTarget>(rows, offset + c, count, moments + c, panelWidth, first, target, targetOffset + c);
            c += 2 * w;
        }
        if (c < columns) One<V, TTarget>(rows, offset + c, count, moments + c, panelWidth, first, target, targetOffset + c);
    }

    // Row by row over all vectors of the panel: a row is a run of lines, which the processor fetches ahead, and four vectors are eight sums under way. Column by column each line would
    // be a row away from the one before, and the rows of a wide map lie in the same few sets of the cache (measured: 11 cycles a vector, 3 now).
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Four<V, TTarget>(float** rows, nint offset, int count, float* moments, int panelWidth, bool first, float** target, nint targetOffset)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>();
        float* from = first ? rows[0] + offset : moments, sums = moments + panelWidth, squares = sums + panelWidth;
        V p0 = Simd.Load<V>(from), p1 = Simd.Load<V>(from + w), p2 = Simd.Load<V>(from + (2 * w)), p3 = Simd.Load<V>(from + (3 * w));
        V s0 = Simd.Broadcast<V>(0), s1 = s0, s2 = s0, s3 = s0, q0 = s0, q1 = s0, q2 = s0, q3 = s0;
        for (int r = 0; r < count; r++)
        {
            float* row = rows[r] + offset, to = target[r] + targetOffset;
            V v = Simd.Load<V>(row), d = Simd.Subtract(v, p0);
            TTarget.Put(to, v);
            (s0, q0) = (Simd.Add(s0, d), Simd.Fma(d, d, q0));
            v = Simd.Load<V>(row + w);
            TTarget.Put(to + w, v);
            d = Simd.Subtract(v, p1);
            (s1, q1) = (Simd.Add(s1, d), Simd.Fma(d, d, q1));
            v = Simd.Load<V>(row + (2 * w));
            TTarget.Put(to + (2 * w), v);
            d = Simd.Subtract(v, p2);
            (s2, q2) = (Simd.Add(s2, d), Simd.Fma(d, d, q2));
            v = Simd.Load<V>(row + (3 * w));
            TTarget.Put(to + (3 * w), v);
            d = Simd.Subtract(v, p3);
            (s3, q3) = (Simd.Add(s3, d), Simd.Fma(d, d, q3));
        }
        Keep(moments, sums, squares, p0, s0, q0, first);
        Keep(moments + w, sums + w, squares + w, p1, s1, q1, first);
        Keep(moments + (2 * w), sums + (2 * w), squares + (2 * w), p2, s2, q2, first);
        Keep(moments + (3 * w), sums + (3 * w), squares + (3 * w), p3, s3, q3, first);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Two<V, TTarget>(float** rows, nint offset, int count, float* moments, int panelWidth, bool first, float** target, nint targetOffset)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        int w = Simd.Width<V>();
        float* from = first ? rows[0] + offset : moments, sums = moments + panelWidth, squares = sums + panelWidth;
        V p0 = Simd.Load<V>(from), p1 = Simd.Load<V>(from + w), s0 = Simd.Broadcast<V>(0), s1 = s0, q0 = s0, q1 = s0;
        for (int r = 0; r < count; r++)
        {
            float* row = rows[r] + offset, to = target[r] + targetOffset;
            V v = Simd.Load<V>(row), d = Simd.Subtract(v, p0);
            TTarget.Put(to, v);
            (s0, q0) = (Simd.Add(s0, d), Simd.Fma(d, d, q0));
            v = Simd.Load<V>(row + w);
            TTarget.Put(to + w, v);
            d = Simd.Subtract(v, p1);
            (s1, q1) = (Simd.Add(s1, d), Simd.Fma(d, d, q1));
        }
        Keep(moments, sums, squares, p0, s0, q0, first);
        Keep(moments + w, sums + w, squares + w, p1, s1, q1, first);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One<V, TTarget>(float** rows, nint offset, int count, float* moments, int panelWidth, bool first, float** target, nint targetOffset)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        float* sums = moments + panelWidth;
        V p = Simd.Load<V>(first ? rows[0] + offset : moments), s = Simd.Broadcast<V>(0), q = s;
        for (int r = 0; r < count; r++)
        {
            V v = Simd.Load<V>(rows[r] + offset), d = Simd.Subtract(v, p);
            TTarget.Put(target[r] + targetOffset, v);
            (s, q) = (Simd.Add(s, d), Simd.Fma(d, d, q));
        }
        Keep(moments, sums, sums + panelWidth, p, s, q, first);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Keep<V>(float* pivots, float* sums, float* squares, V p, V s, V q, bool first) where V : unmanaged
    {
        Simd.Store(pivots, p);
        Simd.Store(sums, first ? s : Simd.Add(s, Simd.Load<V>(sums)));
        Simd.Store(squares, first ? q : Simd.Add(q, Simd.Load<V>(squares)));
    }

    private readonly struct Nowhere : ITarget
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Put<V>(float* p, V v) where V : unmanaged
        {
            // Only the moments are wanted.
        }
    }
}

internal static unsafe partial class Tiles
{
    /// <summary>Copies rows of the target into the scratch tile, whose unused columns become zero.</summary>
    public static void LoadRows<V>(float** c, nint cOffset, TileScratch tile, int rows, int columns) where V : unmanaged
    {
        for (int r = 0; r < rows; r++)
        for (int i = 0; i < columns; i += Simd.Width<V>())
        {
            Simd.Store(tile.Rows[r] + i, LoadColumns<V>(c[r] + cOffset + i, columns - i));
        }
    }

    /// <summary>c[row] = act(tile[row] + bias + residual[row]) for the valid columns of a tile.</summary>
    /// <param name="f">What is to be done.</param>
    /// <param name="tile">The sums.</param>
    /// <param name="bias">[vectors · W], or null where the sums started from it.</param>
    /// <param name="c">Pointers to the rows of the result.</param>
    /// <param name="cOffset">First column of the tile.</param>
    /// <param name="rows">Rows of the tile.</param>
    /// <param name="columns">Valid columns.</param>
    /// <param name="stream">Write around the caches; c must be aligned to vectors and all columns valid.</param>
    public static void Finish<V>(in TileFinish f, TileScratch tile, float* bias, float** c, nint cOffset, int rows, int columns, bool stream)
        where V : unmanaged
    {
        switch (f.Activation)
        {
            case ActivationKind.Identity: Finish<V, CpuKernels.IdentityFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.ReLU: Finish<V, CpuKernels.ReLUFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.ReLU6: Finish<V, CpuKernels.ReLU6Function>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.Hardsigmoid: Finish<V, CpuKernels.HardsigmoidFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.Hardswish: Finish<V, CpuKernels.HardswishFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.Sigmoid: Finish<V, CpuKernels.SigmoidFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.SiLU: Finish<V, CpuKernels.SiLUFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            case ActivationKind.GELU: Finish<V, CpuKernels.GELUFunction>(f, tile, bias, c, cOffset, rows, columns, stream); break;
            default: throw new ArgumentOutOfRangeException(nameof(f), f.Activation, "Not an activation the kernels know.");
        }
    }

    /// <summary>The same in place, for one row of a result that lies in the target already: act(row + residual).</summary>
    public static void FinishRow<V>(in TileFinish f, float* row, int columns) where V : unmanaged
    {
        switch (f.Activation)
        {
            case ActivationKind.Identity: FinishRow<V, CpuKernels.IdentityFunction>(f, row, columns); break;
            case ActivationKind.ReLU: FinishRow<V, CpuKernels.ReLUFunction>(f, row, columns); break;
            case ActivationKind.ReLU6: FinishRow<V, CpuKernels.ReLU6Function>(f, row, columns); break;
            case ActivationKind.Hardsigmoid: FinishRow<V, CpuKernels.HardsigmoidFunction>(f, row, columns); break;
            case ActivationKind.Hardswish: FinishRow<V, CpuKernels.HardswishFunction>(f, row, columns); break;
            case ActivationKind.Sigmoid: FinishRow<V, CpuKernels.SigmoidFunction>(f, row, columns); break;
            case ActivationKind.SiLU: FinishRow<V, CpuKernels.SiLUFunction>(f, row, columns); break;
            case ActivationKind.GELU: FinishRow<V, CpuKernels.GELUFunction>(f, row, columns); break;
            default: throw new ArgumentOutOfRangeException(nameof(f), f.Activation, "Not an activation the kernels know.");
        }
    }

    private static void FinishRow<V, F>(in TileFinish f, float* row, int columns)
        where V : unmanaged
        where F : struct, IElementFunction
    {
        int w = Simd.Width<V>(), i = 0;
        for (; i <= columns - w; i += w)
        {
            V v = Simd.Load<V>(row + i);
            if (f.HasResidual) v = Simd.Add(v, Simd.Load<V>(row + f.Residual + i));
            Simd.Store(row + i, default(F).Apply(v));
        }
        if (i == columns) return;
        V last = Simd.LoadPartial<V>(row + i, columns - i, 0);
        if (f.HasResidual) last = Simd.Add(last, Simd.LoadPartial<V>(row + f.Residual + i, columns - i, 0));
        Simd.StorePartial(row + i, default(F).Apply(last), columns - i);
    }

    private static void Finish<V, F>(in TileFinish f, TileScratch tile, float* bias, float** c, nint cOffset, int rows, int columns, bool stream)
        where V : unmanaged
        where F : struct, IElementFunction
    {
        int w = Simd.Width<V>();
        for (int r = 0; r < rows; r++)
        {
            float* target = c[r] + cOffset;
            for (int i = 0; i < columns; i += w)
            {
                V v = Simd.Load<V>(tile.Rows[r] + i);
                if (bias != null) v = Simd.Add(v, Simd.Load<V>(bias + i));
                if (f.HasResidual) v = Simd.Add(v, LoadColumns<V>(target + f.Residual + i, columns - i));
                v = default(F).Apply(v);
                if (stream) Simd.StoreStreamed(target + i, v);
                else if (columns - i >= w) Simd.Store(target + i, v);
                else
                {
                    Simd.Store(tile.Rows[r] + i, v);
                    Copy(tile.Rows[r] + i, target + i, columns - i);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V LoadColumns<V>(float* p, int left) where V : unmanaged =>
        left >= Simd.Width<V>() ? Simd.Load<V>(p) : Simd.LoadPartial<V>(p, left, 0);
}
