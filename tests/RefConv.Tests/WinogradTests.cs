using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using RefConv.Kernels;

namespace RefConv.Tests;

/// <summary>
/// Winograd convolution against the reference, at every vector width: past the rule that says where it pays, so that small and odd shapes come here too.
/// </summary>
public sealed unsafe class WinogradTests
{
    /// <summary>
    /// Largest error allowed, of the largest Σ|terms| in the 4×4 results of a tile, which are computed together: a result all of whose own terms are
    /// zeros of the padding still gets its share of the rounding. The largest seen is 1.4e-6.
    /// </summary>
    private const double Limit = 4e-6;

    private static readonly Conv2dGeometry[] Shapes =
    [
        // Channels around the vector widths and the panels of two vectors; maps of whole tiles, of a bit more and of a bit less.
        Square(1, 4, 1, 1), Square(2, 5, 5, 7), Square(1, 8, 16, 16), Square(1, 7, 17, 33), Square(2, 6, 33, 31), Square(1, 9, 64, 48), Square(1, 11, 37, 45),
        // A sum longer than a block of it, enough weights to be packed in several parts.
        Square(1, 3, 300, 36), Square(1, 6, 40, 130),
        // One pixel, one row, one column; padding larger than the kernel, none at all, and such that crops.
        Square(2, 1, 5, 3), new(1, 1, 13, 9, 18, 3, 3) { PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 },
        new(3, 10, 1, 8, 5, 3, 3) { PadTop = 1, PadBottom = 1, PadLeft = 1, PadRight = 1 },
        Square(1, 2, 3, 4, pad: 4), Square(1, 3, 20, 17, pad: 9), Square(1, 8, 12, 12, pad: 0), Square(2, 3, 9, 6, pad: 0),
        new(2, 8, 9, 13, 12, 3, 3) { PadTop = -1, PadLeft = -2, PadBottom = 1, PadRight = -1 },
        new(1, 12, 9, 6, 20, 3, 3) { PadTop = 5, PadLeft = -1, PadBottom = -3, PadRight = 2 },
        // Tiles of several images in one piece; several pieces; several blocks of columns.
        Square(7, 5, 20, 24), Square(3, 21, 24, 70), Square(2, 8, 64, 200),
    ];

    public static TheoryData<int, int> Rows
    {
        get
        {
            var rows = new TheoryData<int, int>();
            foreach (int width in new[] { 1, 4, 8, 16 }.Where(w => w <= Simd.MaxWidth))
                for (int shape = 0; shape < Shapes.Length; shape++) rows.Add(width, shape);
            return rows;
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void ForwardIsRight(int width, int shape)
    {
        var g = Shapes[shape];
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        foreach (bool withBias in new[] { false, true })
        {
            float[] x = Values(g.InputLength, 1), w = Values(g.WeightLength, 2), b = withBias ? Values(g.K, 3) : [];
            float[] y = RunForward(device, width, g, x, w, b);
            Check(Output(g), y, values => OnReference(g.OutputLength, [], (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3]), values(x), values(w), values(b)));
        }
        Assert.Equal(0, device.Memory.RentedBuffers);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void InputGradientIsRight(int width, int shape)
    {
        var g = Shapes[shape];
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        foreach (bool accumulate in new[] { false, true })
        {
            float[] dy = Values(g.OutputLength, 4), w = Values(g.WeightLength, 5), before = accumulate ? Values(g.InputLength, 6) : [];
            float[] dx = RunInputGradient(device, width, g, dy, w, before);
            Check(Input(g), dx, values => OnReference(g.InputLength, values(before), (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], accumulate), values(dy), values(w)));
        }
        Assert.Equal(0, device.Memory.RentedBuffers);
    }

    /// <summary>Here it is the nine taps of a pair of channels that are computed together.</summary>
    [Theory]
    [MemberData(nameof(Rows))]
    public void WeightGradientIsRight(int width, int shape)
    {
        var g = Shapes[shape];
        using var device = new CpuDevice(threads: 2) { PoisonBuffers = true };
        foreach (bool accumulate in new[] { false, true })
        {
            float[] x = Values(g.InputLength, 7), dy = Values(g.OutputLength, 8), before = accumulate ? Values(g.WeightLength, 9) : [];
            float[] dw = RunWeightGradient(device, width, g, x, dy, before);
            Check(Weights(g), dw, values => OnReference(g.WeightLength, values(before), (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], accumulate), values(x), values(dy)));
        }
        Assert.Equal(0, device.Memory.RentedBuffers);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void SameBitsForAnyNumberOfThreads(int width, int shape)
    {
        var g = Shapes[shape];
        float[] x = Values(g.InputLength, 1), w = Values(g.WeightLength, 2), dy = Values(g.OutputLength, 4);
        var results = new[] { 1, 2, 3, 5 }.Select(threads =>
        {
            using var device = new CpuDevice(threads);
            return (Y: RunForward(device, width, g, x, w, []), Dx: RunInputGradient(device, width, g, dy, w, []), Dw: RunWeightGradient(device, width, g, x, dy, []));
        }).ToArray();
        foreach (var (y, dx, dw) in results)
        {
            Assert.True(Bits(y).SequenceEqual(Bits(results[0].Y)));
            Assert.True(Bits(dx).SequenceEqual(Bits(results[0].Dx)));
            Assert.True(Bits(dw).SequenceEqual(Bits(results[0].Dw)));
        }
    }

    /// <summary>The device uses the algorithm only where it was asked to: in all three directions of a 3×3 convolution of stride 1 that is worth it.</summary>
    [Fact]
    public void TheSettingChooses()
    {
        using var exact = new CpuDevice(1);
        using var fast = new CpuDevice(1) { ConvolutionAccuracy = Conv2dAccuracy.Fast };
        Assert.Equal(Conv2dAccuracy.Exact, exact.ConvolutionAccuracy);
        foreach (var (g, differs) in new (Conv2dGeometry, bool)[]
        {
            (Square(2, 32, 24, 40), true), (Square(1, 2, 24, 40), false), (Square(1, 20, 3, 3), false), (Square(1, 16, 24, 40) with { StrideH = 2, StrideW = 2 }, false),
            (Square(1, 16, 24, 40, pad: 2) with { DilationH = 2, DilationW = 2 }, false), (Square(1, 16, 24, 40) with { Groups = 2 }, false),
            (new Conv2dGeometry(1, 16, 16, 24, 40, 5, 5), false), (Square(1, 16, 24, 24) with { Groups = 24 }, false),
        })
        {
            float[] x = Values(g.InputLength, 1), w = Values(g.WeightLength, 2), dy = Values(g.OutputLength, 4);
            float[][] y = [.. new[] { exact, fast }.Select(d => On(d, g.OutputLength, [], (k, v) => k.Conv2dForward(g, v[0], v[1], default, v[2]), x, w))];
            float[][] dx = [.. new[] { exact, fast }.Select(d => On(d, g.InputLength, [], (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], false), dy, w))];
            Assert.Equal(differs, !Bits(y[0]).SequenceEqual(Bits(y[1])));
            float[][] dw = [.. new[] { exact, fast }.Select(d => On(d, g.WeightLength, [], (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], false), x, dy))];
            Assert.Equal(differs, !Bits(dx[0]).SequenceEqual(Bits(dx[1])));
            Assert.Equal(differs, !Bits(dw[0]).SequenceEqual(Bits(dw[1])));
            Check(Output(g), y[1], values => OnReference(g.OutputLength, [], (k, v) => k.Conv2dForward(g, v[0], v[1], default, v[2]), values(x), values(w)));
            Check(Input(g), dx[1], values => OnReference(g.InputLength, [], (k, v) => k.Conv2dInputGradient(g, v[0], v[1], v[2], false), values(dy), values(w)));
            Check(Weights(g), dw[1], values => OnReference(g.WeightLength, [], (k, v) => k.Conv2dWeightGradient(g, v[0], v[1], v[2], false), values(x), values(dy)));
        }
    }

    /// <summary>A result too large for the caches is written around them; it must be the same result.</summary>
    [Fact]
    public void LargeResult()
    {
        var g = Square(3, 75, 8, 128);
        Assert.True(g.OutputLength >= 2 << 20);
        float[] x = Values(g.InputLength, 1), w = Values(g.WeightLength, 2), b = Values(g.K, 3);
        using var fast = new CpuDevice(2) { ConvolutionAccuracy = Conv2dAccuracy.Fast };
        using var exact = new CpuDevice(2);
        float[][] y = [.. new[] { exact, fast }.Select(d => On(d, g.OutputLength, [], (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3]), x, w, b))];
        float[] terms = On(exact, g.OutputLength, [], (k, v) => k.Conv2dForward(g, v[0], v[1], v[2], v[3]), Absolute(x), Absolute(w), Absolute(b));
        for (int i = 0; i < terms.Length; i++) Assert.InRange(Math.Abs(y[0][i] - y[1][i]), 0, Limit * terms[i]);
    }

    private static float[] RunForward(CpuDevice device, int width, Conv2dGeometry g, float[] x, float[] w, float[] b) => width switch
    {
        16 => RunForward<Vector512<float>>(device, g, x, w, b),
        8 => RunForward<Vector256<float>>(device, g, x, w, b),
        4 => RunForward<Vector128<float>>(device, g, x, w, b),
        _ => RunForward<float>(device, g, x, w, b),
    };

    private static float[] RunForward<V>(CpuDevice device, Conv2dGeometry g, float[] x, float[] w, float[] b) where V : unmanaged
    {
        using var packed = device.Rent(CpuKernels.WinogradPackedLength<V>(g));
        return On(device, g.OutputLength, [], (k, v) =>
        {
            ((CpuKernels)k).WinogradPack<V>(g, CpuDevice.Pointer(v[1]), CpuDevice.Pointer(packed.View));
            ((CpuKernels)k).WinogradForward<V>(g, CpuDevice.Pointer(v[0]), CpuDevice.Pointer(packed.View), CpuDevice.Pointer(v[2]), CpuDevice.Pointer(v[3]), default);
        }, x, w, b);
    }

    private static float[] RunInputGradient(CpuDevice device, int width, Conv2dGeometry g, float[] dy, float[] w, float[] before) => width switch
    {
        16 => RunInputGradient<Vector512<float>>(device, g, dy, w, before),
        8 => RunInputGradient<Vector256<float>>(device, g, dy, w, before),
        4 => RunInputGradient<Vector128<float>>(device, g, dy, w, before),
        _ => RunInputGradient<float>(device, g, dy, w, before),
    };

    private static float[] RunInputGradient<V>(CpuDevice device, Conv2dGeometry g, float[] dy, float[] w, float[] before) where V : unmanaged
    {
        using var packed = device.Rent(CpuKernels.WinogradTransposedLength<V>(g));
        return On(device, g.InputLength, before, (k, v) =>
        {
            ((CpuKernels)k).WinogradPackTransposed<V>(g, CpuDevice.Pointer(v[1]), CpuDevice.Pointer(packed.View));
            ((CpuKernels)k).WinogradInputGradient<V>(
                g, CpuDevice.Pointer(v[0]), CpuDevice.Pointer(packed.View), CpuDevice.Pointer(v[2]), accumulate: before.Length > 0);
        }, dy, w);
    }

    private static float[] RunWeightGradient(CpuDevice device, int width, Conv2dGeometry g, float[] x, float[] dy, float[] before) => width switch
    {
        16 => RunWeightGradient<Vector512<float>>(device, g, x, dy, before),
        8 => RunWeightGradient<Vector256<float>>(device, g, x, dy, before),
        4 => RunWeightGradient<Vector128<float>>(device, g, x, dy, before),
        _ => RunWeightGradient<float>(device, g, x, dy, before),
    };

    private static float[] RunWeightGradient<V>(CpuDevice device, Conv2dGeometry g, float[] x, float[] dy, float[] before) where V : unmanaged =>
        On(device, g.WeightLength, before, (k, v) => ((CpuKernels)k).WinogradWeightGradient<V>(
            g, CpuDevice.Pointer(v[0]), CpuDevice.Pointer(v[1]), CpuDevice.Pointer(v[2]), accumulate: before.Length > 0), x, dy);

    /// <summary>Runs a kernel; a guard of known values around the result must be left alone. No value: an operand that is not given.</summary>
    private static float[] On(Device device, long length, float[] before, Action<IKernels, BufferView[]> kernel, params float[][] operands)
    {
        const float Guard = 12345;
        List<DeviceBuffer> buffers = [];
        try
        {
            var views = operands.Append(before.Length > 0 ? before : Enumerable.Repeat(float.NaN, (int)length).ToArray()).Select(values =>
            {
                if (values.Length == 0) return default;
                // One element before, so that nothing is aligned: but not where the result is large, which only aligned ones are written past the caches.
                int shift = length >= 2 << 20 ? 0 : 1;
                var buffer = device.Rent(values.Length + shift + 64);
                buffers.Add(buffer);
                device.Write(buffer.View, (float[])[.. Enumerable.Repeat(Guard, shift), .. values, .. Enumerable.Repeat(Guard, 64)]);
                return buffer.View.Slice(shift, values.Length);
            }).ToArray();
            kernel(device.Kernels, views);
            float[] all = new float[buffers[^1].Length];
            device.Read(buffers[^1].View, all);
            int first = all.Length - 64 - (int)length;
            Assert.All(all[..first].Concat(all[(first + (int)length)..]), v => Assert.Equal(Guard, v));
            return all[first..(first + (int)length)];
        }
        finally
        {
            foreach (var buffer in buffers) buffer.Dispose();
        }
    }

    private static float[] OnReference(long length, float[] before, Action<IKernels, BufferView[]> kernel, params float[][] operands)
    {
        using var device = new ReferenceDevice();
        return On(device, length, before, kernel, operands);
    }

    private static void Check(int[] shape, float[] actual, Func<Func<float[], float[]>, float[]> reference)
    {
        float[] expected = reference(values => values), terms = TileMaxima(shape, reference(Absolute));
        for (int i = 0; i < expected.Length; i++)
        {
            double error = Math.Abs(actual[i] - expected[i]) / Math.Max(terms[i], 1e-30);
            if (!(actual[i] == expected[i] || error <= Limit)) Assert.Fail($"[{i}] is {actual[i]:R}, the reference says {expected[i]:R} (error {error:E2})");
        }
    }

    /// <summary>Of a map [n, h, w, c], at each element the largest of its channel in its tile.</summary>
    private static float[] TileMaxima(int[] shape, float[] map)
    {
        var (height, width, channels) = (shape[0], shape[1], shape[2]);
        var tiles = Enumerable.Range(0, map.Length).GroupBy(i =>
        {
            int c = i % channels, column = i / channels % width, row = i / channels / width % height, n = i / channels / width / height;
            return (n, row / 4, column / 4, c);
        });
        float[] maxima = new float[map.Length];
        foreach (var tile in tiles)
        {
            float largest = tile.Max(i => map[i]);
            foreach (int i in tile) maxima[i] = largest;
        }
        return maxima;
    }

    private static int[] Output(Conv2dGeometry g) => [g.P, g.Q, g.K];

    private static int[] Input(Conv2dGeometry g) => [g.H, g.W, g.C];

    /// <summary>As a map of one tile: the nine taps are its pixels, the pairs of channels its channels.</summary>
    private static int[] Weights(Conv2dGeometry g) => [g.R, g.S, g.C * g.K];

    private static Conv2dGeometry Square(int n, int size, int c, int k, int pad = 1) =>
        new(n, size, size, c, k, 3, 3) { PadTop = pad, PadBottom = pad, PadLeft = pad, PadRight = pad };

    private static float[] Values(long count, ulong tag)
    {
        var random = new RandomStream(51, tag);
        return [.. Enumerable.Range(0, (int)count).Select(_ => (float)random.NextNormal())];
    }

    private static float[] Absolute(float[] values) => [.. values.Select(MathF.Abs)];

    private static ReadOnlySpan<int> Bits(float[] values) => MemoryMarshal.Cast<float, int>(values);
}
