using System.Globalization;
using System.Text;

namespace RefConv.Models.Report;

/// <summary>Numbers and text for pages: always in the invariant culture, always escaped.</summary>
internal static class Num
{
    private static readonly CultureInfo C = CultureInfo.InvariantCulture;

    /// <summary>In a .NET format; a value that is no finite number is said to be none.</summary>
    public static string Text(double value, string format) =>
        double.IsFinite(value) ? value.ToString(format, C).Replace('-', '−') : double.IsNaN(value) ? "no number" : value > 0 ? "infinite" : "−infinite";

    /// <summary>With its sign.</summary>
    public static string Signed(double value, string format) => value > 0 ? "+" + Text(value, format) : Text(value, format);

    /// <summary>A few significant digits, whatever the size: for values of which nothing is known beforehand.</summary>
    public static string Short(double value)
    {
        if (!double.IsFinite(value) || value == 0) return Text(value, "0");
        double size = Math.Abs(value);
        return size >= 1e6 || size < 1e-3 ? Text(value, "0.0##e0") : size >= 100 ? Text(value, "0.#") : size >= 1 ? Text(value, "0.##") : Text(value, "0.####");
    }

    /// <summary>Three significant digits: for labels inside drawings.</summary>
    public static string Brief(double value) => double.IsFinite(value) ? Short(double.Parse(value.ToString("G3", C), C)) : Short(value);

    /// <summary>A whole number with separators.</summary>
    public static string Whole(long value) => value.ToString("N0", C);

    /// <summary>A coordinate of a drawing: a tenth of a pixel is enough.</summary>
    public static string Px(double value) => Math.Round(value, 1).ToString("0.#", C);

    /// <summary>Text for HTML and SVG, in elements and in attributes.</summary>
    public static string Escape(string? text) => (text ?? "").Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("\"", "&quot;").Replace("'", "&#39;");

    /// <summary>Adds interpolated text with its numbers in the invariant culture.</summary>
    public static StringBuilder Put(this StringBuilder builder, FormattableString text) => builder.Append(text.ToString(C));

    /// <summary>One, or several, of something.</summary>
    public static string Count(long n, string one, string? several = null) => $"{Whole(n)} {(n == 1 ? one : several ?? one + "s")}";

    /// <summary>a, b and c.</summary>
    public static string List(IReadOnlyList<string> words) => words.Count switch
    {
        0 => "none",
        1 => words[0],
        _ => $"{string.Join(", ", words.SkipLast(1))} and {words[^1]}",
    };
}
