using System.IO.Compression;

namespace RefConv.Models.Imaging.Png;

/// <summary>Decodes the picture of a PNG: inflates, undoes filters and interlacing, expands to 8-bit samples.</summary>
internal static class PngDecoder
{
    /// <summary>Deflate cannot do better: a match of 258 bytes takes at least two bits.</summary>
    private const long MaximumRatio = 1032;

    /// <summary>Interlaced pictures come as seven small ones; each takes the pixels from (X, Y) on in steps of (StepX, StepY).</summary>
    private static readonly (int X, int Y, int StepX, int StepY)[] Adam7 =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];

    private static readonly (int X, int Y, int StepX, int StepY)[] OnePass = [(0, 0, 1, 1)];

    /// <summary>The picture with 1 to 4 channels: grey or colour, and alpha where the file says anything about transparency.</summary>
    /// <exception cref="ImageFormatException">The data is damaged or ends early.</exception>
    public static Image Decode(PngFile png)
    {
        var passes = png.Interlaced ? Adam7 : OnePass;
        CheckPromise(png, passes);
        int channels = PngSamples.Channels(png);
        long samples = (long)png.Width * png.Height * channels;
        if (samples > Array.MaxLength) throw new ImageFormatException($"the picture of {png.Width:N0}×{png.Height:N0} pixels does not fit into one array. Make it smaller.");
        byte[] pixels = GC.AllocateUninitializedArray<byte>((int)samples);
        using var source = new SegmentStream(png.Data);
        using var inflated = new ZLibStream(source, CompressionMode.Decompress);
        try
        {
            foreach (var pass in passes) DecodePass(png, pass, inflated, pixels, channels);
            ExpectEnd(inflated);
        }
        catch (Exception e) when (e is InvalidDataException or (IOException and not ImageFormatException))
        {
            // The second is what a stream that asks for a preset dictionary ends in.
            throw PngFile.Damaged("its compressed data makes no sense", e);
        }
        return new Image(png.Width, png.Height, channels, pixels);
    }

    /// <summary>Bytes of the inflated picture against what its compressed bytes can become at most: before any memory is taken.</summary>
    private static void CheckPromise(PngFile png, (int X, int Y, int StepX, int StepY)[] passes)
    {
        long needed = passes.Sum(p => Size(png, p) is var (width, height) && width > 0 ? height * (1 + RowBytes(png, width)) : 0);
        long compressed = png.Data.Sum(d => (long)d.Length);
        if (needed > compressed * MaximumRatio)
            throw PngFile.Damaged($"{png.Width:N0}×{png.Height:N0} pixels cannot come out of {compressed:N0} bytes of data");
    }

    private static (long Width, long Height) Size(PngFile png, (int X, int Y, int StepX, int StepY) pass) =>
        (((long)png.Width - pass.X + pass.StepX - 1) / pass.StepX, ((long)png.Height - pass.Y + pass.StepY - 1) / pass.StepY);

    private static long RowBytes(PngFile png, long width) => ((width * png.PixelBits) + 7) / 8;

    private static void DecodePass(PngFile png, (int X, int Y, int StepX, int StepY) pass, Stream inflated, byte[] pixels, int channels)
    {
        var (width, height) = Size(png, pass);
        if (width == 0 || height == 0) return; // a pass without pixels has no bytes, not even those of filters
        int bytes = checked((int)RowBytes(png, width)), step = Math.Max(1, png.PixelBits / 8);
        byte[] row = new byte[bytes + 1], above = new byte[bytes + 1];
        byte[]? expanded = pass.StepX == 1 ? null : new byte[width * channels];
        var samples = new PngSamples(png);
        for (int y = 0; y < height; y++)
        {
            int read = inflated.ReadAtLeast(row, row.Length, throwOnEndOfStream: false);
            if (read < row.Length) throw PngFile.Damaged("its picture data ends early");
            PngFilter.Undo(row[0], row.AsSpan(1), above.AsSpan(1), step);
            int first = (((pass.Y + (y * pass.StepY)) * png.Width) + pass.X) * channels;
            if (expanded == null)
            {
                samples.Expand(row.AsSpan(1), pixels.AsSpan(first, (int)width * channels));
            }
            else
            {
                samples.Expand(row.AsSpan(1), expanded);
                for (int x = 0; x < width; x++) expanded.AsSpan(x * channels, channels).CopyTo(pixels.AsSpan(first + (x * pass.StepX * channels)));
            }
            (row, above) = (above, row);
        }
    }

    /// <summary>Reading on to the end compares the check sum of the inflated data. Bytes more than the picture has are passed over, as everywhere.</summary>
    private static void ExpectEnd(Stream inflated)
    {
        Span<byte> more = stackalloc byte[64];
        _ = inflated.Read(more);
    }
}

/// <summary>Pieces of memory read one after another.</summary>
internal sealed class SegmentStream(IReadOnlyList<ReadOnlyMemory<byte>> segments) : Stream
{
    private int _segment, _at;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(Span<byte> buffer)
    {
        while (_segment < segments.Count)
        {
            var rest = segments[_segment].Span[_at..];
            int count = Math.Min(rest.Length, buffer.Length);
            if (count > 0 || buffer.IsEmpty)
            {
                rest[..count].CopyTo(buffer);
                _at += count;
                return count;
            }
            (_segment, _at) = (_segment + 1, 0);
        }
        return 0;
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override void Flush() { }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
