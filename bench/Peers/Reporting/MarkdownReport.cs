using System.Globalization;
using System.Text;

namespace RefConv.Bench;

/// <summary>Results as a page: circumstances, geometric means, a table a class.</summary>
internal static class MarkdownReport
{
    public static string Of(BenchReport report)
    {
        var page = new StringBuilder($"# Benchmark results, {report.Header().First().Value}\n\n");
        foreach (var (name, value) in report.Header().Skip(1)) page.Append(CultureInfo.InvariantCulture, $"* {name}: {(name == "command" ? $"`bench {value}`" : value)}\n");
        if (report.Stopped) page.Append("\n**Interrupted: not all cases are here.**\n");
        bool peers = report.MeanOf == "ratio";
        page.Append("\n## Geometric means\n\n");
        Row(page, ["class", "results", peers ? "ratio" : "ms", .. peers ? new[] { "worst" } : [], "ceiling", "on a busy machine"], heading: true);
        foreach (var m in report.Means())
            Row(page, [m.Class, $"{m.Count}", peers ? Number(m.Ratio) : TextTable.Milliseconds(m.Milliseconds ?? double.NaN), .. peers ? new[] { Number(m.Worst) } : [], TextTable.Percent(m.Ceiling), m.Disturbed == 0 ? "" : $"{m.Disturbed}"]);
        foreach (var m in report.Means().Where(m => m.Overhead != null))
            page.Append(CultureInfo.InvariantCulture, $"\nRefConv step over plain step: {Number(m.Overhead)}{(m.PeerOverhead == null ? "" : $", in the peer {Number(m.PeerOverhead)}")}.\n");
        foreach (var c in CaseClass.All) Table(page, report, c);
        foreach (string line in report.Disagreements) page.Append(CultureInfo.InvariantCulture, $"\nNot timed, the engines disagree: {line}\n");
        if (report.Unavailable.Count > 0)
            page.Append("\nNot timed:\n\n").AppendJoin("", report.Unavailable.GroupBy(u => u.Unavailable).Select(g => $"* {g.Key}: {string.Join(", ", g.Select(u => u.Title))}\n"));
        return page.Append('\n').Append(TextTable.Legend(peers).Replace("\n", "\n\n")).Append('\n').ToString();
    }

    private static void Table(StringBuilder page, BenchReport report, CaseClass c)
    {
        BenchResult[] rows = [.. report.Results.Where(r => r.Class == c.Name)];
        if (rows.Length == 0) return;
        bool peers = rows.Any(r => r.Best != null), refocus = c.Name == CaseClass.Refocus;
        string unit = c.Name is CaseClass.Memory or CaseClass.MemorySaved ? "MB" : "ms";
        page.Append(CultureInfo.InvariantCulture, $"\n## {c.Name}: {c.Description}\n\n");
        Row(page, ["case", unit, "GFLOP/s", "ceiling", .. refocus ? new[] { "over plain" } : [], .. peers ? new[] { $"peer {unit}", "its way", "ratio", "quartiles" } : [], "rounds"], heading: true);
        foreach (var r in rows)
        {
            double[] q = r.Best == null ? [] : Statistics.Quartiles(r.Ratios);
            string[] theirs = r.Best == null ? ["", "", "", ""] : [TextTable.Milliseconds(r.Best.Median), $"{r.Peer} {r.Best.Name}", Number(r.Ratio), $"{Number(q[0])} … {Number(q[2])}"];
            Row(page, [r.Case.Title, TextTable.Milliseconds(r.Ours.Median), r.GigaFlops?.ToString("F1", CultureInfo.InvariantCulture) ?? "", TextTable.Percent(r.CeilingShare(report.Ceilings)),
                .. refocus ? new[] { Number(r.Overhead) } : [], .. peers ? theirs : [], TextTable.Rounds(r)]);
        }
    }

    private static void Row(StringBuilder page, IReadOnlyList<string> cells, bool heading = false)
    {
        page.Append("| ").AppendJoin(" | ", cells).Append(" |\n");
        if (heading) page.Append("|").AppendJoin("|", cells.Select((_, i) => i == 0 ? "---" : "--:")).Append("|\n");
    }

    private static string Number(double? value) => value?.ToString("F2", CultureInfo.InvariantCulture) ?? "";
}
