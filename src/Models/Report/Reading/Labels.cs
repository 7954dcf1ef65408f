namespace RefConv.Models.Report.Reading;

/// <summary>Names runs by the ends of their paths: as short as tells them apart.</summary>
internal static class Labels
{
    /// <summary>The runs with their folders' names as methods.</summary>
    public static IReadOnlyList<ReportRun> Name(IReadOnlyList<ReportRun> runs)
    {
        string[][] parts = [.. runs.Select(r => Path.GetFullPath(r.Folder).Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))];
        string[] names = new string[runs.Count];
        for (int i = 0; i < runs.Count; i++)
        {
            int length = 1;
            string Tail(int run) => string.Join('/', parts[run][^Math.Min(length, parts[run].Length)..]);
            while (length < parts[i].Length && Enumerable.Range(0, runs.Count).Any(j => j != i && Tail(j) == Tail(i))) length++;
            names[i] = parts[i].Length == 0 ? runs[i].Folder : Tail(i);
        }
        return [.. runs.Select((r, i) => r with { Method = names[i] })];
    }
}
