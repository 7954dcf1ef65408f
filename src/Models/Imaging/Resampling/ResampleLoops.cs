using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace RefConv.Models.Imaging;

/// <summary>
/// The two passes of resampling: 32-bit sums of 8-bit samples times fixed-point weights. Whole numbers, so vectors give the bits of plain loops.
/// </summary>
internal static class ResampleLoops
{
    private const int Half = 1 << (FilterWeights.Bits - 1);

    /// <summary>Every row by itself; rows of the result follow each other.</summary>
    /// <param name="source">From the first pixel of the part on.</param>
    /// <param name="stride">Bytes from a row to the next.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="channels">Samples a pixel.</param>
    /// <param name="weights">For every pixel of the result.</param>
    /// <param name="target">[rows, pixels, channels].</param>
    public static void AcrossRows(ReadOnlySpan<byte> source, int stride, int rows, int channels, in FilterWeights weights, Span<byte> target)
    {
        int rowBytes = weights.Starts.Length * channels;
        for (int y = 0; y < rows; y++)
        {
            var from = source[(y * stride)..];
            var to = target.Slice(y * rowBytes, rowBytes);
            if (channels == 3) RowOfThree(from, weights, to);
            else Row(from, channels, weights, to);
        }
    }

    /// <summary>Every column by itself; samples of a row lie side by side, so this is a weighted sum of rows.</summary>
    /// <param name="source">From sample (0, <paramref name="top"/>) of the part on.</param>
    /// <param name="stride">Bytes from a row to the next.</param>
    /// <param name="weights">For every row of the result.</param>
    /// <param name="top">The row that the source begins with.</param>
    /// <param name="rowBytes">Samples a row.</param>
    /// <param name="target">[rows, rowBytes].</param>
    public static void DownColumns(ReadOnlySpan<byte> source, int stride, in FilterWeights weights, int top, int rowBytes, Span<byte> target)
    {
        for (int y = 0; y < weights.Starts.Length; y++)
        {
            var from = source[((weights.Starts[y] - top) * stride)..];
            SumOfRows(from, stride, weights.Of(y), target.Slice(y * rowBytes, rowBytes));
        }
    }

    private static void SumOfRows(ReadOnlySpan<byte> rows, int stride, ReadOnlySpan<int> weights, Span<byte> target)
    {
        int x = 0;
        if (Vector256.IsHardwareAccelerated)
        {
            int count = Vector256<byte>.Count;
            // All loads below lie inside: a row has at least target.Length samples from its first one on.
            if (weights.Length > 0) _ = rows.Slice((weights.Length - 1) * stride, target.Length);
            ref byte first = ref MemoryMarshal.GetReference(rows);
            for (; x <= target.Length - count; x += count)
            {
                var a = Vector256.Create(Half);
                var (b, c, d) = (a, a, a);
                for (int k = 0; k < weights.Length; k++)
                {
                    var weight = Vector256.Create(weights[k]);
                    var (low, high) = Vector256.Widen(Vector256.LoadUnsafe(ref first, (nuint)((k * stride) + x)));
                    var (l0, l1) = Vector256.Widen(low);
                    var (h0, h1) = Vector256.Widen(high);
                    a += l0.AsInt32() * weight;
                    b += l1.AsInt32() * weight;
                    c += h0.AsInt32() * weight;
                    d += h1.AsInt32() * weight;
                }
                Vector256.Narrow(Vector256.Narrow(Clip(a), Clip(b)), Vector256.Narrow(Clip(c), Clip(d))).CopyTo(target[x..]);
            }
        }
        for (; x < target.Length; x++)
        {
            int sum = Half;
            for (int k = 0; k < weights.Length; k++) sum += rows[(k * stride) + x] * weights[k];
            target[x] = Clip(sum);
        }
    }

    private static void Row(ReadOnlySpan<byte> source, int channels, in FilterWeights weights, Span<byte> target)
    {
        for (int x = 0; x < weights.Starts.Length; x++)
        {
            var w = weights.Of(x);
            for (int c = 0; c < channels; c++)
            {
                int sum = Half, from = (weights.Starts[x] * channels) + c;
                foreach (int weight in w)
                {
                    sum += source[from] * weight;
                    from += channels;
                }
                target[(x * channels) + c] = Clip(sum);
            }
        }
    }

    /// <summary>
    /// Red, green and blue in three lanes of a vector of four. A pixel is read as four bytes, the last one of which belongs to its neighbour and
    /// is not used; the very last pixel of a sum is put together, because nothing may follow it.
    /// </summary>
    private static void RowOfThree(ReadOnlySpan<byte> source, in FilterWeights weights, Span<byte> target)
    {
        for (int x = 0; x < weights.Starts.Length; x++)
        {
            var w = weights.Of(x);
            var pixels = source.Slice(weights.Starts[x] * 3, w.Length * 3);
            ref byte first = ref MemoryMarshal.GetReference(pixels);
            var even = Vector128.Create(Half);
            var odd = Vector128<int>.Zero;
            int k = 0;
            for (; k < w.Length - 2; k += 2)
            {
                even += Pixel(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref first, 3 * k))) * w[k];
                odd += Pixel(Unsafe.ReadUnaligned<uint>(ref Unsafe.Add(ref first, (3 * k) + 3))) * w[k + 1];
            }
            for (; k < w.Length; k++)
            {
                var p = pixels.Slice(3 * k, 3);
                even += Vector128.Create(p[0], p[1], p[2], 0) * w[k];
            }
            even += odd;
            target[3 * x] = Clip(even[0]);
            target[(3 * x) + 1] = Clip(even[1]);
            target[(3 * x) + 2] = Clip(even[2]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Pixel(uint bytes)
    {
        // Bytes in the order of memory become lanes in that order.
        if (!BitConverter.IsLittleEndian) bytes = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(bytes);
        return Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(bytes).AsByte())).AsInt32();
    }

    private static byte Clip(int sum) => (byte)Math.Clamp(sum >> FilterWeights.Bits, 0, 255);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> Clip(Vector256<int> sum) =>
        Vector256.Min(Vector256.Max(Vector256.ShiftRightArithmetic(sum, FilterWeights.Bits), Vector256<int>.Zero), Vector256.Create(255)).AsUInt32();
}
