namespace RefConv.Models;

/// <summary>Finds what a mistyped word was meant to be.</summary>
public static class Suggest
{
    /// <summary>The known word nearest to the given one by edits (Levenshtein), or null when none is near.</summary>
    public static string? Nearest(string word, IEnumerable<string> known)
    {
        var best = known
            .Select(k => (Word: k, Edits: k.StartsWith(word, StringComparison.OrdinalIgnoreCase) && word.Length > 1 ? 0 : Edits(word, k)))
            .OrderBy(k => k.Edits).FirstOrDefault();
        return best.Word is not null && best.Edits <= Math.Max(2, best.Word.Length / 3) ? best.Word : null;
    }

    /// <summary>" Did you mean 'x'?", or nothing when no known word is near.</summary>
    public static string Offer(string word, IEnumerable<string> known) => Nearest(word, known) is { } nearest ? $" Did you mean '{nearest}'?" : "";

    /// <summary>How many letters must be put in, taken out or changed; capitals do not matter.</summary>
    private static int Edits(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int change = diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, Math.Min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.Length];
    }
}
