using System.Buffers;
using System.Text;
using System.Text.Json;

namespace RefConv.Models.Report.Charts;

/// <summary>The numbers of a figure: what its button saves as CSV, and what is read off it under the pointer. One table serves both.</summary>
/// <param name="Name">Name of the file without .csv.</param>
/// <param name="Head">Titles of columns.</param>
/// <param name="Rows">Numbers, NaN for a missing one, which is an empty cell.</param>
/// <param name="Labels">Text that stands before the numbers of each row, as a first column of its own; null for none.</param>
internal sealed record FigureData(string Name, IReadOnlyList<string> Head, IReadOnlyList<double[]> Rows, IReadOnlyList<string>? Labels = null)
{
    /// <summary>
    /// As JSON. The encoder writes &lt;, &gt; and &amp; as \u escapes, so no text in it can end the element that it stands in.
    /// </summary>
    public string ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("name", Name);
            json.WriteStartArray("head");
            foreach (string title in Head) json.WriteStringValue(title);
            json.WriteEndArray();
            json.WriteStartArray("rows");
            for (int i = 0; i < Rows.Count; i++)
            {
                json.WriteStartArray();
                if (Labels != null) json.WriteStringValue(Labels[i]);
                foreach (double value in Rows[i])
                {
                    if (double.IsFinite(value)) json.WriteNumberValue(value);
                    else json.WriteNullValue();
                }
                json.WriteEndArray();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>A matrix with the numbers of its columns as titles and of its rows before them.</summary>
    /// <remarks>Single precision: a map of 64×64 values would be half a megabyte of digits that no weight has.</remarks>
    public static FigureData OfMatrix(string name, string corner, int rows, int columns, IReadOnlyList<double> values, IReadOnlyList<double>? ys = null, IReadOnlyList<double>? xs = null) => new(
        name,
        [corner, .. Enumerable.Range(0, columns).Select(j => xs == null ? Num.Whole(j) : xs[j].ToString("R", System.Globalization.CultureInfo.InvariantCulture))],
        [.. Enumerable.Range(0, rows).Select(i => (double[])[ys == null ? i : ys[i], .. Enumerable.Range(0, columns).Select(j => Single(values[(i * columns) + j]))])]);

    /// <summary>The double with the fewest digits that is the same single.</summary>
    private static double Single(double value) => double.IsFinite(value)
        ? double.Parse(((float)value).ToString("R", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture)
        : double.NaN;
}

/// <summary>A drawing with its numbers.</summary>
/// <param name="Svg">The drawing.</param>
/// <param name="Data">Its numbers.</param>
/// <param name="Legend">HTML that tells lines apart; empty where nothing has to be told.</param>
internal sealed record Chart(string Svg, FigureData Data, string Legend = "");
