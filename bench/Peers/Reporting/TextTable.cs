using System.Globalization;

namespace RefConv.Bench;

/// <summary>Results for people: a line each as they come, and the geometric means.</summary>
internal static class TextTable
{
    public static string Heading(bool peers) =>
        $"{"case",-44} {"ours ms",9} {"GFLOP/s",8} {"ceiling",7}" + (peers ? $"  {"peer",-11} {"its way",-11} {"ms",9} {"ratio",6}  {"quartiles",-12} {"differ",8}" : "") + "  rounds";

    public static IEnumerable<string> Lines(BenchResult r, Ceilings ceilings)
    {
        string line = Text($"{r.Case.Title,-44} {Milliseconds(r.Ours.Median),9} {r.GigaFlops,8:F1} {Percent(r.CeilingShare(ceilings)),7}");
        if (r.Best is { } best)
        {
            double[] q = Statistics.Quartiles(r.Ratios);
            line += Text($"  {r.Peer,-11} {best.Name,-11} {Milliseconds(best.Median),9} {q[1],6:F2}  {q[0],5:F2}..{q[2],-5:F2} {r.Difference,8:E1}");
        }
        yield return line + "  " + Rounds(r);
        if (r.IsMemory) yield return Text($"  (megabytes; tensors alone {r.Notes.Single(n => n.Name == "deviceMb").Value:F0}, the process {r.Notes.Single(n => n.Name == "processMb").Value:F0})");
        if (r.Overhead is { } overhead)
            yield return Text($"  RefConv step over plain step: ours {overhead:F3}{(r.PeerOverhead is { } theirs ? Text($", {r.Peer} {theirs:F3}") : "")} (plain {Milliseconds(r.Plain!.Ours.Median)} ms)");
    }

    /// <summary>The geometric means.</summary>
    public static IEnumerable<string> Means(BenchReport report)
    {
        bool peers = report.MeanOf == "ratio";
        yield return $"{"geometric means",-24} {"results",7} {"ours ms",9} {"ceiling",7}" + (peers ? $" {"ratio",6} {"worst",6}" : "");
        foreach (var m in report.Means())
        {
            string unit = m.Class is CaseClass.Memory or CaseClass.MemorySaved ? "  (megabytes)" : m.Overhead is { } o ? Text($"  (RefConv over plain: {o:F3}{(m.PeerOverhead is { } p ? Text($", peer {p:F3}") : "")})") : "";
            if (m.Disturbed > 0) unit += $"  {m.Disturbed} of {m.Count} on a busy machine";
            yield return Text($"{m.Class,-24} {m.Count,7} {Milliseconds(m.Milliseconds ?? double.NaN),9} {Percent(m.Ceiling),7}") + (peers ? Text($" {m.Ratio,6:F2} {m.Worst,6:F2}") : "") + unit;
        }
    }

    public static string Legend(bool peers) =>
        "ms: median of the samples, one step. ceiling: share of what this machine's multiply-add rate and memory allow." +
        (peers ? "\nratio: the peer's time over ours round by round, median and quartiles; above 1 ours is faster. differ: largest relative difference of the results." : "") +
        "\nrounds: how many, and whether the machine was quiet meanwhile or what share of it other processes took; of cpu time: one thread, timed by its processor time.";

    /// <summary>Three digits: 0.0123, 1.23, 123.</summary>
    public static string Milliseconds(double ms) => ms.ToString(ms < 1 ? "F4" : ms < 100 ? "F2" : "F1", CultureInfo.InvariantCulture);

    public static string Percent(double? share) => share is { } s ? (100 * s).ToString("F0", CultureInfo.InvariantCulture) + " %" : "";

    public static string Rounds(BenchResult r) =>
        r.Ours.Samples.Count + (r.Surroundings is not { } s ? "" : s.ProcessorTime ? " of cpu time" : s.Quiet ? " quiet" : double.IsNaN(s.Others) ? "" : Text($", others {100 * s.Others:F0} %"));

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
