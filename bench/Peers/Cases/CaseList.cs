using RefConv.Models;

namespace RefConv.Bench;

/// <summary>All cases, and the choice among them.</summary>
internal static class CaseList
{
    /// <summary>All cases: layers, then models.</summary>
    public static IReadOnlyList<BenchCase> All { get; } = [.. LayerCase.All, .. ModelCase.All];

    /// <summary>The class of that name.</summary>
    /// <exception cref="ArgumentException">There is none; the message offers one.</exception>
    public static CaseClass? FindClass(string? name)
    {
        if (name == null) return null;
        string[] known = [.. CaseClass.All.Select(c => c.Name)];
        return CaseClass.All.FirstOrDefault(c => c.Name == name)
            ?? throw new ArgumentException($"There is no class '{name}'.{Suggest.Offer(name, known)} Known are {string.Join(", ", known)}.");
    }

    /// <summary>The cases asked for, those that cannot be timed yet among them.</summary>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static IReadOnlyList<BenchCase> Choose(string only, CaseClass? wanted, bool quick)
    {
        BenchCase[] chosen = [.. All.Where(c => c.Title.Contains(only, StringComparison.OrdinalIgnoreCase) && (wanted == null || c.Class == wanted.Cases))];
        if (quick && chosen.Where(IsQuick).ToArray() is { Length: > 0 } few) chosen = few;
        if (chosen.Length > 0) return chosen;
        throw new ArgumentException($"No case{(wanted == null ? "" : $" of the class {wanted.Name}")} contains '{only}'. `--list` shows them all.");
    }

    private static bool IsQuick(BenchCase c) => LayerCase.Quick.Contains(c.Title) || ModelCase.Quick.Contains(c.Title);
}
