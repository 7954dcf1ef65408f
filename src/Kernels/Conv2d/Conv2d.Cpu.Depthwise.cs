using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RefConv.Kernels;

/// <summary>
/// Depthwise convolution: every channel is its own picture with its own filter, so nothing is summed over channels and the lanes of a vector
/// are simply neighbouring channels of one pixel. There are only R·S multiply-adds for every element read: memory decides the speed,
/// and the kernels are arranged so that an element comes from memory once.
/// </summary>
/// <remarks>
/// <para>
/// Order of the loops: a block of channels (one vector) outside, rows, then pixels inside. Walking all channels of a pixel before the
/// next pixel would read long runs, but with a power-of-two channel count all pixels of a column then fall in the same few
/// sets of the first-level cache and throw each other out. With the block outside, the window that is reused (R rows of one vector a pixel) is small.
/// </para>
/// <para>
/// Forward and input gradient are the same computation, a correlation, described by <see cref="DepthwisePass"/>: the input gradient of a
/// stride-1 convolution correlates dy with the flipped kernel; with a stride, the rows and columns of dx fall into
/// stride × stride phases, each reached by its own subset of the taps, and each phase is a stride-1 correlation of dy with that subset.
/// The common strided gradients have a faster form, <see cref="DepthwiseSpread"/>.
/// </para>
/// <para>
/// Within a block the steps are whole pixels, too far apart for the hardware to foresee and fetch ahead. So the kernels ask for what comes next:
/// mostly the
/// same pixel of the next block of channels, just behind in memory, early enough however small the map.
/// </para>
/// <para>
/// The kernels: <c>Sweep</c> (stride 1, widths 3, 5, 7), <c>Strided</c> (stride 2, widths 5, 7), <c>Strided3</c> (3×3, any stride and dilation),
/// <c>Gather</c>
/// (anything); <c>Spread</c> (input gradient of stride 2); <c>WeightSweep</c> and <c>WeightGradient</c>.
/// </para>
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// <c>target[n, y, x, c] (+)= bias[c] + Σ_{r,s} source[n, y·stride + r·dilation − pad, …, c] · w[r, s, c]</c> for y &lt; TargetH, x &lt; TargetW,
    /// where the target's rows and columns may lie apart (a phase of a strided gradient).
    /// </summary>
    private struct DepthwisePass : IDepthwiseBand
    {
        public float* Source;           // [N, SourceH, SourceW, C]
        public float* Target;           // element (0,0) of the phase; steps below, in floats
        public float* Weights;          // packed: block of channels from j at Weights + j·R·S, as [tap][lane]
        public float* Bias;             // [C] or null
        public float* ZeroRow;          // [SourceW, C] of zeros: what rows outside the picture point to
        public nint TargetImage, TargetRow, TargetColumn;
        public int C, SourceH, SourceW, TargetH, TargetW, R, S;
        public int StrideH, StrideW, DilationH, DilationW, PadTop, PadLeft;
        public bool Accumulate;

        // Tap (r, s) of this pass is tap (FirstR + r·StepR, FirstS + s·StepS) of the convolution: a flip has step −1.
        public int FirstR, FirstS, StepR, StepS;

        public readonly int Taps => R * S;

        /// <summary>What follows the convolution.</summary>
        public TileFinish Finish;

        /// <summary>
        /// It is done to a result before it is written. Everything else is done to a block afterwards: where the number of channels is a power of two its vectors share a few
        /// sets of the cache, and to go over them again takes as long as the convolution. SiLU's constants leave room in registers for the nine taps of a 3×3 kernel only.
        /// </summary>
        public readonly bool FinishesInRegisters => !Accumulate && !Finish.HasResidual
            && (Finish.Activation is ActivationKind.ReLU or ActivationKind.ReLU6 or ActivationKind.Hardswish || (Finish.Activation == ActivationKind.SiLU && R == 3 && S == 3));

        /// <summary>[images][bands][<see cref="ColumnMoments.Rows"/>][C], or null; bands have BandRows rows.</summary>
        public float* Moments;
        public int Bands, BandRows;

        public readonly void Block<V>(int image, int row, int end, int j) where V : unmanaged
        {
            if (Accumulate) PassBlock<V, AddTo>(this, image, row, end, j);
            else ActivatedBlock<V>(this, image, row, end, j);
            if (Finish.ChangesValues && !FinishesInRegisters) FinishBlock<V>(this, image, row, end, j);
            if (Moments != null) BlockMoments<V>(this, image, row, end, j);
        }

        /// <summary>Row of the source that tap row r of target row y reads (channel j on), or zeros.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* Row(long image, int y, int r, int j)
        {
            int row = (y * StrideH) + (r * DilationH) - PadTop;
            return (uint)row < (uint)SourceH ? Source + ((((image * SourceH) + row) * SourceW * C) + j) : ZeroRow + j;
        }
    }

    private void DepthwiseForward(in Conv2dGeometry g, float* x, float* w, float* b, float* y, float* moments, TileFinish finish = default, bool accumulate = false)
    {
        using var memory = DepthwiseScratch(g.WeightLength, (long)g.W * g.C, out float* packed, out float* zeros);
        var pass = new DepthwisePass
        {
            Source = x, Target = y, Weights = packed, Bias = b, ZeroRow = zeros, C = g.C,
            SourceH = g.H, SourceW = g.W, TargetH = g.P, TargetW = g.Q, R = g.R, S = g.S,
            TargetImage = (nint)g.P * g.Q * g.C, TargetRow = (nint)g.Q * g.C, TargetColumn = g.C,
            StrideH = g.StrideH, StrideW = g.StrideW, DilationH = g.DilationH, DilationW = g.DilationW, PadTop = g.PadTop, PadLeft = g.PadLeft,
            StepR = 1, StepS = 1, Finish = finish, Accumulate = accumulate,
        };
        PackDepthwise(pass, w, g.S);
        var cut = DepthwiseCut.Of(g.N, g.P, g.C, g.Macs);
        (pass.Bands, pass.BandRows) = (Pieces(g.P, cut.Rows), cut.Rows);
        using var sums = _device.Scratch(moments == null ? 0 : (long)g.N * pass.Bands * ColumnMoments.Rows * g.C);
        pass.Moments = moments == null ? null : sums.Pointer;
        RunDepthwise(pass, g.N, g.P, g.C, cut);
        if (moments != null) AddMoments(pass, g.N, moments);
    }

    private void DepthwiseInputGradient(in Conv2dGeometry g, float* dy, float* w, float* dx, bool accumulate)
    {
        using var memory = DepthwiseScratch(g.WeightLength, (long)g.Q * g.C, out float* packed, out float* zeros);
        if (CanSpread(g))
        {
            var spread = new DepthwiseSpread
            {
                Dy = dy, Dx = dx, Weights = packed, ZeroRow = zeros, H = g.H, W = g.W, C = g.C, P = g.P, Q = g.Q, R = g.R, S = g.S,
                PadTop = g.PadTop, PadLeft = g.PadLeft, Accumulate = accumulate,
            };
            PackDepthwise(new DepthwisePass { Weights = packed, C = g.C, R = g.R, S = g.S, StepR = 1, StepS = 1 }, w, g.S);
            RunDepthwise(spread, g.N, spread.Pairs, g.C, DepthwiseCut.Of(g.N, spread.Pairs, g.C, g.Macs));
            return;
        }
        float* weights = packed;
        for (int i = 0; i < g.StrideH * g.StrideW; i++)
        {
            var rows = DepthwisePhase.Of(i / g.StrideW, g.R, g.StrideH, g.DilationH, g.PadTop, g.H);
            var columns = DepthwisePhase.Of(i % g.StrideW, g.S, g.StrideW, g.DilationW, g.PadLeft, g.W);
            var pass = new DepthwisePass
            {
                Source = dy, Weights = weights, ZeroRow = zeros, Accumulate = accumulate, C = g.C,
                Target = dx + ((((nint)rows.Start * g.W) + columns.Start) * g.C),
                SourceH = g.P, SourceW = g.Q, TargetH = rows.Count, TargetW = columns.Count, R = rows.Taps, S = columns.Taps,
                TargetImage = (nint)g.H * g.W * g.C, TargetRow = (nint)g.StrideH * g.W * g.C, TargetColumn = (nint)g.StrideW * g.C,
                StrideH = 1, StrideW = 1, DilationH = rows.Dilation, DilationW = columns.Dilation, PadTop = rows.Pad, PadLeft = columns.Pad,
                FirstR = rows.FirstTap, StepR = rows.TapStep, FirstS = columns.FirstTap, StepS = columns.TapStep,
            };
            PackDepthwise(pass, w, g.S);
            weights += (nint)pass.Taps * g.C;
            RunDepthwise(pass, g.N, rows.Count, g.C, DepthwiseCut.Of(g.N, rows.Count, g.C, (long)g.N * rows.Count * columns.Count * pass.Taps * g.C));
        }
    }

    /// <summary>
    /// One phase of a strided gradient along one axis. Position h of dx is reached by tap r from position (h + pad − r·dilation)/stride of dy
    /// where that is a whole number: the taps that do so are the same for all h of equal (h + pad) mod stride.
    /// </summary>
    /// <param name="Start">First h of the phase; the next is a stride further.</param>
    /// <param name="Count">How many such h.</param>
    /// <param name="Taps">How many taps reach them.</param>
    /// <param name="FirstTap">The last of them: taps are taken backwards, so that dy is walked forwards.</param>
    /// <param name="TapStep">To the next one, negative.</param>
    /// <param name="Dilation">Distance in dy between two taps.</param>
    /// <param name="Pad">dy position of tap t for the k-th h is k + t·dilation − pad.</param>
    private readonly record struct DepthwisePhase(int Start, int Count, int Taps, int FirstTap, int TapStep, int Dilation, int Pad)
    {
        public static DepthwisePhase Of(int phase, int taps, int stride, int dilation, int pad, int size)
        {
            int start = (((phase - pad) % stride) + stride) % stride;
            int count = start < size ? ((size - 1 - start) / stride) + 1 : 0;
            int divisor = Gcd(stride, dilation), step = stride / divisor;
            int first = 0;
            while (first < step && (phase - (first * dilation)) % stride != 0) first++;
            if (first == step || first >= taps) return new(start, count, 0, 0, 0, 1, 0);
            int n = ((taps - 1 - first) / step) + 1, spread = dilation / divisor;
            int origin = (start + pad - (first * dilation)) / stride; // exact: where tap `first` of the first h lies
            return new(start, count, n, first + ((n - 1) * step), -step, spread, ((n - 1) * spread) - origin);
        }

        private static int Gcd(int a, int b) => b == 0 ? a : Gcd(b, a % b);
    }

    /// <summary>Scratch memory of one call: the packed taps, and a row of zeros.</summary>
    private CpuScratch DepthwiseScratch(long taps, long rowFloats, out float* packed, out float* zeros)
    {
        long first = (taps + 15) & ~15L; // so that the zeros are aligned as well
        var memory = _device.Scratch(first + rowFloats);
        packed = memory.Pointer;
        zeros = packed + first;
        new Span<float>(zeros, checked((int)rowFloats)).Clear();
        return memory;
    }

    /// <summary>
    /// Lanes of the vector that takes the next channels when so many are left: the widest that fits. 24 channels are a vector of 16 and one of 8.
    /// </summary>
    private static int BlockWidth(int channels) =>
        channels >= 16 && Simd.MaxWidth >= 16 ? 16 : channels >= 8 && Simd.MaxWidth >= 8 ? 8 : channels >= 4 && Simd.MaxWidth >= 4 ? 4 : 1;

    /// <summary>w [R, S, C] → for each block of channels [tap][lane], so that the taps of a block lie together in the cache.</summary>
    private static void PackDepthwise(in DepthwisePass t, float* w, int kernelColumns)
    {
        float* to = t.Weights;
        for (int j = 0, width; j < t.C; j += width)
        {
            width = BlockWidth(t.C - j);
            for (int r = 0; r < t.R; r++)
            {
                for (int s = 0; s < t.S; s++, to += width)
                {
                    int tap = ((t.FirstR + (r * t.StepR)) * kernelColumns) + t.FirstS + (s * t.StepS);
                    float* from = w + ((nint)tap * t.C) + j;
                    switch (width)
                    {
                        case 16: Simd.Store(to, Simd.Load<Vector512<float>>(from)); break;
                        case 8: Simd.Store(to, Simd.Load<Vector256<float>>(from)); break;
                        case 4: Simd.Store(to, Simd.Load<Vector128<float>>(from)); break;
                        default: *to = *from; break;
                    }
                }
            }
        }
    }

    /// <summary>A computation that is done band by band (a run of rows of one image), one block of channels after the other.</summary>
    private interface IDepthwiseBand
    {
        /// <summary>Rows [row, end) of an image, as many channels from j on as V has lanes.</summary>
        void Block<V>(int image, int row, int end, int j) where V : unmanaged;
    }

    /// <summary>How a computation is cut over images, bands of rows and, for few rows, channels: by the shape alone.</summary>
    /// <param name="Images">Images of a piece.</param>
    /// <param name="Rows">Rows of a band.</param>
    /// <param name="Channels">Channels of a piece.</param>
    private readonly record struct DepthwiseCut(int Images, int Rows, int Channels)
    {
        public static DepthwiseCut Of(int images, int rows, int c, long macs)
        {
            if (rows == 0 || images == 0 || c == 0) return new(1, 1, 1);
            long imageMacs = Math.Max(1, macs / images), target = Math.Max(1, macs / DepthwisePieces(macs));
            int together = (int)Math.Clamp(target / imageMacs, 1, images);
            int height = (int)Math.Clamp(target * rows / imageMacs, 1, rows);
            height = Math.Min(rows, (height + 1) & ~1);
            // With few rows to share out, channels are shared too, 64 at a time or more (a whole number of vectors).
            int channelPieces = Math.Clamp((int)(DepthwisePieces(macs) / (Pieces(rows, height) * Pieces(images, together))), 1, Math.Max(1, c / 64));
            return new(together, height, (Pieces(c, channelPieces) + 15) & ~15);
        }
    }

    private void RunDepthwise<TBand>(TBand band, int images, int rows, int c, DepthwiseCut cut) where TBand : struct, IDepthwiseBand
    {
        if (rows == 0 || images == 0 || c == 0) return;
        int bands = Pieces(rows, cut.Rows), channelPieces = Pieces(c, cut.Channels), items = bands * Pieces(images, cut.Images) * channelPieces;
        if (items == 1)
        {
            for (int image = 0; image < images; image++) DepthwiseBand(band, image, 0, rows, 0, c);
            return;
        }
        _device.Parallel(items, (item, _) =>
        {
            int c0 = item % channelPieces * cut.Channels, row = item / channelPieces % bands * cut.Rows;
            int image = item / channelPieces / bands * cut.Images, end = Math.Min(images, image + cut.Images);
            for (; image < end; image++) DepthwiseBand(band, image, row, Math.Min(rows, row + cut.Rows), c0, Math.Min(c, c0 + cut.Channels));
        });
    }

    /// <summary>
    /// Pieces worth making of so much work. Below half a million multiply-adds, some 8 µs, one: two threads that are awake would save 2 µs,
    /// but to wake one that sleeps takes 10. Above, pieces of at least 2 µs and, so that they fit in the second-level cache, a million
    /// multiply-adds at most.
    /// </summary>
    private static long DepthwisePieces(long macs) => macs < 500_000 ? 1 : Math.Max(Math.Min(macs >> 17, 32), macs >> 20);

    /// <summary>Channels [c0, c1) of one band, one block after the other.</summary>
    private static void DepthwiseBand<TBand>(in TBand band, int image, int row, int end, int c0, int c1) where TBand : struct, IDepthwiseBand
    {
        for (int j = c0, width; j < c1; j += width)
        {
            width = BlockWidth(c1 - j);
            switch (width)
            {
                case 16: band.Block<Vector512<float>>(image, row, end, j); break;
                case 8: band.Block<Vector256<float>>(image, row, end, j); break;
                case 4: band.Block<Vector128<float>>(image, row, end, j); break;
                default: band.Block<float>(image, row, end, j); break;
            }
        }
    }

    /// <summary>One block of channels of a pass: by a sweep where the shape allows it.</summary>
    private static void PassBlock<V, TTarget>(in DepthwisePass t, int image, int row, int end, int j)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        bool sweep = t.StrideH == 1 && t.StrideW == 1 && t.DilationH == 1 && t.DilationW == 1 && t.PadLeft < t.S
            && ((t.S == 3 && t.R == 3) || t.S == 5 || t.S == 7);
        if (sweep || CanSweepStrided(t))
        {
            // Two rows at a time, and the one that may be left.
            int even = row + ((end - row) & ~1);
            if (row < even) SweepPairs<V, TTarget, TwoRows>(t, image, row, even, j, sweep);
            if (even < end) SweepPairs<V, TTarget, OneRow>(t, image, even, end, j, sweep);
            return;
        }
        if (t.R == 3 && t.S == 3)
        {
            Gather3<V, TTarget>(t, image, row, end, j);
            return;
        }
        for (; row < end; row++) DepthwiseGather<V, TTarget>(t, image, row, j);
    }

    private static void SweepPairs<V, TTarget, TRows>(in DepthwisePass t, int image, int row, int end, int j, bool unstrided)
        where V : unmanaged
        where TTarget : struct, ITarget
    {
        if (unstrided) SweepBlock<V, TTarget, TRows>(t, image, row, end, j);
        else StridedBlock<V, TTarget, TRows>(t, image, row, end, j);
    }
}
