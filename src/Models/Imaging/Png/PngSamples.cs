using System.Buffers.Binary;

namespace RefConv.Models.Imaging.Png;

/// <summary>
/// Expands rows of a PNG to 8-bit samples. 1, 2 and 4-bit grey is scaled to 0 … 255; of 16 bits the high byte is taken, as Pillow does; numbers in a
/// palette become its colours (black where the palette is too short); transparency by colour or palette becomes an alpha channel.
/// </summary>
internal sealed class PngSamples
{
    private readonly PngColor _color;
    private readonly int _depth, _samples, _channels;
    private readonly byte[] _lookup = [];

    // The transparent colour, compared with all the bits that the file has.
    private readonly int _keyRed = -1, _keyGreen = -1, _keyBlue = -1;

    public PngSamples(PngFile png)
    {
        (_color, _depth, _samples, _channels) = (png.Color, png.BitDepth, png.Samples, Channels(png));
        var transparency = png.Transparency.Span;
        if (_color == PngColor.Palette) _lookup = PaletteTable(png.Palette.Span, transparency, _channels);
        else if (!transparency.IsEmpty)
        {
            _keyRed = BinaryPrimitives.ReadUInt16BigEndian(transparency);
            if (_color == PngColor.Rgb)
            {
                _keyGreen = BinaryPrimitives.ReadUInt16BigEndian(transparency[2..]);
                _keyBlue = BinaryPrimitives.ReadUInt16BigEndian(transparency[4..]);
            }
        }
    }

    /// <summary>Channels of the decoded picture.</summary>
    public static int Channels(PngFile png)
    {
        int alpha = png.Transparency.IsEmpty ? 0 : 1;
        return png.Color switch
        {
            PngColor.Grey => 1 + alpha,
            PngColor.Rgb or PngColor.Palette => 3 + alpha,
            PngColor.GreyAlpha => 2,
            _ => 4,
        };
    }

    /// <summary>Expands a row of as many pixels as the target holds.</summary>
    public void Expand(ReadOnlySpan<byte> row, Span<byte> target)
    {
        if (_color == PngColor.Palette) ExpandPalette(row, target);
        else if (_depth < 8) ExpandBits(row, target);
        else if (_channels > _samples) ExpandKeyed(row, target);
        else if (_depth == 8) row[..target.Length].CopyTo(target);
        else
        {
            for (int i = 0; i < target.Length; i++) target[i] = row[2 * i];
        }
    }

    private void ExpandPalette(ReadOnlySpan<byte> row, Span<byte> target)
    {
        for (int x = 0, to = 0; to < target.Length; x++, to += _channels) _lookup.AsSpan(Bits(row, x) * _channels, _channels).CopyTo(target[to..]);
    }

    private void ExpandBits(ReadOnlySpan<byte> row, Span<byte> target)
    {
        int scale = 255 / ((1 << _depth) - 1);
        for (int x = 0, to = 0; to < target.Length; x++, to += _channels)
        {
            int value = Bits(row, x);
            target[to] = (byte)(value * scale);
            if (_channels == 2) target[to + 1] = value == _keyRed ? (byte)0 : (byte)255;
        }
    }

    /// <summary>Grey or colour of 8 or 16 bits, one of which is transparent.</summary>
    private void ExpandKeyed(ReadOnlySpan<byte> row, Span<byte> target)
    {
        int bytes = _depth / 8;
        for (int from = 0, to = 0; to < target.Length; from += _samples * bytes, to += _channels)
        {
            for (int c = 0; c < _samples; c++) target[to + c] = row[from + (c * bytes)];
            bool hit = Sample(row, from) == _keyRed
                && (_samples == 1 || (Sample(row, from + bytes) == _keyGreen && Sample(row, from + (2 * bytes)) == _keyBlue));
            target[to + _samples] = hit ? (byte)0 : (byte)255;
        }
    }

    private int Sample(ReadOnlySpan<byte> row, int at) => _depth == 8 ? row[at] : BinaryPrimitives.ReadUInt16BigEndian(row[at..]);

    /// <summary>Sample x of 1, 2, 4 or 8 bits; the first lies in the highest bits of a byte.</summary>
    private int Bits(ReadOnlySpan<byte> row, int x)
    {
        if (_depth == 8) return row[x];
        int each = 8 / _depth;
        return (row[x / each] >> (8 - (_depth * ((x % each) + 1)))) & ((1 << _depth) - 1);
    }

    private static byte[] PaletteTable(ReadOnlySpan<byte> palette, ReadOnlySpan<byte> alpha, int channels)
    {
        byte[] table = new byte[256 * channels];
        for (int i = 0; i < 256; i++)
        {
            if ((3 * i) < palette.Length) palette.Slice(3 * i, 3).CopyTo(table.AsSpan(i * channels));
            if (channels == 4) table[(i * 4) + 3] = i < alpha.Length ? alpha[i] : (byte)255;
        }
        return table;
    }
}
