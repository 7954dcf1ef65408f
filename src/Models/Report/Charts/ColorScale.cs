namespace RefConv.Models.Report.Charts;

/// <summary>
/// Colours of values. Both scales are perceptually even and can be told apart with any of the usual colour blindnesses; tables of a few points with straight lines
/// between them are off by less than the eye sees.
/// </summary>
internal sealed class ColorScale
{
    private readonly (byte R, byte G, byte B)[] _table;

    private ColorScale(params int[] points)
    {
        _table = new (byte, byte, byte)[Levels + 1];
        for (int i = 0; i < Levels; i++)
        {
            double at = i / (Levels - 1.0) * (points.Length - 1);
            int left = Math.Min((int)at, points.Length - 2);
            byte Mix(int shift) => (byte)Math.Round(((1 - (at - left)) * ((points[left] >> shift) & 255)) + ((at - left) * ((points[left + 1] >> shift) & 255)));
            _table[i] = (Mix(16), Mix(8), Mix(0));
        }
        _table[Levels] = (128, 128, 128); // drawn as nothing
    }

    /// <summary>Steps of colour; one more place in the table is for what is no number.</summary>
    public const int Levels = 255;

    /// <summary>The place of what is no number.</summary>
    public const byte Missing = 255;

    /// <summary>Viridis: from little to much.</summary>
    public static ColorScale Viridis { get; } = new(0x440154, 0x482475, 0x414487, 0x355f8d, 0x2a788e, 0x21918c, 0x22a884, 0x44bf70, 0x7ad151, 0xbddf26, 0xfde725);

    /// <summary>Blue to white to orange-brown: from minus to plus, nothing being white.</summary>
    public static ColorScale Diverging { get; } = new(0x0b3c6f, 0x2f6ea8, 0x77aad0, 0xc1d9e8, 0xf7f6f3, 0xf3d3ae, 0xdb9a57, 0xb3621c, 0x6e3208);

    /// <summary>The colours in order.</summary>
    public IReadOnlyList<(byte R, byte G, byte B)> Table => _table;

    /// <summary>Place of a value between the ends of the scale.</summary>
    public static byte Index(double value, double low, double high)
    {
        if (!double.IsFinite(value)) return Missing;
        double share = high > low ? (value - low) / (high - low) : 0.5;
        return (byte)Math.Round(Math.Clamp(share, 0, 1) * (Levels - 1));
    }

    /// <summary>As CSS writes it.</summary>
    public string Css(double value, double low, double high)
    {
        var (r, g, b) = _table[Index(value, low, high)];
        return $"#{r:x2}{g:x2}{b:x2}";
    }

    /// <summary>Whether dark text can be read on the colour (relative luminance).</summary>
    public bool IsLight(double value, double low, double high)
    {
        var (r, g, b) = _table[Index(value, low, high)];
        return (0.2126 * r) + (0.7152 * g) + (0.0722 * b) > 120;
    }
}
