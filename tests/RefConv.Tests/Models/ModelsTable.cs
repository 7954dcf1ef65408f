using System.Globalization;

namespace RefConv.Tests.Models;

/// <summary>
/// Collects what tests measured of each architecture for docs/results/models.md: when $REFCONV_MODELS_TABLE names a file, a line
/// "architecture, column, value" (with tabs between) is appended for each figure; otherwise nothing happens. tests/Golden/models_table.sh makes the table.
/// </summary>
internal static class ModelsTable
{
    private static readonly Lock s_lock = new();
    private static readonly string? s_file = Environment.GetEnvironmentVariable("REFCONV_MODELS_TABLE");

    /// <summary>Notes a figure. Where one architecture gets several in a column, the table shows the largest.</summary>
    public static void Record(string architecture, string column, double value)
    {
        if (string.IsNullOrEmpty(s_file)) return;
        lock (s_lock) File.AppendAllText(s_file, string.Create(CultureInfo.InvariantCulture, $"{architecture}\t{column}\t{value:R}\n"));
    }
}
