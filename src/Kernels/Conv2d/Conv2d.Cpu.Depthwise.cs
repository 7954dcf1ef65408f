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
/// </para>
/// </remarks>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>
    /// <c>target[n, y, x, c] (+)= bias[c] + Σ_{r,s} source[n, y·stride + r·dilation − pad, …, c] · w[r, s, c]</c> for y &lt; TargetH, x &lt; TargetW,
    /// where the target's rows and columns may lie apart (a phase of a strided gradient).
    /// </summary>
    private struct DepthwisePass
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

        /// <summary>Row of the source that tap row r of target row y reads (channel j on), or zeros.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* Row(long image, int y, int r, int j)
        {
            int row = (y * StrideH) + (r * DilationH) - PadTop;
            return (uint)row < (uint)SourceH ? Source + ((((image * SourceH) + row) * SourceW * C) + j) : ZeroRow + j;
        }
    }

    private void DepthwiseForward(in Conv2dGeometry g, float* x, float* w, float* b, float* y)
    {
        using var zeros = ZeroRow((long)g.W * g.C);
        using var packed = _device.Scratch(g.WeightLength);
        var pass = new DepthwisePass
        {
            Source = x, Target = y, Weights = packed.Pointer, Bias = b, ZeroRow = zeros.Pointer, C = g.C,
            SourceH = g.H, SourceW = g.W, TargetH = g.P, TargetW = g.Q, R = g.R, S = g.S,
            TargetImage = (nint)g.P * g.Q * g.C, TargetRow = (nint)g.Q * g.C, TargetColumn = g.C,
            StrideH = g.StrideH, StrideW = g.StrideW, DilationH = g.DilationH, DilationW = g.DilationW, PadTop = g.PadTop, PadLeft = g.PadLeft,
            StepR = 1, StepS = 1,
        };
        PackDepthwise(pass, w, g.S);
        RunDepthwise(&pass, 1, g.N, (long)g.P * g.Q * g.R * g.S * g.C);
    }

    private void DepthwiseInputGradient(in Conv2dGeometry g, float* dy, float* w, float* dx, bool accumulate)
    {
        using var zeros = ZeroRow((long)g.Q * g.C);
        using var packed = _device.Scratch(g.WeightLength);
        int phases = g.StrideH * g.StrideW;
        using var memory = _device.Scratch(phases * (long)sizeof(DepthwisePass) / sizeof(float));
        var passes = (DepthwisePass*)memory.Pointer;
        float* weights = packed.Pointer;
        for (int i = 0; i < phases; i++)
        {
            var rows = DepthwisePhase.Of(i / g.StrideW, g.R, g.StrideH, g.DilationH, g.PadTop, g.H);
            var columns = DepthwisePhase.Of(i % g.StrideW, g.S, g.StrideW, g.DilationW, g.PadLeft, g.W);
            passes[i] = new DepthwisePass
            {
                Source = dy, Weights = weights, ZeroRow = zeros.Pointer, Accumulate = accumulate, C = g.C,
                Target = dx + ((((nint)rows.Start * g.W) + columns.Start) * g.C),
                SourceH = g.P, SourceW = g.Q, TargetH = rows.Count, TargetW = columns.Count, R = rows.Taps, S = columns.Taps,
                TargetImage = (nint)g.H * g.W * g.C, TargetRow = (nint)g.StrideH * g.W * g.C, TargetColumn = (nint)g.StrideW * g.C,
                StrideH = 1, StrideW = 1, DilationH = rows.Dilation, DilationW = columns.Dilation, PadTop = rows.Pad, PadLeft = columns.Pad,
                FirstR = rows.FirstTap, StepR = rows.TapStep, FirstS = columns.FirstTap, StepS = columns.TapStep,
            };
            PackDepthwise(passes[i], w, g.S);
            weights += (nint)passes[i].Taps * g.C;
        }
        RunDepthwise(passes, phases, g.N, (long)g.H * g.W * g.R * g.S * g.C / phases);
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

    private CpuScratch ZeroRow(long floats)
    {
        var zeros = _device.Scratch(floats);
        Unsafe.InitBlock(zeros.Pointer, 0, checked((uint)(floats * sizeof(float))));
        return zeros;
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
                    Unsafe.CopyBlockUnaligned(to, w + (((nint)tap * t.C) + j), (uint)(width * sizeof(float)));
                }
            }
        }
    }

    /// <summary>Cuts the passes over images, bands of target rows and, for few rows, channels; the cut depends on the shape alone.</summary>
    /// <param name="passes">All passes write one target; their rows interleave.</param>
    /// <param name="count">How many.</param>
    /// <param name="images">N</param>
    /// <param name="imageMacs">Multiply-adds for one image, all passes together.</param>
    private void RunDepthwise(DepthwisePass* passes, int count, int images, long imageMacs)
    {
        int rows = 0, c = passes[0].C;
        for (int i = 0; i < count; i++) rows = Math.Max(rows, passes[i].TargetH);
        if (rows == 0 || images == 0) return;
        long target = Math.Clamp(images * imageMacs / 32, 1 << 16, 1 << 20);
        int together = (int)Math.Clamp(target / Math.Max(1, imageMacs), 1, images);
        int band = (int)Math.Clamp(target * rows / Math.Max(1, imageMacs), 1, rows);
        band = Math.Min(rows, (band + 1) & ~1);
        int bands = Pieces(rows, band), groups = Pieces(images, together);
        // With few rows to share out, channels are shared too, 64 at a time or more (a whole number of vectors).
        int channelPieces = Math.Clamp((int)(imageMacs * images / target) / (bands * groups), 1, Math.Max(1, c / 64));
        int channels = (Pieces(c, channelPieces) + 15) & ~15;
        channelPieces = Pieces(c, channels);
        _device.Parallel(bands * groups * channelPieces, (item, _) =>
        {
            int c0 = item % channelPieces * channels, row0 = item / channelPieces % bands * band;
            int image0 = item / channelPieces / bands * together;
            for (int image = image0; image < Math.Min(images, image0 + together); image++)
            {
                DepthwiseBand(passes, count, image, row0, band, c0, Math.Min(c, c0 + channels));
            }
        });
    }

    /// <summary>Target rows [row, row + band) of every pass, channels [c0, c1), one block of channels after the other.</summary>
    private static void DepthwiseBand(DepthwisePass* passes, int count, int image, int row, int band, int c0, int c1)
    {
        for (int j = c0, width; j < c1; j += width)
        {
            width = BlockWidth(c1 - j);
            for (int i = 0; i < count; i++)
            {
                int end = Math.Min(passes[i].TargetH, row + band);
                switch (width)
                {
                    case 16: DepthwiseBlock<Vector512<float>>(passes[i], image, row, end, j); break;
                    case 8: DepthwiseBlock<Vector256<float>>(passes[i], image, row, end, j); break;
                    case 4: DepthwiseBlock<Vector128<float>>(passes[i], image, row, end, j); break;
                    default: DepthwiseBlock<float>(passes[i], image, row, end, j); break;
                }
            }
        }
    }

    /// <summary>One block of channels, [row, end): the sweeps take two target rows at a time and share what they read.</summary>
    private static void DepthwiseBlock<V>(in DepthwisePass t, int image, int row, int end, int j) where V : unmanaged
    {
        bool sweep = t.StrideH == 1 && t.StrideW == 1 && t.DilationH == 1 && t.DilationW == 1 && t.PadLeft < t.S
            && ((t.S == 3 && t.R == 3) || t.S == 5 || t.S == 7);
        if (!sweep)
        {
            for (; row < end; row++) DepthwiseGather<V>(t, image, row, j);
            return;
        }
        float* w = t.Weights + ((nint)j * t.Taps);
        V bias = t.Bias == null ? Simd.Broadcast<V>(0) : Simd.Load<V>(t.Bias + j);
        float** rows = stackalloc float*[t.R + 1];
        for (; row < end; row += 2)
        {
            for (int r = 0; r <= t.R; r++) rows[r] = t.Row(image, row, r, j);
            float* target = t.Target + (image * t.TargetImage) + (row * t.TargetRow) + j;
            bool two = row + 1 < end;
            switch (t.S)
            {
                case 3 when two: Sweep3<V, TwoRows>(t, rows, w, bias, target); break;
                case 3: Sweep3<V, OneRow>(t, rows, w, bias, target); break;
                case 5 when two: Sweep5<V, TwoRows>(t, rows, w, bias, target); break;
                case 5: Sweep5<V, OneRow>(t, rows, w, bias, target); break;
                case 7 when two: Sweep7<V, TwoRows>(t, rows, w, bias, target); break;
                default: Sweep7<V, OneRow>(t, rows, w, bias, target); break;
            }
        }
    }
}
