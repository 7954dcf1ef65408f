using System.Text.RegularExpressions;

namespace RefConv.Tests.Gpu;

/// <summary>The instructions of the loop around a barrier in a kernel's PTX: what a kernel does again and again, found by its branches, since blocks lie in any order.</summary>
internal sealed partial class PtxLoop
{
    private PtxLoop(IReadOnlyList<string> instructions) => Instructions = instructions;

    public IReadOnlyList<string> Instructions { get; }

    public int Count(string beginning) => Instructions.Count(i => i.StartsWith(beginning, StringComparison.Ordinal));

    /// <summary>All blocks that can reach a barrier that can reach them.</summary>
    public static PtxLoop AroundBarrier(string ptx)
    {
        var (blocks, next) = Parse(ptx[ptx.IndexOf(".entry", StringComparison.Ordinal)..]);
        var reach = Enumerable.Range(0, blocks.Count).Select(b => Reachable(b, next)).ToArray();
        int barrier = Enumerable.Range(0, blocks.Count).Single(b => reach[b].Contains(b) && blocks[b].Any(i => i.StartsWith("bar", StringComparison.Ordinal)));
        return new([.. Enumerable.Range(0, blocks.Count).Where(b => reach[b].Contains(barrier) && reach[barrier].Contains(b)).SelectMany(b => blocks[b])]);
    }

    private static (List<List<string>> Blocks, List<List<int>> Next) Parse(string entry)
    {
        List<List<string>> blocks = [[]];
        Dictionary<string, int> labels = [];
        List<(int From, string To)> branches = [];
        HashSet<int> ends = [];
        foreach (string line in entry.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0))
        {
            if (Label().Match(line) is { Success: true } label)
            {
                if (blocks[^1].Count > 0) blocks.Add([]);
                labels[label.Groups[1].Value] = blocks.Count - 1;
                continue;
            }
            blocks[^1].Add(line);
            bool isEnd = line.StartsWith("ret", StringComparison.Ordinal);
            if (Branch().Match(line) is { Success: true } branch)
            {
                branches.Add((blocks.Count - 1, branch.Groups[1].Value));
                isEnd = !line.StartsWith('@');
            }
            else if (!isEnd)
            {
                continue;
            }
            if (isEnd) ends.Add(blocks.Count - 1);
            blocks.Add([]);
        }
        var next = blocks.Select((_, b) => ends.Contains(b) || b + 1 == blocks.Count ? new List<int>() : [b + 1]).ToList();
        foreach (var (from, to) in branches) next[from].Add(labels[to]);
        return (blocks, next);
    }

    private static HashSet<int> Reachable(int from, List<List<int>> next)
    {
        HashSet<int> seen = [];
        Stack<int> open = new(next[from]);
        while (open.TryPop(out int block))
        {
            if (!seen.Add(block)) continue;
            foreach (int n in next[block]) open.Push(n);
        }
        return seen;
    }

    [GeneratedRegex(@"^(\w+):$")]
    private static partial Regex Label();

    [GeneratedRegex(@"\bbra(?:\.uni)?\s+(\w+);")]
    private static partial Regex Branch();
}
